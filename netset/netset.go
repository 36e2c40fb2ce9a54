// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package netset holds immutable sets of IPv4 and IPv6 addresses and their
// arithmetic. An IPv4-mapped IPv6 address is the IPv4 address it maps, so
// ::ffff:0:0/96 is a gap that no IPv6 range begins or ends in (mapped.go); zones
// are refused at the border. What a set is for (special ranges, a cluster's
// subnets) is said by its owner, but for the IANA registries in special.go.
package netset

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/interval"
)

// Range holds every address from Lo to Hi, both ends included and of one
// family.
type Range = interval.Range[netip.Addr]

// Set is an immutable set of addresses of both families. The zero Set is empty.
type Set struct{ ranges []Range }

// All returns every IPv4 and every IPv6 address.
func All() Set { return everything }

var everything = Of(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"))

// Family returns every address of a's family.
func Family(a netip.Addr) Set {
	if a.Is4() {
		return Of(netip.PrefixFrom(netip.IPv4Unspecified(), 0))
	}
	return Of(netip.PrefixFrom(netip.IPv6Unspecified(), 0))
}

// Of returns the union of prefixes. Host bits are ignored; an invalid prefix
// holds nothing, and so does an IPv4-mapped address with fewer than 96 bits.
func Of(prefixes ...netip.Prefix) Set {
	rs := make([]Range, 0, len(prefixes))
	for _, p := range prefixes {
		if r, ok := rangeOf(p); ok {
			rs = append(rs, r)
		}
	}
	return Set{interval.Normalize(order{}, rs)}
}

// OfAddrs returns the set of the given addresses. An invalid address, or one
// with a zone, is left out.
func OfAddrs(addrs ...netip.Addr) Set {
	ps := make([]netip.Prefix, 0, len(addrs))
	for _, a := range addrs {
		if a.IsValid() && a.Zone() == "" {
			a = a.Unmap()
			ps = append(ps, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return Of(ps...)
}

// Between returns the addresses from lo to hi, both included; both must be valid,
// without zone and of one family, and hi not below lo.
func Between(lo, hi netip.Addr) Set {
	var out []netip.Prefix
	for {
		bits := lo.BitLen()
		for bits > 0 {
			p := netip.PrefixFrom(lo, bits-1)
			if p.Masked().Addr() != lo || hi.Less(last(p)) {
				break
			}
			bits--
		}
		p := netip.PrefixFrom(lo, bits)
		out = append(out, p)
		next := last(p).Next()
		if !next.IsValid() || hi.Less(next) {
			return Of(out...)
		}
		lo = next
	}
}

// ParsePrefix reads "10.0.0.0/8", "2001:db8::/32" or a bare address. Host bits
// set behind the mask are an error, since they are nearly always a typing
// mistake; so are zones and IPv4-mapped forms.
func ParsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("%q is not an address or a prefix such as 10.240.0.0/16", s)
		}
		if a.Zone() != "" || a.Is4In6() {
			return netip.Prefix{}, fmt.Errorf("address %q must be plain IPv4 or IPv6 without a zone", s)
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not a prefix such as 10.240.0.0/16", s)
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("prefix %q must be plain IPv4 or IPv6", s)
	}
	if m := p.Masked(); m != p {
		return netip.Prefix{}, fmt.Errorf("prefix %q has bits set behind its mask, did you mean %s?", s, m)
	}
	return p, nil
}

func rangeOf(p netip.Prefix) (Range, bool) {
	if !p.IsValid() {
		return Range{}, false
	}
	a, bits := p.Addr(), p.Bits()
	if a.Is4In6() {
		if bits < 96 {
			return Range{}, false
		}
		a, bits = a.Unmap(), bits-96
	}
	p = netip.PrefixFrom(a, bits).Masked()
	r := Range{Lo: p.Addr(), Hi: last(p)}
	if r.Hi == lastMapped {
		r.Hi = beforeMapped // only ::/80 and ::8000:0:0/81 to ::fffe:0:0/95 end there
	}
	return r, true
}

// last returns the highest address of p.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// IsEmpty reports whether s has no address.
func (s Set) IsEmpty() bool { return len(s.ranges) == 0 }

// Contains reports whether addr is in s. An invalid address, or one with a
// zone, is in no set.
func (s Set) Contains(addr netip.Addr) bool {
	return addr.IsValid() && addr.Zone() == "" && interval.Contains(order{}, s.ranges, addr.Unmap())
}

// Covers reports whether every address of t is in s.
func (s Set) Covers(t Set) bool { return t.Minus(s).IsEmpty() }

// Overlaps reports whether s and t share an address.
func (s Set) Overlaps(t Set) bool { return !s.Intersect(t).IsEmpty() }

// Equal reports whether s and t hold the same addresses.
func (s Set) Equal(t Set) bool { return slices.Equal(s.ranges, t.ranges) }

// Union returns the addresses that are in s, in t or in both.
func (s Set) Union(t Set) Set {
	return Set{interval.Normalize(order{}, slices.Concat(s.ranges, t.ranges))}
}

// Intersect returns the addresses that are in both s and t.
func (s Set) Intersect(t Set) Set { return Set{interval.Intersect(order{}, s.ranges, t.ranges)} }

// Minus returns the addresses of s that are not in t.
func (s Set) Minus(t Set) Set { return Set{interval.Minus(order{}, s.ranges, t.ranges)} }

// Witness returns the lowest address of s, IPv4 before IPv6; ok is false when
// s is empty.
func (s Set) Witness() (addr netip.Addr, ok bool) {
	if s.IsEmpty() {
		return netip.Addr{}, false
	}
	return s.ranges[0].Lo, true
}

// Ranges returns the set as sorted, disjoint, non-adjacent ranges, IPv4 first.
// The slice is the caller's.
func (s Set) Ranges() []Range { return slices.Clone(s.ranges) }

// AppendKey appends what two sets have alike when they are equal, and no others; no
// key is the beginning of another one.
func (s Set) AppendKey(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.ranges)))
	for _, r := range s.ranges {
		lo, hi := r.Lo.As16(), r.Hi.As16()
		b = append(append(append(b, byte(r.Lo.BitLen())), lo[:]...), hi[:]...)
	}
	return b
}

// Prefixes returns the shortest list of prefixes whose union is s, in order.
func (s Set) Prefixes() []netip.Prefix {
	var out []netip.Prefix
	for _, r := range s.ranges {
		out = appendPrefixes(out, r)
	}
	return out
}

// appendPrefixes splits r into the fewest prefixes: at each step the largest
// block that begins at Lo, is aligned and does not pass Hi. A block may take in
// the gap behind Hi, where there is no address.
func appendPrefixes(out []netip.Prefix, r Range) []netip.Prefix {
	if r.Hi == beforeMapped {
		r.Hi = lastMapped
	}
	for {
		bits := r.Lo.BitLen()
		for bits > 0 {
			wider := netip.PrefixFrom(r.Lo, bits-1)
			if wider.Masked().Addr() != r.Lo || r.Hi.Less(last(wider)) {
				break
			}
			bits--
		}
		p := netip.PrefixFrom(r.Lo, bits)
		out = append(out, p)
		end := last(p)
		next, ok := order{}.Next(end)
		if !ok || r.Hi.Less(next) {
			return out
		}
		r.Lo = next
	}
}

// Texts writes each prefix of s in its own notation, a single address with its
// length too, in the order of Prefixes; it is empty, not nil, for the empty set.
func (s Set) Texts() []string {
	out := []string{}
	for _, p := range s.Prefixes() {
		out = append(out, p.String())
	}
	return out
}

// String writes the prefixes of s, comma-separated.
func (s Set) String() string {
	ps := s.Prefixes()
	parts := make([]string, len(ps))
	for i, p := range ps {
		parts[i] = p.String()
		if p.IsSingleIP() {
			parts[i] = p.Addr().String()
		}
	}
	return strings.Join(parts, ",")
}
