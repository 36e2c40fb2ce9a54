// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
)

// randomRules are rules of which many cover each other.
func randomRules(r *rand.Rand, n int) []program.Rule {
	names := []string{"a.com", "*.a.com", "b.a.com", "*.b.a.com", "c.b.a.com", "*.com", "d.org"}
	var out []program.Rule
	for i := range n {
		rule := program.Rule{
			ID: flow.RuleID(fmt.Sprint(i)), Protocol: flow.ProtoTCP, Ports: portset.Of(uint16(1 + r.IntN(3))),
			Sources: netset.Of(netip.MustParsePrefix([]string{"10.0.0.0/8", "10.1.0.0/16"}[r.IntN(2)])),
			Origins: []program.Origin{{Requirement: fmt.Sprint(i)}},
		}
		if r.IntN(2) == 0 {
			rule.Pattern = dnsname.MustParsePattern(names[r.IntN(len(names))])
		} else {
			for range 1 + r.IntN(3) {
				p := netip.PrefixFrom(netip.AddrFrom4([4]byte{20, byte(r.IntN(4)), 0, byte(r.IntN(4))}), 7+r.IntN(26)).Masked()
				rule.Prefixes = rule.Prefixes.Union(netset.Of(p))
			}
		}
		out = append(out, rule)
	}
	return out
}

// TestTheIndexMissesNoRuleThatCovers compares with asking every pair.
func TestTheIndexMissesNoRuleThatCovers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range 500 {
		rules := randomRules(r, 30)
		index := indexed(rules)
		for i := range rules {
			may := index.mayCover(rules[i])
			if !slices.IsSorted(may) {
				t.Fatalf("out of order: %v", may)
			}
			for j := range rules {
				if i != j && covers(rules[j], rules[i]) {
					found++
					if !slices.Contains(may, j) {
						t.Fatalf("%s %s is covered by %s %s, which the index does not find",
							rules[i].Pattern, rules[i].Prefixes, rules[j].Pattern, rules[j].Prefixes)
					}
				}
			}
		}
	}
	if found < 1000 {
		t.Errorf("only %d pairs cover each other", found)
	}
}
