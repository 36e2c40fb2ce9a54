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
	"github.com/sallyport/sallyport/cluster"
	"github.com/sallyport/sallyport/compile"
)

const diffSchema = "sallyport.diff/1"

func catalogDiffCommand() *cobra.Command {
	var file, format, published string
	c := &cobra.Command{
		Use:   "diff FROM [TO]",
		Short: "Say what to open and what to close between two editions of the list",
		Long: `Say what to change in a firewall that was set up by one edition so that it follows
another: what to open, what to close, what to narrow, since when, and where that
stands. FROM and TO are editions, dates (the list as it was published on that day),
or files: documents as they are published, answers of Azure's API, or what
catalog import wrote. TO is the newest edition when it is not given. A document
stands on the day that --published says, or as catalog import places it; a file
that is called like an edition is written ./FILE.

With -c only what concerns that cluster is compared, whatever edition it names.
Conditions count from the edition that states them: ports that everybody was
asked to open then, and that this cluster does not need by today's list, are to
be closed.

Exit codes: 0 the same, 1 different, 2 bad input.`,
		Example: `  sallyport catalog diff seed newest -c cluster.yaml
  sallyport catalog diff 2024-01-01 -o md
  sallyport catalog diff newest outbound-rules-control-egress.md`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			cat, err := openCatalog(c)
			if err != nil {
				return err
			}
			to := catalog.Newest
			if len(args) == 2 {
				to = args[1]
			}
			if err := checkPublished(published); err != nil {
				return err
			}
			left, err := side(c, cat, args[0], published)
			if err != nil {
				return err
			}
			right, err := side(c, cat, to, published)
			if err != nil {
				return err
			}
			if published != "" && left.document == right.document {
				return errors.New("--published is about one document, and here is not one: give each its day with `sallyport catalog import --published DAY -w DIR`")
			}
			var scope catalog.Scope
			var described *cluster.Cluster
			if file != "" {
				if described, err = describe(c, file, cat); err != nil {
					return err
				}
				f := compile.Facts(described)
				scope = catalog.Scope{Facts: &f, Location: described.Location, NotStated: described.IncludeNotStated, APIServer: described.APIServer.Name.String()}
			}
			d := catalog.Compare(left.in, left.edition, right.in, right.edition, scope)
			doc := newDiffJSON(d, scope)
			doc.From, doc.To = newCatalogEdition(left.in, d.From), newCatalogEdition(right.in, d.To)
			for _, s := range []listSide{left, right} {
				for _, n := range s.notes {
					fmt.Fprintln(c.ErrOrStderr(), n)
				}
			}
			if err := writeDiff(c, d, doc, format); err != nil {
				return err
			}
			if !d.Same() {
				return exit{code: exitNo}
			}
			return nil
		},
	}
	c.Flags().StringVarP(&file, "cluster", "c", "", "only what concerns this cluster, - for standard input")
	c.Flags().String("catalog", "", "directory of data files to lay over the built-in catalog")
	c.Flags().StringVar(&published, "published", "", "day on which the document was published")
	formatFlag(c, &format, "table, json, yaml, csv or md")
	return c
}

type diffJSON struct {
	Schema  string         `json:"schema"`
	From    catalogEdition `json:"from"`
	To      catalogEdition `json:"to"`
	Same    bool           `json:"same"`
	Open    []changeJSON   `json:"open"`  // every pair to open, also those that are part of narrow or widen
	Close   []changeJSON   `json:"close"` // every pair to close, also those that are part of narrow or widen
	Narrow  []effectJSON   `json:"narrow"`
	Widen   []effectJSON   `json:"widen"`
	Cluster bool           `json:"forOneCluster"`
}

// effectJSON says that wide pairs made way for narrower ones, or the other way.
type effectJSON struct {
	Feature string   `json:"feature"`
	Cloud   string   `json:"cloud,omitempty"`
	Close   []string `json:"close"` // pairs, as in close
	Open    []string `json:"open"`  // pairs, as in open
}

type changeJSON struct {
	Pair        string        `json:"pair"` // "mcr.microsoft.com https/443"
	Destination string        `json:"destination"`
	Port        string        `json:"port"`
	Feature     string        `json:"feature"`
	Cloud       string        `json:"cloud,omitempty"`
	Required    bool          `json:"required"`
	Since       string        `json:"since"` // the edition that brought the change
	Only        string        `json:"onlyFor,omitempty"`
	Still       string        `json:"stillOpenThrough,omitempty"`
	ReplacedBy  string        `json:"replacedBy,omitempty"`
	Purpose     string        `json:"purpose"`
	CoveredBy   string        `json:"coveredBy,omitempty"` // what answers it, so that it makes no rule
	Note        string        `json:"note,omitempty"`
	Requirement string        `json:"requirement"`
	Citation    *citationJSON `json:"citation"`
}

func newChangeJSON(d catalog.Diff, a catalog.Asked, opened bool) changeJSON {
	row := a.Rows[0]
	var only catalog.Condition
	if !opened {
		only = d.Only(a)
	}
	// What is opened is cited where it stands now, what is closed where it stood.
	e := d.To
	if !opened {
		e = d.From
	}
	required := false
	var features []string
	for _, r := range a.Rows {
		required = required || r.Required
		if !slices.Contains(features, r.Feature) {
			features = append(features, r.Feature)
		}
	}
	out := changeJSON{
		Pair: a.Pair.String(), Destination: a.Pair.Destination, Port: row.Port.String(), Feature: strings.Join(features, ", "),
		Cloud: a.Pair.Cloud, Required: required, Since: d.Since(a), Only: only.String(), Purpose: row.Purpose,
		Note: row.NoteIn(e), CoveredBy: string(row.CoveredBy), Requirement: row.Requirement.ID, ReplacedBy: row.ReplacedBy,
		Citation: &citationJSON{Document: e.Document, Edition: e.ID, Line: row.Lines[e.ID]},
	}
	if opened {
		out.ReplacedBy = ""
	}
	if a.Still != (catalog.Pair{}) {
		out.Still = a.Still.String()
	}
	return out
}

func newDiffJSON(d catalog.Diff, s catalog.Scope) diffJSON {
	out := diffJSON{
		Schema: diffSchema, Same: d.Same(), Open: []changeJSON{}, Close: []changeJSON{}, Narrow: []effectJSON{}, Widen: []effectJSON{}, Cluster: s.Facts != nil,
	}
	for _, a := range d.Opened() {
		out.Open = append(out.Open, newChangeJSON(d, a, true))
	}
	for _, a := range d.Closed() {
		out.Close = append(out.Close, newChangeJSON(d, a, false))
	}
	for _, c := range d.Changes {
		var e effectJSON
		if wide := slices.Concat(c.Closed, c.Opened); c.Effect == catalog.Narrow || c.Effect == catalog.Widen {
			e.Feature, e.Cloud = wide[0].Rows[0].Feature, wide[0].Pair.Cloud
		}
		for _, a := range c.Closed {
			e.Close = append(e.Close, a.Pair.String())
		}
		for _, a := range c.Opened {
			e.Open = append(e.Open, a.Pair.String())
		}
		switch c.Effect {
		case catalog.Narrow:
			out.Narrow = append(out.Narrow, e)
		case catalog.Widen:
			out.Widen = append(out.Widen, e)
		}
	}
	return out
}

func writeDiff(c *cobra.Command, d catalog.Diff, doc diffJSON, format string) error {
	t := diffTable(d, doc.Cluster)
	switch format {
	case "table":
		if d.Same() {
			fmt.Fprintf(c.OutOrStdout(), "%s and %s ask for the same\n", d.From.ID, d.To.ID)
			return nil
		}
		t.text(c.OutOrStdout())
		diffSummary(c.OutOrStdout(), d)
		return nil
	case "md":
		fmt.Fprintf(c.OutOrStdout(), "### AKS egress list, %s to %s\n\n", d.From.ID, d.To.ID)
		if d.Same() {
			fmt.Fprintln(c.OutOrStdout(), "Nothing to change.")
			return nil
		}
		if err := t.markdown(c.OutOrStdout()); err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "\nFrom: %s  \nTo: %s\n", d.From.Document, d.To.Document)
		return nil
	}
	return t.write(c, format, doc)
}

func diffTable(d catalog.Diff, forOne bool) table {
	t := table{head: []string{"DO", "DESTINATION", "PORT", "SINCE", "NEED", "SOURCE", "WHY"}}
	if !forOne {
		t.head = []string{"DO", "DESTINATION", "PORT", "FEATURE", "CLOUD", "SINCE", "NEED", "SOURCE", "WHY"}
	}
	row := func(do string, a catalog.Asked, opened bool) {
		x := newChangeJSON(d, a, opened)
		need := "required"
		if !x.Required {
			need = "optional"
		}
		why := x.Purpose
		if !opened {
			need = "-"
			why = "no longer listed"
			switch {
			case x.Only != "":
				why = "now only for clusters with " + x.Only
			case x.ReplacedBy != "":
				why = "replaced by " + x.ReplacedBy
			}
		}
		if opened && x.CoveredBy != "" {
			why += "; the names of its section do as well"
			if x.CoveredBy != string(catalog.ByNames) {
				why = x.Purpose + "; needs no rule of its own"
			}
		}
		if x.Still != "" {
			why += "; open through " + x.Still
		}
		source := x.Citation.Edition
		if x.Citation.Line > 0 {
			source += fmt.Sprintf(":%d", x.Citation.Line)
		}
		cells := []string{do, x.Destination, x.Port, x.Feature, orDash(x.Cloud), x.Since, need, source, why}
		if forOne {
			cells = append(cells[:3:3], cells[5:]...)
		}
		t.add(cells...)
	}
	for _, c := range d.Changes {
		switch c.Effect {
		case catalog.Open:
			row("open", c.Opened[0], true)
		case catalog.Close:
			row("close", c.Closed[0], false)
		case catalog.Narrow:
			row("narrow", c.Closed[0], false)
			for _, a := range c.Opened {
				row("  to", a, true)
			}
		case catalog.Widen:
			row("widen", c.Opened[0], true)
			for _, a := range c.Closed {
				row("  from", a, false)
			}
		}
	}
	return t
}

func diffSummary(w io.Writer, d catalog.Diff) {
	n := map[catalog.Effect]int{}
	for _, c := range d.Changes {
		n[c.Effect]++
	}
	var parts []string
	for _, e := range []catalog.Effect{catalog.Open, catalog.Narrow, catalog.Widen, catalog.Close} {
		if n[e] > 0 {
			parts = append(parts, fmt.Sprintf("%d to %s", n[e], e))
		}
	}
	fmt.Fprintf(w, "\n%s to %s: %s\n", d.From.ID, d.To.ID, strings.Join(parts, ", "))
}
