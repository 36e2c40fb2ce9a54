// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/ruleset"
)

// dropTerm removes one destination of a rule, or the rule when it is the last.
func (a *auditor) dropTerm(r ruleset.Rule, t ruleset.Term) []Edit {
	if len(r.Terms) <= 1 {
		return a.dropRule(r)
	}
	return a.drop(ruleset.Word{Pos: t.Pos, Text: t.Text})
}

// dropPort removes one port of a rule, or the rule when it is the only one.
func (a *auditor) dropPort(r ruleset.Rule, port string) []Edit {
	for _, w := range r.Ports {
		if w.Text != port {
			continue
		}
		if len(r.Ports) == 1 {
			return a.dropRule(r)
		}
		return a.drop(w)
	}
	return nil
}

// repeated reports whether a loop makes several rules or destinations of what
// stands at pos: a change there changes them all.
func (a *auditor) repeated(pos ruleset.Position) bool {
	if a.times == nil {
		a.times = make(map[ruleset.Position]int)
		for _, r := range a.rules.Rules {
			a.times[r.Pos]++
			for _, t := range r.Terms {
				if t.Pos != r.Pos {
					a.times[t.Pos]++
				}
			}
		}
	}
	return a.times[pos] > 1
}

// drop removes an element of a list, nil when it does not stand there as such.
func (a *auditor) drop(w ruleset.Word) []Edit {
	s, ok := a.at(w.Pos)
	if !ok || a.repeated(w.Pos) {
		return nil
	}
	start, end, ok := s.element(w.Text)
	if !ok {
		return nil
	}
	return s.cut(start, end, false)
}

// dropRule removes a whole rule.
func (a *auditor) dropRule(r ruleset.Rule) []Edit {
	s, ok := a.at(r.Pos)
	if !ok || a.repeated(r.Pos) {
		return nil
	}
	if s.lang == shell {
		start, end := s.command()
		// The command that says what a collection does cannot go before the others.
		if bytes.Contains(s.src[start:end], []byte("--priority")) && a.shares(r) {
			return nil
		}
		return []Edit{{r.Pos.File, start, end, ""}}
	}
	// A collection without rules is refused in some of the forms, so the last rule
	// takes it along.
	if r.CollectionPos != (ruleset.Position{}) && r.CollectionPos != r.Pos && !a.shares(r) {
		if whole, ok := a.at(r.CollectionPos); ok {
			if start, end, ok := whole.element(""); ok && start < s.off && s.off < end {
				if edits := whole.cut(start, end, true); edits != nil {
					return edits
				}
			}
		}
	}
	start, end, ok := s.element("")
	if !ok {
		return nil
	}
	return s.cut(start, end, true)
}

// shares reports whether another rule stands in the collection of r.
func (a *auditor) shares(r ruleset.Rule) bool {
	return slices.ContainsFunc(a.rules.Rules, func(o ruleset.Rule) bool {
		return o.Collection == r.Collection && o.CollectionPos == r.CollectionPos && o.Pos != r.Pos
	})
}

// setSource writes the cluster's own addresses in the place of a rule's sources.
func (a *auditor) setSource(r ruleset.Rule, own []string) []Edit {
	var out []Edit
	for i, w := range r.Sources {
		s, ok := a.at(w.Pos)
		if !ok {
			return nil
		}
		start, end, ok := s.element(w.Text)
		if !ok {
			return nil
		}
		if i == 0 {
			out = append(out, Edit{w.Pos.File, start, end, s.list(start, own)})
			continue
		}
		cut := s.cut(start, end, false)
		if cut == nil {
			return nil
		}
		out = append(out, cut...)
	}
	return out
}

// turnOff writes false in the place of true.
func (a *auditor) turnOff(w ruleset.Word) []Edit {
	s, ok := a.at(w.Pos)
	if !ok || !bytes.HasPrefix(s.src[s.off:], []byte(w.Text)) {
		return nil
	}
	return []Edit{{w.Pos.File, s.off, s.off + len(w.Text), "false"}}
}

// replaceTerm writes names in the place of one destination.
func (a *auditor) replaceTerm(t ruleset.Term, names []string) []Edit {
	s, ok := a.at(t.Pos)
	if !ok || a.repeated(t.Pos) {
		return nil
	}
	start, end, ok := s.element(t.Text)
	if !ok {
		return nil
	}
	return []Edit{{t.Pos.File, start, end, s.list(start, names)}}
}

// addTo writes a destination beside those of a rule that has just the kind,
// port and sources it needs, nil when there is none.
func (a *auditor) addTo(n need) []Edit {
	name := n.rule.Destination()
	if n.rule.Pattern.IsZero() {
		return nil
	}
	for _, r := range a.rules.Rules {
		if r.Action != ruleset.Allow || r.Dead != "" || r.Kind != ruleset.Application || len(r.Unknown) > 0 && !sourceUnknown(r) {
			continue
		}
		for _, t := range r.Terms {
			set := t.Sure
			if sourceUnknown(r) {
				set = withoutSource(t.Maybe)
			}
			boxes := set.Boxes()
			if len(boxes) != 1 || !fits(boxes[0], n.set) {
				continue
			}
			s, ok := a.at(t.Pos)
			if !ok {
				continue
			}
			start, _, ok := s.element(t.Text)
			if !ok {
				continue
			}
			if b := s.before(start); s.lang != shell && (b < 0 || s.src[b] != '[' && s.src[b] != ',' && s.lang != bicep) {
				continue
			}
			return []Edit{{t.Pos.File, start, start, s.list(start, []string{name}) + s.separator(start)}}
		}
	}
	return nil
}

// fits reports whether a box differs from a need in its names alone.
func fits(b flowset.Box, want flowset.Set) bool {
	for _, w := range want.Boxes() {
		if b.Class != w.Class || !b.Ports.Equal(w.Ports) || b.Nameless || !b.Src.Covers(w.Src) {
			return false
		}
	}
	return true
}

// at returns the file at pos; ok is false when its text is not at hand or its
// language is not edited.
func (a *auditor) at(pos ruleset.Position) (s script, ok bool) {
	s.file = pos.File
	s.src, ok = a.rules.Text[pos.File]
	if !ok || pos.Line == 0 || pos.Col == 0 {
		return s, false
	}
	starts := a.lineStarts(pos.File)
	if pos.Line > len(starts) {
		return s, false
	}
	s.off = starts[pos.Line-1] + pos.Col - 1
	if s.off >= len(s.src) {
		return s, false
	}
	s.lang = languageOf(pos.File)
	return s, s.lang != foreign
}

// languageOf returns the language of a file by its ending.
func languageOf(file string) language {
	switch strings.ToLower(path.Ext(file)) {
	case ".json", ".jsonc":
		return json
	case ".tf", ".tfvars":
		return hcl
	case ".bicep":
		return bicep
	case ".sh", ".md", ".azcli", ".bash":
		return shell
	}
	return foreign
}

// lineStarts returns where the lines of a file begin.
func (a *auditor) lineStarts(file string) ruleset.Lines {
	if have, ok := a.lines[file]; ok {
		return have
	}
	starts := ruleset.LinesOf(a.rules.Text[file])
	if a.lines == nil {
		a.lines = make(map[string]ruleset.Lines)
	}
	a.lines[file] = starts
	return starts
}
