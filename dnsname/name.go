// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package dnsname holds canonical DNS host names and patterns over them. A name
// is parsed once, at the border; behind it names are compared as values and
// never as text. Wildcard forms of foreign firewalls are not here: each dialect
// converts at its own border.
package dnsname

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Limits of RFC 1035 section 2.3.4, in octets of the written form without the
// trailing dot.
const (
	MaxName  = 253
	MaxLabel = 63
)

// Name is a canonical host name: lower case, A-labels, letters, digits and
// hyphens (RFC 1123 section 2.1), no trailing dot, lengths valid, and not an
// address. The zero Name is no name. Names compare with ==.
type Name struct{ s string }

// Parse makes a Name from s. It folds case, drops one trailing dot and turns
// international labels into A-labels (RFC 5891). Everything else that is not
// canonical is an error.
func Parse(s string) (Name, error) {
	in := s
	for i := range len(in) {
		if in[i] >= 0x80 {
			if !utf8.ValidString(in) {
				return Name{}, fmt.Errorf("name %q is not valid UTF-8", s)
			}
			a, err := idna.Lookup.ToASCII(in)
			if err != nil {
				return Name{}, fmt.Errorf("name %q is not a valid international name: %w", s, err)
			}
			in = a
			break
		}
	}
	b, err := AppendCanonical(nil, []byte(in))
	if err != nil {
		return Name{}, fmt.Errorf("name %q %w", s, err)
	}
	return Name{string(b)}, nil
}

// MustParse is Parse for names written in source code; it panics on an error.
func MustParse(s string) Name {
	n, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return n
}

// Errors of AppendCanonical, worded to follow "name ... ".
var (
	errEmpty     = errors.New("is empty")
	errLong      = errors.New("is longer than 253 characters")
	errLabel     = errors.New("has an empty label or one longer than 63 characters")
	errHyphen    = errors.New("has a label that begins or ends with a hyphen")
	errCharacter = errors.New("has a character other than letters, digits, hyphens and dots")
	errAddress   = errors.New("is an address or ends in a number, not a host name")
)

// IsAddress reports whether err, from Parse or AppendCanonical, says that the
// text was an address rather than a name.
func IsAddress(err error) bool { return errors.Is(err, errAddress) }

// AppendCanonical appends the canonical form of the ASCII host name in src to
// dst and returns it. It is what the packet path uses: with room in dst it does
// not allocate. A name whose last label is all digits, or that is an IPv6
// literal with or without brackets, is refused as an address (WHATWG URL,
// "ends in a number", read 2026-11-22).
func AppendCanonical(dst, src []byte) ([]byte, error) {
	if n := len(src); n > 0 && src[n-1] == '.' {
		src = src[:n-1]
	}
	if len(src) == 0 {
		return dst, errEmpty
	}
	if len(src) > MaxName {
		return dst, errLong
	}
	begin := len(dst)
	label, digits := 0, true // length of the current label; whether it is all digits
	for i, c := range src {
		switch {
		case c == '.':
			if label == 0 || label > MaxLabel {
				return dst[:begin], errLabel
			}
			if src[i-1] == '-' {
				return dst[:begin], errHyphen
			}
			label, digits = 0, true
			dst = append(dst, c)
			continue
		case c == '-':
			if label == 0 {
				return dst[:begin], errHyphen
			}
			digits = false
		case c >= '0' && c <= '9':
		case c >= 'a' && c <= 'z':
			digits = false
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
			digits = false
		case c == '[' || c == ':' && bytes.Count(src, []byte{':'}) > 1:
			return dst[:begin], errAddress
		default:
			return dst[:begin], errCharacter
		}
		label++
		dst = append(dst, c)
	}
	if label == 0 || label > MaxLabel {
		return dst[:begin], errLabel
	}
	if src[len(src)-1] == '-' {
		return dst[:begin], errHyphen
	}
	if digits || isHexNumber(dst[len(dst)-label:]) {
		return dst[:begin], errAddress
	}
	return dst, nil
}

// isHexNumber reports whether label reads as a hexadecimal number ("0x7f"),
// which some resolvers take as the last part of an IPv4 address.
func isHexNumber(label []byte) bool {
	if len(label) < 2 || label[0] != '0' || label[1] != 'x' {
		return false
	}
	for _, c := range label[2:] {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// String returns the canonical text, "" for the zero Name.
func (n Name) String() string { return n.s }

// IsZero reports whether n is no name.
func (n Name) IsZero() bool { return n.s == "" }

// Parent returns the name without its first label; ok is false when it has
// only one.
func (n Name) Parent() (parent Name, ok bool) {
	_, rest, ok := strings.Cut(n.s, ".")
	return Name{rest}, ok
}

// Under reports whether n lies below apex, at any depth; a name is not under
// itself.
func (n Name) Under(apex Name) bool {
	return !apex.IsZero() && len(n.s) > len(apex.s) && strings.HasSuffix(n.s, apex.s) &&
		n.s[len(n.s)-len(apex.s)-1] == '.'
}

// Compare orders names by their labels from the right, so that the names of a
// zone stand together.
func (n Name) Compare(m Name) int {
	a, b := n.s, m.s
	for {
		i, j := strings.LastIndexByte(a, '.'), strings.LastIndexByte(b, '.')
		if c := strings.Compare(a[i+1:], b[j+1:]); c != 0 {
			return c
		}
		switch {
		case i < 0 && j < 0:
			return 0
		case i < 0:
			return -1
		case j < 0:
			return 1
		}
		a, b = a[:i], b[:j]
	}
}

// MarshalText writes the canonical text.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.s), nil }

// UnmarshalText reads a name as Parse does; empty text is the zero Name.
func (n *Name) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*n = Name{}
		return nil
	}
	*n, err = Parse(string(text))
	return err
}

// LooksLikeAddress reports whether s would be taken for an IP address by
// something that is less strict than Parse.
func LooksLikeAddress(s string) bool {
	if _, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return true
	}
	_, err := AppendCanonical(nil, []byte(s))
	return IsAddress(err)
}
