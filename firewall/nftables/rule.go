// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nftables

import "strings"

// rule is one rule: tests that must all hold, and what then becomes of the packet.
type rule struct {
	line    int
	text    string
	comment string
	matches []match
	vmap    *match // tests whose elements each have a verdict
	verdict verdict
	opaque  string // why the rule may do anything, "" when it is understood
	rewrite bool   // changes where a packet goes to, or what is known of it
}

// verdict is what a rule says about a packet; the zero verdict says nothing.
type verdict struct {
	kind   string // accept, drop, return, jump, goto
	target string // of jump and goto
}

// match is one test.
type match struct {
	keys     []string // "ip daddr", several when they are joined by dots
	not      bool
	elements []element
	set      string // name of the set that holds the elements, "" for those here
	text     string
	why      string // why it may match anything, "" when it is understood
}

// element is one member of a set or map.
type element struct {
	parts   []string // one for each key
	verdict verdict
	unknown string // why it may be there or not, "" when it is
}

// words at which a rule can be read again after a part that is not understood.
var restart = map[string]bool{
	"accept": true, "drop": true, "reject": true, "return": true, "jump": true, "goto": true, "continue": true, "counter": true, "log": true, "comment": true,
}

// words that do more than match.
var acts = map[string]bool{
	"vmap": true, "set": true, "redirect": true, "dnat": true, "tproxy": true, "queue": true, "fwd": true, "synproxy": true, "notrack": true,
}

// ruleReader reads the tokens of one rule.
type ruleReader struct {
	t []token
	i int
	r rule
}

func (p *ruleReader) peek() token {
	if p.i < len(p.t) {
		return p.t[p.i]
	}
	return token{}
}

func (p *ruleReader) next() token {
	t := p.peek()
	p.i = min(p.i+1, len(p.t))
	return t
}

// skip passes over tokens until the rule can be read again.
func (p *ruleReader) skip() (skipped []token) {
	from := p.i
	for p.i < len(p.t) && (p.t[p.i].quoted || !restart[p.t[p.i].text]) {
		if acts[p.t[p.i].text] && !p.t[p.i].quoted {
			p.r.opaque = "does " + p.t[p.i].text + " in a way that is not read"
		}
		p.i++
	}
	return p.t[from:p.i]
}

// hidden adds a test that is not understood, of which the tokens from here on
// are a part.
func (p *ruleReader) hidden(from int, why string, keys ...string) {
	p.skip()
	p.r.matches = append(p.r.matches, match{keys: keys, text: texts(p.t[from:p.i]), why: why})
}

// parseRule reads a rule. It never fails: what is not understood makes the rule
// one that may do anything.
func parseRule(t []token) rule {
	p := &ruleReader{t: t}
	if len(t) > 0 {
		p.r.line = t[0].line
	}
	p.r.text = texts(t)
	for p.i < len(t) && p.r.opaque == "" {
		p.part()
	}
	return p.r
}

// part reads one statement or test.
func (p *ruleReader) part() {
	from := p.i
	w := p.next()
	if w.quoted {
		p.r.opaque = "has a text where a word belongs"
		return
	}
	switch w.text {
	case "accept", "drop", "return":
		p.decide(verdict{kind: w.text})
	case "jump", "goto":
		p.decide(verdict{kind: w.text, target: p.next().text})
	case "reject":
		p.decide(verdict{kind: "drop"})
		p.i = len(p.t)
	case "continue":
	case "comment":
		p.r.comment = p.next().text
	case "counter":
		p.pairs("packets", "bytes", "name")
	case "log":
		p.pairs("prefix", "level", "group", "snaplen", "queue-threshold", "flags")
	case "snat", "masquerade":
		p.skip()
		p.decide(verdict{kind: "accept"})
	case "dnat", "redirect", "tproxy", "notrack":
		p.r.rewrite = true
		p.i = len(p.t)
	case "add", "update":
		if text := p.skip(); len(text) > 0 && strings.Contains(texts(text), "limit") {
			p.hidden(from, "depends on how much there is")
		}
	case "flow":
		p.next()
		p.next()
	case "limit", "quota", "meter", "fib", "socket", "osf", "rt", "numgen", "connlimit", "last", "ipsec":
		p.hidden(from, "depends on more than the flow")
	default:
		p.i = from
		p.test()
	}
}

// decide sets the verdict; a second one is never reached.
func (p *ruleReader) decide(v verdict) {
	if p.r.verdict.kind == "" && p.r.vmap == nil {
		p.r.verdict = v
	}
}

// pairs passes over words that each have a value.
func (p *ruleReader) pairs(words ...string) {
	for p.i < len(p.t) {
		known := false
		for _, w := range words {
			known = known || p.peek().is(w)
		}
		if !known {
			return
		}
		p.i = min(p.i+2, len(p.t))
	}
}
