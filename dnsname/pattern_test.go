// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package dnsname

import (
	"strings"
	"testing"
)

func TestPatternContains(t *testing.T) {
	for about, tt := range map[string]struct {
		pattern, name string
		want          bool
	}{
		"a name matches itself":                  {"a.example", "a.example", true},
		"a name matches nothing under it":        {"a.example", "b.a.example", false},
		"a wildcard matches one label":           {"*.example", "a.example", true},
		"a wildcard matches two labels":          {"*.example", "b.a.example", true},
		"a wildcard never matches its apex":      {"*.a.example", "a.example", false},
		"a wildcard stops at a dot":              {"*.a.example", "xa.example", false},
		"a dot is only a dot":                    {"a.example", "axexample", false},
		"a pattern is read in any case":          {"*.A.Example.", "b.a.example", true},
		"an international apex":                  {"*.bücher.example", "a.xn--bcher-kva.example", true},
		"a wildcard of a name in another's tail": {"*.example", "example.com", false},
	} {
		if got := MustParsePattern(tt.pattern).Contains(MustParse(tt.name)); got != tt.want {
			t.Errorf("%s: %s contains %s: %t", about, tt.pattern, tt.name, got)
		}
	}
}

func TestParsePatternRefuses(t *testing.T) {
	for _, in := range []string{
		"", "*", "*.", "*.*", "*.*.example", "a.*.example", "*a.example", "a*.example", "**.example", ".example", "*..example",
		"*.1.2.3.4", "*.10.in-addr.0x7f", "1.2.3.4", "*.a_b.example", "[*.example]", "*." + name253, "*.example:443", "＊.example",
	} {
		if p, err := ParsePattern(in); err == nil || !p.IsZero() {
			t.Errorf("ParsePattern(%q) = %s, want an error", in, p)
		}
	}
}

func TestZeroPatternMatchesNothing(t *testing.T) {
	var zero Pattern
	some := MustParsePattern("*.example")
	if !zero.IsZero() || zero.Contains(Name{}) || zero.Contains(MustParse("a.example")) || zero.Covers(some) || !some.Covers(zero) || !zero.Covers(zero) {
		t.Error("the zero pattern matches something")
	}
	if some.Contains(Name{}) {
		t.Error("a wildcard matches the zero name")
	}
	if _, ok := zero.Intersect(some); ok {
		t.Error("the zero pattern shares a name")
	}
	if _, ok := zero.Minus(); ok {
		t.Error("the zero pattern has a witness")
	}
	if _, ok := zero.Name(); ok {
		t.Error("the zero pattern has a name")
	}
	if _, ok := zero.Apex(); ok {
		t.Error("the zero pattern has an apex")
	}
}

func TestPatternMinus(t *testing.T) {
	for about, tt := range map[string]struct {
		p      string
		others []string
		want   string // "" when covered
	}{
		"nothing taken":               {"*.example", nil, "a.example"},
		"itself taken":                {"*.example", []string{"*.example"}, ""},
		"a wider one taken":           {"*.a.example", []string{"*.example"}, ""},
		"a narrower one taken":        {"*.example", []string{"*.a.example"}, "a.example"},
		"the shortest are taken":      {"*.example", []string{"a.example", "b.example", "*.c.example"}, "c.example"},
		"exact names do not matter":   {"*.example", []string{"example", "a.b.example", "a.other"}, "a.example"},
		"an exact one by itself":      {"a.example", []string{"*.b.example", "b.example"}, "a.example"},
		"an exact one under a taken":  {"a.example", []string{"*.example"}, ""},
		"every letter and digit gone": {"*.example", oneCharacter("example"), "aa.example"},
	} {
		var others []Pattern
		for _, o := range tt.others {
			others = append(others, MustParsePattern(o))
		}
		w, ok := MustParsePattern(tt.p).Minus(others...)
		if ok != (tt.want != "") || w.String() != tt.want {
			t.Errorf("%s: got %q %t, want %q", about, w, ok, tt.want)
		}
	}
}

// An apex of 251 characters leaves room for one more label of one character.
func TestPatternMinusWithLittleRoom(t *testing.T) {
	apex := name253[:MaxName-2]
	p := MustParsePattern("*." + apex)
	w, ok := p.Minus()
	if !ok || len(w.String()) != MaxName || !p.Contains(w) {
		t.Fatalf("got %q %t", w, ok)
	}
	var all []Pattern
	for _, s := range oneCharacter(apex) {
		all = append(all, MustParsePattern(s))
	}
	if w, ok := p.Minus(all...); ok {
		t.Errorf("all 36 names are taken, yet %q is left", w)
	}
	if w, ok := p.Minus(all[1:]...); !ok || Exact(w) != all[0] {
		t.Errorf("got %q %t, want %s", w, ok, all[0])
	}
}

func oneCharacter(apex string) (names []string) {
	for _, c := range "abcdefghijklmnopqrstuvwxyz0123456789" {
		names = append(names, string(c)+"."+apex)
	}
	return names
}

// universe is every name of up to four labels a and b under z.
var universe = func() (names []Name) {
	names = []Name{MustParse("z")}
	for i := 0; i < len(names) && strings.Count(names[i].String(), ".") < 4; i++ {
		names = append(names, MustParse("a."+names[i].String()), MustParse("b."+names[i].String()))
	}
	return names
}()

// patternAt returns a pattern of the universe. The apex of a wildcard has at
// least two names of the universe under it, so that no exact pattern seems to
// cover it.
func patternAt(b byte) Pattern {
	if b&1 == 0 {
		return Exact(universe[int(b>>1)%len(universe)])
	}
	return MustParsePattern("*." + universe[int(b>>1)%15].String())
}

// matches is the slow twin of Contains.
func matches(p Pattern, n Name) bool {
	if apex, wild := strings.CutPrefix(p.String(), "*"); wild {
		return strings.HasSuffix(n.String(), apex)
	}
	return p.String() == n.String()
}

// FuzzPattern states, of patterns over a small universe of names: Contains,
// Covers, Intersect and Minus agree with looking at every name; equal sets are
// equal patterns; and a pattern survives text.
func FuzzPattern(f *testing.F) {
	f.Add([]byte{1, 2})
	f.Add([]byte{3, 7, 9, 4})
	f.Add([]byte{1, 3, 5, 2, 4, 6, 8})
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < 2 || len(in) > 12 {
			return
		}
		var all []Pattern
		for _, b := range in {
			all = append(all, patternAt(b))
		}
		p, q, others := all[0], all[1], all[1:]

		covers, share := true, false
		both, ok := p.Intersect(q)
		w, left := p.Minus(others...)
		for _, n := range universe {
			inP, inQ := matches(p, n), matches(q, n)
			if p.Contains(n) != inP {
				t.Fatalf("%s contains %s: %t", p, n, !inP)
			}
			covers = covers && (inP || !inQ)
			share = share || inP && inQ
			if both.Contains(n) != (inP && inQ) {
				t.Fatalf("%s and %s share %s, which holds %s: %t", p, q, both, n, both.Contains(n))
			}
			taken := false
			for _, o := range others {
				taken = taken || matches(o, n)
			}
			if inP && !taken && (!left || len(w.String()) > len(n.String())) {
				t.Fatalf("%s minus %v leaves %s, but Minus says %q %t", p, others, n, w, left)
			}
		}
		if p.Covers(q) != covers {
			t.Fatalf("%s covers %s: %t, want %t", p, q, !covers, covers)
		}
		if ok != share {
			t.Fatalf("%s and %s share a name: %t, want %t", p, q, ok, share)
		}
		if (p.Covers(q) && q.Covers(p)) != (p == q) || (p.Compare(q) == 0) != (p == q) || sign(p.Compare(q)) != -sign(q.Compare(p)) {
			t.Fatalf("%s and %s: cover each other, compare and == disagree", p, q)
		}
		if left {
			if !p.Contains(w) {
				t.Fatalf("witness %s is not in %s", w, p)
			}
			if parsed, err := Parse(w.String()); err != nil || parsed != w {
				t.Fatalf("witness %q is not canonical: %v", w, err)
			}
			for _, o := range others {
				if o.Contains(w) {
					t.Fatalf("witness %s is in %s", w, o)
				}
			}
		}
		text, _ := p.MarshalText()
		var back Pattern
		if err := back.UnmarshalText(text); err != nil || back != p {
			t.Fatalf("%s came back as %s, %v", p, back, err)
		}
	})
}

// FuzzParsePattern states: nothing panics, and what is accepted is written as
// it is read.
func FuzzParsePattern(f *testing.F) {
	for _, s := range []string{"*.example", "a.example", "*.*", "*.BÜCHER.example.", "*", "*." + name253[2:]} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePattern(s)
		if err != nil {
			if !p.IsZero() {
				t.Fatalf("ParsePattern(%q) = %s with %v", s, p, err)
			}
			return
		}
		if again, err := ParsePattern(p.String()); err != nil || again != p {
			t.Fatalf("ParsePattern(%q) = %s, again %s, %v", s, p, again, err)
		}
		w, ok := p.Minus()
		if !ok || !p.Contains(w) {
			t.Fatalf("%s has no witness: %q", p, w)
		}
		if _, err := Parse(w.String()); err != nil {
			t.Fatal(err)
		}
	})
}
