// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package catalog

import "slices"

// said is what editions say besides their tables, each with the editions that
// say it.
type said struct {
	networkRules  []saidBy[NetworkRule]
	narrowings    []saidBy[Statement]
	prerequisites []saidBy[Prerequisite]
	deprecations  []saidBy[Deprecation]
	advice        []saidBy[Advice]
}

type saidBy[T any] struct {
	what   T
	listed []Span
	lines  map[string]int
}

func (s said) clone() said {
	return said{
		slices.Clone(s.networkRules), slices.Clone(s.narrowings), slices.Clone(s.prerequisites),
		slices.Clone(s.deprecations), slices.Clone(s.advice),
	}
}

// fill writes into e what it says.
func (s said) fill(e *Edition) {
	e.NetworkRules = in(s.networkRules, e.ID, func(n *NetworkRule) *Statement { return &n.Statement })
	e.Prerequisites = in(s.prerequisites, e.ID, func(p *Prerequisite) *Statement { return &p.Statement })
	e.Deprecations = in(s.deprecations, e.ID, func(d *Deprecation) *Statement { return &d.Statement })
	e.Advice = in(s.advice, e.ID, func(a *Advice) *Statement { return &a.Statement })
	for _, n := range in(s.narrowings, e.ID, func(n *Statement) *Statement { return n }) {
		e.Narrowing = n
	}
}

// in returns what the edition called id says, with its lines.
func in[T any](all []saidBy[T], id string, statement func(*T) *Statement) []T {
	var out []T
	for _, s := range all {
		if _, ok := spanAt(s.listed, id); ok {
			statement(&s.what).Line = s.lines[id]
			out = append(out, s.what)
		}
	}
	return out
}

// statements reads the statements of a file.
func (l *loader) statements(raw rawFile, where func(string, int) Source) {
	read := func(list string, i int, id string, r rawStatement) (Statement, []Span, map[string]int) {
		at := where(list, i)
		fault := func(err error) {
			if err != nil {
				l.fault(at, "%s: %w", id, err)
			}
		}
		if id == "" || r.Text == "" {
			l.fault(at, "%s %q has no id or text", list, id)
		}
		if len(r.Listed) == 0 {
			l.fault(at, "%s %q was never listed", list, id)
		}
		return Statement{Text: r.Text, Note: r.Note}, spans(r.Listed, fault), r.Lines
	}
	for i, n := range raw.NetworkRules {
		st, listed, lines := read("networkRules", i, n.ID, n.rawStatement)
		rule := NetworkRule{Statement: st, ID: n.ID, When: n.When, CoveredBy: n.CoveredBy}
		for _, s := range n.Ports {
			p, err := parsePort(s)
			if err != nil {
				l.fault(where("networkRules", i), "%s: %w", n.ID, err)
			}
			rule.Ports = append(rule.Ports, p)
		}
		for _, err := range n.When.check() {
			l.fault(where("networkRules", i), "%s: %w", n.ID, err)
		}
		if !n.CoveredBy.known() {
			l.fault(where("networkRules", i), "%s: covered by %q, which is not known", n.ID, n.CoveredBy)
		}
		l.c.said.networkRules = append(l.c.said.networkRules, saidBy[NetworkRule]{rule, listed, lines})
	}
	for i, n := range raw.Narrowings {
		st, listed, lines := read("narrowings", i, "narrowing", n)
		l.c.said.narrowings = append(l.c.said.narrowings, saidBy[Statement]{st, listed, lines})
	}
	for i, p := range raw.Prerequisites {
		st, listed, lines := read("prerequisites", i, p.ID, p.rawStatement)
		l.c.said.prerequisites = append(l.c.said.prerequisites,
			saidBy[Prerequisite]{Prerequisite{st, p.ID, p.Minimum, p.Check}, listed, lines})
	}
	for i, d := range raw.Deprecations {
		id := ""
		if len(d.Destinations) > 0 {
			id = d.Destinations[0]
		}
		st, listed, lines := read("deprecations", i, id, d.rawStatement)
		l.c.said.deprecations = append(l.c.said.deprecations,
			saidBy[Deprecation]{Deprecation{st, d.Destinations, d.ReplacedBy, d.Clouds}, listed, lines})
	}
	for i, a := range raw.Advice {
		st, listed, lines := read("advice", i, a.ID, a.rawStatement)
		for _, err := range a.When.check() {
			l.fault(where("advice", i), "%s: %w", a.ID, err)
		}
		if a.Kind != "important" && a.Kind != "caution" && a.Kind != "note" {
			l.fault(where("advice", i), "%s: kind %q is not important, caution or note", a.ID, a.Kind)
		}
		l.c.said.advice = append(l.c.said.advice, saidBy[Advice]{Advice{st, a.ID, a.Kind, a.When}, listed, lines})
	}
}

func (c Coverage) known() bool {
	return c == ByNames || c == ByAPIServerAddress || c == ByResolver
}
