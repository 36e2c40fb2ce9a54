// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
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
			fmt.Fprintf(w, "  %s %s (%s, line %d)\n", r.Stated, r.Port, r.Feature, r.Citation.Line)
		}
	}
	section("stated without a destination, and what answers it")
	for _, c := range p.Coverage {
		fmt.Fprintf(w, "  %s: %s (line %d)\n", c.Text, c.By, c.Citation.Line)
	}
	section("no longer needed")
	for _, r := range p.Retired {
		s := strings.Join(r.Destinations, ", ")
		if r.ReplacedBy != "" {
			s += " -> " + r.ReplacedBy
		}
		fmt.Fprintf(w, "  %s: %s (line %d)\n", s, r.Text, r.Citation.Line)
	}
	section("before you begin")
	for _, s := range p.Prerequisites {
		fmt.Fprintf(w, "  %s (line %d)\n    $ %s\n", s.Text, s.Citation.Line, s.Command)
	}
	section("advice")
	for _, a := range p.Advice {
		if a.Kind == "paste" {
			continue
		}
		fmt.Fprintf(w, "  %s: %s", a.Kind, a.Text)
		if a.Citation.Line > 0 {
			fmt.Fprintf(w, " (line %d)", a.Citation.Line)
		}
		fmt.Fprintln(w)
	}
	section("to paste")
	for _, a := range p.Advice {
		if a.Kind == "paste" {
			fmt.Fprintf(w, "  # %s\n%s\n", a.Text, indent(a.Paste))
		}
	}
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(s, "\n", "\n  ")
}
