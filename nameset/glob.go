// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nameset

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/dnsname"
)

// Glob is one pattern over names: literal text and stars. The zero Glob matches
// nothing.
type Glob struct {
	elements []element // from the end of the name to its beginning
	text     string
}

// element is one character, or a star.
type element struct {
	kind   kind
	symbol int8 // of literal
}

type kind uint8

const (
	literal kind = iota
	inLabels
	anything
)

// Exact matches n alone.
func Exact(n dnsname.Name) Glob { return glob(n.String(), n.String()) }

// Under matches every name below apex, at any depth, and not apex.
func Under(apex dnsname.Name) Glob { return glob("**."+apex.String(), "*."+apex.String()) }

// Everything matches every name.
func Everything() Glob { return glob("**", "*") }

// Parse reads a pattern in which "*" stands for any characters of one label,
// possibly none, and "**" for any characters, dots too, possibly none. Each
// dialect says in these terms what its own stars mean.
func Parse(s string) (Glob, error) {
	text := strings.TrimSuffix(s, ".")
	lower := strings.ToLower(text)
	if lower == "" {
		return Glob{}, fmt.Errorf("pattern %q is empty", s)
	}
	for i := range len(lower) {
		// Some letters beyond ASCII have a lower case in it.
		if lower[i] != '*' && symbolOf[lower[i]] < 0 || len(lower) != len(text) {
			return Glob{}, fmt.Errorf("pattern %q has a character other than letters, digits, hyphens, dots and stars", s)
		}
	}
	return glob(lower, s), nil
}

// glob reads text that is known to be of the alphabet, with stars.
func glob(text, shown string) Glob {
	g := Glob{text: shown}
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] != '*' {
			g.elements = append(g.elements, element{literal, symbolOf[text[i]]})
			continue
		}
		k := inLabels
		for i > 0 && text[i-1] == '*' {
			k = anything
			i--
		}
		g.elements = append(g.elements, element{kind: k})
	}
	return g
}

// String writes the pattern as it was given.
func (g Glob) String() string { return g.text }
