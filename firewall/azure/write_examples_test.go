// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"testing"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/internal/exampletest"
	"github.com/sallyport/sallyport/program"
)

// TestTheExamplesLackIPv6Alone: of the list that this is made for, Azure can say
// everything but IPv6 sources.
func TestTheExamplesLackIPv6Alone(t *testing.T) {
	for name, p := range exampletest.Programs(t) {
		for _, form := range forms {
			_, left := form.write(p, DefaultLayout)
			for _, id := range left {
				r, _ := p.Rule(id)
				if why := Restriction(r); why != NoIPv6 || canBeSaid(r).IsEmpty() {
					t.Errorf("%s in %s: %s is left for %s", name, form.name, id, why)
				}
			}
			t.Logf("%s in %s: a part of %d of %d rules is left out", name, form.name, len(left), len(p.Rules))
			if v4 := allIPv4(p); v4 == (len(left) > 0) {
				t.Errorf("%s in %s: IPv4 alone %t, left %v", name, form.name, v4, left)
			}
		}
	}
}

func allIPv4(p *program.Program) bool {
	for _, r := range p.Rules {
		if !ipv4.Covers(r.Sources) || !ipv4.Covers(r.Prefixes) {
			return false
		}
	}
	return true
}

// TestOneIDOfEachLeftRule: a rule that lacks in two ways is named once.
func TestOneIDOfEachLeftRule(t *testing.T) {
	for _, p := range exampletest.Programs(t) {
		_, left := ARM(p, DefaultLayout)
		seen := make(map[flow.RuleID]bool)
		for _, id := range left {
			if seen[id] {
				t.Errorf("%s is named twice", id)
			}
			seen[id] = true
		}
	}
}
