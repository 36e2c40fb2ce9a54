// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"strings"
	"unicode"
)

// gap is what stands before a token.
type gap uint8

const (
	gapNone  gap = iota // nothing: the piece begins
	gapSeam             // the edge of a code span
	gapSpace            // white space
)

// token is a run of text without spaces. A placeholder with spaces in it is
// one token.
type token struct {
	s     string
	gap   gap
	marks mark
	code  bool // all of it stands in code
	space bool // spaces in a placeholder were taken out
	quote bool // a quotation mark stood beside it
}

// piece is what stands between two separators: mostly one destination, with
// words around it.
type piece struct {
	tokens []token
	remark string // what stands in parentheses behind it
	wide   bool   // a foreign separator bounds it
	alone  bool   // it is one token, and all that the cell holds
}

// tagLink reports whether p is a link to the list of service tags and one thing
// in code behind it.
func (p *piece) tagLink() bool {
	link, code := false, 0
	for _, t := range p.tokens {
		link = link || t.marks&tagLink != 0
		if t.code {
			code++
		}
	}
	return link && code == 1
}

// inCode reports whether all of p that is no word stands in code.
func (p *piece) inCode() bool {
	for _, t := range p.tokens {
		if !t.code && t.s != "*" && !isWord(t.s) {
			return false
		}
	}
	return true
}

// text returns the tokens as one text with a space between them.
func (p *piece) text() string {
	var b strings.Builder
	for i, t := range p.tokens {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(t.s)
	}
	return b.String()
}

// pieces splits the text of a destination cell at its separators. Parentheses
// hold remarks and never names.
func pieces(t *text) []piece {
	var (
		out    []piece
		cur    piece
		gapNow gap
		quoted bool
	)
	end := func(wide bool) {
		cur.wide = cur.wide || wide
		if len(cur.tokens) > 0 || cur.remark != "" {
			out = append(out, cur)
		}
		cur, gapNow = piece{wide: wide}, gapNone
	}
	for i := 0; i < len(t.r); {
		switch r := t.r[i]; {
		case r == ' ':
			gapNow = gapSpace
			i++
		case r == seam:
			gapNow = max(gapNow, gapSeam)
			i++
		case r == quote:
			gapNow = max(gapNow, gapSeam)
			if len(cur.tokens) > 0 {
				cur.tokens[len(cur.tokens)-1].quote = true
			}
			quoted = true
			i++
		case r == lineBreak || r == ',' || r == ';' || r == '|':
			end(t.m[i]&wasWide != 0)
			i++
		case r == '/' && gapNow == gapSpace && (i+1 == len(t.r) || t.r[i+1] == ' '):
			end(false)
			i++
		case r == '(':
			j, depth := i, 0
			for ; j < len(t.r) && t.r[j] != lineBreak; j++ {
				if t.r[j] == '(' {
					depth++
				} else if t.r[j] == ')' {
					if depth--; depth == 0 {
						break
					}
				}
			}
			cur.remark += " " + string(t.r[i+1:min(j, len(t.r))])
			end(false)
			i = j
			if i < len(t.r) && t.r[i] == ')' {
				i++
			}
		case r == ')':
			i++
		default:
			var tok token
			tok, i = readToken(t, i)
			tok.gap, tok.quote = gapNow, quoted
			gapNow, quoted = gapNone, false
			cur.tokens = append(cur.tokens, tok)
		}
	}
	end(false)
	return out
}

// readToken reads the token at i.
func readToken(t *text, i int) (token, int) {
	tok := token{code: true}
	var b strings.Builder
	add := func(j int) {
		b.WriteRune(t.r[j])
		tok.marks |= t.m[j]
		tok.code = tok.code && t.m[j]&inCode != 0
	}
	for i < len(t.r) {
		r := t.r[i]
		if r == ' ' || r == seam || r == quote || r == lineBreak || r == ',' || r == ';' || r == '|' || r == '(' || r == ')' {
			break
		}
		if r == '<' {
			if end := closing(t, i); end > 0 {
				first, last := i+1, end-1
				for first <= last && blank(t.r[first]) {
					first++
				}
				for last >= first && blank(t.r[last]) {
					last--
				}
				tok.space = tok.space || first != i+1 || last != end-1
				add(i)
				for j := first; j <= last; j++ {
					add(j)
				}
				add(end)
				i = end + 1
				continue
			}
		}
		add(i)
		i++
	}
	tok.s = b.String()
	return tok, i
}

func blank(r rune) bool { return r == ' ' || r == seam || r == '\\' }

// closing returns where the placeholder that opens at i closes, -1 when what
// follows is no placeholder.
func closing(t *text, i int) int {
	for j := i + 1; j < len(t.r) && j < i+48; j++ {
		switch t.r[j] {
		case '>':
			return j
		case '<', ',', ';', lineBreak, '(', ')', '|', '*':
			return -1
		}
	}
	return -1
}

// isWord reports whether s is a word rather than a part of a name: letters,
// digits, hyphens, no dot; a hyphen alone is one, as before a service tag.
func isWord(s string) bool {
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && r != '-' && r != '_' && r != '&' && r != '!' && r != '?' {
			return false
		}
	}
	return true
}

// isFragment reports whether s can be a part of a name: it holds a dot, a star
// or an angle bracket, or goes on as a port does.
func isFragment(s string) bool { return strings.ContainsAny(s, ".*<>:") }
