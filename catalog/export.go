// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"
)

// Snapshot is one edition in the form in which it is imported and exported: all
// its rows, without history or conditions.
type Snapshot struct {
	ID       string // "" when the day of publication is not known
	Title    string
	Document string
	MSDate   string
	Locale   string
	Unusable int // cells that could not be read
	Rows     []SnapshotRow
}

// SnapshotRow is one destination of an edition.
type SnapshotRow struct {
	Feature     string
	Cloud       string
	Required    bool
	Destination string   // as printed
	Ports       []string // "https/443"
	Line        int
	Purpose     string
	Status      string // "" as printed, "repaired", "from-catalog"
}

// Snapshot returns one edition of the catalog.
func (c *Catalog) Snapshot(e Edition) Snapshot {
	out := Snapshot{ID: e.ID, Title: e.Title, Document: e.Document, MSDate: e.MSDate}
	at := make(map[[3]string]int)
	for _, s := range c.StatedIn(e) {
		q, _ := c.Requirement(s.Requirement)
		key := [3]string{s.Requirement, s.Destination}
		i, ok := at[key]
		if !ok {
			i = len(out.Rows)
			at[key] = i
			out.Rows = append(out.Rows, SnapshotRow{
				Feature: s.Feature, Cloud: s.Cloud, Required: q.Required, Destination: s.Destination, Line: q.Lines[e.ID], Purpose: q.Purpose,
			})
		}
		out.Rows[i].Ports = append(out.Rows[i].Ports, fmt.Sprintf("%s/%d", s.Protocol, s.Port))
	}
	return out
}

// Write writes the snapshot as a data file.
func (s Snapshot) Write(w io.Writer) error {
	raw := rawFile{Edition: &rawSnapshot{
		ID: s.ID, Title: s.Title, Document: s.Document, MSDate: s.MSDate, Locale: s.Locale, Unusable: s.Unusable,
	}}
	for _, r := range s.Rows {
		raw.Rows = append(raw.Rows, rawRow(r))
	}
	return dump(w, raw)
}

// WriteFeature writes a feature with its whole history as a data file, which an
// overlay may change.
func (c *Catalog) WriteFeature(w io.Writer, name string) error {
	f := c.feature(name)
	raw := rawFile{Feature: f.Name, Title: f.Title, Required: &f.Required, When: &f.When, Note: f.Note}
	for _, q := range c.requirements {
		if q.Feature == name {
			raw.Requirements = append(raw.Requirements, q.raw())
		}
	}
	return dump(w, raw)
}

func dump(w io.Writer, raw rawFile) error {
	out, err := yaml.Dump(raw, yaml.WithV4Defaults())
	if err != nil {
		return err
	}
	_, err = w.Write(out)
	return err
}

// raw returns the requirement as data files write it.
func (q Requirement) raw() rawRequirement {
	r := rawRequirement{
		ID: q.ID, Cloud: q.Cloud, CloudSince: q.CloudUnstatedBefore, Destination: q.Destination.String(), Stated: q.Stated,
		AlsoListed: texts(q.AlsoListed), CoveredBy: q.CoveredBy, Role: q.Role, Purpose: q.Purpose, Note: q.Note,
		NoteSince: q.NoteSince, Lines: q.Lines, Probe: q.Probe.String(), ExitCodes: q.ExitCodes, ReplacedBy: q.ReplacedBy, When: q.When,
	}
	for _, d := range q.Also {
		r.Also = append(r.Also, d.String())
	}
	for _, p := range q.Ports {
		r.Ports = append(r.Ports, rawPort{p.String(), texts(p.Listed), p.When, p.WhenSince, p.Hindsight})
	}
	return r
}

func texts(spans []Span) []string {
	var out []string
	for _, s := range spans {
		out = append(out, s.String())
	}
	return out
}

// WithSnapshot returns c with an edition laid over it, and that edition. An
// edition without a day stands on today.
func (c *Catalog) WithSnapshot(s Snapshot, name string, today time.Time) (*Catalog, Edition, error) {
	if s.ID == "" {
		s.ID = today.Format(time.DateOnly)
	}
	var b bytes.Buffer
	if err := s.Write(&b); err != nil {
		return nil, Edition{}, err
	}
	out, err := c.Overlay(name, b.Bytes())
	if err != nil {
		return nil, Edition{}, err
	}
	i := slices.IndexFunc(out.editions, func(e Edition) bool { return e.ID == s.ID })
	return out, out.editions[i], nil
}
