// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"slices"

	"github.com/sallyport/sallyport/ruleset"
)

// Edits returns the edits of all findings of the report as one change. It is
// more than their sum: a rule that would be left without destinations goes, and
// so does a collection that would be left without rules, since firewalls refuse
// both.
func (r Report) Edits() []Edit {
	var edits []Edit
	for _, f := range r.Findings {
		edits = append(edits, f.Edits...)
	}
	if r.auditor == nil || len(edits) == 0 {
		return edits
	}
	a := r.auditor
	for _, rule := range a.rules.Rules {
		if len(rule.Terms) > 1 && !slices.ContainsFunc(rule.Terms, func(t ruleset.Term) bool { return !a.deleted(edits, t.Pos) }) {
			edits = append(edits, a.cutAt(rule.Pos)...)
		}
	}
	seen := make(map[ruleset.Position]bool)
	for _, rule := range a.rules.Rules {
		at := rule.CollectionPos
		if at == (ruleset.Position{}) || at == rule.Pos || seen[at] {
			continue
		}
		seen[at] = true
		if !slices.ContainsFunc(a.rules.Rules, func(o ruleset.Rule) bool { return o.CollectionPos == at && !a.deleted(edits, o.Pos) }) {
			edits = append(edits, a.cutAt(at)...)
		}
	}
	return append(edits, a.trailing(edits)...)
}

// deleted reports whether edits take away what stands at pos.
func (a *auditor) deleted(edits []Edit, pos ruleset.Position) bool {
	s, ok := a.at(pos)
	return ok && gone(edits, pos.File, s.off) >= 0
}

// gone returns where the deletion that takes the byte at off away begins, -1
// when none does.
func gone(edits []Edit, file string, off int) int {
	for _, e := range edits {
		if e.File == file && e.Text == "" && e.Start <= off && off < e.End {
			return e.Start
		}
	}
	return -1
}

// cutAt removes the object or block at pos.
func (a *auditor) cutAt(pos ruleset.Position) []Edit {
	s, ok := a.at(pos)
	if !ok || s.lang == shell {
		return nil
	}
	start, end, ok := s.element("")
	if !ok {
		return nil
	}
	return s.cut(start, end, true)
}

// trailing removes the commas of JSON behind which nothing is left: each edit
// alone takes its own comma, and the last of a list takes the one before it,
// which an edit of its neighbour may have taken already.
func (a *auditor) trailing(edits []Edit) []Edit {
	var out []Edit
	for _, e := range edits {
		s := script{file: e.File, src: a.rules.Text[e.File], lang: languageOf(e.File)}
		if e.Text != "" || s.lang != json {
			continue
		}
		after := e.End
		for after < len(s.src) && (isSpace(s.src[after]) || gone(edits, e.File, after) >= 0) {
			after++
		}
		if after == len(s.src) || s.src[after] != ']' && s.src[after] != '}' {
			continue
		}
		before := s.before(e.Start)
		for before >= 0 {
			start := gone(edits, e.File, before)
			if start < 0 {
				break
			}
			before = s.before(start)
		}
		if before >= 0 && s.src[before] == ',' {
			out = append(out, Edit{e.File, before, before + 1, ""})
		}
	}
	return out
}
