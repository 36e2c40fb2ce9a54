// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/catalog/importer"
)

const importSchema = "sallyport.import/1"

func catalogImportCommand() *cobra.Command {
	var published, format, dir string
	c := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Read a published document, or an answer of Azure's API, into the data format",
		Long: `Read an edition of the AKS egress page, Markdown in any language it was published
in, or the JSON that Azure answers about a cluster's outbound dependencies (az rest
--method get --url .../outboundNetworkDependenciesEndpoints). The result is an
edition in the data format; -w DIR puts it where --catalog DIR reads it.

What was read, repaired and refused is reported on standard error, by line. A cell
is read as printed, repaired by a rule, or repaired because the catalog knows what
it must have been; anything else is refused. Nothing is guessed.

Exit codes: 0 everything was read, 1 some cells are unusable, 2 bad input.`,
		Example: `  sallyport catalog import outbound-rules-control-egress.md -w egress/
  az rest --method get --url "$URL" | sallyport catalog import - -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkPublished(published); err != nil {
				return err
			}
			cat, err := openCatalog(c)
			if err != nil {
				return err
			}
			doc, err := importFile(c, cat, args[0])
			if err != nil {
				return err
			}
			s, notes := snapshotOf(cat, doc, args[0], published)
			if dir != "" {
				if s.ID == "" {
					return errors.New("the document gives no date: say with --published when it was published")
				}
				if err := writeFileIn(dir, s.ID+".yaml", s); err != nil {
					return err
				}
				fmt.Fprintf(c.ErrOrStderr(), "written to %s\n", filepath.Join(dir, s.ID+".yaml"))
			} else if err := writeImport(c, doc, s, notes, format); err != nil {
				return err
			}
			if format != "json" || dir != "" {
				importReport(c.ErrOrStderr(), args[0], doc, s, notes)
			}
			if s.Unusable > 0 {
				return exit{code: exitNo}
			}
			return nil
		},
	}
	c.Flags().StringVar(&published, "published", "", "day of publication; default: where the document's own date and rows place it")
	c.Flags().StringVarP(&dir, "write", "w", "", "write the edition into this directory, as a file of its own")
	c.Flags().String("catalog", "", "directory of data files to lay over the built-in catalog")
	c.Flags().StringVarP(&format, "output", "o", "yaml", "output: yaml, json, table, csv or md")
	return c
}

// importFile reads a document, - for standard input.
func importFile(c *cobra.Command, cat *catalog.Catalog, name string) (*importer.Edition, error) {
	r := c.InOrStdin()
	if name == "-" {
		name = "standard input"
	} else {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	doc, err := importer.Read(r, known(cat))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return doc, nil
}

// known returns what repairs are judged by.
func known(cat *catalog.Catalog) []importer.Known {
	var out []importer.Known
	for _, s := range cat.EverStated() {
		out = append(out, importer.Known{
			Feature: s.Feature, Cloud: s.Cloud, Destination: s.Destination, Protocol: s.Protocol, Port: s.Port,
		})
	}
	return out
}

// checkPublished checks --published.
func checkPublished(day string) error {
	if _, err := time.Parse(time.DateOnly, day); err != nil && day != "" {
		return fmt.Errorf("--published %q is not a date such as 2026-07-03", day)
	}
	return nil
}

// placed says on which day a document stands that was not told to have been
// published on one. A page gives itself a date, which is older than the day on
// which it was published; one that stood at it might never be used.
func placed(cat *catalog.Catalog, s catalog.Snapshot) (id, note string) {
	today := time.Now().UTC().Format(time.DateOnly)
	newest, _ := cat.Edition(catalog.Newest)
	same := ""
	for _, e := range slices.Backward(cat.Editions()) {
		if e.MSDate != s.MSDate {
			continue
		}
		same = cmp.Or(same, e.ID)
		if sameRows(cat, e, s) {
			return e.ID, fmt.Sprintf("it states what edition %s does, and is taken for that (--published says otherwise)", e.ID)
		}
	}
	switch {
	case s.MSDate > newest.ID:
		return s.MSDate, fmt.Sprintf("it does not say when it was published; its own date, %s, is taken (--published says better)", s.MSDate)
	case s.MSDate >= newest.MSDate:
		return max(today, newest.ID), fmt.Sprintf("it does not say when it was published, but is not older than edition %s: it stands on today (--published says better)", newest.ID)
	case same != "":
		return same, fmt.Sprintf("it gives itself the date of edition %s and stands in its place: it is not used unless that day is asked for (--published says better)", same)
	}
	return s.MSDate, fmt.Sprintf("it gives itself the date %s, before edition %s: it is not used unless that day is asked for (--published says better)", s.MSDate, newest.ID)
}

// sameRows reports whether s asks for what edition e does.
func sameRows(cat *catalog.Catalog, e catalog.Edition, s catalog.Snapshot) bool {
	s.ID = e.ID
	over, read, err := cat.WithSnapshot(s, "document", time.Time{})
	return err == nil && catalog.Compare(cat, e, over, read, catalog.Scope{}).Same()
}

// snapshotOf returns an imported document in the data format, and what to say
// about it as a whole.
func snapshotOf(cat *catalog.Catalog, doc *importer.Edition, name, published string) (s catalog.Snapshot, notes []string) {
	s = catalog.Snapshot{ID: published, Title: doc.Title, Document: filepath.Base(name), Locale: doc.Locale}
	if name == "-" {
		s.Document = "standard input"
	}
	if !doc.MSDate.IsZero() {
		s.MSDate = day(doc.MSDate)
	}
	type key struct {
		line                      int
		feature, cloud, dest, why string
	}
	at := make(map[key]int)
	for _, r := range doc.Rows {
		k := key{r.Line, r.Feature, r.Cloud, r.Destination, r.Purpose}
		i, ok := at[k]
		if !ok {
			i = len(s.Rows)
			at[k] = i
			row := catalog.SnapshotRow{
				Feature: r.Feature, Cloud: r.Cloud, Required: r.Required, Destination: r.Destination, Line: r.Line, Purpose: r.Purpose,
			}
			if r.Status != importer.Exact {
				row.Status = string(r.Status)
			}
			s.Rows = append(s.Rows, row)
		}
		s.Rows[i].Ports = append(s.Rows[i].Ports, fmt.Sprintf("%s/%d", r.Protocol, r.Port))
	}
	for _, f := range doc.Findings {
		if f.Kind == importer.FindingUnusable {
			s.Unusable++
		}
	}
	switch {
	case s.ID != "":
	case s.MSDate == "":
		notes = append(notes, "it gives no date; --published says when it was published")
	default:
		var note string
		s.ID, note = placed(cat, s)
		notes = append(notes, note)
	}
	notes = append(notes, newFeatures(cat, s)...)
	return s, notes
}

// newFeatures says what a cluster has to write for the rows of sections that the
// catalog does not know.
func newFeatures(cat *catalog.Catalog, s catalog.Snapshot) (notes []string) {
	known := make(map[string]bool)
	for _, f := range cat.Features() {
		known[f.Name] = true
	}
	for _, r := range s.Rows {
		if !known[r.Feature] {
			known[r.Feature] = true
			notes = append(notes, fmt.Sprintf("section %s is new: its rows are for clusters that write %s among their addOns", r.Feature, r.Feature))
		}
	}
	return notes
}

func writeFileIn(dir, name string, s catalog.Snapshot) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+name+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing is left half written
	if err := errors.Join(s.Write(f), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, name))
}

type importJSON struct {
	Schema   string        `json:"schema"`
	Format   string        `json:"format"` // markdown, azure-api
	Edition  importEdition `json:"edition"`
	Count    int           `json:"count"`
	Rows     []importRow   `json:"rows"`
	Bullets  []importRow   `json:"bullets"` // ports that stand in lists of bullets, not in tables
	Findings []findingJSON `json:"findings"`
	Notes    []string      `json:"notes,omitempty"`
	Unusable int           `json:"unusable"`
}

type importEdition struct {
	ID     string `json:"id,omitempty"`
	Title  string `json:"title,omitempty"`
	MSDate string `json:"msDate,omitempty"`
	Locale string `json:"locale,omitempty"`
	Lines  int    `json:"lines"`
	Tables int    `json:"tables"`
}

type importRow struct {
	Feature     string `json:"feature"`
	Cloud       string `json:"cloud,omitempty"` // absent: the source names none
	Required    bool   `json:"required"`
	Kind        string `json:"kind"`
	Destination string `json:"destination"`
	Protocol    string `json:"protocol"`
	Port        uint16 `json:"port"`
	Line        int    `json:"line"`
	Status      string `json:"status"`
	Purpose     string `json:"purpose,omitempty"`
}

type findingJSON struct {
	Line   int    `json:"line"`
	Kind   string `json:"kind"` // repaired, from-catalog, unusable, note
	Cell   string `json:"cell,omitempty"`
	Text   string `json:"text"`
	Result string `json:"result,omitempty"`
}

func importRows(rows []importer.Row) []importRow {
	out := []importRow{}
	for _, r := range rows {
		out = append(out, importRow{r.Feature, r.Cloud, r.Required, string(r.Kind), r.Destination,
			r.Protocol.String(), r.Port, r.Line, string(r.Status), r.Purpose})
	}
	return out
}

func writeImport(c *cobra.Command, doc *importer.Edition, s catalog.Snapshot, notes []string, format string) error {
	if format == "yaml" {
		return s.Write(c.OutOrStdout())
	}
	out := importJSON{
		Schema: importSchema, Format: doc.Format, Count: len(doc.Rows), Rows: importRows(doc.Rows), Bullets: importRows(doc.Bullets),
		Edition:  importEdition{s.ID, s.Title, s.MSDate, s.Locale, doc.Lines, doc.Tables},
		Findings: []findingJSON{}, Notes: notes, Unusable: s.Unusable,
	}
	for _, f := range doc.Findings {
		out.Findings = append(out.Findings, findingJSON{f.Line, string(f.Kind), f.Cell, f.Text, f.Result})
	}
	t := snapshotTable(s)
	if format != "json" && format != "csv" && format != "md" && format != "table" {
		return errUnknownOutput(format, "yaml, json, table, csv, md")
	}
	return t.write(c, format, out)
}

// importReport says what was read, repaired and refused.
func importReport(w io.Writer, name string, doc *importer.Edition, s catalog.Snapshot, notes []string) {
	repaired, fromCatalog := 0, 0
	for _, r := range doc.Rows {
		switch r.Status {
		case importer.Repaired:
			repaired++
		case importer.FromCatalog:
			fromCatalog++
		}
	}
	for _, f := range doc.Findings {
		line := fmt.Sprintf("%s:%d: %s: %s", name, f.Line, f.Kind, f.Text)
		if f.Cell != "" {
			line += fmt.Sprintf(": %q", strings.TrimSpace(f.Cell))
		}
		if f.Result != "" {
			line += " -> " + f.Result
		}
		fmt.Fprintln(w, line)
	}
	for _, n := range notes {
		fmt.Fprintf(w, "%s: %s\n", name, n)
	}
	fmt.Fprintf(w, "%s: %d pairs read from %d tables: %d as printed, %d repaired, %d by the catalog; %d cells unusable; %d ports in bullets\n",
		name, len(doc.Rows), doc.Tables, len(doc.Rows)-repaired-fromCatalog, repaired, fromCatalog, s.Unusable, len(doc.Bullets))
}

// listSide is one side of a diff, in the catalog that holds it.
type listSide struct {
	in       *catalog.Catalog
	edition  catalog.Edition
	document bool     // read from a document, which says nothing certain of its day
	notes    []string // what to say of the document as a whole
}

// side returns one side of a diff: an edition, a day, or a file.
func side(c *cobra.Command, cat *catalog.Catalog, arg, published string) (listSide, error) {
	e, err := cat.Edition(arg)
	if err == nil {
		return listSide{in: cat, edition: e}, nil
	}
	if day, perr := time.Parse(time.DateOnly, arg); perr == nil {
		e, err = cat.AsOf(day)
		return listSide{in: cat, edition: e}, err
	}
	if _, statErr := os.Stat(arg); statErr != nil && arg != "-" {
		if strings.ContainsAny(arg, "/.") {
			err = statErr
		}
		return listSide{}, err
	}
	if ext := filepath.Ext(arg); ext == ".yaml" || ext == ".yml" {
		data, err := os.ReadFile(arg)
		if err != nil {
			return listSide{}, err
		}
		over, err := cat.Overlay(arg, data)
		if err != nil {
			return listSide{}, err
		}
		for _, e := range over.Editions() {
			if e.Source.File == arg {
				return listSide{in: over, edition: e}, nil
			}
		}
		return listSide{}, fmt.Errorf("%s: holds no edition; catalog import and catalog export write one", arg)
	}
	doc, err := importFile(c, cat, arg)
	if err != nil {
		return listSide{}, err
	}
	s, notes := snapshotOf(cat, doc, arg, published)
	for i := range notes {
		notes[i] = arg + ": " + notes[i]
	}
	if s.Unusable > 0 {
		return listSide{}, fmt.Errorf("%s: %d cells are unusable, so nothing can be said of what is missing; `sallyport catalog import %s` lists them",
			arg, s.Unusable, arg)
	}
	over, e, err := cat.WithSnapshot(s, arg, time.Now().UTC())
	return listSide{in: over, edition: e, document: true, notes: notes}, err
}
