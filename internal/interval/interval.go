// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package interval does set arithmetic on sorted, disjoint, closed ranges of
// an ordered, discrete type. It is the shared engine of netset and portset and
// knows neither addresses nor ports.
package interval

import (
	"slices"
	"sort"
)

// Range holds every value from Lo to Hi, both ends included.
type Range[T any] struct{ Lo, Hi T }

// Order tells how the values of T follow one another.
type Order[T any] interface {
	// Compare returns a negative number when a comes before b, zero when
	// they are equal and a positive number otherwise.
	Compare(a, b T) int
	// Next returns the value after v; ok is false when v is the last one.
	// Next and Prev may also refuse at a seam that no range may cross, such
	// as the one between IPv4 and IPv6.
	Next(v T) (next T, ok bool)
	// Prev returns the value before v; ok is false when v is the first one.
	Prev(v T) (prev T, ok bool)
}

// Normalize returns rs sorted, with overlapping and adjacent ranges joined and
// empty ones (Lo after Hi) left out. rs itself is not changed.
func Normalize[T any, O Order[T]](o O, rs []Range[T]) []Range[T] {
	in := make([]Range[T], 0, len(rs))
	for _, r := range rs {
		if o.Compare(r.Lo, r.Hi) <= 0 {
			in = append(in, r)
		}
	}
	slices.SortFunc(in, func(a, b Range[T]) int { return o.Compare(a.Lo, b.Lo) })
	var out []Range[T]
	for _, r := range in {
		if n := len(out); n > 0 && touches(o, out[n-1], r) {
			if o.Compare(r.Hi, out[n-1].Hi) > 0 {
				out[n-1].Hi = r.Hi
			}
			continue
		}
		out = append(out, r)
	}
	return out
}

// touches reports whether b, which does not begin before a, overlaps a or
// begins right behind it.
func touches[T any, O Order[T]](o O, a, b Range[T]) bool {
	if o.Compare(b.Lo, a.Hi) <= 0 {
		return true
	}
	next, ok := o.Next(a.Hi)
	return ok && o.Compare(next, b.Lo) == 0
}

// Contains reports whether v lies in one of rs, which is normalized.
func Contains[T any, O Order[T]](o O, rs []Range[T], v T) bool {
	i := sort.Search(len(rs), func(i int) bool { return o.Compare(rs[i].Hi, v) >= 0 })
	return i < len(rs) && o.Compare(rs[i].Lo, v) <= 0
}

// Intersect returns the values that lie in both a and b, both normalized.
func Intersect[T any, O Order[T]](o O, a, b []Range[T]) []Range[T] {
	var out []Range[T]
	for len(a) > 0 && len(b) > 0 {
		lo, hi := a[0].Lo, a[0].Hi
		if o.Compare(b[0].Lo, lo) > 0 {
			lo = b[0].Lo
		}
		if o.Compare(b[0].Hi, hi) < 0 {
			hi = b[0].Hi
		}
		if o.Compare(lo, hi) <= 0 {
			out = append(out, Range[T]{lo, hi})
		}
		if o.Compare(a[0].Hi, b[0].Hi) < 0 {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

// Minus returns the values of a that are not in b, both normalized.
func Minus[T any, O Order[T]](o O, a, b []Range[T]) []Range[T] {
	var out []Range[T]
	for _, r := range a {
		rest, left := r, true
		for len(b) > 0 && o.Compare(b[0].Hi, rest.Lo) < 0 {
			b = b[1:]
		}
		for _, cut := range b {
			if o.Compare(cut.Lo, rest.Hi) > 0 {
				break
			}
			if o.Compare(cut.Lo, rest.Lo) > 0 {
				end, _ := o.Prev(cut.Lo)
				out = append(out, Range[T]{rest.Lo, end})
			}
			next, ok := o.Next(cut.Hi)
			if !ok || o.Compare(next, rest.Hi) > 0 {
				left = false
				break
			}
			rest.Lo = next
		}
		if left {
			out = append(out, rest)
		}
	}
	return out
}
