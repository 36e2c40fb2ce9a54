// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nftables

import "strings"

// opening reads the tokens before a block; open is false when no block follows.
func (p *parser) opening() (words []token, open bool) {
	for {
		t := p.lex.next()
		switch {
		case t.isEnd(), t.is(";"):
			return words, false
		case t.is("}"):
			p.lex.unread(t)
			return words, false
		case t.is("{"):
			return words, true
		}
		words = append(words, t)
	}
}

// tableBlock reads "[family] name { ... }", or the name alone, which declares it.
func (p *parser) tableBlock(at token) {
	words, open := p.opening()
	family, name, rest := named(words)
	if name == "" || len(rest) > 0 {
		p.maybe(append([]token{at}, words...), "table", "is not one name")
	}
	t := p.table(family, name)
	for open {
		w := p.lex.next()
		switch {
		case w.isEnd():
			p.maybe([]token{w}, "table "+name, "does not end")
			return
		case w.is("}"):
			return
		case w.is(";"):
		case w.is("chain"):
			p.chainBlock(t, w)
		case w.is("set"), w.is("map"):
			p.setBlock(t, w)
		case w.is("flags"):
			for _, f := range p.lex.statement() {
				t.dormant = t.dormant || f.is("dormant")
			}
		case w.is("include"):
			p.maybe(append([]token{w}, p.lex.statement()...), "include", "other files are not read")
		case w.is("define"), w.is("redefine"):
			p.define(p.lex.statement())
		case w.is("comment"), declarations[w.text]:
			p.lex.statement()
		default:
			p.lex.unread(w)
			p.maybe(p.lex.statement(), "table "+name, "is not read")
		}
	}
}

// declarations are objects that decide nothing where they are declared.
var declarations = map[string]bool{
	"counter": true, "quota": true, "limit": true, "ct": true, "secmark": true, "synproxy": true, "flowtable": true, "tunnel": true,
}

// chainBlock reads "name { ... }".
func (p *parser) chainBlock(t *table, at token) {
	words, open := p.opening()
	if len(words) != 1 {
		p.maybe(append([]token{at}, words...), "chain", "is not one name")
		words = append(words, token{})
	}
	c := t.chain(words[0].text, at.line)
	for open {
		statement := p.lex.statement()
		if len(statement) > 0 {
			p.chainStatement(c, statement)
			continue
		}
		// Nothing before a line's end, the closing brace or the end.
		if w := p.lex.next(); w.is("}") {
			return
		} else if w.isEnd() {
			p.maybe([]token{w}, "chain "+c.name, "does not end")
			return
		} else {
			p.lex.unread(w)
		}
	}
}

// chainStatement reads the hook of a base chain, its policy, or a rule.
func (p *parser) chainStatement(c *chain, s []token) {
	switch s[0].text {
	case "type":
		known := false
		for i := 0; i+1 < len(s); i++ {
			switch s[i].text {
			case "hook":
				c.hook, known = s[i+1].text, true
			case "device", "devices":
				c.device = true
			}
		}
		if !known {
			p.maybe(s, "chain "+c.name, "has no hook")
		}
	case "policy":
		if len(s) == 2 && (s[1].is("drop") || s[1].is("accept")) {
			c.drops = s[1].is("drop")
			return
		}
		p.maybe(s, "chain "+c.name, "the policy is neither accept nor drop")
	case "comment", "flags", "devices":
	case "include":
		p.maybe(s, "include", "other files are not read")
	case "define", "redefine":
		p.define(s[1:])
	default:
		c.rules = append(c.rules, parseRule(s))
	}
}

// setBlock reads "name { type ...; flags ...; elements = { ... } }".
func (p *parser) setBlock(t *table, at token) {
	words, open := p.opening()
	if len(words) != 1 {
		p.maybe(append([]token{at}, words...), "set", "is not one name")
		words = append(words, token{})
	}
	s := &set{}
	t.sets[words[0].text] = s
	for open {
		w := p.lex.next()
		if w.isEnd() || w.is("}") {
			break
		}
		p.lex.unread(w)
		s.statement(p.lex.statement())
	}
	s.finish()
}

// statement reads one line of a set.
func (s *set) statement(words []token) {
	if len(words) == 0 {
		return
	}
	switch words[0].text {
	case "flags":
		for _, f := range words[1:] {
			if f.is("dynamic") || f.is("timeout") {
				s.unknown = "its elements come and go while it is in use"
			}
		}
	case "timeout":
		s.unknown = "its elements come and go while it is in use"
	case "elements":
		if len(words) > 1 && words[1].is("=") {
			s.elements = append(s.elements, parseElements(words[2:])...)
		}
	case "type", "typeof", "size", "comment", "gc-interval", "policy", "auto-merge", "counter":
	default:
		s.unknown = "says " + strings.TrimSpace(texts(words)) + ", which is not read"
	}
}

const unfilled = "the file gives it no elements"

// finish makes a set that the file leaves empty unknown: somebody fills it.
func (s *set) finish() {
	if len(s.elements) == 0 && s.unknown == "" {
		s.unknown = unfilled
	}
}
