// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nameset

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/dnsname"
)

func mustParse(t testing.TB, s string) Glob {
	t.Helper()
	g, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// slow is the obvious twin: it matches a glob by trying everything.
func slow(pattern, name string) bool {
	switch {
	case pattern == "":
		return name == ""
	case strings.HasPrefix(pattern, "**"):
		for i := range len(name) + 1 {
			if slow(pattern[2:], name[i:]) {
				return true
			}
		}
		return false
	case pattern[0] == '*':
		for i := range len(name) + 1 {
			if slow(pattern[1:], name[i:]) {
				return true
			}
			if i < len(name) && name[i] == '.' {
				return false
			}
		}
		return false
	}
	return name != "" && name[0] == pattern[0] && slow(pattern[1:], name[1:])
}

func TestEveryFormOfAWildcardMeansWhatItSays(t *testing.T) {
	names := []string{"x.com", "a.x.com", "a.b.x.com", "evilx.com", "a.evilx.com", "com", "xx.com", "ab.x.com", "a-b.x.com"}
	for _, row := range []struct{ pattern, matches string }{
		{"x.com", "x.com"},
		{"**.x.com", "a.x.com a.b.x.com ab.x.com a-b.x.com"},
		{"*.x.com", "a.x.com ab.x.com a-b.x.com"},
		{"**x.com", "x.com a.x.com a.b.x.com evilx.com a.evilx.com xx.com ab.x.com a-b.x.com"},
		{"*x.com", "x.com evilx.com xx.com"},
		{"a*.x.com", "a.x.com ab.x.com a-b.x.com"},
		{"a**.x.com", "a.x.com a.b.x.com ab.x.com a-b.x.com"},
		{"a*b.x.com", "ab.x.com a-b.x.com"},
		{"**", strings.Join(names, " ")},
		{"*", "com"},
		{"*.com", "x.com evilx.com xx.com"},
	} {
		set := Of(mustParse(t, row.pattern))
		var got []string
		for _, n := range names {
			if set.Contains(dnsname.MustParse(n)) {
				got = append(got, n)
			}
		}
		if strings.Join(got, " ") != row.matches {
			t.Errorf("%s matches %q, want %q", row.pattern, strings.Join(got, " "), row.matches)
		}
	}
}

// short lists every valid name up to a length over few letters.
func short(length int) []dnsname.Name {
	var out []dnsname.Name
	var grow func(s string)
	grow = func(s string) {
		if n, err := dnsname.Parse(s); err == nil && n.String() == s {
			out = append(out, n)
		}
		if len(s) < length {
			for _, c := range "ab1-." {
				grow(s + string(c))
			}
		}
	}
	grow("")
	return out
}

func randomGlob(r *rand.Rand) string {
	parts := []string{"a", "b", "1", "-", ".", "*", "**", "a", "b", "."}
	var b strings.Builder
	for range 1 + r.IntN(6) {
		b.WriteString(parts[r.IntN(len(parts))])
	}
	s := b.String()
	for strings.Contains(s, "***") {
		s = strings.ReplaceAll(s, "***", "**")
	}
	return s
}

func TestSetsAgreeWithTheObviousTwin(t *testing.T) {
	names := short(6)
	r := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		var a, b []string
		var sets [2]Set
		for i, list := range []*[]string{&a, &b} {
			var globs []Glob
			for range 1 + r.IntN(3) {
				s := strings.TrimRight(randomGlob(r), ".")
				if s == "" {
					s = "a"
				}
				*list = append(*list, s)
				globs = append(globs, mustParse(t, s))
			}
			sets[i] = Of(globs...)
		}
		in := func(list []string, n string) bool {
			for _, p := range list {
				if slow(p, n) {
					return true
				}
			}
			return false
		}
		union, both, minus := sets[0].Union(sets[1]), sets[0].Intersect(sets[1]), sets[0].Minus(sets[1])
		firstMinus := ""
		for _, n := range names {
			x, y := in(a, n.String()), in(b, n.String())
			for _, c := range []struct {
				op        string
				got, want bool
			}{
				{"a", sets[0].Contains(n), x}, {"union", union.Contains(n), x || y},
				{"intersect", both.Contains(n), x && y}, {"minus", minus.Contains(n), x && !y},
			} {
				if c.got != c.want {
					t.Fatalf("%v %s %v: %s is in it: %v, want %v", a, c.op, b, n, c.got, c.want)
				}
			}
			if x && !y && (firstMinus == "" || len(n.String()) < len(firstMinus)) {
				firstMinus = n.String()
			}
		}
		w, ok := minus.Witness()
		if ok && (!in(a, w.String()) || in(b, w.String())) {
			t.Fatalf("%v minus %v: witness %s is not in it", a, b, w)
		}
		if firstMinus != "" && (!ok || len(w.String()) > len(firstMinus)) {
			t.Fatalf("%v minus %v: witness %q, %s is shorter", a, b, w, firstMinus)
		}
		if !union.Covers(sets[0]) || !sets[0].Covers(both) || !sets[0].Equal(minus.Union(both)) || minus.IsEmpty() != sets[1].Covers(sets[0]) {
			t.Fatalf("%v and %v break a law", a, b)
		}
		for _, s := range []Set{sets[0], sets[1], union, both, minus} {
			first, some := s.Witness()
			if only, ok := s.Only(); ok != (some && Of(Exact(first)).Covers(s)) || ok && only != first {
				t.Fatalf("%v and %v: the one name of a set is %q, %t; its first is %q", a, b, only, ok, first)
			}
		}
	}
}

func TestWhatIsNoNameIsNoPattern(t *testing.T) {
	for about, in := range map[string]string{
		"nothing": "", "a dot": ".", "a blank": "a b", "an underscore in another alphabet": "a＿b",
		"a letter that is k only in lower case": "\u212aubernetes.io", "no text": "\xe3.example",
	} {
		if g, err := Parse(in); err == nil {
			t.Errorf("%s: %q is read as %v", about, in, g)
		}
	}
}

func TestTheUniverseIsWhatNamesAre(t *testing.T) {
	all := All()
	for _, n := range short(5) {
		if !all.Contains(n) {
			t.Errorf("%s is not in the universe", n)
		}
	}
	if w, ok := all.Witness(); !ok || w.String() != "a" {
		t.Errorf("witness %s", w)
	}
	if w, ok := Of(mustParse(t, "1*")).Witness(); !ok || w.String() != "1a" {
		t.Errorf("witness %q of 1*: a last label of digits is an address", w)
	}
	if !Of(mustParse(t, "**.1")).IsEmpty() || !Of(mustParse(t, "-a.com")).IsEmpty() || !Of(mustParse(t, "a..com")).IsEmpty() {
		t.Error("a pattern that no name can match is not empty")
	}
}

// TestTenThousandPatternsTakeSeconds guards the shape of the cost, generously.
func TestTenThousandPatternsTakeSeconds(t *testing.T) {
	var globs, other []Glob
	for i := range 10000 {
		globs = append(globs, mustParse(t, fmt.Sprintf("**.host%d.zone%d.example.com", i, i%97)))
		other = append(other, mustParse(t, fmt.Sprintf("www.host%d.zone%d.example.com", i, i%97)))
	}
	begin := time.Now()
	a, b := Of(globs...), Of(other...)
	if !a.Covers(b) || b.Covers(a) {
		t.Error("wildcards do not cover the names under them")
	}
	t.Logf("10,000 patterns on either side: %v", time.Since(begin))
	if time.Since(begin) > 20*time.Second {
		t.Error("that is not linear")
	}
}

func FuzzSet(f *testing.F) {
	f.Add("**.a.b", "*.a.b", "x.a.b")
	f.Add("a*b**", "**", "ab.c")
	f.Fuzz(func(t *testing.T, p, q, name string) {
		a, err := Parse(p)
		b, err2 := Parse(q)
		n, err3 := dnsname.Parse(name)
		if err != nil || err2 != nil || err3 != nil || len(p)+len(q) > 60 {
			return
		}
		s, u := Of(a), Of(b)
		if s.Minus(u).Contains(n) != (s.Contains(n) && !u.Contains(n)) || s.Union(u).Contains(n) != (s.Contains(n) || u.Contains(n)) {
			t.Fatalf("%s, %s, %s", p, q, n)
		}
		if w, ok := s.Minus(u).Witness(); ok && (!s.Contains(w) || u.Contains(w)) {
			t.Fatalf("%s minus %s: witness %s", p, q, w)
		}
	})
}
