// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package interval

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

// small is the order of 0 to 31 with a seam behind 15 that no range crosses,
// like the one between IPv4 and IPv6, and a gap: nothing lies between 23 and 25.
type small struct{}

func (small) Compare(a, b int) int { return a - b }

func (small) Next(v int) (int, bool) {
	if v == 23 {
		return 25, true
	}
	return v + 1, v != 15 && v != 31
}

func (small) Prev(v int) (int, bool) {
	if v == 25 {
		return 23, true
	}
	return v - 1, v != 16 && v != 0
}

const values = ^uint32(1 << 24)

// twin is the set as bits.
func twin(rs []Range[int]) (set uint32) {
	for _, r := range rs {
		for v := r.Lo; v <= r.Hi; v++ {
			set |= 1 << v
		}
	}
	return set & values
}

// isNormal reports whether rs is sorted, disjoint, and could not be joined.
func isNormal(rs []Range[int]) bool {
	for i, r := range rs {
		if r.Lo > r.Hi || r.Lo == 24 || r.Hi == 24 || r.Lo <= 15 && r.Hi > 15 {
			return false
		}
		if i > 0 {
			last := rs[i-1].Hi
			if next, ok := (small{}).Next(last); r.Lo <= last || ok && next == r.Lo {
				return false
			}
		}
	}
	return true
}

func TestNormalize(t *testing.T) {
	for about, tt := range map[string]struct{ in, want []Range[int] }{
		"nothing":                        {nil, nil},
		"an empty range is left out":     {[]Range[int]{{5, 4}}, nil},
		"neighbours are joined":          {[]Range[int]{{5, 6}, {1, 4}}, []Range[int]{{1, 6}}},
		"a hole is kept":                 {[]Range[int]{{1, 4}, {6, 6}}, []Range[int]{{1, 4}, {6, 6}}},
		"one inside another is absorbed": {[]Range[int]{{1, 9}, {3, 4}, {8, 8}}, []Range[int]{{1, 9}}},
		"equal ranges are one":           {[]Range[int]{{3, 3}, {3, 3}}, []Range[int]{{3, 3}}},
		"the seam is not crossed":        {[]Range[int]{{0, 15}, {16, 31}}, []Range[int]{{0, 15}, {16, 31}}},
		"the gap is":                     {[]Range[int]{{20, 23}, {25, 31}}, []Range[int]{{20, 31}}},
	} {
		in := slices.Clone(tt.in)
		if got := Normalize(small{}, in); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", about, got, tt.want)
		}
		if !slices.Equal(in, tt.in) {
			t.Errorf("%s: the argument became %v", about, in)
		}
	}
}

func TestMinus(t *testing.T) {
	for about, tt := range map[string]struct{ a, b, want []Range[int] }{
		"the middle":             {[]Range[int]{{0, 9}}, []Range[int]{{4, 5}}, []Range[int]{{0, 3}, {6, 9}}},
		"both ends":              {[]Range[int]{{0, 9}}, []Range[int]{{0, 1}, {8, 12}}, []Range[int]{{2, 7}}},
		"all, to the last value": {[]Range[int]{{16, 31}}, []Range[int]{{20, 31}, {16, 19}}, nil},
		"one cut over two":       {[]Range[int]{{0, 4}, {6, 9}}, []Range[int]{{3, 7}}, []Range[int]{{0, 2}, {8, 9}}},
		"up to the seam":         {[]Range[int]{{0, 15}, {16, 31}}, []Range[int]{{10, 15}}, []Range[int]{{0, 9}, {16, 31}}},
		"behind the gap":         {[]Range[int]{{20, 31}}, []Range[int]{{25, 31}}, []Range[int]{{20, 23}}},
		"before the gap":         {[]Range[int]{{20, 31}}, []Range[int]{{20, 23}}, []Range[int]{{25, 31}}},
	} {
		if got := Minus(small{}, tt.a, Normalize(small{}, tt.b)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", about, got, tt.want)
		}
	}
}

// Random sets, judged by their twins in bits.
func TestLaws(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	some := func() (rs []Range[int]) {
		for range random.IntN(6) {
			half := 16 * random.IntN(2)
			r := Range[int]{half + random.IntN(16), half + random.IntN(16)}
			if r.Lo != 24 && r.Hi != 24 {
				rs = append(rs, r)
			}
		}
		return rs
	}
	for range 50_000 {
		rawA, rawB := some(), some()
		a, b := Normalize(small{}, rawA), Normalize(small{}, rawB)
		for _, c := range []struct {
			about string
			got   []Range[int]
			want  uint32
		}{
			{"normalized", a, twin(rawA)},
			{"joined", Normalize(small{}, slices.Concat(a, b)), twin(a) | twin(b)},
			{"shared", Intersect(small{}, a, b), twin(a) & twin(b)},
			{"left", Minus(small{}, a, b), twin(a) &^ twin(b)},
		} {
			if twin(c.got) != c.want || !isNormal(c.got) {
				t.Fatalf("%v and %v, %s: got %v, want the %d values %032b", a, b, c.about, c.got, bits.OnesCount32(c.want), c.want)
			}
		}
		for v := range 32 {
			if v != 24 && Contains(small{}, a, v) != (twin(a)>>v&1 == 1) {
				t.Fatalf("%v contains %d: %t", a, v, Contains(small{}, a, v))
			}
		}
	}
}
