// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package portset holds immutable sets of TCP or UDP ports and their
// arithmetic. It does not know the transport: a set of ports is the same for
// both. Port 0 is never a member (RFC 6335 section 6 reserves it).
package portset

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/interval"
)

// Range holds every port from Lo to Hi, both ends included.
type Range = interval.Range[uint16]

// Set is an immutable set of ports 1 to 65535. The zero Set is empty.
type Set struct{ ranges []Range }

// All returns the set of every port, 1 to 65535.
func All() Set { return Set{[]Range{{Lo: 1, Hi: 65535}}} }

// Of returns the set of the given ports. Port 0 is left out.
func Of(ports ...uint16) Set {
	rs := make([]Range, len(ports))
	for i, p := range ports {
		rs[i] = Range{Lo: p, Hi: p}
	}
	return OfRanges(rs...)
}

// OfRanges returns the union of ranges. Port 0 and ranges whose Lo is above
// their Hi are left out.
func OfRanges(ranges ...Range) Set {
	rs := slices.Clone(ranges)
	for i := range rs {
		if rs[i].Lo == 0 {
			if rs[i].Hi == 0 {
				rs[i] = Range{Lo: 1, Hi: 0}
				continue
			}
			rs[i].Lo = 1
		}
	}
	return Set{interval.Normalize(order{}, rs)}
}

// Parse reads "443", "1000-2000", "*" or a comma-separated list of these.
func Parse(s string) (Set, error) {
	var rs []Range
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "*" {
			rs = append(rs, Range{Lo: 1, Hi: 65535})
			continue
		}
		lo, hi, isRange := strings.Cut(part, "-")
		l, err := parsePort(lo)
		if err != nil {
			return Set{}, err
		}
		h := l
		if isRange {
			if h, err = parsePort(hi); err != nil {
				return Set{}, err
			}
		}
		if l > h {
			return Set{}, fmt.Errorf("port range %q runs backwards", part)
		}
		rs = append(rs, Range{Lo: l, Hi: h})
	}
	return OfRanges(rs...), nil
}

func parsePort(s string) (uint16, error) {
	s = strings.TrimSpace(s)
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("port %q is not a number from 1 to 65535", s)
	}
	if n < 1 || n > 65535 {
		return 0, fmt.Errorf("port %d is outside 1 to 65535", n)
	}
	return uint16(n), nil
}

// Ranges returns the set as sorted, disjoint, non-adjacent ranges. The slice
// is the caller's.
func (s Set) Ranges() []Range { return slices.Clone(s.ranges) }

// IsEmpty reports whether s has no port.
func (s Set) IsEmpty() bool { return len(s.ranges) == 0 }

// Len returns the number of ports in s.
func (s Set) Len() int {
	n := 0
	for _, r := range s.ranges {
		n += int(r.Hi-r.Lo) + 1
	}
	return n
}

// Contains reports whether port is in s.
func (s Set) Contains(port uint16) bool { return interval.Contains(order{}, s.ranges, port) }

// Covers reports whether every port of t is in s.
func (s Set) Covers(t Set) bool { return t.Minus(s).IsEmpty() }

// AppendKey appends what two sets have alike when they are equal, and no others; no
// key is the beginning of another one.
func (s Set) AppendKey(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.ranges)))
	for _, r := range s.ranges {
		b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, r.Lo), r.Hi)
	}
	return b
}

// Equal reports whether s and t hold the same ports.
func (s Set) Equal(t Set) bool { return slices.Equal(s.ranges, t.ranges) }

// Union returns the ports that are in s, in t or in both.
func (s Set) Union(t Set) Set {
	return Set{interval.Normalize(order{}, slices.Concat(s.ranges, t.ranges))}
}

// Intersect returns the ports that are in both s and t.
func (s Set) Intersect(t Set) Set { return Set{interval.Intersect(order{}, s.ranges, t.ranges)} }

// Minus returns the ports of s that are not in t.
func (s Set) Minus(t Set) Set { return Set{interval.Minus(order{}, s.ranges, t.ranges)} }

// Witness returns the lowest port of s; ok is false when s is empty.
func (s Set) Witness() (port uint16, ok bool) {
	if s.IsEmpty() {
		return 0, false
	}
	return s.ranges[0].Lo, true
}

// rangeText writes a range as "443" or "9000-9010".
func rangeText(r Range) string {
	if r.Lo == r.Hi {
		return strconv.Itoa(int(r.Lo))
	}
	return strconv.Itoa(int(r.Lo)) + "-" + strconv.Itoa(int(r.Hi))
}

// Texts writes each range of s with rangeText, in ascending order.
func (s Set) Texts() []string {
	out := make([]string, len(s.ranges))
	for i, r := range s.ranges {
		out[i] = rangeText(r)
	}
	return out
}

// String writes the set as Parse reads it: "22,443,9000-9010", or "" when empty.
func (s Set) String() string {
	parts := make([]string, len(s.ranges))
	for i, r := range s.ranges {
		if parts[i] = rangeText(r); r.Lo == 1 && r.Hi == 65535 {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, ",")
}

type order struct{}

func (order) Compare(a, b uint16) int      { return int(a) - int(b) }
func (order) Next(v uint16) (uint16, bool) { return v + 1, v < 65535 }
func (order) Prev(v uint16) (uint16, bool) { return v - 1, v > 0 }
