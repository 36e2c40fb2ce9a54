// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"bytes"

	"github.com/sallyport/sallyport/ruleset"
)

// exprParser reads expressions of Bicep, and those of ARM templates, which are
// a part of them but for how a quote stands within a text.
type exprParser struct {
	d     []byte
	off   int
	place func(off int) ruleset.Position
	arm   bool // '' is a quote, and ${ is text
	paren int  // within parentheses a new line is a blank
	depth int
}

// blank skips spaces and comments, and new lines too when lines is set or the
// parser stands within parentheses.
func (p *exprParser) blank(lines bool) {
	for p.off < len(p.d) {
		switch c := p.d[p.off]; {
		case c == ' ' || c == '\t' || c == '\r':
			p.off++
		case c == '\n' && (lines || p.paren > 0):
			p.off++
		case p.has("//"):
			for p.off < len(p.d) && p.d[p.off] != '\n' {
				p.off++
			}
		case p.has("/*"):
			end := bytes.Index(p.d[p.off+2:], []byte("*/"))
			if end < 0 {
				p.off = len(p.d)
				return
			}
			p.off += end + 4
		default:
			return
		}
	}
}

func (p *exprParser) has(s string) bool { return bytes.HasPrefix(p.d[p.off:], []byte(s)) }

// take skips blanks and takes s when it stands there.
func (p *exprParser) take(s string) bool {
	p.blank(false)
	if p.has(s) {
		p.off += len(s)
		return true
	}
	return false
}

func (p *exprParser) at() ruleset.Position { return p.place(p.off) }

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// word takes an identifier, "" when there is none.
func (p *exprParser) word() string {
	p.blank(false)
	start := p.off
	for p.off < len(p.d) && isWord(p.d[p.off]) {
		p.off++
	}
	return string(p.d[start:p.off])
}

// expr reads an expression with its operators.
func (p *exprParser) expr() *expr {
	p.depth++
	defer func() { p.depth-- }()
	pos := p.at()
	if p.depth > maxDepth {
		p.off = len(p.d)
		return bad(pos, "nested too deeply")
	}
	e := p.binary(1)
	save := p.off
	p.blank(!p.arm)
	if p.off < len(p.d) && p.d[p.off] == '?' && !p.has("??") && !p.has("?.") {
		p.off++
		p.blank(true)
		yes := p.expr()
		p.blank(true)
		if !p.take(":") {
			return bad(pos, "a condition without its second half")
		}
		p.blank(true)
		return &expr{op: opCond, pos: pos, args: []*expr{e, yes, p.expr()}}
	}
	p.off = save
	return e
}

// binary reads operands with operators between them that bind at least as
// tightly as given.
func (p *exprParser) binary(binds int) *expr {
	e := p.unary()
	for {
		p.blank(false)
		op := operators[0]
		found := false
		for _, o := range operators {
			if p.has(o.text) {
				op, found = o, true
				break
			}
		}
		if !found || op.binds < binds && op.text != "=>" {
			return e
		}
		p.off += len(op.text)
		p.blank(true)
		if op.text == "=>" {
			return &expr{op: opLambda, pos: e.pos, text: e.text, args: []*expr{p.expr()}}
		}
		p.depth++
		if p.depth > maxDepth {
			p.off = len(p.d)
			return bad(e.pos, "nested too deeply")
		}
		right := p.binary(op.binds + 1)
		p.depth--
		e = &expr{op: opBinary, pos: e.pos, text: op.text, args: []*expr{e, right}}
	}
}

func (p *exprParser) unary() *expr {
	p.depth++
	defer func() { p.depth-- }()
	p.blank(false)
	pos := p.at()
	if p.depth > maxDepth {
		p.off = len(p.d)
		return bad(pos, "nested too deeply")
	}
	switch {
	case p.has("!"):
		p.off++
		return &expr{op: opNot, pos: pos, args: []*expr{p.unary()}}
	case p.has("-"):
		p.off++
		zero := literal(value{kind: number, text: "0", pos: pos})
		return &expr{op: opBinary, pos: pos, text: "-", args: []*expr{zero, p.unary()}}
	}
	return p.postfix(p.primary())
}

// postfix reads what follows an operand: .name, ?.name, ::name, [index], (args), !.
func (p *exprParser) postfix(e *expr) *expr {
	for range maxDepth {
		p.blank(false)
		switch {
		case p.has("?.") || p.has(".?") || p.has("::"):
			p.off += 2
		case p.has("...") || p.has("[?"):
			return e
		case p.has("."):
			p.off++
		case p.has("!") && !p.has("!=") && !p.has("!~"):
			p.off++
			continue
		case p.has("["):
			p.off++
			p.paren++
			at := p.expr()
			p.take("]")
			p.paren--
			e = &expr{op: opIndex, pos: e.pos, args: []*expr{e, at}}
			continue
		case p.has("(") && (e.op == opName || e.op == opMember):
			e = called(&expr{op: opCall, pos: e.pos, text: e.text, args: p.args()})
			continue
		default:
			return e
		}
		name := p.word()
		if name == "" {
			return bad(e.pos, "a dot without a name")
		}
		e = &expr{op: opMember, pos: e.pos, text: name, args: []*expr{e}}
	}
	return bad(e.pos, "too long a chain")
}

// called turns map() and filter() of Bicep into the loops that they are.
func called(e *expr) *expr {
	if len(e.args) != 2 || e.args[1].op != opLambda {
		return e
	}
	f := e.args[1]
	switch e.text {
	case "map":
		return &expr{op: opFor, pos: e.pos, loop: &loop{val: f.text, in: e.args[0], out: f.args[0]}}
	case "filter":
		return &expr{op: opFor, pos: e.pos, loop: &loop{val: f.text, in: e.args[0], cond: f.args[0], out: &expr{op: opName, pos: e.pos, text: f.text}}}
	}
	return e
}

func (p *exprParser) args() []*expr {
	p.off++
	p.paren++
	defer func() { p.paren-- }()
	var out []*expr
	for {
		if p.take(")") || p.off >= len(p.d) {
			return out
		}
		start := p.off
		out = append(out, p.expr())
		p.take(",")
		if p.off == start {
			p.off++
		}
	}
}

func (p *exprParser) primary() *expr {
	pos := p.at()
	switch {
	case p.off >= len(p.d):
		return bad(pos, "an expression is missing")
	case p.has("'"):
		return p.text()
	case p.has("("):
		p.off++
		p.paren++
		e := p.expr()
		p.take(")")
		p.paren--
		return e
	case p.has("["):
		return p.array()
	case p.has("{"):
		return p.object()
	}
	switch w := p.word(); {
	case w == "" && p.off >= len(p.d):
		return bad(pos, "an expression is missing")
	case w == "":
		start := p.off
		p.off++
		return bad(pos, string(p.d[start:p.off]))
	case w == "true" || w == "false":
		return literal(value{kind: boolean, text: w, pos: pos})
	case w == "null":
		return literal(value{kind: null, pos: pos})
	case w[0] >= '0' && w[0] <= '9':
		return literal(value{kind: number, text: w, pos: pos})
	default:
		return &expr{op: opName, text: w, pos: pos}
	}
}
