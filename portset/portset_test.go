// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package portset

import (
	"encoding/binary"
	"testing"
)

func TestParse(t *testing.T) {
	for about, tt := range map[string]struct {
		in, want string
		n        int
	}{
		"one port":                       {"443", "443", 1},
		"a range":                        {"1000-2000", "1000-2000", 1001},
		"a list is sorted":               {"443,22", "22,443", 2},
		"neighbours are joined":          {"80, 81 ,82", "80-82", 3},
		"overlaps are joined":            {"1-10,5-20", "1-20", 20},
		"a range of one":                 {"53-53", "53", 1},
		"the ends":                       {"1,65535", "1,65535", 2},
		"a star is every port":           {"*", "*", 65535},
		"a star swallows the rest":       {"443,*", "*", 65535},
		"every port written out":         {"1-65535", "*", 65535},
		"every port but the last":        {"1-65534", "1-65534", 65534},
		"leading zeros are still a port": {"0443", "443", 1},
	} {
		s, err := Parse(tt.in)
		if err != nil || s.String() != tt.want || s.Len() != tt.n {
			t.Errorf("%s: Parse(%q) = %q with %d, %v, want %q with %d", about, tt.in, s, s.Len(), err, tt.want, tt.n)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for about, in := range map[string]string{
		"nothing": "", "port 0": "0", "a range from 0": "0-10", "port 65536": "65536", "a range to 65536": "1-65536",
		"a port past 2^64": "18446744073709551617", "a backward range": "20-10", "a sign": "+443", "a negative port": "-443",
		"an open range": "443-", "three ends": "1-2-3", "an empty member": "443,,80", "a final comma": "443,", "a name": "https",
		"hexadecimal": "0x1bb", "a star in a range": "1-*", "a space inside": "4 43", "digits of another script": "٤٤٣",
	} {
		if s, err := Parse(in); err == nil || !s.IsEmpty() {
			t.Errorf("%s: Parse(%q) = %q, want an error", about, in, s)
		}
	}
}

func TestPortZeroIsNoMember(t *testing.T) {
	for about, s := range map[string]Set{
		"Of":                    Of(0),
		"OfRanges":              OfRanges(Range{Lo: 0, Hi: 0}),
		"a backward range":      OfRanges(Range{Lo: 9, Hi: 0}),
		"all":                   All(),
		"a range from 0":        OfRanges(Range{Lo: 0, Hi: 5}),
		"all minus 1":           All().Minus(Of(1)),
		"a range from 0 and Of": OfRanges(Range{Lo: 0, Hi: 5}).Union(Of(0, 6)),
	} {
		if s.Contains(0) {
			t.Errorf("%s contains port 0", about)
		}
	}
	if s := Of(0); !s.IsEmpty() || s.String() != "" || s.Len() != 0 {
		t.Errorf("Of(0) = %q", s)
	}
	if s := OfRanges(Range{Lo: 0, Hi: 5}); s.String() != "1-5" {
		t.Errorf("0 to 5 = %q", s)
	}
}

func TestRangesAreTheCallers(t *testing.T) {
	s := Of(80, 443)
	s.Ranges()[0].Lo = 1
	if s.String() != "80,443" {
		t.Errorf("a caller changed the set to %q", s)
	}
	in := []Range{{Lo: 5, Hi: 6}, {Lo: 0, Hi: 4}}
	OfRanges(in...)
	if in[0].Lo != 5 || in[1].Lo != 0 {
		t.Errorf("the argument became %v", in)
	}
}

// bitmap is the slow twin of Set.
type bitmap [1 << 16]bool

// fromBytes reads ranges of four bytes each, as a set and as its twin.
func fromBytes(in []byte) (s Set, twin *bitmap) {
	twin = new(bitmap)
	var rs []Range
	for ; len(in) >= 4 && len(rs) < 8; in = in[4:] {
		r := Range{Lo: binary.BigEndian.Uint16(in), Hi: binary.BigEndian.Uint16(in[2:])}
		rs = append(rs, r)
		for p := max(1, int(r.Lo)); p <= int(r.Hi); p++ {
			twin[p] = true
		}
	}
	return OfRanges(rs...), twin
}

// FuzzSet states: union, intersection, difference and complement hold exactly
// the ports that a bitmap says; ranges are sorted and could not be joined; and
// a set survives text.
func FuzzSet(f *testing.F) {
	f.Add([]byte{0, 1, 255, 255}, []byte{0, 0, 0, 0})
	f.Add([]byte{0, 22, 0, 80, 0, 81, 1, 187}, []byte{0, 80, 0, 81, 255, 255, 255, 255})
	f.Add([]byte{255, 254, 255, 255, 0, 0, 0, 1}, []byte{0, 1, 0, 1})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		s, inS := fromBytes(a)
		u, inU := fromBytes(b)
		union, both, minus, not := s.Union(u), s.Intersect(u), s.Minus(u), All().Minus(s)
		covers, equal, n, first := true, true, 0, 0
		for p := range 1 << 16 {
			x, y, port := inS[p], inU[p], uint16(p)
			if s.Contains(port) != x || union.Contains(port) != (x || y) || both.Contains(port) != (x && y) ||
				minus.Contains(port) != (x && !y) || not.Contains(port) != (!x && p > 0) {
				t.Fatalf("port %d of %q and %q: union %q, intersection %q, difference %q, complement %q", p, s, u, union, both, minus, not)
			}
			covers = covers && (x || !y)
			equal = equal && x == y
			if x {
				n++
				if first == 0 {
					first = p
				}
			}
		}
		if s.Covers(u) != covers || s.Equal(u) != equal || s.Len() != n || s.IsEmpty() != (n == 0) {
			t.Fatalf("%q and %q: covers %t, equal %t, %d ports", s, u, s.Covers(u), s.Equal(u), s.Len())
		}
		if w, ok := s.Witness(); ok != (n > 0) || int(w) != first {
			t.Fatalf("witness of %q is %d %t", s, w, ok)
		}
		for _, set := range []Set{s, union, both, minus, not} {
			last := 0
			for _, r := range set.Ranges() {
				if int(r.Lo) < last || r.Lo == 0 || r.Lo > r.Hi {
					t.Fatalf("%q has range %v behind %d", set, r, last)
				}
				last = int(r.Hi) + 2
			}
			if set.IsEmpty() {
				continue
			}
			if back, err := Parse(set.String()); err != nil || !back.Equal(set) {
				t.Fatalf("%q came back as %q, %v", set, back, err)
			}
		}
	})
}

// FuzzParse states: nothing panics, and what is accepted is written so that it
// reads the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"443", "1-65535", "*", "0443 - 500,22", "443-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := Parse(in)
		if err != nil {
			return
		}
		if back, err := Parse(s.String()); err != nil || !back.Equal(s) || s.IsEmpty() {
			t.Fatalf("Parse(%q) = %q, again %q, %v", in, s, back, err)
		}
	})
}
