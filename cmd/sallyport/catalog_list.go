// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/cluster"
	"github.com/sallyport/sallyport/compile"
)

// Schemas of what catalog prints as JSON.
const (
	catalogSchema  = "sallyport.catalog/1"
	editionsSchema = "sallyport.editions/1"
)

func catalogListCommand() *cobra.Command {
	var file, feature, cloud, format string
	var editions, timeline, nodeLocal bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List what an edition asks for, the editions, or the whole history as a picture",
		Long: `List the requirements of an edition: those that one cluster needs (-c), or all.

With --editions it lists the editions, with --timeline it draws when each
destination came and went, with --node-local it lists what a firewall on a node
itself must leave open, which no firewall around the cluster sees.`,
		Example: `  sallyport catalog list --as-of 2021-06-01 --cloud AzureChinaCloud
  sallyport catalog list -c cluster.yaml
  sallyport catalog list --timeline --feature base --cloud AzureCloud`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cat, err := openCatalog(c)
			if err != nil {
				return err
			}
			if editions {
				return writeEditions(c, cat, format)
			}
			if nodeLocal {
				return writeNodeLocal(c, cat, format)
			}
			var described *cluster.Cluster
			if file != "" {
				if described, err = describe(c, file, cat); err != nil {
					return err
				}
			}
			keep, err := selection(cat, feature, cloud)
			if err != nil {
				return err
			}
			if timeline {
				return writeTimeline(c, cat, described, keep, format)
			}
			e, err := editionOf(c, cat)
			if err != nil {
				return err
			}
			if described != nil && !c.Flags().Changed("edition") && !c.Flags().Changed("as-of") {
				if e, err = compile.EditionOf(described, cat); err != nil {
					return err
				}
			}
			return writeList(c, cat, e, described, keep, format)
		},
	}
	c.Flags().StringVarP(&file, "cluster", "c", "", "only what this cluster needs, - for standard input")
	listFlags(c)
	c.Flags().StringVar(&feature, "feature", "", "only this feature, such as base or azure-monitor")
	c.Flags().StringVar(&cloud, "cloud", "", "only this cloud: AzureCloud, AzureChinaCloud or AzureUSGovernment")
	c.Flags().BoolVar(&editions, "editions", false, "list the editions")
	c.Flags().BoolVar(&timeline, "timeline", false, "draw when each destination was listed")
	c.Flags().BoolVar(&nodeLocal, "node-local", false, "list what a firewall on a node itself must leave open")
	// What one form of the list does not look at is refused, not passed over.
	for _, apart := range [][]string{
		{"editions", "timeline", "node-local", "edition"}, {"editions", "timeline", "node-local", "as-of"},
		{"editions", "node-local", "cluster"}, {"editions", "node-local", "feature"}, {"editions", "node-local", "cloud"},
	} {
		c.MarkFlagsMutuallyExclusive(apart...)
	}
	formatFlag(c, &format, "table, json, yaml, csv or md")
	return c
}

// selection returns what --feature and --cloud leave.
func selection(cat *catalog.Catalog, feature, cloud string) (func(catalog.Requirement) bool, error) {
	if feature != "" {
		var names []string
		for _, f := range cat.Features() {
			names = append(names, f.Name)
		}
		if !slices.Contains(names, feature) {
			return nil, fmt.Errorf("feature %q is not in the catalog; it has %s", feature, strings.Join(names, ", "))
		}
	}
	if cloud != "" {
		known, ok := cluster.ParseCloud(cloud)
		if !ok {
			return nil, fmt.Errorf("cloud %q is not AzureCloud, AzureChinaCloud or AzureUSGovernment", cloud)
		}
		cloud = string(known)
	}
	return func(q catalog.Requirement) bool {
		return (feature == "" || q.Feature == feature) && (cloud == "" || q.Cloud == "" || q.Cloud == cloud)
	}, nil
}

type catalogJSON struct {
	Schema       string            `json:"schema"`
	Edition      catalogEdition    `json:"edition"`
	Count        int               `json:"count"` // number of pairs
	Requirements []requirementJSON `json:"requirements"`
}

type catalogEdition struct {
	ID        string `json:"id"`
	Alias     string `json:"alias,omitempty"`
	Published string `json:"published"`
	Title     string `json:"title,omitempty"`
	Document  string `json:"document"`
	MSDate    string `json:"msDate,omitempty"`
	Current   bool   `json:"current"`
}

// requirementJSON is one requirement as an edition states it.
type requirementJSON struct {
	ID          string        `json:"id"`
	Feature     string        `json:"feature"`
	Cloud       string        `json:"cloud,omitempty"` // absent: the source names none
	Required    bool          `json:"required"`
	Kind        string        `json:"kind"` // name, api-server, custom-dns, region-cidrs, service-tag, any
	Destination string        `json:"destination"`
	Also        []string      `json:"also,omitempty"` // other forms, wider ones last
	Ports       []listedJSON  `json:"ports"`
	When        string        `json:"when,omitempty"`
	CoveredBy   string        `json:"coveredBy,omitempty"`
	Purpose     string        `json:"purpose"`
	Note        string        `json:"note,omitempty"`
	ReplacedBy  string        `json:"replacedBy,omitempty"`
	Probe       string        `json:"probe,omitempty"`
	ExitCodes   []int         `json:"exitCodes,omitempty"`
	Citation    *citationJSON `json:"citation,omitempty"`
	Source      string        `json:"source"` // data file and line
	Overlay     bool          `json:"overlay,omitempty"`
}

// listedJSON is one port and when it was listed.
type listedJSON struct {
	Port   string     `json:"port"` // "https/443"
	Since  string     `json:"since,omitempty"`
	Until  string     `json:"until,omitempty"` // exclusive; absent: still listed
	Only   string     `json:"only,omitempty"`  // for which clusters
	Listed []spanJSON `json:"listed"`
}

type spanJSON struct {
	Since string `json:"since"`
	Until string `json:"until,omitempty"`
}

func newCatalogEdition(cat *catalog.Catalog, e catalog.Edition) catalogEdition {
	return catalogEdition{e.ID, e.Alias, day(e.Published), e.Title, e.Document, e.MSDate, cat.Current(e)}
}

// newRequirementJSON writes a requirement with the given ports as of an edition.
func newRequirementJSON(e catalog.Edition, q catalog.Requirement, ports []catalog.Port) requirementJSON {
	out := requirementJSON{
		ID: q.ID, Feature: q.Feature, Cloud: q.CloudIn(e), Required: q.Required, Kind: string(q.Destination.Kind),
		Destination: q.StatedDestination(), When: q.When.String(), CoveredBy: string(q.CoveredBy), Purpose: q.Purpose,
		Note: q.NoteIn(e), ReplacedBy: q.ReplacedBy, Probe: q.Probe.String(), ExitCodes: q.ExitCodes,
		Citation: &citationJSON{Document: e.Document, Edition: e.ID, Line: q.Lines[e.ID]},
		Source:   q.Source.String(), Overlay: q.Source.Overlay, Ports: []listedJSON{},
	}
	for _, d := range q.AlsoIn(e) {
		out.Also = append(out.Also, d.String())
	}
	for _, p := range ports {
		l := listedJSON{Port: p.String(), Only: p.WhenIn(e).String()}
		if s, ok := p.ListedIn(e); ok {
			l.Since, l.Until = s.Since, s.Until
		}
		for _, s := range p.Listed {
			l.Listed = append(l.Listed, spanJSON(s))
		}
		out.Ports = append(out.Ports, l)
	}
	return out
}

// stated is a requirement with those of its ports that are asked for.
type stated struct {
	catalog.Requirement
	ports []catalog.Port
}

// statedIn returns what an edition states, for one cluster or for all.
func statedIn(cat *catalog.Catalog, e catalog.Edition, described *cluster.Cluster, keep func(catalog.Requirement) bool) []stated {
	var out []stated
	add := func(q catalog.Requirement, p catalog.Port) {
		if !keep(q) {
			return
		}
		if n := len(out); n > 0 && out[n-1].ID == q.ID {
			out[n-1].ports = append(out[n-1].ports, p)
			return
		}
		out = append(out, stated{q, []catalog.Port{p}})
	}
	if described != nil {
		rows := cat.Rows(e, compile.Facts(described))
		for _, r := range rows.Stated {
			add(r.Requirement, r.Port)
		}
		for _, r := range rows.APIServer {
			r.Note = strings.TrimSpace("Only by the name of this cluster's own: the list does not ask for it, but the nodes need it. " + r.Note)
			add(r.Requirement, r.Port)
		}
		if described.IncludeNotStated {
			for _, r := range rows.NotStated {
				add(r.Requirement, r.Port)
			}
		}
		return out
	}
	for _, q := range cat.Requirements() {
		for _, p := range q.Ports {
			if _, ok := p.ListedIn(e); ok {
				add(q, p)
			}
		}
	}
	return out
}

func writeList(c *cobra.Command, cat *catalog.Catalog, e catalog.Edition, described *cluster.Cluster,
	keep func(catalog.Requirement) bool, format string) error {
	doc := catalogJSON{Schema: catalogSchema, Edition: newCatalogEdition(cat, e), Requirements: []requirementJSON{}}
	t := table{head: []string{"DESTINATION", "PORT", "FEATURE", "CLOUD", "NEED", "SINCE", "ONLY", "ID"}}
	for _, s := range statedIn(cat, e, described, keep) {
		r := newRequirementJSON(e, s.Requirement, s.ports)
		doc.Requirements = append(doc.Requirements, r)
		doc.Count += len(s.ports)
		need := "required"
		if !s.Required {
			need = "optional"
		}
		var ports, only []string
		if when := s.When; described == nil {
			when.Isolated = nil // true of every base row
			if text := when.String(); text != "" {
				only = append(only, text)
			}
		}
		since := r.Ports[0].Since
		for _, p := range r.Ports {
			ports = append(ports, p.Port)
			since = min(since, p.Since)
			if p.Only != "" && !slices.Contains(only, p.Only) {
				only = append(only, p.Only)
			}
		}
		id := r.ID
		if s.Source.Overlay {
			id += " (" + s.Source.String() + ")"
		}
		t.add(strings.Join(append([]string{r.Destination}, r.Also...), " or "), strings.Join(ports, " "), r.Feature,
			orDash(r.Cloud), need, since, strings.Join(only, "; "), id)
	}
	if format == "table" {
		t.text(c.OutOrStdout())
		fmt.Fprintf(c.OutOrStdout(), "\n%d pairs in edition %s\n", doc.Count, e.ID)
		return nil
	}
	return t.write(c, format, doc)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func writeEditions(c *cobra.Command, cat *catalog.Catalog, format string) error {
	type editionRow struct {
		catalogEdition
		Pairs  int `json:"pairs"`
		Opened int `json:"opened"` // since the edition before
		Closed int `json:"closed"`
	}
	doc := struct {
		Schema   string       `json:"schema"`
		Editions []editionRow `json:"editions"`
	}{Schema: editionsSchema}
	t := table{head: []string{"EDITION", "PAIRS", "OPENED", "CLOSED", "DOCUMENT"}}
	var before catalog.Edition
	for i, e := range cat.Editions() {
		row := editionRow{catalogEdition: newCatalogEdition(cat, e), Pairs: len(cat.StatedIn(e))}
		if i > 0 {
			d := cat.Diff(before, e, catalog.Scope{})
			row.Opened, row.Closed = len(d.Opened()), len(d.Closed())
		}
		before = e
		doc.Editions = append(doc.Editions, row)
		id := e.ID
		if e.Alias != "" {
			id += " (" + e.Alias + ")"
		}
		if row.Current {
			id += " (newest)"
		}
		t.add(id, fmt.Sprint(row.Pairs), signed("+", row.Opened), signed("-", row.Closed), e.Document)
	}
	return t.write(c, format, doc)
}

func signed(sign string, n int) string {
	if n == 0 {
		return ""
	}
	return sign + fmt.Sprint(n)
}

func writeNodeLocal(c *cobra.Command, cat *catalog.Catalog, format string) error {
	doc := struct {
		Schema    string          `json:"schema"`
		NodeLocal []nodeLocalJSON `json:"nodeLocal"`
	}{Schema: catalogSchema}
	t := table{head: []string{"DESTINATION", "PORT", "WHY", "SOURCE"}}
	for _, d := range cat.NodeLocal() {
		doc.NodeLocal = append(doc.NodeLocal, nodeLocalJSON(d))
		t.add(strings.Join(d.Prefixes, " "), strings.Join(d.Ports, " "), d.Purpose, d.Source)
	}
	return t.write(c, format, doc)
}
