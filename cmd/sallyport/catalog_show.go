// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/catalog"
)

func catalogShowCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "show ID...",
		Short: "Show everything about a requirement, a destination or an edition",
		Long: `Show everything the catalog knows of a requirement: when each of its ports was
listed, for whom, what took its place, with which exit code a node dies without it,
and where it stands. ID is the id of a requirement, a destination as the list
prints it, or an edition.`,
		Example: `  sallyport catalog show base-aks-packages
  sallyport catalog show packages.aks.azure.com
  sallyport catalog show 2020-05-26`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cat, err := openCatalog(c)
			if err != nil {
				return err
			}
			e, err := editionOf(c, cat)
			if err != nil {
				return err
			}
			var found []catalog.Requirement
			var editions []catalog.Edition
			var errs []error
			for _, id := range args {
				if shown, err := cat.Edition(id); err == nil {
					editions = append(editions, shown)
					continue
				}
				n := len(found)
				for _, q := range cat.Requirements() {
					if q.ID == id || hasForm(q, id) {
						found = append(found, q)
					}
				}
				if len(found) == n {
					errs = append(errs, fmt.Errorf("nothing in the catalog is called %q%s", id, like(cat, id)))
				}
			}
			if err := errors.Join(errs...); err != nil {
				return err
			}
			return show(c, cat, e, editions, found, format)
		},
	}
	listFlags(c)
	formatFlag(c, &format, "table, json or yaml")
	return c
}

// hasForm reports whether the list prints a requirement's destination as text.
func hasForm(q catalog.Requirement, text string) bool {
	return strings.EqualFold(q.StatedDestination(), text) || slices.ContainsFunc(q.Also, func(d catalog.Destination) bool {
		return strings.EqualFold(d.String(), text)
	})
}

// like names what somebody may have meant.
func like(cat *catalog.Catalog, id string) string {
	var near []string
	for _, q := range cat.Requirements() {
		if strings.Contains(q.ID, id) || strings.Contains(q.StatedDestination(), id) {
			near = append(near, q.ID)
		}
	}
	if len(near) == 0 {
		return "; `sallyport catalog list` shows what it holds"
	}
	return "; there are " + strings.Join(near[:min(len(near), 6)], ", ")
}

type showJSON struct {
	Schema       string            `json:"schema"`
	Editions     []shownEdition    `json:"editions"`
	Requirements []requirementJSON `json:"requirements"`
}

// shownEdition is an edition with what it says besides its tables.
type shownEdition struct {
	Edition       catalogEdition  `json:"edition"`
	Pairs         int             `json:"pairs"`
	NetworkRules  []statementJSON `json:"networkRules"`
	Narrowing     []statementJSON `json:"narrowing"` // how wide ports may be narrowed
	Prerequisites []statementJSON `json:"prerequisites"`
	Deprecations  []statementJSON `json:"deprecations"`
	Advice        []statementJSON `json:"advice"`
}

// show writes editions and requirements, the latter as of edition e.
func show(c *cobra.Command, cat *catalog.Catalog, e catalog.Edition, editions []catalog.Edition, found []catalog.Requirement, format string) error {
	doc := showJSON{Schema: catalogSchema, Editions: []shownEdition{}, Requirements: []requirementJSON{}}
	for _, shown := range editions {
		doc.Editions = append(doc.Editions, newShownEdition(cat, shown))
	}
	for _, q := range found {
		doc.Requirements = append(doc.Requirements, newRequirementJSON(e, q, q.Ports))
	}
	return writeDocument(c, format, doc, func(w io.Writer) {
		for i, shown := range doc.Editions {
			if i > 0 {
				fmt.Fprintln(w)
			}
			shown.text(w)
		}
		for i, q := range found {
			if i > 0 || len(editions) > 0 {
				fmt.Fprintln(w)
			}
			showRequirement(w, cat, e, q)
		}
	})
}

func showRequirement(w io.Writer, cat *catalog.Catalog, e catalog.Edition, q catalog.Requirement) {
	line := func(key, format string, args ...any) {
		if s := fmt.Sprintf(format, args...); s != "" {
			fmt.Fprintf(w, "  %-12s %s\n", key, s)
		}
	}
	fmt.Fprintln(w, q.ID)
	line("destination", "%s", q.StatedDestination())
	if q.Stated != "" {
		line("read as", "%s", q.Destination)
	}
	for _, d := range q.Also {
		line("or", "%s", d)
	}
	line("why", "%s", q.Purpose)
	line("feature", "%s: %s", q.Feature, cat.FeatureTitle(q.Feature))
	switch {
	case q.Cloud == "":
		line("cloud", "none is named")
	case q.CloudUnstatedBefore != "":
		line("cloud", "%s; none was named before %s", q.Cloud, q.CloudUnstatedBefore)
	default:
		line("cloud", "%s", q.Cloud)
	}
	need := "required"
	if !q.Required {
		need = "recommended"
	}
	line("need", "%s", need)
	line("only with", "%s", q.When)
	for _, p := range q.Ports {
		var listed []string
		for _, s := range p.Listed {
			until := s.Until
			if until == "" {
				until = "today"
			}
			listed = append(listed, s.Since+" to "+until)
		}
		text := p.String() + ", listed " + strings.Join(listed, ", ")
		if only := p.When.String(); only != "" {
			text += "; only with " + only
			switch {
			case p.WhenSince != "" && p.Hindsight:
				text += ", stated since " + p.WhenSince + ", true before"
			case p.WhenSince != "":
				text += ", since " + p.WhenSince
			case p.Hindsight:
				text += ", which the list does not say"
			}
		}
		line("port", "%s", text)
	}
	line("covered by", "%s", string(q.CoveredBy))
	line("replaced by", "%s", q.ReplacedBy)
	line("note", "%s", q.Note)
	probe := q.Probe.String()
	if strings.HasPrefix(probe, "sallyport-probe.") {
		probe += ", a name of ours under the wildcard that need not exist"
	}
	line("probe", "%s", probe)
	if len(q.ExitCodes) > 0 {
		line("exit codes", "%s", strings.Trim(strings.Join(strings.Fields(fmt.Sprint(q.ExitCodes)), ", "), "[]"))
	}
	if n := q.Lines[e.ID]; n > 0 {
		line("stands in", "%s, line %d", e.Document, n)
	} else {
		line("stands in", "%s", e.Document)
	}
	var lines []string
	for id, n := range q.Lines {
		lines = append(lines, fmt.Sprintf("%s:%d", id, n))
	}
	slices.Sort(lines)
	line("seen at", "%s", strings.Join(lines, " "))
	from := q.Source.String()
	if q.Source.Overlay {
		from += " (your catalog)"
	}
	line("data", "%s", from)
}

func newShownEdition(cat *catalog.Catalog, e catalog.Edition) shownEdition {
	out := shownEdition{
		Edition: newCatalogEdition(cat, e), Pairs: len(cat.StatedIn(e)), NetworkRules: []statementJSON{}, Narrowing: []statementJSON{},
		Prerequisites: []statementJSON{}, Deprecations: []statementJSON{}, Advice: []statementJSON{},
	}
	add := func(to *[]statementJSON, id string, s catalog.Statement) {
		*to = append(*to, statementJSON{ID: id, Text: s.Text, Citation: &citationJSON{Document: e.Document, Edition: e.ID, Line: s.Line}})
	}
	for _, n := range e.NetworkRules {
		add(&out.NetworkRules, n.ID, n.Statement)
	}
	if e.Narrowing.Text != "" {
		add(&out.Narrowing, "narrowing", e.Narrowing)
	}
	for _, p := range e.Prerequisites {
		add(&out.Prerequisites, p.ID, p.Statement)
	}
	for _, d := range e.Deprecations {
		add(&out.Deprecations, strings.Join(d.Destinations, " "), d.Statement)
	}
	for _, a := range e.Advice {
		add(&out.Advice, a.ID, a.Statement)
	}
	return out
}

// text writes the edition for people.
func (e shownEdition) text(w io.Writer) {
	fmt.Fprintf(w, "%s  %s\n  %s\n  %d pairs\n", e.Edition.ID, e.Edition.Title, e.Edition.Document, e.Pairs)
	for _, part := range []struct {
		title string
		list  []statementJSON
	}{{"ports beside the tables", e.NetworkRules}, {"how wide", e.Narrowing}, {"before you begin", e.Prerequisites},
		{"no longer needed", e.Deprecations}, {"advice", e.Advice}} {
		if len(part.list) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", strings.ToUpper(part.title))
		for _, s := range part.list {
			fmt.Fprintf(w, "  %s%s\n", s.Text, atLine(s.Citation.Line))
		}
	}
}

// atLine writes " (line 7)", nothing when the line is not known.
func atLine(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (line %d)", n)
}
