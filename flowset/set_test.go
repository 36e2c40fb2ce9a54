// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package flowset

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
)

// The parts that random boxes and probing flows are made of.
var (
	prefixes = []string{"10.0.0.0/8", "10.1.0.0/16", "20.0.0.0/8", "0.0.0.0/0", "2001:db8::/32"}
	addrs    = []string{"10.0.0.1", "10.1.2.3", "20.1.2.3", "8.8.8.8", "2001:db8::1"}
	patterns = []string{"**.a.com", "*.a.com", "x.a.com", "**a.com", "**", "b.org"}
	names    = []string{"", "a.com", "x.a.com", "y.x.a.com", "za.com", "b.org"}
	ports    = []string{"443", "80-90", "1-65535", "22,443"}
)

func randomBox(r *rand.Rand) Box {
	g, _ := nameset.Parse(patterns[r.IntN(len(patterns))])
	p, _ := portset.Parse(ports[r.IntN(len(ports))])
	b := Box{
		Src: netset.Of(netip.MustParsePrefix(prefixes[r.IntN(len(prefixes))])), Class: Class(1 + r.IntN(int(AnyTraffic))), Ports: p,
		Names: nameset.Of(g), Nameless: r.IntN(2) == 0, Dst: netset.Of(netip.MustParsePrefix(prefixes[r.IntN(len(prefixes))])),
	}
	if r.IntN(5) == 0 {
		b.Names = nameset.Set{}
	}
	return b
}

// flows lists probes over every combination of the parts.
func flows() []Flow {
	var out []Flow
	for _, s := range addrs {
		for _, d := range addrs {
			for _, n := range names {
				for c := Class(1); c <= OtherIP; c <<= 1 {
					for _, p := range []uint16{22, 80, 443, 1000} {
						f := Flow{Src: netip.MustParseAddr(s), Dst: netip.MustParseAddr(d), Class: c, Port: p}
						if n != "" {
							f.Name = dnsname.MustParse(n)
						}
						out = append(out, f)
					}
				}
			}
		}
	}
	return out
}

func TestOperationsAgreeWithMembership(t *testing.T) {
	all := flows()
	r := rand.New(rand.NewPCG(3, 4))
	for range 150 {
		var a, b Set
		for range 1 + r.IntN(3) {
			a = a.Union(Of(randomBox(r)))
		}
		for range 1 + r.IntN(3) {
			b = b.Union(Of(randomBox(r)))
		}
		union, both, minus := a.Union(b), a.Intersect(b), a.Minus(b)
		for _, f := range all {
			x, y := a.Contains(f), b.Contains(f)
			if union.Contains(f) != (x || y) || both.Contains(f) != (x && y) || minus.Contains(f) != (x && !y) {
				t.Fatalf("%s: in a %v, in b %v, union %v, intersect %v, minus %v\na %+v\nb %+v",
					f, x, y, union.Contains(f), both.Contains(f), minus.Contains(f), a.boxes, b.boxes)
			}
		}
		if w, ok := minus.Witness(); ok != !minus.IsEmpty() || ok && (!a.Contains(w) || b.Contains(w)) {
			t.Fatalf("witness %s, %v", w, ok)
		}
		if !union.Covers(a) || !a.Covers(both) || !a.Equal(minus.Union(both)) || a.Overlaps(b) == both.IsEmpty() {
			t.Fatalf("a law is broken:\na %+v\nb %+v", a.boxes, b.boxes)
		}
	}
}

func TestAWitnessIsAFlowThatPeopleKnow(t *testing.T) {
	f, ok := All().Witness()
	if !ok || f.String() != "https to a:443 from 10.240.0.4" {
		t.Errorf("%s, %v", f, ok)
	}
	if _, ok := (Set{}).Witness(); ok {
		t.Error("the empty set has a witness")
	}
}
