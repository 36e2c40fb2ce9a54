// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
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
			for _, id := range args {
				if shown, err := cat.Edition(id); err == nil {
					if err := showEdition(c, cat, shown, format); err != nil {
						return err
					}
					continue
				}
				n := len(found)
				for _, q := range cat.Requirements() {
					if q.ID == id || strings.EqualFold(q.StatedDestination(), id) {
						found = append(found, q)
					}
				}
				if len(found) == n {
					return fmt.Errorf("nothing in the catalog is called %q%s", id, like(cat, id))
				}
			}
			return showRequirements(c, cat, e, found, format)
		},
	}
	listFlags(c)
	formatFlag(c, &format, "table, json or yaml")
	return c
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
	Requirements []requirementJSON `json:"requirements"`
}

func showRequirements(c *cobra.Command, cat *catalog.Catalog, e catalog.Edition, found []catalog.Requirement, format string) error {
	doc := showJSON{Schema: catalogSchema}
	for _, q := range found {
		doc.Requirements = append(doc.Requirements, newRequirementJSON(e, q, q.Ports))
	}
	return writeDocument(c, format, doc, func(w io.Writer) {
		for i, q := range found {
			if i > 0 {
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
	line("probe", "%s", q.Probe)
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

func showEdition(c *cobra.Command, cat *catalog.Catalog, e catalog.Edition, format string) error {
	doc := struct {
		Schema        string          `json:"schema"`
		Edition       catalogEdition  `json:"edition"`
		Pairs         int             `json:"pairs"`
		NetworkRules  []statementJSON `json:"networkRules"`
		Prerequisites []statementJSON `json:"prerequisites"`
		Deprecations  []statementJSON `json:"deprecations"`
		Advice        []statementJSON `json:"advice"`
	}{Schema: editionsSchema, Edition: newCatalogEdition(cat, e), Pairs: len(cat.StatedIn(e)),
		NetworkRules: []statementJSON{}, Prerequisites: []statementJSON{}, Deprecations: []statementJSON{}, Advice: []statementJSON{}}
	add := func(to *[]statementJSON, id string, s catalog.Statement) {
		*to = append(*to, statementJSON{ID: id, Text: s.Text, Citation: &citationJSON{Document: e.Document, Edition: e.ID, Line: s.Line}})
	}
	for _, n := range e.NetworkRules {
		add(&doc.NetworkRules, n.ID, n.Statement)
	}
	for _, p := range e.Prerequisites {
		add(&doc.Prerequisites, p.ID, p.Statement)
	}
	for _, d := range e.Deprecations {
		add(&doc.Deprecations, strings.Join(d.Destinations, " "), d.Statement)
	}
	for _, a := range e.Advice {
		add(&doc.Advice, a.ID, a.Statement)
	}
	return writeDocument(c, format, doc, func(w io.Writer) {
		fmt.Fprintf(w, "%s  %s\n  %s\n  %d pairs\n", e.ID, e.Title, e.Document, doc.Pairs)
		for _, part := range []struct {
			title string
			list  []statementJSON
		}{{"ports beside the tables", doc.NetworkRules}, {"before you begin", doc.Prerequisites},
			{"no longer needed", doc.Deprecations}, {"advice", doc.Advice}} {
			if len(part.list) == 0 {
				continue
			}
			fmt.Fprintf(w, "\n%s\n", strings.ToUpper(part.title))
			for _, s := range part.list {
				fmt.Fprintf(w, "  %s%s\n", s.Text, atLine(s.Citation.Line))
			}
		}
	})
}

// atLine writes " (line 7)", nothing when the line is not known.
func atLine(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (line %d)", n)
}
