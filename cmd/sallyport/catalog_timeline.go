// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/cluster"
	"github.com/sallyport/sallyport/compile"
)

const timelineSchema = "sallyport.timeline/1"

// bar is one line of the picture: when a pair was listed.
type bar struct {
	Feature     string     `json:"feature"`
	Cloud       string     `json:"cloud,omitempty"`
	Destination string     `json:"destination"`
	Port        string     `json:"port"`
	ID          string     `json:"id"`
	Listed      []spanJSON `json:"listed"`
}

// bars returns a line for each pair that was ever listed.
func bars(cat *catalog.Catalog, described *cluster.Cluster, keep func(catalog.Requirement) bool) []bar {
	var out []bar
	for _, q := range cat.Requirements() {
		if !keep(q) {
			continue
		}
		for _, p := range q.Ports {
			if described != nil && !concerns(cat, q, p, described) {
				continue
			}
			b := bar{Feature: q.Feature, Cloud: q.Cloud, Destination: q.StatedDestination(), Port: p.String(), ID: q.ID}
			for _, s := range p.Listed {
				b.Listed = append(b.Listed, spanJSON(s))
			}
			if len(b.Listed) > 0 {
				out = append(out, b)
			}
		}
	}
	return out
}

// concerns reports whether some edition asked the cluster for the pair.
func concerns(cat *catalog.Catalog, q catalog.Requirement, p catalog.Port, described *cluster.Cluster) bool {
	f := compile.Facts(described)
	if q.Cloud != "" && q.Cloud != f.Cloud || !q.When.Holds(f) {
		return false
	}
	for _, feature := range cat.Features() {
		if feature.Name == q.Feature && !feature.When.Holds(f) {
			return false
		}
	}
	return p.Hindsight || p.WhenSince != "" || p.When.Holds(f)
}

func writeTimeline(c *cobra.Command, cat *catalog.Catalog, described *cluster.Cluster,
	keep func(catalog.Requirement) bool, format string) error {
	lines := bars(cat, described, keep)
	t := table{head: []string{"FEATURE", "CLOUD", "DESTINATION", "PORT", "LISTED"}}
	for _, b := range lines {
		var spans []string
		for _, s := range b.Listed {
			spans = append(spans, s.Since+".."+s.Until)
		}
		t.add(b.Feature, orDash(b.Cloud), b.Destination, b.Port, strings.Join(spans, " "))
	}
	if format != "table" {
		return t.write(c, format, struct {
			Schema   string `json:"schema"`
			Timeline []bar  `json:"timeline"`
		}{timelineSchema, lines})
	}
	width, terminal := isTerminal(c.OutOrStdout())
	if !terminal {
		width = 120
	}
	drawTimeline(c.OutOrStdout(), cat, lines, width)
	return nil
}

// drawTimeline draws one line for each pair, from the first edition to the
// newest: listed, half of the time listed, not listed.
func drawTimeline(w io.Writer, cat *catalog.Catalog, lines []bar, width int) {
	editions := cat.Editions()
	first := time.Date(editions[0].Published.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
	last := time.Date(editions[len(editions)-1].Published.Year()+1, 1, 1, 0, 0, 0, 0, time.UTC)
	years := last.Year() - first.Year()
	label := 0
	name := func(b bar) string { return b.Destination + " " + b.Port }
	for _, b := range lines {
		label = max(label, utf8.RuneCountInString(name(b)))
	}
	label = min(label, 52)
	perYear := min(max((width-label-2)/years, 4), 12)
	// The end of what is known: nothing is drawn behind it.
	end := editions[len(editions)-1].Published
	cell := func(b bar, from, to time.Time) rune {
		if from.After(end) {
			return ' '
		}
		for _, s := range b.Listed {
			since, until := catalog.Day(s.Since), catalog.Day(s.Until)
			if until.IsZero() {
				until = last
			}
			if since.Before(to) && until.After(from) {
				return '━'
			}
		}
		return '·'
	}
	var head strings.Builder
	for y := range years {
		fmt.Fprintf(&head, "%-*s", perYear, fmt.Sprint("|", first.Year()+y))
	}
	group := ""
	for _, b := range lines {
		g := b.Feature
		if b.Cloud != "" {
			g += ", " + b.Cloud
		}
		if g != group {
			if group != "" {
				fmt.Fprintln(w)
			}
			fmt.Fprintf(w, "%-*s  %s\n", label, cut(g, label), strings.TrimRight(head.String(), " "))
			group = g
		}
		row := make([]rune, 0, years*perYear)
		for i := range years * perYear {
			from := first.AddDate(i/perYear, 0, (i%perYear)*365/perYear)
			to := first.AddDate(i/perYear, 0, (i%perYear+1)*365/perYear)
			row = append(row, cell(b, from, to))
		}
		fmt.Fprintf(w, "%-*s  %s\n", label, cut(name(b), label), strings.TrimRight(string(row), " "))
	}
	gone := 0
	for _, b := range lines {
		if !slices.ContainsFunc(b.Listed, func(s spanJSON) bool { return s.Until == "" }) {
			gone++
		}
	}
	fmt.Fprintf(w, "\n%d pairs, %d of them listed in %s\n", len(lines), len(lines)-gone, editions[len(editions)-1].ID)
}

func cut(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	return string(r[:width-1]) + "…"
}
