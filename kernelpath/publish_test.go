// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/nftables"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
)

// TestTheTableLeadsWhereTheProgramSays looks up random visitors in what the kernel
// gets, field by field as it does, and asks the program about the same.
func TestTheTableLeadsWhereTheProgramSays(t *testing.T) {
	everybody := netset.Of(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"))
	own := netset.Of(netip.MustParsePrefix("10.240.0.0/16"), netip.MustParsePrefix("fd00:240::/64"))
	some := netset.Of(netip.MustParsePrefix("198.51.100.0/26"), netip.MustParsePrefix("2001:db8:7::/48"))
	p := &program.Program{Published: []program.Publication{
		{ID: "a", Transport: flow.TCP, Port: 443, To: netip.MustParseAddrPort("20.50.140.9:8443"), From: everybody.Minus(own)},
		{ID: "b", Transport: flow.TCP, Port: 443, To: netip.MustParseAddrPort("[fd00:240::9]:443"), From: some},
		{ID: "c", Transport: flow.UDP, Port: 443, To: netip.MustParseAddrPort("10.240.0.9:443"), From: some},
	}}
	elements := append(publishElements(ipv4, p.Published), publishElements(ipv6, p.Published)...)
	lookup := func(key []byte) []byte {
		for _, e := range elements {
			if within(e, key) {
				return e.Val
			}
		}
		return nil
	}
	sources := []string{"198.51.100.0", "198.51.100.63", "198.51.100.64", "10.240.0.4", "10.239.255.255", "203.0.113.1",
		"2001:db8:7::1", "2001:db8:8::1", "fd00:240::4", "255.255.255.255", "0.0.0.0"}
	allowed := 0
	for range 5000 {
		f := flow.Flow{
			Src: netip.MustParseAddr(sources[rand.IntN(len(sources))]), Port: []uint16{443, 8443}[rand.IntN(2)],
			Transport: []flow.Transport{flow.TCP, flow.UDP}[rand.IntN(2)],
		}
		d := p.Inbound(f, netip.AddrPort{})
		var want []byte
		for _, x := range p.Published {
			if d.Verdict == flow.Allow && x.ID == d.Rule {
				want = append(x.To.Addr().AsSlice(), portKey(x.To.Port())...)
				allowed++
			}
		}
		if got := lookup(Element{Addr: f.Src, Protocol: flow.Protocol{Transport: f.Transport}, Port: f.Port}.key()); !bytes.Equal(got, want) {
			t.Fatalf("%s: the table leads to %x, the program to %x (%+v)", f, got, want, d)
		}
	}
	if allowed == 0 {
		t.Error("nobody was allowed, so this shows nothing")
	}
}

// within reports whether a key is in an element's range, in each of its fields.
func within(e nftables.SetElement, key []byte) bool {
	if len(e.Key) != len(key) {
		return false
	}
	addr := len(key) - 8
	for _, field := range [][2]int{{0, addr}, {addr, addr + 4}, {addr + 4, len(key)}} {
		k := key[field[0]:field[1]]
		if bytes.Compare(k, e.Key[field[0]:field[1]]) < 0 || bytes.Compare(k, e.KeyEnd[field[0]:field[1]]) > 0 {
			return false
		}
	}
	return true
}
