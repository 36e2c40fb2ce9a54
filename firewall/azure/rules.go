// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"maps"
	"slices"

	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/ruleset"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// ruleSet turns the trees into rules in the order of evaluation.
func (r *reader) ruleSet() *ruleset.RuleSet {
	f := &finder{r: r, groups: make(map[string]value), bases: make(map[string]string)}
	for _, t := range r.trees {
		f.walk(t, place{first: priority{known: true}}, 0)
	}
	f.order()
	out := &ruleset.RuleSet{Dialect: Dialect, Files: r.files, Text: r.text, Default: ruleset.Deny, Routes: f.routes, Security: f.security}
	disordered := f.disordered()
	for _, d := range f.drafts {
		m := &meaning{r: r, f: f, d: d}
		m.read()
		if disordered[d.kind] && !(d.in.first.known && d.in.second.known) {
			why := d.in.second.why
			if !d.in.first.known {
				why = d.in.first.why
			}
			m.doubt(d.in.pos, "priority", "", "the order among rules that deny is not known: "+why)
		}
		out.Rules = append(out.Rules, m.rules()...)
	}
	out.DNS = f.dns.settle(r)
	out.Unknown, out.Notes = r.unknown, r.notes
	return out
}

// meaning is one rule while its parts are read.
type meaning struct {
	r    *reader
	f    *finder
	d    draft
	rule ruleset.Rule
	// unsure is set when something of the rule as a whole is in doubt, so that no
	// term of it is certain.
	unsure bool
	live   int // terms that can match
	// noSource is set when no source of the rule is an address.
	noSource bool
	dead     []string
}

// doubt records what leaves the whole rule uncertain.
func (m *meaning) doubt(pos ruleset.Position, part, text, why string) {
	m.unsure = true
	m.unknown(pos, part, text, why)
}

// unknown records a part of the rule that is not understood.
func (m *meaning) unknown(pos ruleset.Position, part, text, why string) {
	m.rule.Unknown = append(m.rule.Unknown, ruleset.Unknown{Pos: pos, Part: part, Text: text, Why: why})
}

func (m *meaning) note(text string) {
	if !slices.Contains(m.rule.Notes, text) {
		m.rule.Notes = append(m.rule.Notes, text)
	}
}

// term adds a destination.
func (m *meaning) term(v value, text string, sure, maybe []flowset.Box) {
	m.live++
	m.rule.Terms = append(m.rule.Terms, ruleset.Term{Pos: v.pos, Text: text, Sure: flowset.Of(sure...), Maybe: flowset.Of(maybe...)})
}

// deadTerm adds a destination that can never match.
func (m *meaning) deadTerm(v value, why string) {
	m.rule.Terms = append(m.rule.Terms, ruleset.Term{Pos: v.pos, Text: v.shown()})
	m.dead = append(m.dead, why)
}

// read reads the rule.
func (m *meaning) read() {
	v, c := m.d.val, m.d.in
	m.rule = ruleset.Rule{Pos: v.pos, Collection: c.name, CollectionPos: c.pos, Name: v.textOf("name"), Kind: m.d.kind, Action: c.action}
	if v.kind != object {
		m.rule.Name = v.shown()
		why := v.reason()
		if v.kind != unknown {
			why = "a rule is an object"
		}
		m.doubt(v.pos, "rules", v.shown(), why)
		m.term(v, v.shown(), nil, []flowset.Box{flowset.Everything()})
		return
	}
	for _, fl := range v.all() {
		if !ruleKeys[fl.name] {
			m.doubt(fl.pos, fl.key, fl.val.shown(), "a rule has no such part, or it is not understood here")
		}
	}
	if m.d.kind == ruleset.Application {
		m.application()
	} else {
		m.network()
	}
	if m.noSource {
		m.rule.Dead = "none of its sources is an address"
	}
	if len(m.dead) > 0 {
		if m.live == 0 {
			m.rule.Dead = m.dead[0]
		}
		for _, why := range m.dead {
			m.note(why)
		}
	}
	for _, when := range []string{v.when, c.when} {
		if when != "" {
			m.doubt(v.pos, "rule", m.rule.Name, when)
			break
		}
	}
}

// rules returns the rule with its doubts applied. When it is not known whether
// it allows or denies, it stands there twice: what it may deny is not certain
// for what follows, and what it may allow may pass.
func (m *meaning) rules() []ruleset.Rule {
	if why := m.d.in.doubt; why != "" && m.d.kind != ruleset.NAT {
		m.doubt(m.d.in.pos, "action", m.d.in.actionIs, why)
	}
	if m.unsure {
		for i := range m.rule.Terms {
			m.rule.Terms[i].Sure = flowset.Set{}
		}
	}
	if m.d.in.doubt == "" || m.d.kind == ruleset.NAT {
		return []ruleset.Rule{m.rule}
	}
	m.rule.Notes = append(m.rule.Notes, "stands twice, as deny and as allow, since its action is not known")
	deny, allow := m.rule, m.rule
	deny.Action, deny.Unknown = ruleset.Deny, nil
	allow.Action = ruleset.Allow
	return []ruleset.Rule{deny, allow}
}
