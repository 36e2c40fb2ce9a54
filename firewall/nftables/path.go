// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nftables

import (
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/ruleset"
)

// way lists the hooks that a packet passes, other than the one that is read
// (wiki.nftables.org/wiki-nftables/index.php/Netfilter_hooks, 2026-11-23).
var way = map[Hook][]string{
	Forward: {"ingress", "prerouting", "postrouting", "egress"},
	Output:  {"postrouting", "egress"},
}

// followed is what one base chain does.
type followed struct {
	rules ruleset.RuleSet
	table *table
	chain *chain
}

// at returns the rules for new flows at a hook. A packet must pass every base
// chain on its way: accept ends one chain, drop ends the packet. Of several
// chains the one with the policy drop and the most rules is shown rule by rule;
// what the others do not let through stands before it.
func (p *parser) at(hook Hook) (*ruleset.RuleSet, error) {
	out := &ruleset.RuleSet{Dialect: Dialect, Files: []string{p.file}, Default: ruleset.Allow, Unknown: p.unknown}
	var all []followed
	main := -1
	for _, t := range p.order {
		for _, c := range t.order {
			if c.hook == "" || t.dormant || t.family == "arp" || !passes(hook, c.hook) {
				continue
			}
			f, rewrites, err := p.follow(t, c, hook)
			if err != nil {
				return nil, err
			}
			out.Rules = append(out.Rules, rewrites...)
			all = append(all, f)
			if c.hook == string(hook) && t.family != "bridge" && !c.device && (main < 0 || better(f, all[main])) {
				main = len(all) - 1
			}
		}
	}
	for _, u := range p.unknown {
		out.Rules = append(out.Rules, bothWays(ruleset.Rule{Pos: u.Pos, Name: u.Part, Kind: ruleset.Network, Unknown: []ruleset.Unknown{u}}, flowset.All())...)
	}
	for i, f := range all {
		if i != main {
			if r, denies := f.denies(p.file); denies {
				out.Rules = append(out.Rules, r)
			}
		}
	}
	if main >= 0 {
		out.Rules = append(out.Rules, all[main].rules.Rules...)
		out.Default = all[main].rules.Default
	}
	return out, nil
}

func passes(hook Hook, at string) bool {
	for _, h := range way[hook] {
		if h == at {
			return true
		}
	}
	return at == string(hook)
}

// better reports whether f shows more of what a file is for than g.
func better(f, g followed) bool {
	if f.chain.drops != g.chain.drops {
		return f.chain.drops
	}
	return len(f.rules.Rules) > len(g.rules.Rules)
}

// follow reads one base chain.
func (p *parser) follow(t *table, c *chain, hook Hook) (followed, []ruleset.Rule, error) {
	in := everywhere()
	b := flowset.Everything()
	switch t.family {
	case "ip":
		b.Src = allV4
	case "ip6":
		b.Src = allV6
	}
	in.sure = flowset.Of(b)
	in.maybe = in.sure
	w := &walker{file: p.file, table: t, before: c.hook != string(hook), sets: make(map[string]reach)}
	if err := w.chain(c, in, 0); err != nil {
		return followed{}, nil, err
	}
	f := followed{table: t, chain: c, rules: ruleset.RuleSet{Rules: w.rules, Default: ruleset.Allow}}
	switch {
	case c.drops && (t.family == "ip" || t.family == "ip6"):
		// The other family does not come here.
		pos := ruleset.Position{File: p.file, Line: c.line}
		f.rules.Rules = append(f.rules.Rules, ruleset.Rule{
			Pos: pos, Collection: t.family + " " + t.name + " " + c.name, Name: "policy", Kind: ruleset.Network,
			Terms: []ruleset.Term{{Pos: pos, Text: "policy drop", Sure: in.sure, Maybe: in.sure}},
		})
	case c.drops:
		f.rules.Default = ruleset.Deny
	}
	return f, w.rewrites, nil
}

// denies returns what a base chain does not let through, as one rule.
func (f followed) denies(file string) (ruleset.Rule, bool) {
	e := f.rules.Evaluate()
	pos := ruleset.Position{File: file, Line: f.chain.line}
	r := ruleset.Rule{
		Pos: pos, Collection: f.table.family + " " + f.table.name + " " + f.chain.name, Name: "what the chain does not accept", Kind: ruleset.Network,
	}
	t := ruleset.Term{Pos: pos, Text: "hook " + f.chain.hook, Sure: flowset.All().Minus(e.Maybe), Maybe: flowset.All().Minus(e.Sure)}
	if f.chain.device || f.table.family == "bridge" || f.table.family == "netdev" {
		t.Sure = flowset.Set{}
		r.Unknown = append(r.Unknown, ruleset.Unknown{Pos: pos, Part: "chain", Text: f.chain.name, Why: "which packets come to it depends on interfaces"})
	}
	for _, inner := range f.rules.Rules {
		r.Unknown = append(r.Unknown, inner.Unknown...)
	}
	r.Terms = []ruleset.Term{t}
	return r, !t.Maybe.IsEmpty()
}
