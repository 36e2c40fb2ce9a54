// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Span is a stretch of editions. Ids of editions are days of publication, with
// a suffix where a day has two, and are ordered as text.
type Span struct {
	Since string // first edition, inclusive
	Until string // first edition after, exclusive; "": still listed in the newest known one
}

// Contains reports whether the edition called id lies in s.
func (s Span) Contains(id string) bool { return s.Since <= id && (s.Until == "" || id < s.Until) }

// String writes the span as the data files do.
func (s Span) String() string { return s.Since + ".." + s.Until }

func spanAt(spans []Span, id string) (Span, bool) {
	for _, s := range spans {
		if s.Contains(id) {
			return s, true
		}
	}
	return Span{}, false
}

// Day returns the day of publication that an edition's id begins with, 00:00
// UTC; the zero time for "".
func Day(id string) time.Time {
	if len(id) < len(time.DateOnly) {
		return time.Time{}
	}
	t, err := time.Parse(time.DateOnly, id[:len(time.DateOnly)])
	if err != nil {
		return time.Time{}
	}
	return t
}

// parseID checks the id of an edition: a date, and where a day has several a
// suffix from ".1" to ".9", so that ids are ordered as text.
func parseID(s string) error {
	day, suffix, _ := strings.Cut(s, ".")
	if _, err := time.Parse(time.DateOnly, day); err != nil {
		return fmt.Errorf("edition %q is not a date such as 2020-05-26", s)
	}
	if strings.Contains(s, ".") && (len(suffix) != 1 || suffix[0] < '1' || suffix[0] > '9') {
		return fmt.Errorf("edition %q has a suffix that is not .1 to .9", s)
	}
	return nil
}

// parseSpan reads "2019-06-06..2020-07-01" or, still listed, "2019-06-06..".
func parseSpan(s string) (Span, error) {
	from, to, ok := strings.Cut(s, "..")
	if !ok {
		return Span{}, fmt.Errorf("span %q is not two dates with .. between", s)
	}
	if err := parseID(from); err != nil {
		return Span{}, fmt.Errorf("span %q does not begin with a date", s)
	}
	if to != "" && (parseID(to) != nil || to <= from) {
		return Span{}, fmt.Errorf("span %q does not end with a later date", s)
	}
	return Span{from, to}, nil
}

// relist returns spans changed so that exactly the editions of [id, next) are
// in them, or not; next is "" for the end of time.
func relist(spans []Span, id, next string, listed bool) []Span {
	before := func(a, b string) bool { return b == "" || a != "" && a < b } // ends: "" is last
	var out []Span
	for _, s := range spans {
		if s.Since < id {
			cut := s
			if s.Until == "" || s.Until > id {
				cut.Until = id
			}
			out = append(out, cut)
		}
		if next != "" && before(next, s.Until) && s.Until != next {
			out = append(out, Span{max(s.Since, next), s.Until})
		}
	}
	if listed {
		out = append(out, Span{id, next})
	}
	slices.SortFunc(out, func(a, b Span) int { return strings.Compare(a.Since, b.Since) })
	// Join what touches.
	var joined []Span
	for _, s := range out {
		if n := len(joined); n > 0 && joined[n-1].Until == s.Since {
			joined[n-1].Until = s.Until
			continue
		}
		joined = append(joined, s)
	}
	return joined
}
