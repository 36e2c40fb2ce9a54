// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package dnsname

import (
	"regexp"
	"strings"
	"testing"
)

var (
	label63 = strings.Repeat("a", 63)
	name253 = strings.Repeat(label63+".", 3) + strings.Repeat("b", 61)
)

func TestParse(t *testing.T) {
	for about, tt := range map[string]struct{ in, want string }{
		"a plain name":                             {"mcr.microsoft.com", "mcr.microsoft.com"},
		"case is folded":                           {"MCR.Microsoft.COM", "mcr.microsoft.com"},
		"one trailing dot is dropped":              {"mcr.microsoft.com.", "mcr.microsoft.com"},
		"one label is a name":                      {"localhost", "localhost"},
		"a label may begin with a digit":           {"1password.com", "1password.com"},
		"a label may be all digits but the last":   {"1.2.3.example", "1.2.3.example"},
		"a last label with a letter is no number":  {"1.2.3.4a", "1.2.3.4a"},
		"a last label of 0xg is no number":         {"0xg", "0xg"},
		"a last label of x7f is no number":         {"0.x7f", "0.x7f"},
		"two hyphens in a label pass":              {"a--b.example", "a--b.example"},
		"an A-label passes":                        {"xn--bcher-kva.example", "xn--bcher-kva.example"},
		"an international label becomes one":       {"Bücher.example", "xn--bcher-kva.example"},
		"a decomposed umlaut is the same":          {"bu\u0308cher.example", "xn--bcher-kva.example"},
		"an ideographic full stop separates":       {"mcr。microsoft。com", "mcr.microsoft.com"},
		"full-width letters are the plain ones":    {"ｍｃｒ.microsoft.com", "mcr.microsoft.com"},
		"a Cyrillic a is not an a":                 {"\u0430pple.com", "xn--pple-43d.com"},
		"a label of 63 characters":                 {label63 + ".com", label63 + ".com"},
		"a name of 253 characters":                 {name253, name253},
		"a name of 253 characters and a final dot": {name253 + ".", name253},
	} {
		n, err := Parse(tt.in)
		if err != nil || n.String() != tt.want {
			t.Errorf("%s: Parse(%q) = %q, %v, want %q", about, tt.in, n, err, tt.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for about, in := range map[string]string{
		"nothing":                         "",
		"a dot":                           ".",
		"a leading dot":                   ".example",
		"two dots":                        "a..example",
		"two trailing dots":               "a.example..",
		"254 characters":                  name253 + "b",
		"254 characters and a final dot":  name253 + "b.",
		"64 characters in a label":        label63 + "a.com",
		"64 characters in the last label": "a." + label63 + "a",
		"a hyphen in front":               "-a.example",
		"a hyphen behind":                 "a-.example",
		"a hyphen behind the last label":  "a.example-",
		"a hyphen in front of the last":   "a.-example",
		"a hyphen alone":                  "-",
		"an underscore":                   "a_b.example",
		"a service label":                 "_tcp.example",
		"a space":                         "a b.example",
		"a leading space":                 " a.example",
		"a line feed behind":              "a.example\n",
		"a NUL":                           "a.example\x00.b",
		"a percent NUL":                   "a.example%00",
		"a percent escape":                "a%2eexample",
		"a star":                          "*.example",
		"a port":                          "a.example:443",
		"a path":                          "a.example/b",
		"a user":                          "b@a.example",
		"a backslash":                     `a\.example`,
		"Latin-1, not UTF-8":              "b\xfccher.example",
		"a replacement character":         "b\ufffdcher.example",
		"a cut UTF-8 sequence":            "a\xc3.example",
		"a surrogate in UTF-8":            "a\xed\xa0\x80.example",
		"a zero-width joiner":             "a\u200db.example",
		"a right-to-left override":        "a\u202eb.example",
		"a byte order mark alone":         "\ufeff",
		"a full-width underscore":         "a＿b.example",
		"a full-width percent":            "a％00.example",
		"an international label too long": strings.Repeat("ü", 63) + ".com",
	} {
		n, err := Parse(in)
		if err == nil || !n.IsZero() {
			t.Errorf("%s: Parse(%q) = %q, want an error", about, in, n)
		}
		if IsAddress(err) || LooksLikeAddress(in) {
			t.Errorf("%s: %q is no address: %v", about, in, err)
		}
	}
}

func TestParseRefusesAddresses(t *testing.T) {
	for _, in := range []string{
		"1.2.3.4", "1.2.3.4.", "127.1", "2130706433", "0x7f.1", "0x7f000001", "0X7F.0.0.1", "127.0.0.0x1", "0x", "a.0x",
		"0177.0.0.1", "1.2.3.4.5", "a.example.1", "256.256.256.256", "::1", "2001:db8::1", "::ffff:1.2.3.4",
		"[::1]", "[::1]:443", "[1.2.3.4]", "fe80::1%eth0", "１.２.３.４", "1。2。3。4",
	} {
		n, err := Parse(in)
		if !IsAddress(err) || !n.IsZero() {
			t.Errorf("Parse(%q) = %q, %v, want an address error", in, n, err)
		}
	}
	for _, in := range []string{"1.2.3.4", "::1", "[::1]", "fe80::1%eth0", "0x7f.1"} {
		if !LooksLikeAddress(in) {
			t.Errorf("LooksLikeAddress(%q) = false", in)
		}
	}
	if LooksLikeAddress("a.example") {
		t.Error("LooksLikeAddress(a.example) = true")
	}
}

// The packet path takes ASCII alone: what Parse maps, a client must have sent
// mapped.
func TestAppendCanonicalTakesNoInternationalText(t *testing.T) {
	for _, in := range []string{"bücher.example", "mcr。microsoft。com", "ｍcr.microsoft.com", "\u0430pple.com"} {
		if out, err := AppendCanonical(nil, []byte(in)); err == nil || IsAddress(err) {
			t.Errorf("AppendCanonical(%q) = %q, %v, want an error about characters", in, out, err)
		}
	}
}

func TestAppendCanonicalKeepsWhatIsThere(t *testing.T) {
	dst := append(make([]byte, 0, 64), "before "...)
	if out, err := AppendCanonical(dst, []byte("A.Example.")); err != nil || string(out) != "before a.example" {
		t.Errorf("got %q, %v", out, err)
	}
	for _, in := range []string{"", "a_b", "a..b", "a-", "1.2.3.4", name253 + "b"} {
		if out, err := AppendCanonical(dst, []byte(in)); err == nil || string(out) != "before " {
			t.Errorf("after %q: %q, %v", in, out, err)
		}
	}
}

func TestNoAllocs(t *testing.T) {
	buf := make([]byte, 0, MaxName)
	for _, in := range []string{"MCR.microsoft.com.", "10.0.0.1", "[::1]", "a_b", name253} {
		src := []byte(in)
		if n := testing.AllocsPerRun(100, func() {
			_, err := AppendCanonical(buf, src)
			_ = IsAddress(err)
		}); n != 0 {
			t.Errorf("%s: %v allocations", in, n)
		}
	}
}

func TestNameParentAndUnder(t *testing.T) {
	n := MustParse("a.b.example")
	for _, tt := range []struct {
		apex string
		want bool
	}{
		{"b.example", true}, {"example", true}, {"a.b.example", false}, {"x.a.b.example", false},
		{".example", false}, {"le", false}, {"xample", false}, {"b.exampl", false},
	} {
		apex, _ := Parse(tt.apex)
		if got := n.Under(apex); got != tt.want {
			t.Errorf("%s under %q: %t, want %t", n, tt.apex, got, tt.want)
		}
	}
	var parents []string
	for p, ok := n.Parent(); ok; p, ok = p.Parent() {
		parents = append(parents, p.String())
	}
	if got := strings.Join(parents, " "); got != "b.example example" {
		t.Errorf("parents %q", got)
	}
	if _, ok := (Name{}).Parent(); ok || (Name{}).Under(n) || n.Under(Name{}) {
		t.Error("the zero name has relations")
	}
}

func TestNameCompareKeepsZonesTogether(t *testing.T) {
	sorted := []string{"com", "example.com", "a.example.com", "b.a.example.com", "b.example.com", "example-a.com", "net"}
	for i, a := range sorted {
		for j, b := range sorted {
			if got := MustParse(a).Compare(MustParse(b)); sign(got) != sign(i-j) {
				t.Errorf("%s against %s: %d", a, b, got)
			}
		}
	}
}

func sign(n int) int { return max(-1, min(1, n)) }

// What AppendCanonical accepts, said once more and slowly.
var (
	hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	number   = regexp.MustCompile(`(^|\.)([0-9]+|0x[0-9a-f]*)$`)
)

func slowCanonical(s string) (string, bool) {
	s = strings.TrimSuffix(s, ".")
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 32
		}
	}
	s = string(b)
	return s, len(s) <= 253 && hostName.MatchString(s) && !number.MatchString(s)
}

// FuzzName states: nothing panics; AppendCanonical agrees with its slow twin;
// what Parse gives is canonical, within the limits, and parses to itself; it
// survives text; and comparison is an order that agrees with equality.
func FuzzName(f *testing.F) {
	for _, s := range []string{"MCR.microsoft.com.", "bücher.example", "1.2.3.4", "0x7f.1", "[::1]", "a%00b", "a_b", name253, name253 + ".", "xn--a", "a..b", "-", "。"} {
		f.Add(s, "b.example")
	}
	f.Fuzz(func(t *testing.T, s, s2 string) {
		out, err := AppendCanonical(nil, []byte(s))
		slow, ok := slowCanonical(s)
		if ok != (err == nil) || ok && string(out) != slow {
			t.Fatalf("AppendCanonical(%q) = %q, %v, slowly %q %t", s, out, err, slow, ok)
		}
		n, err := Parse(s)
		if ok && (err != nil || n.String() != slow) {
			t.Fatalf("Parse(%q) = %q, %v, slowly %q", s, n, err, slow)
		}
		if err != nil {
			if !n.IsZero() {
				t.Fatalf("Parse(%q) = %q with %v", s, n, err)
			}
			return
		}
		if slow, ok := slowCanonical(n.String()); !ok || slow != n.String() {
			t.Fatalf("Parse(%q) = %q is not canonical", s, n)
		}
		if again, err := Parse(n.String()); err != nil || again != n {
			t.Fatalf("Parse(%q) = %q, again %q, %v", s, n, again, err)
		}
		text, _ := n.MarshalText()
		var back Name
		if err := back.UnmarshalText(text); err != nil || back != n {
			t.Fatalf("%q came back as %q, %v", n, back, err)
		}
		for _, l := range strings.Split(n.String(), ".") {
			if len(l) < 1 || len(l) > MaxLabel {
				t.Fatalf("%q has a label of %d", n, len(l))
			}
		}
		if p, ok := n.Parent(); ok && !n.Under(p) || n.Under(n) {
			t.Fatalf("%q is not just under its parent", n)
		}
		m, _ := Parse(s2)
		if sign(n.Compare(m)) != -sign(m.Compare(n)) || (n.Compare(m) == 0) != (n == m) {
			t.Fatalf("%q against %q: %d and %d", n, m, n.Compare(m), m.Compare(n))
		}
		if n.Under(m) != strings.HasSuffix(n.String(), "."+m.String()) && !m.IsZero() {
			t.Fatalf("%q under %q: %t", n, m, n.Under(m))
		}
	})
}
