// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cilium

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/firewall/manifest"
	"github.com/sallyport/sallyport/ruleset"
)

// unknowns counts what was not understood.
func unknowns(all []ruleset.Unknown, rules []ruleset.Rule) int {
	n := len(all)
	for _, r := range rules {
		n += len(r.Unknown)
	}
	return n
}

func TestWhatIsUnknownNamesItsLine(t *testing.T) {
	rules, err := Read("x.yaml", []byte(header+"  egress:\n  - toCIDR: [20.1.0.0/16]\n    toPorts:\n    - ports:\n      - port: web\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	u := rules.Rules[0].Unknown
	if len(u) != 1 || u[0].Pos.String() != "x.yaml:10" || !strings.Contains(u[0].Why, "web") {
		t.Errorf("%+v", u)
	}
}

func TestWhatIsNoPolicyIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "no_yaml": "a: [", "another_kind": "kind: Pod\n", "too_long": strings.Repeat("#", manifest.MaxSize+1),
	} {
		if _, err := Read("x.yaml", []byte(text), Options{}); err == nil || !strings.HasPrefix(err.Error(), "x.yaml: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHardPatternsStayCheap reads patterns whose union would be enormous.
func TestHardPatternsStayCheap(t *testing.T) {
	var b strings.Builder
	b.WriteString(header + "  egress:\n  - toFQDNs:\n")
	for c := 'a'; c <= 'z'; c++ {
		b.WriteString("    - matchPattern: '*" + string(c) + "q*" + string(c) + "w*" + string(c) + "e*.x'\n")
	}
	rules, err := Read("x.yaml", []byte(b.String()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if e := rules.Evaluate(); e.Sure.IsEmpty() || unknowns(nil, rules.Rules) == 0 {
		t.Error("the first patterns are not followed, or the last are")
	}
}

func FuzzRead(f *testing.F) {
	p := one("*.a.com")
	for _, s := range []Scope{Nodes, Pods} {
		data, _ := Write(p, Options{Scope: s, Version: Version{1, 19}})
		f.Add(data)
	}
	f.Add([]byte(header + "  egress:\n  - toFQDNs: [{matchPattern: 'a*b.c'}]\n    icmps: [{fields: [{type: 8}]}]\n  egressDeny:\n  - toCIDRSet: [{cidr: 0.0.0.0/0, except: [10.0.0.0/8]}]\n"))
	f.Add([]byte(header + "  egress: [{toEntities: [world]}, {toPorts: [{ports: [{port: a}], serverNames: ['**.x.y']}]}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, err := Read("x", data, Options{})
		if err != nil || len(data) > 3000 {
			return
		}
		if e := rules.Evaluate(); !e.Maybe.Covers(e.Sure) {
			t.Fatal("something is certain that is not possible")
		}
	})
}
