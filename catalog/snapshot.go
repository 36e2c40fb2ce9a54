// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/flow"
)

// snapshot is an imported edition: all rows of one day.
type snapshot struct {
	edition Edition
	rows    []snapshotRow
}

type snapshotRow struct {
	at          Source
	feature     string
	cloud       string
	required    bool
	destination Destination
	stated      string // as printed
	ports       []Port
	line        int
	purpose     string
}

// snapshot reads an imported edition.
func (l *loader) snapshot(at Source, raw rawFile, where func(string, int) Source) {
	r := raw.Edition
	if r.ID == "" || parseID(r.ID) != nil {
		l.fault(at, "edition id %q is not the day of its publication: write for example id: 2026-07-03", r.ID)
		return
	}
	if r.Unusable > 0 {
		l.fault(at, "edition %s has %d unusable cells: fill in what they say, then remove `unusable`", r.ID, r.Unusable)
		return
	}
	t := snapshot{edition: Edition{
		ID: r.ID, Published: Day(r.ID), Title: r.Title, Document: r.Document, MSDate: r.MSDate, Source: at,
	}}
	if t.edition.Document == "" {
		t.edition.Document = at.File
	}
	for i, row := range raw.Rows {
		at := where("rows", i)
		s := snapshotRow{
			at: at, feature: row.Feature, cloud: row.Cloud, required: row.Required, line: row.Line, purpose: row.Purpose,
			stated: row.Destination,
		}
		var err error
		if s.destination, err = ParseDestination(starred(row.Destination)); err != nil {
			l.fault(at, "%w", err)
			continue
		}
		if !knownCloud(row.Cloud) {
			l.fault(at, "cloud %q is not known", row.Cloud)
		}
		if row.Feature == "" {
			l.fault(at, "%s has no feature: write for example feature: base", row.Destination)
		}
		if len(row.Ports) == 0 {
			l.fault(at, "%s has no port", row.Destination)
		}
		for _, text := range row.Ports {
			p, err := parsePort(text)
			if err != nil {
				l.fault(at, "%s: %w", row.Destination, err)
				continue
			}
			s.ports = append(s.ports, p)
		}
		t.rows = append(t.rows, s)
	}
	l.tables = append(l.tables, t)
}

// starred reads a leading dot as what it must mean: every name below.
func starred(destination string) string {
	if strings.HasPrefix(destination, ".") {
		return "*" + destination
	}
	return destination
}

// apply makes the catalog state exactly the rows of t on its day.
func (l *loader) apply(t snapshot) {
	c := l.c
	id, next := t.edition.ID, ""
	i := slices.IndexFunc(c.editions, func(e Edition) bool { return e.ID >= id })
	switch {
	case i < 0:
		c.editions = append(c.editions, t.edition)
	case c.editions[i].ID == id:
		t.edition.Alias = c.editions[i].Alias
		c.editions[i] = t.edition
		if i+1 < len(c.editions) {
			next = c.editions[i+1].ID
		}
	default:
		next = c.editions[i].ID
		c.editions = slices.Insert(c.editions, i, t.edition)
	}
	// Take away what it does not list, and note what it does.
	type pair struct {
		row      int
		protocol flow.Protocol
		port     uint16
	}
	used := make(map[pair]bool)
	for qi := range c.requirements {
		q := &c.requirements[qi]
		also := false
		for pi := range q.Ports {
			p := &q.Ports[pi]
			listed := false
			for ri, r := range t.rows {
				f := r.states(*q)
				if f == noForm || !slices.ContainsFunc(r.ports, p.same) {
					continue
				}
				used[pair{ri, p.Protocol, p.Port}] = true
				listed = listed || f == firstForm
				also = also || f == otherForm
				q.Lines = withLine(q.Lines, id, r.line)
			}
			p.Listed = relist(p.Listed, id, next, listed)
		}
		if len(q.Also) > 0 {
			q.AlsoListed = relist(q.AlsoListed, id, next, also)
		}
	}
	for ri, r := range t.rows {
		var ports []Port
		for _, p := range r.ports {
			if !used[pair{ri, p.Protocol, p.Port}] {
				p.Listed = []Span{{id, next}}
				ports = append(ports, p)
			}
		}
		if len(ports) > 0 {
			l.newRequirement(t, r, ports)
		}
	}
}

// same reports whether two ports are one, whenever they were listed.
func (p Port) same(o Port) bool { return p.Protocol == o.Protocol && p.Port == o.Port }

// form says how a row of an imported edition states a requirement.
type form int

const (
	noForm    form = iota
	firstForm      // by its destination
	otherForm      // by another form of it
)

// states reports whether r is a row of the requirement q.
func (r snapshotRow) states(q Requirement) form {
	if r.feature != q.Feature || r.cloud != "" && r.cloud != q.Cloud ||
		r.cloud == "" && q.Cloud != "" && q.Cloud != AzureCloud && !q.nameTellsCloud() {
		return noForm
	}
	if r.stated == q.StatedDestination() {
		return firstForm
	}
	if slices.Contains(q.Also, r.destination) {
		return otherForm
	}
	return noForm
}

// nameTellsCloud reports whether a row that names no cloud can still be only
// for q's: the page prints such names in one cell for all clouds.
func (q Requirement) nameTellsCloud() bool {
	return q.Feature == WorkloadIdentity || q.Feature == KeyVaultCSI
}

// newRequirement adds a requirement that only an imported edition knows.
func (l *loader) newRequirement(t snapshot, r snapshotRow, ports []Port) {
	f := l.c.feature(r.feature)
	if f.Name == "" {
		l.c.features = append(l.c.features, Feature{
			Name: r.feature, Title: r.feature, Required: r.required, When: Condition{AddOn: r.feature},
			Note: "known only from " + t.edition.Source.File,
		})
	}
	slug := strings.Map(func(c rune) rune {
		if c == '*' || notAlphanumeric(c) {
			return '-'
		}
		return c
	}, strings.ToLower(r.destination.String()))
	id := strings.Trim(r.feature+"-"+strings.ReplaceAll(slug, "--", "-"), "-")
	for n := 2; ; n++ {
		if _, taken := l.c.Requirement(id); !taken {
			break
		}
		id = strings.TrimRight(strings.TrimSuffix(id, fmt.Sprint("-", n-1)), "-") + fmt.Sprint("-", n)
	}
	q := Requirement{
		ID: id, Feature: r.feature, Cloud: r.cloud, Required: r.required, Destination: r.destination, Ports: ports,
		Purpose: r.purpose, Lines: withLine(nil, t.edition.ID, r.line), Source: r.at,
	}
	if r.stated != q.Destination.String() {
		q.Stated = r.stated
	}
	if q.Purpose == "" {
		q.Purpose = "listed in edition " + t.edition.ID
	}
	if r.feature == Base {
		no := false
		q.When.Isolated = &no
	}
	switch q.Destination.Kind {
	case KindName:
		if pattern, err := q.Destination.Name.Fill(Values("x", "x")); err == nil {
			if _, wild := pattern.Apex(); wild {
				q.Probe, _ = ParseTemplate("sallyport-probe" + strings.TrimPrefix(q.Destination.String(), "*"))
			}
		}
	case KindCustomDNS:
		q.CoveredBy = ByResolver
	case KindAny, KindServiceTag, KindRegionCIDRs:
		q.CoveredBy = ByNames
	case KindAPIServer:
		q.Role = RoleAPIServer
	}
	l.c.requirements = append(l.c.requirements, q)
}

func withLine(lines map[string]int, id string, line int) map[string]int {
	if line <= 0 {
		return lines
	}
	out := map[string]int{id: line}
	for k, v := range lines {
		if k != id {
			out[k] = v
		}
	}
	return out
}
