// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"

	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/ruleset"
)

// Difference is something that one of two rule sets lets through and the other
// does not.
type Difference struct {
	In      string // file of the one that lets it through
	NotIn   string // file of the other
	Pos     ruleset.Position
	Rule    string // "" for what is let through because no rule denies it
	Term    string
	All     bool   // everything of the term; else only a part of it
	Flows   string // kinds and ports
	Witness flowset.Flow
	Unknown bool   // only possibly, since a part of either is not known
	Why     string // what is not known
}

// Compare returns what two rule sets let through differently, those that are
// certain first: each difference is part of one term of one rule.
func Compare(a, b *ruleset.RuleSet) []Difference {
	ea, eb := a.Evaluate(), b.Evaluate()
	sure := append(only(a, b, ea, eb, false), only(b, a, eb, ea, false)...)
	return append(append(sure, only(a, b, ea, eb, true)...), only(b, a, eb, ea, true)...)
}

// only returns what a lets through and b does not: for certain, or possibly and
// not for certain.
func only(a, b *ruleset.RuleSet, ea, eb ruleset.Effect, possibly bool) []Difference {
	var out []Difference
	var explained []flowset.Box
	whole := ea.Sure.Minus(eb.Maybe)
	if possibly {
		whole = ea.Maybe.Minus(eb.Sure).Minus(whole)
	}
	if whole.IsEmpty() {
		return nil
	}
	for _, r := range a.Rules {
		if r.Action != ruleset.Allow || r.Kind == ruleset.NAT || r.Dead != "" {
			continue
		}
		for _, t := range r.Terms {
			part := t.Sure
			if possibly {
				part = t.Maybe
			}
			extra := part.Intersect(whole)
			w, ok := extra.Witness()
			if !ok {
				continue
			}
			explained = append(explained, extra.Boxes()...)
			d := Difference{
				In: a.Files[0], NotIn: b.Files[0], Pos: t.Pos, Rule: r.String(), Term: t.Text, Flows: describe(extra),
				All: extra.Covers(part), Witness: w, Unknown: possibly,
			}
			if possibly {
				d.Why = unknownOf(r, b)
			}
			out = append(out, d)
		}
	}
	rest := whole.Minus(flowset.Of(explained...))
	if w, ok := rest.Witness(); ok {
		out = append(out, Difference{In: a.Files[0], NotIn: b.Files[0], Flows: describe(rest), Witness: w, All: true, Unknown: possibly})
	}
	return out
}

// unknownOf says what is not known of a rule, or of the rules it is compared with.
func unknownOf(r ruleset.Rule, other *ruleset.RuleSet) string {
	for _, u := range r.Unknown {
		return fmt.Sprintf("%s: %s %s", u.Part, u.Text, u.Why)
	}
	for _, o := range other.Rules {
		for _, u := range o.Unknown {
			return fmt.Sprintf("%s: %s %s: %s", u.Pos, u.Part, u.Text, u.Why)
		}
	}
	return ""
}
