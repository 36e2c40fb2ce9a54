// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/program"
)

// writeNotes prints what stands below the rules: what is pending, left out and
// advised, and what to paste.
func writeNotes(w io.Writer, p *program.Program, requirements bool) {
	section := func(title string) { fmt.Fprintf(w, "\n%s\n", strings.ToUpper(title)) }
	if requirements {
		fmt.Fprintf(w, "\n%d pairs\n", len(p.Rows))
	} else {
		fmt.Fprintf(w, "\n%d rules, %d pairs; edition %s of the list (%s)\n",
			len(p.Rules), len(p.Pairs()), p.Edition.ID, p.Edition.Document)
	}
	if len(p.Pending) > 0 {
		section("pending: cannot be decided yet")
		for _, x := range p.Pending {
			fmt.Fprintf(w, "  %s: set %s\n    $ %s\n", x.Missing, x.Key, x.Command)
			if len(x.Rows) > 0 {
				fmt.Fprintf(w, "    waits: %s\n", strings.Join(x.Rows, ", "))
			}
		}
	}
	if requirements {
		return
	}
	if len(p.Warnings) > 0 {
		section("wider than it need be")
		for _, s := range p.Warnings {
			fmt.Fprintf(w, "  %s\n", s.Text)
		}
	}
	if len(p.NotStated) > 0 {
		section("left out: the source states these for no cloud")
		for _, r := range p.NotStated {
			fmt.Fprintf(w, "  %s %s (%s)%s\n", r.Stated, r.Port, r.Feature, atLine(r.Citation.Line))
		}
	}
	if len(p.NotNeeded) > 0 {
		section("left out: not needed by this cluster")
		for _, r := range p.NotNeeded {
			fmt.Fprintf(w, "  %s %s: only for %s%s\n", r.Stated, r.Port, r.Only, atLine(r.Citation.Line))
		}
	}
	covered := slices.DeleteFunc(slices.Clone(p.Rows), func(r program.Row) bool { return r.Covered == "" })
	if len(p.Coverage)+len(covered) > 0 {
		section("makes no rule of its own, and what answers it")
		for _, c := range p.Coverage {
			fmt.Fprintf(w, "  %s: %s%s\n", c.Text, c.By, atLine(c.Citation.Line))
		}
		for _, r := range covered {
			fmt.Fprintf(w, "  %s %s, %s: %s%s\n", r.Stated, r.Port, r.Purpose, r.Covered, atLine(r.Citation.Line))
		}
	}
	if len(p.Retired) > 0 {
		section("no longer needed")
	}
	for _, r := range p.Retired {
		s := strings.Join(r.Destinations, ", ")
		if r.ReplacedBy != "" {
			s += " -> " + r.ReplacedBy
		}
		fmt.Fprintf(w, "  %s: %s%s\n", s, r.Text, atLine(r.Citation.Line))
	}
	if len(p.Prerequisites) > 0 {
		section("before you begin")
	}
	for _, s := range p.Prerequisites {
		fmt.Fprintf(w, "  %s%s\n    $ %s\n", s.Text, atLine(s.Citation.Line), s.Command)
	}
	if notes := notesOf(p); len(notes) > 0 {
		section("odd in the source")
		for _, n := range notes {
			fmt.Fprintf(w, "  %s\n", n)
		}
	}
	section("on the nodes themselves, where a firewall around the cluster does not see it")
	for _, d := range p.NodeLocal {
		fmt.Fprintf(w, "  %s %s: %s\n", strings.Join(d.Prefixes, " "), strings.Join(d.Ports, " "), d.Purpose)
	}
	section("advice")
	for _, a := range p.Advice {
		if a.Kind == "paste" {
			continue
		}
		fmt.Fprintf(w, "  %s: %s%s\n", a.Kind, a.Text, atLine(a.Citation.Line))
	}
	section("to paste")
	for _, a := range p.Advice {
		if a.Kind == "paste" {
			fmt.Fprintf(w, "  # %s\n%s\n", a.Text, indent(a.Paste))
		}
	}
}

// notesOf returns the oddities of the source that concern the cluster.
func notesOf(p *program.Program) []string {
	var out []string
	for _, r := range p.Rows {
		if r.Note == "" {
			continue
		}
		n := r.Stated + ": " + r.Note
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(s, "\n", "\n  ")
}
