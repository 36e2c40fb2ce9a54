// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nftables

import "strings"

// token is one word, sign or quoted text. A line's end is a ";".
type token struct {
	text   string
	line   int
	quoted bool
}

// lexer cuts a file into tokens and puts the values of define in the place of
// variables.
type lexer struct {
	data    string
	pos     int
	line    int
	back    []token // to be read again, the next one last
	spliced int     // tokens that came from variables
	defined map[string][]token
}

// maxSpliced bounds what variables may grow into.
const maxSpliced = 1 << 19

// end is the token after the last one.
func (l *lexer) end() token { return token{line: l.line} }

func (t token) isEnd() bool { return t.text == "" && !t.quoted }

// is reports whether t is the sign or word s, not in quotes.
func (t token) is(s string) bool { return t.text == s && !t.quoted }

// unread makes t the next token.
func (l *lexer) unread(t token) {
	if !t.isEnd() {
		l.back = append(l.back, t)
	}
}

// next returns the next token, with variables replaced by what they stand for.
// An undefined variable stays as it is.
func (l *lexer) next() token {
	t := l.raw()
	if t.quoted || !strings.HasPrefix(t.text, "$") {
		return t
	}
	value, ok := l.defined[t.text[1:]]
	if !ok || l.spliced+len(value) > maxSpliced {
		return t
	}
	l.spliced += len(value)
	for i := len(value) - 1; i >= 0; i-- {
		v := value[i]
		v.line = t.line
		l.back = append(l.back, v)
	}
	return l.raw()
}

// raw returns the next token as it is written.
func (l *lexer) raw() token {
	if n := len(l.back); n > 0 {
		t := l.back[n-1]
		l.back = l.back[:n-1]
		return t
	}
	for l.pos < len(l.data) {
		c := l.data[l.pos]
		switch {
		case c == '\n':
			l.pos++
			l.line++
			return token{text: ";", line: l.line - 1}
		case c == '\\' && l.pos+1 < len(l.data) && l.data[l.pos+1] == '\n':
			l.pos += 2
			l.line++
		case c == ' ' || c == '\t' || c == '\r' || c == 0:
			l.pos++
		case c == '#':
			if i := strings.IndexByte(l.data[l.pos:], '\n'); i >= 0 {
				l.pos += i
			} else {
				l.pos = len(l.data)
			}
		case c == '"' || c == '\'':
			return l.quotedText(c)
		case strings.IndexByte("{};,()", c) >= 0:
			l.pos++
			return token{text: string(c), line: l.line}
		case strings.IndexByte("!=<>&|^", c) >= 0:
			return l.run(func(c byte) bool { return strings.IndexByte("!=<>&|^", c) >= 0 })
		default:
			return l.run(func(c byte) bool { return strings.IndexByte(" \t\r\n\x00{};,()!=<>&|^\"'#", c) < 0 })
		}
	}
	return l.end()
}

// run returns the token of the characters that belong, at least one.
func (l *lexer) run(belongs func(byte) bool) token {
	from := l.pos
	for l.pos++; l.pos < len(l.data) && belongs(l.data[l.pos]); l.pos++ {
	}
	return token{text: l.data[from:l.pos], line: l.line}
}

// quotedText returns a text in quotes. One that does not end on its line ends
// there.
func (l *lexer) quotedText(quote byte) token {
	l.pos++
	from := l.pos
	for l.pos < len(l.data) && l.data[l.pos] != quote && l.data[l.pos] != '\n' {
		l.pos++
	}
	t := token{text: l.data[from:l.pos], line: l.line, quoted: true}
	if l.pos < len(l.data) && l.data[l.pos] == quote {
		l.pos++
	}
	return t
}

// statement returns the tokens up to the end of the line, a ";", or the brace
// that closes the block, which is left to be read. Lines inside braces do not
// end it.
func (l *lexer) statement() []token {
	var out []token
	for depth := 0; ; {
		t := l.next()
		switch {
		case t.isEnd():
			return out
		case t.is("{"):
			depth++
		case t.is("}") && depth == 0:
			l.unread(t)
			return out
		case t.is("}"):
			depth--
		case t.is(";") && depth == 0:
			return out
		}
		out = append(out, t)
	}
}

// texts joins tokens as people read them.
func texts(tokens []token) string {
	var b strings.Builder
	for i, t := range tokens {
		if b.Len() > 200 {
			return b.String() + " ..."
		}
		if t.is(";") {
			continue
		}
		if i > 0 && t.text != "," {
			b.WriteByte(' ')
		}
		b.WriteString(t.text)
	}
	return b.String()
}
