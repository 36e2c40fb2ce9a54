// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/program"
)

// merged joins the wanted rules where the union is exactly equal: rules that
// differ in nothing but their ports, and rules that another one covers whole.
// Every origin is kept.
func (b *builder) merged() []program.Rule {
	rules := make([]program.Rule, 0, len(b.wants))
	at := make(map[shape]int, len(b.wants))
	for _, w := range b.wants {
		s := shapeOf(w.rule)
		i, known := at[s]
		if !known {
			at[s] = len(rules)
			rules = append(rules, w.rule)
			continue
		}
		rules[i].Ports = rules[i].Ports.Union(w.rule.Ports)
		absorb(&rules[i], w.rule)
	}
	rules = withoutCovered(rules)
	unique(rules)
	return rules
}

// shape is everything of a rule but its ports and origins.
type shape struct {
	pattern           dnsname.Pattern
	prefixes, sources string
	protocol          flow.Protocol
	until             int64
	strict            bool
}

func shapeOf(r program.Rule) shape {
	return shape{r.Pattern, r.Prefixes.String(), r.Sources.String(), r.Protocol, r.Until.UnixNano(), r.Strict}
}

// covers reports whether a allows every flow that b allows, at any time, and
// looks at them as closely.
func covers(a, b program.Rule) bool {
	return a.ByName() == b.ByName() && (a.Strict || !b.Strict) && a.Pattern.Covers(b.Pattern) && a.Prefixes.Covers(b.Prefixes) &&
		a.Protocol == b.Protocol && a.Ports.Covers(b.Ports) && a.Sources.Covers(b.Sources) &&
		(a.Until.IsZero() || !b.Until.IsZero() && !b.Until.After(a.Until))
}

// absorb adds the origins of b to a.
func absorb(a *program.Rule, b program.Rule) {
	a.Origins = slices.Concat(a.Origins, b.Origins)
	a.Required = a.Required || b.Required
}

// withoutCovered drops every rule that another one covers and gives its
// origins to that one. Of two equal rules the first stays.
func withoutCovered(rules []program.Rule) []program.Rule {
	dropped := make([]bool, len(rules))
	index := indexed(rules)
	for i := range rules {
		for _, j := range index.mayCover(rules[i]) {
			if i == j || dropped[i] || dropped[j] || !covers(rules[j], rules[i]) ||
				i < j && covers(rules[i], rules[j]) {
				continue
			}
			absorb(&rules[j], rules[i])
			dropped[i] = true
		}
	}
	kept := rules[:0]
	for i, r := range rules {
		if !dropped[i] {
			kept = append(kept, r)
		}
	}
	clear(rules[len(kept):])
	return kept
}

// ruleIndex finds rules by what they let through, so that thousands need not be
// compared with each other.
type ruleIndex struct {
	byName   map[dnsname.Pattern][]int
	byPrefix map[netip.Prefix][]int
}

func indexed(rules []program.Rule) ruleIndex {
	x := ruleIndex{make(map[dnsname.Pattern][]int), make(map[netip.Prefix][]int)}
	for i, r := range rules {
		if r.ByName() {
			x.byName[r.Pattern] = append(x.byName[r.Pattern], i)
		}
		for _, p := range r.Prefixes.Prefixes() {
			x.byPrefix[p] = append(x.byPrefix[p], i)
		}
	}
	return x
}

// mayCover returns, in order, every rule that may cover r: for a name those of the
// same pattern and the wildcards above it, for addresses those with a prefix around
// the first one of r. What covers a prefix has a prefix that does, since a set is
// made of the largest there are.
func (x ruleIndex) mayCover(r program.Rule) []int {
	var out []int
	if r.ByName() {
		out = append(out, x.byName[r.Pattern]...)
		n, ok := r.Pattern.Name()
		if !ok {
			n, _ = r.Pattern.Apex()
		}
		for parent, ok := n.Parent(); ok; parent, ok = parent.Parent() {
			out = append(out, x.byName[dnsname.Under(parent)]...)
		}
	} else if prefixes := r.Prefixes.Prefixes(); len(prefixes) > 0 {
		for bits := range prefixes[0].Bits() + 1 {
			p, _ := prefixes[0].Addr().Prefix(bits)
			out = append(out, x.byPrefix[p]...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// unique numbers the ids that two rules share, such as one requirement whose
// ports lead to a name and to addresses.
func unique(rules []program.Rule) {
	seen := make(map[flow.RuleID]int)
	for i := range rules {
		seen[rules[i].ID]++
		if n := seen[rules[i].ID]; n > 1 {
			rules[i].ID = flow.RuleID(fmt.Sprintf("%s~%d", rules[i].ID, n))
		}
	}
}
