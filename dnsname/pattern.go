// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package dnsname

import (
	"fmt"
	"strings"
)

// Pattern is a set of names: either one name, or every name under an apex. The
// zero Pattern matches nothing. Patterns compare with ==, and equal patterns
// are the only ones that hold the same names.
type Pattern struct {
	name Name
	kind kind
}

// kind tells how a Pattern's name is meant. Foreign forms (apex included, one
// label only) get kinds of their own when they are read.
type kind uint8

const (
	exact kind = iota // the name itself
	below             // every name under it, at any depth, not the name itself
)

// Exact returns the pattern that matches n alone.
func Exact(n Name) Pattern { return Pattern{name: n} }

// Under returns the pattern of every name below apex, and not apex itself.
func Under(apex Name) Pattern { return Pattern{name: apex, kind: below} }

// ParsePattern reads "mcr.microsoft.com", or "*.data.mcr.microsoft.com", which
// matches one or more labels under the apex and never the apex itself, as Azure
// application rules do. Other uses of a star are refused.
func ParsePattern(s string) (Pattern, error) {
	rest, wild := strings.CutPrefix(s, "*.")
	if strings.Contains(rest, "*") {
		return Pattern{}, fmt.Errorf("pattern %q: a star may only stand as the first label, as in *.example.com", s)
	}
	n, err := Parse(rest)
	if err != nil {
		return Pattern{}, fmt.Errorf("pattern %q: %w", s, err)
	}
	if !wild {
		return Exact(n), nil
	}
	if len(n.s) > MaxName-2 {
		return Pattern{}, fmt.Errorf("pattern %q leaves no room for a label under its apex", s)
	}
	return Pattern{name: n, kind: below}, nil
}

// MustParsePattern is ParsePattern for patterns written in source code; it
// panics on an error.
func MustParsePattern(s string) Pattern {
	p, err := ParsePattern(s)
	if err != nil {
		panic(err)
	}
	return p
}

// IsZero reports whether p is the pattern that matches nothing.
func (p Pattern) IsZero() bool { return p.name.IsZero() }

// Name returns the name that p matches; ok is false when p is a wildcard.
func (p Pattern) Name() (n Name, ok bool) { return p.name, p.kind == exact && !p.name.IsZero() }

// Apex returns the name under which p matches; ok is false when p is exact.
func (p Pattern) Apex() (apex Name, ok bool) { return p.name, p.kind == below }

// Contains reports whether p matches n.
func (p Pattern) Contains(n Name) bool {
	if p.kind == below {
		return n.Under(p.name)
	}
	return !n.IsZero() && n == p.name
}

// Covers reports whether every name of q is matched by p.
func (p Pattern) Covers(q Pattern) bool {
	switch {
	case q.IsZero():
		return true
	case p.IsZero():
		return false
	case p.kind == exact:
		return p == q
	case q.kind == exact:
		return q.name.Under(p.name)
	default:
		return q.name == p.name || q.name.Under(p.name)
	}
}

// Intersect returns the pattern that matches exactly the names of both; ok is
// false when they share none. Two patterns either nest or are disjoint, so a
// single pattern always says it.
func (p Pattern) Intersect(q Pattern) (both Pattern, ok bool) {
	switch {
	case p.IsZero() || q.IsZero():
		return Pattern{}, false
	case p.Covers(q):
		return q, true
	case q.Covers(p):
		return p, true
	default:
		return Pattern{}, false
	}
}

// Minus returns a shortest name that p matches and none of others does; ok is
// false when others cover p.
func (p Pattern) Minus(others ...Pattern) (witness Name, ok bool) {
	taken := make(map[Name]bool)
	for _, q := range others {
		if q.Covers(p) {
			return Name{}, false
		}
		if n, isExact := q.Name(); isExact && p.Contains(n) {
			taken[n] = true
		}
	}
	if p.IsZero() {
		return Name{}, false
	}
	if p.kind == exact {
		return p.name, true // not covered, so not taken either
	}
	// A wildcard among others that does not cover p has its apex under p's and
	// so never matches a name one label under p's apex. Only exact ones can, and
	// there are finitely many: one more label than those is enough to look at.
	room := min(MaxLabel, MaxName-1-len(p.name.s))
	for i, length := 0, 1; length <= room; i++ {
		label, fits := nthLabel(i, length)
		if !fits {
			i, length = -1, length+1
			continue
		}
		if n := (Name{label + "." + p.name.s}); !taken[n] {
			return n, true
		}
	}
	return Name{}, false
}

// nthLabel returns the i-th label of the given length over a-z and 0-9; ok is
// false when there are not that many.
func nthLabel(i, length int) (label string, ok bool) {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, length)
	for k := length - 1; k >= 0; k-- {
		b[k] = alphabet[i%len(alphabet)]
		i /= len(alphabet)
	}
	return string(b), i == 0
}

// String writes the pattern as ParsePattern reads it.
func (p Pattern) String() string {
	if p.kind == below {
		return "*." + p.name.s
	}
	return p.name.s
}

// MarshalText writes the pattern as String does.
func (p Pattern) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads a pattern as ParsePattern does; empty text is the zero
// Pattern.
func (p *Pattern) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*p = Pattern{}
		return nil
	}
	*p, err = ParsePattern(string(text))
	return err
}

// Compare orders patterns by name, the exact one before the wildcard.
func (p Pattern) Compare(q Pattern) int {
	if c := p.name.Compare(q.name); c != 0 {
		return c
	}
	return int(p.kind) - int(q.kind)
}
