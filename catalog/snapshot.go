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
	if len(raw.Rows) == 0 {
		l.fault(at, "edition %s has no row: an empty list would close everything", r.ID)
	}
	if i := slices.IndexFunc(l.tables, func(o snapshot) bool { return o.edition.ID == r.ID }); i >= 0 {
		l.fault(at, "edition %s stands in %s too: keep one of them", r.ID, l.tables[i].edition.Source)
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
	byText := make(map[string][]int) // rows by each way to write their destination
	for ri, r := range t.rows {
		byText[r.stated] = append(byText[r.stated], ri)
		if s := r.destination.String(); s != r.stated {
			byText[s] = append(byText[s], ri)
		}
	}
	// match calls found for each port of q that a row states.
	match := func(q *Requirement, found func(pi int, r snapshotRow, f form)) {
		texts := []string{q.StatedDestination()}
		for _, d := range q.Also {
			texts = append(texts, d.String())
		}
		for _, text := range texts {
			for _, ri := range byText[text] {
				r := t.rows[ri]
				f := r.states(*q)
				for pi, p := range q.Ports {
					if f != noForm && slices.ContainsFunc(r.ports, p.same) {
						used[pair{ri, p.Protocol, p.Port}] = true
						found(pi, r, f)
					}
				}
			}
		}
	}
	for qi := range c.requirements {
		q := &c.requirements[qi]
		listed, also := make([]bool, len(q.Ports)), false
		match(q, func(pi int, r snapshotRow, f form) {
			listed[pi] = listed[pi] || f == firstForm
			also = also || f == otherForm
			q.Lines = withLine(q.Lines, id, r.line)
		})
		if q.Source.Overlay && !q.imported {
			continue // the owner says when it counts, not the page
		}
		for pi := range q.Ports {
			q.Ports[pi].Listed = relist(q.Ports[pi].Listed, id, next, listed[pi])
		}
		if len(q.Also) > 0 {
			q.AlsoListed = relist(q.AlsoListed, id, next, also)
		}
	}
	// What the owner replaced or removed stays so, whatever the page says.
	for qi := range c.replaced {
		match(&c.replaced[qi], func(int, snapshotRow, form) {})
	}
	var fresh []snapshotRow
	for ri, r := range t.rows {
		r.ports = slices.DeleteFunc(slices.Clone(r.ports), func(p Port) bool { return used[pair{ri, p.Protocol, p.Port}] })
		for i := range r.ports {
			r.ports[i].Listed = []Span{{id, next}}
		}
		if len(r.ports) > 0 {
			fresh = append(fresh, r)
		}
	}
	for _, cell := range byCell(fresh) {
		l.newRequirement(t, cell)
	}
}

// byCell gathers the rows that are forms of one cell: an address, the ranges of
// a region, a service tag and any address, on one line and with the same ports.
// The narrowest form is first.
func byCell(rows []snapshotRow) [][]snapshotRow {
	type cell struct {
		line                  int
		feature, cloud, ports string
	}
	var out [][]snapshotRow
	at := make(map[cell]int)
	for _, r := range rows {
		rank := slices.Index(forms, r.destination.Kind)
		k := cell{r.line, r.feature, r.cloud, fmt.Sprint(r.ports)}
		i, ok := at[k]
		if rank < 0 || r.line <= 0 || !ok {
			if rank >= 0 {
				at[k] = len(out)
			}
			out = append(out, []snapshotRow{r})
			continue
		}
		out[i] = append(out[i], r)
	}
	for _, cells := range out {
		slices.SortStableFunc(cells, func(a, b snapshotRow) int {
			return slices.Index(forms, a.destination.Kind) - slices.Index(forms, b.destination.Kind)
		})
	}
	return out
}

// forms is the kinds in which one network rule may be written, narrowest first.
var forms = []Kind{KindAPIServer, KindRegionCIDRs, KindServiceTag, KindAny}

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

// newRequirement adds a requirement that only an imported edition knows, in the
// forms in which a row of it is written.
func (l *loader) newRequirement(t snapshot, cell []snapshotRow) {
	r := cell[0]
	f := l.c.feature(r.feature)
	if f.Name == "" {
		l.c.features = append(l.c.features, Feature{
			Name: r.feature, Title: r.feature, Required: r.required, When: Condition{AddOn: r.feature},
			Note: "known only from " + t.edition.Source.File + "; its rows are for clusters with " + r.feature + " among their addOns",
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
		if _, taken := l.ids[id]; !taken {
			break
		}
		id = strings.TrimRight(strings.TrimSuffix(id, fmt.Sprint("-", n-1)), "-") + fmt.Sprint("-", n)
	}
	q := Requirement{
		ID: id, Feature: r.feature, Cloud: r.cloud, Required: r.required, Destination: r.destination, Ports: r.ports,
		Purpose: r.purpose, Lines: withLine(nil, t.edition.ID, r.line), Source: r.at, imported: true,
	}
	for _, other := range cell[1:] {
		q.Also = append(q.Also, other.destination)
		q.AlsoListed = slices.Clone(r.ports[0].Listed)
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
	case KindAPIServer:
		// With wider forms beside it, it is a way to the control plane that the
		// page lets be narrowed, as the tunnel's ports are.
		q.Role = RoleAPIServer
		if len(q.Also) > 0 {
			q.Role = RoleTunnel
		}
	}
	l.ids[q.ID] = len(l.c.requirements)
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
