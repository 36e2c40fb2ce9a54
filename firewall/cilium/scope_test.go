// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cilium

import (
	"net/netip"
	"testing"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/ruleset"
)

func TestBeforeAnyDepthNamesAreSaidToADepth(t *testing.T) {
	p, o := one("*.a.com"), Options{Version: Version{1, 18}}
	data, left := Write(p, o)
	rules, err := Read("x.yaml", data, o)
	if err != nil || len(left) != 1 || left[0] != (ruleset.Left{Rule: "r", Restriction: DepthLimit}) {
		t.Fatalf("%v %v", left, err)
	}
	sure := rules.Evaluate().Sure
	for name, want := range map[string]bool{"a.com": false, "b.a.com": true, "e.d.c.b.a.com": true, "f.e.d.c.b.a.com": false} {
		f := flowset.Flow{Src: netip.MustParseAddr("10.240.0.4"), Dst: netip.MustParseAddr("198.51.100.7"), Class: flowset.TLS, Port: 443, Name: dnsname.MustParse(name)}
		if got := sure.Contains(f); got != want {
			t.Errorf("%s is let through: %v, want %v", name, got, want)
		}
	}
}

func TestBothScopesTogetherSayARuleForBoth(t *testing.T) {
	p := one("*.a.com")
	p.Groups[1].Visible = true
	p.Rules[0].Sources = nodes.Union(pods)
	o := Options{Version: Version{1, 19}}
	forNodes, left := Write(p, o)
	if len(left) != 1 || left[0].Restriction != OtherSources {
		t.Errorf("a policy for nodes says it all: %v", left)
	}
	o.Scope = Pods
	forPods, _ := Write(p, o)
	rules, err := Read("x.yaml", []byte(string(forNodes)+"---\n"+string(forPods)), o)
	if err != nil {
		t.Fatal(err)
	}
	if w, lacks := ruleset.Asked(p.Rules[0]).Minus(rules.Evaluate().Sure).Witness(); lacks {
		t.Errorf("lets not through %s", w)
	}
}
