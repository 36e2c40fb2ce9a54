// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"bytes"
	"strconv"
	"strings"
)

// text reads 'text' with its escapes and ${...}, or ”'text”'.
func (p *exprParser) text() *expr {
	pos := p.at()
	if !p.arm && p.has("'''") {
		end := bytes.Index(p.d[p.off+3:], []byte("'''"))
		if end < 0 {
			p.off = len(p.d)
			return bad(pos, "text without end")
		}
		s := string(p.d[p.off+3 : p.off+3+end])
		p.off += end + 6
		return literal(value{kind: text, pos: pos, text: strings.TrimPrefix(strings.TrimPrefix(s, "\r"), "\n")})
	}
	t := &expr{op: opTemplate, pos: pos}
	var b strings.Builder
	put := func() {
		if b.Len() > 0 || len(t.args) == 0 {
			t.args = append(t.args, literal(value{kind: text, pos: pos, text: b.String()}))
			b.Reset()
		}
	}
	for p.off++; p.off < len(p.d); {
		c := p.d[p.off]
		switch {
		case p.arm && p.has("''"):
			b.WriteByte('\'')
			p.off += 2
		case c == '\'':
			p.off++
			put()
			return t
		case p.arm:
			b.WriteByte(c)
			p.off++
		case c == '\n':
			return bad(pos, "text without end")
		case c == '\\' && p.off+1 < len(p.d):
			p.off += 2
			switch e := p.d[p.off-1]; e {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case 'r':
				b.WriteByte('\r')
			case 'u': // \u{2a}
				hex, _, ok := bytes.Cut(p.d[p.off:min(len(p.d), p.off+10)], []byte("}"))
				n, err := strconv.ParseUint(string(bytes.TrimPrefix(hex, []byte("{"))), 16, 32)
				if !ok || err != nil || len(hex) < 2 || hex[0] != '{' {
					return bad(pos, "an escape that is not understood")
				}
				b.WriteRune(rune(n))
				p.off += len(hex) + 1
			default:
				b.WriteByte(e)
			}
		case p.has("${"):
			if b.Len() > 0 {
				put()
			}
			p.off += 2
			p.paren++
			t.args = append(t.args, p.expr())
			p.take("}")
			p.paren--
		default:
			b.WriteByte(c)
			p.off++
		}
	}
	return bad(pos, "text without end")
}

// array reads [ ... ], with elements on lines or after commas, or a loop.
func (p *exprParser) array() *expr {
	e := &expr{op: opArray, pos: p.at()}
	p.off++
	defer p.inLines()()
	for {
		p.blank(true)
		switch {
		case p.off >= len(p.d):
			return bad(e.pos, "list without end")
		case p.take("]"):
			return e
		case p.take(","):
			continue
		case len(e.args) == 0 && p.keyword("for"):
			f := p.forExpr()
			p.blank(true)
			p.take("]")
			return f
		}
		start := p.off
		if p.take("...") {
			p.expr()
			e.args = append(e.args, bad(e.pos, "elements of another list"))
		} else {
			e.args = append(e.args, p.expr())
		}
		if p.off == start {
			p.off++
		}
	}
}

// inLines makes new lines count again, until the returned function is called.
func (p *exprParser) inLines() func() {
	paren := p.paren
	p.paren = 0
	return func() { p.paren = paren }
}

// keyword takes a word when it stands there as a whole.
func (p *exprParser) keyword(w string) bool {
	p.blank(false)
	if !p.has(w) || p.off+len(w) < len(p.d) && isWord(p.d[p.off+len(w)]) {
		return false
	}
	p.off += len(w)
	return true
}

// forExpr reads what follows "for" in "[for (item, i) in list: out]".
func (p *exprParser) forExpr() *expr {
	e := &expr{op: opFor, pos: p.at(), loop: &loop{}}
	if p.take("(") {
		e.loop.val = p.word()
		p.take(",")
		e.loop.key = p.word()
		p.take(")")
	} else {
		e.loop.val = p.word()
	}
	if !p.keyword("in") {
		return bad(e.pos, "a loop without in")
	}
	e.loop.in = p.expr()
	if !p.take(":") {
		return bad(e.pos, "a loop without a colon")
	}
	if p.keyword("if") {
		e.loop.cond = p.expr()
	}
	e.loop.out = p.expr()
	return e
}

// object reads { key: value ... }. Nested resources become elements of a list
// under the key "resources".
func (p *exprParser) object() *expr {
	e := &expr{op: opObject, pos: p.at()}
	p.off++
	defer p.inLines()()
	nested := &expr{op: opArray, pos: e.pos}
	key := func(s string) *expr { return literal(value{kind: text, text: s, pos: e.pos}) }
	for {
		p.blank(true)
		switch {
		case p.off >= len(p.d):
			return bad(e.pos, "object without end")
		case p.take("}"):
			if len(nested.args) > 0 {
				e.args = append(e.args, key("resources"), nested)
			}
			return e
		case p.take(","):
			continue
		case p.take("..."):
			p.expr()
			e.args = append(e.args, key("..."), bad(e.pos, "fields of another object"))
			continue
		case p.has("@"):
			p.decorator()
			continue
		}
		start := p.off
		pos := p.at()
		k := (*expr)(nil)
		if p.has("'") {
			k = p.text()
		} else {
			w := p.word()
			if w == "resource" && !p.take(":") {
				p.off = start
				nested.args = append(nested.args, p.resource())
				continue
			}
			if w == "resource" {
				p.off--
			}
			k = literal(value{kind: text, text: w, pos: pos})
		}
		if !p.take(":") {
			p.skipLine()
			if p.off == start {
				p.off++
			}
			e.args = append(e.args, key("?"), bad(pos, "a field that is not understood"))
			continue
		}
		p.blank(true)
		e.args = append(e.args, k, p.expr())
	}
}

func (p *exprParser) decorator() {
	p.off++
	p.postfix(p.primary())
}

// skipLine goes to the end of the line.
func (p *exprParser) skipLine() {
	for p.off < len(p.d) && p.d[p.off] != '\n' {
		p.off++
	}
}
