// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/program"
)

// merged joins the wanted rules where the union is exactly equal: rules that
// differ in nothing but their ports, and rules that another one covers whole.
// Every origin is kept.
func (b *builder) merged() []program.Rule {
	var rules []program.Rule
	for _, w := range b.wants {
		i := slices.IndexFunc(rules, func(r program.Rule) bool { return sameButPorts(r, w.rule) })
		if i < 0 {
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

// sameButPorts reports whether two rules differ at most in ports and origins.
func sameButPorts(a, b program.Rule) bool {
	return a.Pattern == b.Pattern && a.Prefixes.Equal(b.Prefixes) && a.Protocol == b.Protocol &&
		a.Sources.Equal(b.Sources) && a.Until.Equal(b.Until)
}

// covers reports whether a allows every flow that b allows, at any time.
func covers(a, b program.Rule) bool {
	return a.ByName() == b.ByName() && a.Pattern.Covers(b.Pattern) && a.Prefixes.Covers(b.Prefixes) &&
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
	for i := range rules {
		for j := range rules {
			if i == j || dropped[i] || dropped[j] || !covers(rules[j], rules[i]) ||
				i < j && covers(rules[i], rules[j]) {
				continue
			}
			absorb(&rules[j], rules[i])
			dropped[i] = true
		}
	}
	var out []program.Rule
	for i, r := range rules {
		if !dropped[i] {
			out = append(out, r)
		}
	}
	return out
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
