// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package netset

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

func TestPrefixes(t *testing.T) {
	for about, tt := range map[string]struct {
		set  Set
		want string
	}{
		"nothing":                          {Set{}, ""},
		"one address":                      {mustOf("10.0.0.1/32"), "10.0.0.1"},
		"host bits are ignored":            {mustOf("10.1.2.3/8"), "10.0.0.0/8"},
		"siblings are joined":              {mustOf("10.0.0.0/25", "10.0.0.128/25"), "10.0.0.0/24"},
		"cousins are not":                  {mustOf("10.0.0.128/25", "10.0.1.0/25"), "10.0.0.128/25,10.0.1.0/25"},
		"three quarters":                   {mustOf("10.0.0.0/24").Minus(mustOf("10.0.0.64/26")), "10.0.0.0/26,10.0.0.128/25"},
		"all but the first address":        {mustOf("10.0.0.0/30").Minus(mustOf("10.0.0.0/32")), "10.0.0.1,10.0.0.2/31"},
		"all but the last address":         {mustOf("10.0.0.0/30").Minus(mustOf("10.0.0.3/32")), "10.0.0.0/31,10.0.0.2"},
		"everything":                       {All(), "0.0.0.0/0,::/0"},
		"all but IPv4":                     {All().Minus(mustOf("0.0.0.0/0")), "::/0"},
		"the end of IPv4 meets no IPv6":    {mustOf("255.255.255.255/32", "::/128"), "255.255.255.255,::"},
		"the ends of both":                 {mustOf("0.0.0.0/32", "255.255.255.255/32", "::/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"), "0.0.0.0,255.255.255.255,::,ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		"all IPv4 but the last":            {mustOf("0.0.0.0/0").Minus(mustOf("128.0.0.0/1")), "0.0.0.0/1"},
		"a mapped prefix is IPv4":          {mustOf("::ffff:10.0.0.0/104"), "10.0.0.0/8"},
		"every mapped address is IPv4":     {mustOf("::ffff:0:0/96"), "0.0.0.0/0"},
		"a mapped address with 95 bits":    {mustOf("::ffff:10.0.0.0/95"), ""},
		"the mapped gap belongs to nobody": {mustOf("::/80"), "::/80"},
		"the gap is taken in":              {mustOf("::fffe:0:0/96"), "::fffe:0:0/95"},
		"up to the gap":                    {mustOf("::fffe:ffff:ffff/128"), "::fffe:ffff:ffff"},
		"across the gap":                   {mustOf("::fffe:ffff:ffff/128", "::1:0:0:0/128"), "::fffe:ffff:ffff,::1:0:0:0"},
	} {
		if got := tt.set.String(); got != tt.want {
			t.Errorf("%s: got %s, want %s", about, got, tt.want)
		}
	}
}

// A set made of the gap alone used to have a witness that it did not contain.
func TestNoSetOfMappedAddressesAlone(t *testing.T) {
	gap := mustOf("::fffe:0:0/95").Minus(mustOf("::fffe:0:0/96"))
	if !gap.IsEmpty() {
		t.Errorf("the mapped addresses are the set %v", gap.Ranges())
	}
	if a, b := mustOf("::/0"), mustOf("::/80").Union(mustOf("::/0").Minus(mustOf("::/80"))); !a.Equal(b) || len(b.Ranges()) != 1 {
		t.Errorf("%v is not %v", a.Ranges(), b.Ranges())
	}
}

func TestContains(t *testing.T) {
	set := mustOf("10.0.0.0/8", "2001:db8::/32")
	for about, tt := range map[string]struct {
		addr netip.Addr
		want bool
	}{
		"the first":                 {netip.MustParseAddr("10.0.0.0"), true},
		"the last":                  {netip.MustParseAddr("10.255.255.255"), true},
		"one before":                {netip.MustParseAddr("9.255.255.255"), false},
		"one behind":                {netip.MustParseAddr("11.0.0.0"), false},
		"a mapped one":              {netip.MustParseAddr("::ffff:10.0.0.1"), true},
		"a mapped one that is not":  {netip.MustParseAddr("::ffff:11.0.0.1"), false},
		"an IPv4-compatible one":    {netip.MustParseAddr("::10.0.0.1"), false},
		"an IPv6 one":               {netip.MustParseAddr("2001:db8::1"), true},
		"one with a zone":           {netip.MustParseAddr("2001:db8::1%eth0"), false},
		"none at all":               {netip.Addr{}, false},
		"the bytes of 10.0.0.1, 16": {netip.AddrFrom16([16]byte{10, 0, 0, 1}), false},
	} {
		if got := set.Contains(tt.addr); got != tt.want {
			t.Errorf("%s: contains %s: %t", about, tt.addr, got)
		}
	}
	if !mustOf("::/0").Contains(netip.MustParseAddr("fe80::1")) || mustOf("::/0").Contains(netip.MustParseAddr("::ffff:1.2.3.4")) {
		t.Error("::/0 is every IPv6 address and no mapped one")
	}
}

func TestOfAddrs(t *testing.T) {
	got := OfAddrs(netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("::ffff:10.0.0.0"), netip.Addr{}, netip.MustParseAddr("fe80::1%eth0"))
	if got.String() != "10.0.0.0/31" {
		t.Errorf("got %s", got)
	}
	if !Of(netip.Prefix{}).IsEmpty() {
		t.Error("an invalid prefix holds something")
	}
}

func TestParsePrefix(t *testing.T) {
	for in, want := range map[string]string{
		"10.240.0.0/16": "10.240.0.0/16", "10.0.0.1": "10.0.0.1/32", "2001:DB8::/32": "2001:db8::/32", "::1": "::1/128", "0.0.0.0/0": "0.0.0.0/0",
	} {
		if p, err := ParsePrefix(in); err != nil || p.String() != want {
			t.Errorf("ParsePrefix(%q) = %s, %v, want %s", in, p, err, want)
		}
	}
	for about, in := range map[string]string{
		"nothing": "", "host bits": "10.0.0.1/8", "a zone": "fe80::1%eth0", "a zone in a prefix": "fe80::%eth0/64", "a mapped address": "::ffff:1.2.3.4",
		"a mapped prefix": "::ffff:1.2.3.0/120", "33 bits": "10.0.0.0/33", "129 bits": "::/129", "a leading zero": "010.0.0.0/8", "zero bits with a zero": "10.0.0.0/08",
		"three numbers": "10.0.0/8", "hexadecimal": "0x7f.0.0.1", "a name": "example.com", "brackets": "[::1]", "a space": " 10.0.0.0/8", "a mask": "10.0.0.0/255.0.0.0",
	} {
		if p, err := ParsePrefix(in); err == nil {
			t.Errorf("%s: ParsePrefix(%q) = %s, want an error", about, in, p)
		}
	}
}

func TestRangesAreTheCallers(t *testing.T) {
	s := mustOf("10.0.0.0/8")
	s.Ranges()[0].Lo = netip.MustParseAddr("0.0.0.0")
	if s.String() != "10.0.0.0/8" {
		t.Errorf("a caller changed the set to %s", s)
	}
}

// windows are the places where sets of the fuzz target begin and end: both ends
// of both families, both sides of the mapped gap, and a plain place.
var windows = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/29"), netip.MustParsePrefix("10.0.0.0/29"), netip.MustParsePrefix("255.255.255.248/29"),
	netip.MustParsePrefix("::/125"), netip.MustParsePrefix("::fffe:ffff:fff8/125"), netip.MustParsePrefix("::1:0:0:0/125"),
	netip.MustParsePrefix("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff8/125"),
}

// wide are prefixes whose ends lie in windows or at the addresses of edges.
var wide = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"), netip.MustParsePrefix("::/80"), netip.MustParsePrefix("::fffe:0:0/95"),
	netip.MustParsePrefix("::fffe:0:0/96"), netip.MustParsePrefix("::8000:0:0/81"), netip.MustParsePrefix("::1:0:0:0/80"), netip.MustParsePrefix("128.0.0.0/1"),
}

// universe holds an address on both sides of every place where a set of the
// fuzz target can begin or end: sets that agree on it are equal.
var universe = func() (out []netip.Addr) {
	for _, w := range windows {
		for a := w.Addr(); w.Contains(a); a = a.Next() {
			out = append(out, a)
		}
	}
	for _, edge := range []string{"0.0.0.8", "9.255.255.255", "10.0.0.8", "127.255.255.255", "128.0.0.0", "255.255.255.247",
		"::8", "::7fff:ffff:ffff", "::8000:0:0", "::fffd:ffff:ffff", "::fffe:0:0", "::fffe:ffff:fff7", "::1:0:0:8", "::1:ffff:ffff:ffff", "::2:0:0:0",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff7"} {
		out = append(out, netip.MustParseAddr(edge))
	}
	return out
}()

// fromBytes reads prefixes of two bytes each, as a set and as the membership of
// each address of the universe.
func fromBytes(in []byte) (s Set, twin []bool) {
	twin = make([]bool, len(universe))
	var ps []netip.Prefix
	for ; len(in) >= 2 && len(ps) < 12; in = in[2:] {
		p := wide[int(in[0])%len(wide)]
		if w := int(in[0]) % (len(windows) + 1); w < len(windows) {
			a := windows[w].Addr()
			for range in[1] % 8 {
				a = a.Next()
			}
			p = netip.PrefixFrom(a, a.BitLen()-int(in[1]>>3)%4)
		}
		ps = append(ps, p)
		for i, a := range universe {
			twin[i] = twin[i] || p.Contains(a)
		}
	}
	return Of(ps...), twin
}

// checkPrefixes fails unless the prefixes of s are sorted, disjoint, exactly s,
// and as few as can be: no two, or one and the mapped gap, make up a wider one.
func checkPrefixes(s Set) error {
	ps := s.Prefixes()
	if back := Of(ps...); !back.Equal(s) {
		return fmt.Errorf("the prefixes %v are %v, want %v", ps, back.Ranges(), s.Ranges())
	}
	gap := netip.MustParsePrefix("::ffff:0:0/96")
	for i, p := range ps {
		if i > 0 && (!ps[i-1].Addr().Less(p.Addr()) || ps[i-1].Overlaps(p)) {
			return fmt.Errorf("%s stands behind %s", p, ps[i-1])
		}
		if p.Bits() == 0 {
			continue
		}
		b := p.Addr().AsSlice()
		b[(p.Bits()-1)/8] ^= 0x80 >> ((p.Bits() - 1) % 8)
		a, _ := netip.AddrFromSlice(b)
		sibling := netip.PrefixFrom(a, p.Bits())
		if slices.Contains(ps, sibling) || sibling == gap {
			return fmt.Errorf("%s and %s could be one", p, sibling)
		}
	}
	return nil
}

// FuzzSet states: union, intersection, difference and complement hold exactly
// the addresses that looking at each one says; equal sets are Equal; the
// witness is the lowest member; and prefixes are exact and fewest.
func FuzzSet(f *testing.F) {
	f.Add([]byte{0, 0, 2, 7}, []byte{7, 0})
	f.Add([]byte{7, 0, 15, 0}, []byte{4, 31, 5, 0})
	f.Add([]byte{23, 0, 6, 31}, []byte{31, 0, 39, 0})
	f.Add([]byte{1, 1, 1, 2, 1, 3, 1, 12}, []byte{1, 24})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		s, inS := fromBytes(a)
		u, inU := fromBytes(b)
		union, both, minus, not := s.Union(u), s.Intersect(u), s.Minus(u), All().Minus(s)
		covers, overlaps, equal := true, false, true
		for i, addr := range universe {
			x, y := inS[i], inU[i]
			if s.Contains(addr) != x || union.Contains(addr) != (x || y) || both.Contains(addr) != (x && y) ||
				minus.Contains(addr) != (x && !y) || not.Contains(addr) == x {
				t.Fatalf("%s of %s and %s: union %s, intersection %s, difference %s, complement %s", addr, s, u, union, both, minus, not)
			}
			covers = covers && (x || !y)
			overlaps = overlaps || x && y
			equal = equal && x == y
		}
		if s.Covers(u) != covers || s.Overlaps(u) != overlaps || s.Equal(u) != equal {
			t.Fatalf("%s and %s: covers %t, overlaps %t, equal %t; want %t, %t, %t", s, u, s.Covers(u), s.Overlaps(u), s.Equal(u), covers, overlaps, equal)
		}
		if !union.Equal(minus.Union(both).Union(u.Minus(s))) || !not.Union(s).Equal(All()) || !All().Minus(not).Equal(s) {
			t.Fatalf("%s and %s: parts do not make up the whole", s, u)
		}
		for _, set := range []Set{s, union, both, minus, not} {
			if err := checkPrefixes(set); err != nil {
				t.Fatalf("%s: %v", set, err)
			}
			w, ok := set.Witness()
			if ok == set.IsEmpty() || ok && !set.Contains(w) {
				t.Fatalf("%s has witness %s %t", set, w, ok)
			}
			for _, addr := range universe {
				if set.Contains(addr) && addr.Less(w) {
					t.Fatalf("%s has witness %s, but also %s", set, w, addr)
				}
			}
		}
	})
}

// FuzzParsePrefix states: nothing panics, and what is accepted has no host bits
// and survives text.
func FuzzParsePrefix(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8", "::/0", "10.0.0.1", "::ffff:1.2.3.4", "fe80::1%x", "10.0.0.1/8"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePrefix(s)
		if err != nil {
			return
		}
		if back, err := ParsePrefix(p.String()); err != nil || back != p || p.Masked() != p || p.Addr().Is4In6() {
			t.Fatalf("ParsePrefix(%q) = %s, again %s, %v", s, p, back, err)
		}
		if ps := Of(p).Prefixes(); len(ps) != 1 || !Of(ps...).Equal(Of(p)) {
			t.Fatalf("the prefixes of %s are %v", p, ps)
		}
	})
}
