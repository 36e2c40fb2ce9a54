// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
)

// manyDestinations is a rule with n destinations that do not join.
func manyDestinations(n int) *program.Program {
	p := plainProgram()
	var prefixes []netip.Prefix
	for i := range n {
		a := netip.AddrFrom4([4]byte{20, byte(i >> 15), byte(i >> 7), byte(i << 1)})
		prefixes = append(prefixes, netip.PrefixFrom(a, 32))
	}
	p.Rules[3].Prefixes = netset.Of(prefixes...)
	return p
}

func TestThirtyThousandDestinationsAreSplitOverGroups(t *testing.T) {
	p := manyDestinations(30_000)
	for _, form := range forms {
		text, left := form.write(p, DefaultLayout)
		s, err := Read([]File{{form.file, text}}, Options{})
		if err != nil || len(left) > 0 {
			t.Fatalf("%s: %v, left %v", form.name, err, left)
		}
		// As sets of 30,000 boxes they would be compared for minutes, so here the
		// destinations are compared as they are written.
		var got []string
		rules := 0
		for _, r := range s.Rules {
			if strings.HasPrefix(r.Name, "addresses") {
				rules++
				for _, term := range r.Terms {
					got = append(got, term.Text)
				}
			}
		}
		slices.Sort(got)
		want := p.Rules[3].Prefixes.Texts()
		slices.Sort(want)
		if rules != 2 || !slices.Equal(got, want) {
			t.Errorf("%s: %d rules with %d destinations, want 2 with %d", form.name, rules, len(got), len(want))
		}
		after := map[string]string{
			"arm": `'aks-egress')]"`, "terraform": "depends_on = [azurerm_firewall_policy_rule_collection_group.aks_egress]",
			"cli": "-n aks-egress-2 --priority 501", "bicep": "    ruleCollectionGroup\n",
		}[form.name]
		if !strings.Contains(string(text), after) || !strings.Contains(string(text), "Azure will not take this: 30001 pairs") {
			t.Errorf("%s: the second group does not wait for the first, or the excess is not said", form.name)
		}
	}
	if got, want := fmt.Sprint(Exceeded(p, DefaultLayout)), "[30001 pairs of source and destination in network rules, at most 20000]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSplittingChangesNoFlow(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	most := 0
	for range 150 {
		p := randomProgram(r)
		tight := DefaultLayout
		tight.Priority = 64_990 + r.IntN(11)
		tight.Limits = Limits{Name: 24 + r.IntN(20), GroupBytes: 1500 + r.IntN(4000), Groups: 3, Pairs: 1 + r.IntN(8), NetworkNames: 1 + r.IntN(2)}
		form := forms[r.IntN(len(forms))]
		whole, left := form.write(p, DefaultLayout)
		parts, leftOfParts := form.write(p, tight)
		if diff := cmp.Diff(left, leftOfParts); diff != "" {
			t.Fatal(diff)
		}
		want, got := effectOf(t, form.file, whole), effectOf(t, form.file, parts)
		if !got.Sure.Equal(want.Sure) || !got.Maybe.Equal(want.Maybe) {
			t.Fatalf("%s: other flows when split\n%s", form.name, parts)
		}
		w := plan(p, tight)
		most = max(most, len(w.groups))
		if got, want := len(Exceeded(p, tight)) > 0, len(w.excess) > 0; got != want || len(w.groups) > 3 && !want {
			t.Fatalf("exceeded %t, want %t", got, want)
		}
	}
	if most < 3 {
		t.Errorf("at most %d groups: nothing was split", most)
	}
}

var azureNames = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*[A-Za-z0-9_]$`)

func TestNamesSizesAndPrioritiesAreThoseThatAzureTakes(t *testing.T) {
	r := rand.New(rand.NewPCG(33, 34))
	layouts := []Layout{
		{}, DefaultLayout, {Group: "-", Policy: "[x]", Priority: 1}, {Group: strings.Repeat("g", 200), Priority: 99_999},
		{Group: "1'); --", Limits: Limits{Name: 30, GroupBytes: 3000, Pairs: 4}},
	}
	for i := range 400 {
		p, l := randomProgram(r), layouts[i%len(layouts)]
		if i%50 == 0 {
			for n := range 1200 { // more of one name than three digits count
				x := p.Rules[0]
				x.ID = flow.RuleID(strings.Repeat("ab"[n%2:n%2+1], 90) + fmt.Sprint(n))
				p.Rules = append(p.Rules, x)
			}
		}
		template, _ := ARM(p, l)
		var doc armTemplate
		if err := json.Unmarshal(template, &doc); err != nil {
			t.Fatal(err)
		}
		m := l.settled().Limits
		before, names := 0, map[string]bool{}
		unique := func(kind, name string) {
			if key := strings.ToLower(kind + name); len(name) > m.Name || !azureNames.MatchString(name) || names[key] {
				t.Fatalf("name %q", name)
			} else {
				names[key] = true
			}
		}
		for _, g := range doc.Resources {
			unique("group ", g.Name[len("[concat(parameters('firewallPolicyName'), '/"):len(g.Name)-len("')]")])
			if p := g.Properties.Priority; p < 100 || p > 65_000 || p <= before {
				t.Fatalf("priority %d after %d", p, before)
			}
			before = g.Properties.Priority
			rules := 0
			for _, c := range g.Properties.RuleCollections {
				unique("collection ", c.Name)
				for _, rule := range c.Rules {
					unique("rule ", rule.Name)
					rules++
				}
			}
			var size jsonSize
			e := json.NewEncoder(&size)
			e.SetEscapeHTML(false)
			if err := e.Encode(g.Properties); err != nil {
				t.Fatal(err)
			}
			if int(size) > m.GroupBytes && rules > 1 {
				t.Fatalf("a group has %d bytes, at most %d", size, m.GroupBytes)
			}
		}
	}
}

type jsonSize int

func (s *jsonSize) Write(p []byte) (int, error) { *s += jsonSize(len(p)); return len(p), nil }
