// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cilium

import (
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/nameset"
)

// What Cilium takes in names and patterns (pkg/policy/api/fqdn.go, 1.19.0).
var (
	nameChars    = regexp.MustCompile(`^[-a-zA-Z0-9_.]{1,255}$`)
	patternChars = regexp.MustCompile(`^[-a-zA-Z0-9_.*]{1,255}$`)
	onlyStars    = regexp.MustCompile(`^[*]+[.]?$`)
	deepPrefix   = regexp.MustCompile(`^[*]{2,}[.]`)
	stars        = regexp.MustCompile(`[*]+`)
)

// names is what one selector of toFQDNs matches.
type names struct {
	sure, maybe nameset.Set
	why         string // why they differ, or what is unknown
	refused     string // why Cilium does not take the policy
	note        string
}

func exactly(s nameset.Set) names { return names{sure: s, maybe: s} }

// matchName reads a literal name. One that no host can have matches nothing.
func matchName(text string) names {
	if !nameChars.MatchString(text) {
		return names{refused: "matchName takes letters, digits, hyphens and dots alone"}
	}
	n, err := dnsname.Parse(text)
	if err != nil {
		return names{note: err.Error() + ": no client asks for it"}
	}
	return exactly(nameset.Of(nameset.Exact(n)))
}

// matchPattern reads a pattern as pkg/fqdn/matchpattern/matchpattern.go does.
// "*" is any characters of one label, possibly none; "*" alone is every name;
// "**." at the beginning is any depth from 1.19, and "*." before.
func (r *reader) matchPattern(text string) names {
	if !patternChars.MatchString(text) {
		return names{refused: "matchPattern takes letters, digits, hyphens, dots and stars alone"}
	}
	if text == "*" {
		return exactly(nameset.All())
	}
	older, newer := r.glob(stars.ReplaceAllString(text, "*")), names{}
	switch {
	case onlyStars.MatchString(text):
		newer = exactly(nameset.All())
	case deepPrefix.MatchString(text):
		rest := deepPrefix.ReplaceAllString(text, "")
		newer = r.glob("**." + stars.ReplaceAllString(rest, "*"))
	default:
		return older
	}
	switch {
	case r.o.Version.anyDepth():
		return newer
	case r.o.Version.Known():
		return older
	}
	return names{sure: older.sure, maybe: newer.maybe, why: "Cilium 1.19 and newer take this for any depth, older ones for one label"}
}

// Budgets for patterns with stars after their first label, whose union may take
// an automaton as large as the product of them.
const (
	maxOneStar   = 64
	maxManyStars = 4
	maxStarText  = 100
)

// glob reads a pattern in nameset's own terms.
func (r *reader) glob(text string) names {
	text = strings.TrimSuffix(text, ".")
	if strings.Contains(text, "_") {
		return names{note: "no host name has an underscore"}
	}
	inner := strings.Count(strings.TrimLeft(text, "*."), "*")
	switch {
	case inner == 1:
		r.oneStar++
	case inner > 1:
		r.manyStars++
	}
	if inner > 0 && (r.oneStar > maxOneStar || r.manyStars > maxManyStars || len(text) > maxStarText) {
		return names{maybe: nameset.All(), why: "there are too many stars inside of names to follow"}
	}
	g, err := nameset.Parse(text)
	if err != nil {
		return names{maybe: nameset.All(), why: err.Error()}
	}
	return exactly(nameset.Of(g))
}
