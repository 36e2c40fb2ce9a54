// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nftables

// command reads a statement such as people give to nft one at a time: add,
// flush, delete. What changes rules in ways that are not followed makes
// everything possible.
func (p *parser) command(words []token) {
	if len(words) == 0 {
		return
	}
	if len(words) == 1 {
		p.maybe(words, "file", "is not read")
		return
	}
	verb, object, rest := words[0].text, words[1].text, words[2:]
	family, name, more := named(rest)
	switch verb + " " + object {
	case "flush ruleset":
		p.tables, p.order = make(map[string]*table), nil
		return
	case "delete table", "destroy table":
		p.remove(family, name)
		return
	case "flush table":
		if t := p.tables[family+" "+name]; t != nil {
			for _, c := range t.order {
				c.rules = nil
			}
		}
		return
	case "add table", "create table":
		t := p.table(family, name)
		for i := range more {
			t.dormant = t.dormant || more[i].is("dormant")
		}
		return
	case "add counter", "add quota", "add limit", "add flowtable", "add ct", "list ruleset", "list table":
		return
	}
	if len(more) == 0 {
		p.maybe(words, "file", "is not read")
		return
	}
	t := p.table(family, name)
	switch verb + " " + object {
	case "add chain", "create chain":
		c := t.chain(more[0].text, words[0].line)
		for _, s := range inBraces(more[1:]) {
			p.chainStatement(c, s)
		}
	case "flush chain":
		if c := t.chains[more[0].text]; c != nil {
			c.rules = nil
		}
	case "add rule", "insert rule":
		c := t.chains[more[0].text]
		if c == nil || len(more) < 2 || more[1].is("index") || more[1].is("position") || more[1].is("handle") {
			p.maybe(words, "rule", "where it stands is not followed")
			return
		}
		r := parseRule(more[1:])
		if verb == "insert" {
			c.rules = append([]rule{r}, c.rules...)
		} else {
			c.rules = append(c.rules, r)
		}
	case "add set", "add map", "create set", "create map":
		s := &set{}
		t.sets[more[0].text] = s
		for _, line := range inBraces(more[1:]) {
			s.statement(line)
		}
		s.finish()
	case "add element":
		s := t.sets[more[0].text]
		if s == nil {
			p.maybe(words, "element", "there is no set "+more[0].text)
			return
		}
		if len(s.elements) == 0 && s.unknown == unfilled {
			s.unknown = ""
		}
		s.elements = append(s.elements, parseElements(more[1:])...)
	default:
		p.maybe(words, "file", "is not read")
	}
}
