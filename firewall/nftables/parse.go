// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nftables

import "github.com/sallyport/sallyport/ruleset"

// parser holds what a file says, in its order.
type parser struct {
	file    string
	lex     *lexer
	tables  map[string]*table
	order   []*table
	unknown []ruleset.Unknown // that may change anything
}

// table is one table with its chains, sets and maps.
type table struct {
	family, name string
	dormant      bool // switched off
	chains       map[string]*chain
	order        []*chain
	sets         map[string]*set
}

// chain is one chain; a base chain has a hook.
type chain struct {
	name   string
	line   int
	hook   string // "" for a chain that is only jumped to
	device bool   // sees the packets of some interfaces alone
	drops  bool   // policy
	rules  []rule
}

// set is a named set, or a map of verdicts.
type set struct {
	elements []element
	unknown  string // why its elements are not known, "" when they are
}

// maybe notes something that may change everything the file does.
func (p *parser) maybe(at []token, part, why string) {
	if len(p.unknown) > 1000 {
		return
	}
	u := ruleset.Unknown{Pos: ruleset.Position{File: p.file}, Part: part, Text: texts(at), Why: why}
	if len(at) > 0 {
		u.Pos.Line = at[0].line
	}
	p.unknown = append(p.unknown, u)
}

// parseFile reads the statements of a file.
func (p *parser) parseFile() {
	for {
		t := p.lex.next()
		switch {
		case t.isEnd():
			return
		case t.is(";"):
		case t.is("}"):
			p.maybe([]token{t}, "file", "closes a brace that nothing opened")
		case t.is("table"):
			p.tableBlock(t)
		case t.is("define") || t.is("redefine"):
			p.define(p.lex.statement())
		case t.is("include"):
			p.maybe(append([]token{t}, p.lex.statement()...), "include", "other files are not read")
		default:
			p.lex.unread(t)
			p.command(p.lex.statement())
		}
	}
}

// define reads "name = value".
func (p *parser) define(words []token) {
	if len(words) < 3 || !words[1].is("=") {
		p.maybe(words, "define", "has no value")
		return
	}
	p.lex.defined[words[0].text] = append([]token(nil), words[2:]...)
}

var families = map[string]bool{"ip": true, "ip6": true, "inet": true, "arp": true, "bridge": true, "netdev": true}

// named cuts "[family] name" from the front of words.
func named(words []token) (family, name string, rest []token) {
	family = "ip"
	if len(words) > 1 && families[words[0].text] {
		family, words = words[0].text, words[1:]
	}
	if len(words) == 0 {
		return family, "", nil
	}
	return family, words[0].text, words[1:]
}

// table returns a table, made when there is none.
func (p *parser) table(family, name string) *table {
	key := family + " " + name
	t := p.tables[key]
	if t == nil {
		t = &table{family: family, name: name, chains: make(map[string]*chain), sets: make(map[string]*set)}
		p.tables[key] = t
		p.order = append(p.order, t)
	}
	return t
}

// remove forgets a table.
func (p *parser) remove(family, name string) {
	gone := p.tables[family+" "+name]
	delete(p.tables, family+" "+name)
	for i, t := range p.order {
		if t == gone {
			p.order = append(p.order[:i:i], p.order[i+1:]...)
			break
		}
	}
}

func (t *table) chain(name string, line int) *chain {
	c := t.chains[name]
	if c == nil {
		c = &chain{name: name, line: line}
		t.chains[name] = c
		t.order = append(t.order, c)
	}
	return c
}
