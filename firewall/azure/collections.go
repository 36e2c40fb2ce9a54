// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/ruleset"
)

// collections reads a list, or a map, of rule collections.
func (f *finder) collections(v value, kind ruleset.Kind, at place, key string) {
	if v.when != "" {
		at.when = v.when
	}
	switch v.kind {
	case null:
	case list:
		for _, e := range v.items {
			f.collections(e, kind, at, key)
		}
	case object:
		if v.has("rules") || v.has("action") {
			f.collection(v, kind, at)
			return
		}
		for _, fl := range v.fields {
			f.collections(fl.val, kind, at, key)
		}
	default:
		// Rules that nobody knows: they may allow and deny anything.
		c := &collection{pos: v.pos, name: key, group: at.group, policy: at.policy, first: at.first, kind: kind,
			second: priority{why: v.reason()}, doubt: v.reason(), when: at.when}
		f.add(c, v)
	}
}

// collection reads one rule collection.
func (f *finder) collection(v value, kind ruleset.Kind, at place) {
	if v.when != "" {
		at.when = v.when
	}
	c := &collection{pos: v.pos, name: v.textOf("name"), group: at.group, policy: at.policy, first: at.first,
		second: v.priority("priority"), kind: kind, when: at.when}
	if t := v.textOf("rulecollectiontype"); kind == "" && strings.Contains(strings.ToLower(t), "nat") {
		c.kind = ruleset.NAT
	}
	c.act(v)
	rules, _ := v.get("rules")
	f.rules(c, rules)
}

// act reads the action: a text, or an object with a type.
func (c *collection) act(v value) {
	a, ok := v.get("action")
	if a.kind == object {
		a, ok = a.get("type")
	}
	c.actionIs = a.inText()
	switch {
	case c.kind == ruleset.NAT:
		c.action = ruleset.Allow
	case !ok || a.kind == null:
		c.doubt = "no action is given"
	case !a.known():
		c.doubt = a.reason()
	case strings.EqualFold(a.text, "allow"):
		c.action = ruleset.Allow
	case strings.EqualFold(a.text, "deny"):
		c.action = ruleset.Deny
	case strings.EqualFold(a.text, "dnat"), strings.EqualFold(a.text, "snat"):
		c.action, c.kind = ruleset.Allow, ruleset.NAT
	default:
		c.doubt = "action " + clip(a.text) + " is neither Allow nor Deny"
	}
}

// rules reads a list, or a map, of rules.
func (f *finder) rules(c *collection, v value) {
	if v.when != "" && c.when == "" {
		c.when = v.when
	}
	switch v.kind {
	case null:
	case list:
		for _, e := range v.items {
			if e.kind == list {
				f.rules(c, e)
				continue
			}
			f.add(c, e)
		}
	case object:
		if v.has("name") || v.has("sourceaddresses") {
			f.add(c, v)
			return
		}
		for _, fl := range v.fields {
			f.add(c, fl.val)
		}
	default:
		if v.pos.Line > 0 {
			f.add(c, v)
		}
	}
}

func (f *finder) add(c *collection, v value) {
	if v.kind == null {
		return
	}
	if len(f.drafts) >= maxRules {
		f.r.noteOnce(v.pos, "too many rules: the rest was not read")
		return
	}
	f.drafts = append(f.drafts, draft{in: c, kind: kindOf(c, v), val: v})
}

// kindOf tells the kind of a rule from its collection, its ruleType, or what it
// speaks of.
func kindOf(c *collection, v value) ruleset.Kind {
	t := strings.ToLower(v.textOf("ruletype"))
	switch {
	case c.kind != "":
		return c.kind
	case strings.HasPrefix(t, "nat"):
		return ruleset.NAT
	case strings.HasPrefix(t, "network"):
		return ruleset.Network
	case strings.HasPrefix(t, "application"):
		return ruleset.Application
	case v.has("translatedaddress") || v.has("translatedport"):
		return ruleset.NAT
	case v.has("fqdntags") || v.has("urls") || v.has("webcategories") || v.has("fqdns") && !v.has("destinationports"):
		return ruleset.Application
	}
	return ruleset.Network
}

var kindOrder = map[ruleset.Kind]int{ruleset.NAT: 0, ruleset.Network: 1, ruleset.Application: 2}

// order puts drafts in the order of evaluation: DNAT, network, application,
// whatever the priorities; within a kind a parent policy first, then by the
// priority of the group, of the collection, and as written. An unknown priority
// counts as the first; see certain for what that does.
func (f *finder) order() {
	rank := func(p priority) int {
		if !p.known {
			return -1
		}
		return p.n
	}
	slices.SortStableFunc(f.drafts, func(a, b draft) int {
		return cmp.Or(
			cmp.Compare(kindOrder[a.kind], kindOrder[b.kind]),
			cmp.Compare(f.ancestors(a.in.policy), f.ancestors(b.in.policy)),
			cmp.Compare(rank(a.in.first), rank(b.in.first)),
			cmp.Compare(rank(a.in.second), rank(b.in.second)),
		)
	})
}

// ancestors counts the policies above a policy.
func (f *finder) ancestors(policy string) int {
	n := 0
	for policy != "" && n < 10 {
		if same, ok := f.bases[policy]; ok && same != policy {
			policy = same
		}
		next, ok := f.bases["base of "+policy]
		if !ok {
			break
		}
		policy = next
		n++
	}
	return n
}

// disordered are the kinds in which it matters that some priority is not known,
// since something of that kind is denied.
func (f *finder) disordered() map[ruleset.Kind]bool {
	denies, open := make(map[ruleset.Kind]bool), make(map[ruleset.Kind]bool)
	for _, d := range f.drafts {
		if d.in.action == ruleset.Deny {
			denies[d.kind] = true
		}
		if !d.in.first.known || !d.in.second.known {
			open[d.kind] = true
		}
	}
	for k := range denies {
		denies[k] = open[k] && k != ruleset.NAT
	}
	return denies
}
