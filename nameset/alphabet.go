// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package nameset holds sets of host names as foreign firewalls write them:
// exact names, wildcards of any depth, of one label, with or without the apex,
// stars that do not stop at a dot, and stars in the middle. Sets are exact
// under union, intersection and difference, and name a shortest member.
//
// A set is a deterministic automaton that reads a name from its end, since what
// patterns share is at their end. The universe is every name that
// dnsname.Parse takes, but for its limits of length.
package nameset

// The alphabet of canonical names (RFC 1123 section 2.1), letters first so that
// witnesses are readable.
const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789-."

const (
	symbols = len(alphabet)
	hyphen  = symbols - 2
	dot     = symbols - 1
	firstDg = 26 // index of '0'
)

var symbolOf = func() (t [256]int8) {
	for i := range t {
		t[i] = -1
	}
	for i := range alphabet {
		t[alphabet[i]] = int8(i)
	}
	return t
}()

// valid is where a reader of a name from its end stands in the universe.
type valid uint8

const (
	atEnd      valid = iota // nothing read
	tldDigits               // in the last label, digits so far: no name yet
	tldHyphen               // in the last label, behind a hyphen
	tldLabel                // in the last label, a name
	labelStart              // behind a dot
	inHyphen                // in a label, behind a hyphen
	inLabel                 // in a label, a name
	invalid
)

// next reads one more character, leftwards. A last label of digits alone would
// be an address; a hyphen makes it one no longer, as dnsname.Parse has it.
func (v valid) next(c int) valid {
	digit := c >= firstDg && c < hyphen
	switch v {
	case atEnd:
		switch {
		case c == dot || c == hyphen:
			return invalid
		case digit:
			return tldDigits
		}
		return tldLabel
	case tldDigits:
		switch {
		case c == dot:
			return invalid
		case c == hyphen:
			return tldHyphen
		case digit:
			return tldDigits
		}
		return tldLabel
	case tldHyphen:
		switch c {
		case dot:
			return invalid
		case hyphen:
			return tldHyphen
		}
		return tldLabel
	case tldLabel, inLabel:
		switch c {
		case dot:
			return labelStart
		case hyphen:
			if v == tldLabel {
				return tldHyphen
			}
			return inHyphen
		}
		return v
	case labelStart:
		if c == dot || c == hyphen {
			return invalid
		}
		return inLabel
	case inHyphen:
		switch c {
		case dot:
			return invalid
		case hyphen:
			return inHyphen
		}
		return inLabel
	}
	return invalid
}

// accepts reports whether what was read is a name.
func (v valid) accepts() bool { return v == tldLabel || v == inLabel }
