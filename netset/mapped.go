// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package netset

import "net/netip"

// The IPv4-mapped addresses ::ffff:0:0/96 (RFC 4291 section 2.5.5.2) are no
// addresses of their own here. A range may run across them, as ::/0 does, but
// none begins or ends in them: else a set could hold nothing that Contains
// finds, and two equal sets could have different ranges.
var (
	beforeMapped = netip.MustParseAddr("::fffe:ffff:ffff")
	lastMapped   = netip.MustParseAddr("::ffff:ffff:ffff")
	behindMapped = netip.MustParseAddr("::1:0:0:0")
)

// order is the order of addresses, IPv4 first, with two seams: no address
// follows 255.255.255.255, and behindMapped follows beforeMapped.
type order struct{}

func (order) Compare(a, b netip.Addr) int { return a.Compare(b) }

func (order) Next(v netip.Addr) (netip.Addr, bool) {
	if v == beforeMapped || v == lastMapped {
		return behindMapped, true
	}
	n := v.Next()
	return n, n.IsValid()
}

func (order) Prev(v netip.Addr) (netip.Addr, bool) {
	if v == behindMapped {
		return beforeMapped, true
	}
	p := v.Prev()
	return p, p.IsValid()
}
