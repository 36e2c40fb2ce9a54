// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/portset"
)

//go:embed data/*.yaml
var embedded embed.FS

// dataFiles lists the built-in files in the order their rows are shown.
var dataFiles = []string{
	"editions.yaml", "statements.yaml", "regions.yaml", "node-local.yaml",
	"base.yaml", "optional.yaml", "gpu.yaml", "windows.yaml", "azure-monitor.yaml", "dev-spaces.yaml",
	"azure-policy.yaml", "workload-identity.yaml", "defender.yaml", "keyvault-csi.yaml", "cost-analysis.yaml",
	"cluster-extensions.yaml",
}

// Default returns the catalog that is built in. Its data is linted by this
// package's tests, so a fault in it is a bug and panics.
var Default = sync.OnceValue(func() *Catalog {
	sub, err := fs.Sub(embedded, "data")
	if err == nil {
		var c *Catalog
		if c, err = Load(sub); err == nil {
			return c
		}
	}
	panic("catalog: built-in data: " + err.Error())
})

// Load reads a catalog from a directory of data files and reports every fault
// it finds, joined.
func Load(dir fs.FS) (*Catalog, error) {
	l := newLoader(&Catalog{}, false)
	// YAML is slow to read, and every command reads all of it: on as many
	// processors as there are.
	files := make([]decoded, len(dataFiles))
	var wg sync.WaitGroup
	for i, name := range dataFiles {
		wg.Go(func() { files[i] = decodeFile(dir, name) })
	}
	wg.Wait()
	for i, name := range dataFiles {
		l.file("data/"+name, files[i])
	}
	return l.finish()
}

// loader reads files into a catalog and gathers what is wrong.
type loader struct {
	c       *Catalog
	overlay bool
	errs    []error
	tables  []snapshot // imported editions, to be applied when everything is read
	remove  []located
	ids     map[string]int  // where each requirement stands
	known   map[string]bool // features that are built in
}

func newLoader(c *Catalog, overlay bool) *loader {
	l := &loader{c: c, overlay: overlay, ids: make(map[string]int), known: make(map[string]bool)}
	for i, q := range c.requirements {
		l.ids[q.ID] = i
	}
	for _, f := range c.features {
		l.known[f.Name] = overlay
	}
	return l
}

// located is a word with where it stands.
type located struct {
	Source
	text string
}

// fault records what is wrong at a place.
func (l *loader) fault(at Source, format string, args ...any) {
	l.errs = append(l.errs, fmt.Errorf("%s: %w", at, fmt.Errorf(format, args...)))
}

// finish applies imported editions, checks the whole, and returns it.
func (l *loader) finish() (*Catalog, error) {
	if len(l.errs) == 0 {
		slices.SortStableFunc(l.c.editions, func(a, b Edition) int { return strings.Compare(a.ID, b.ID) })
		l.removeAll()
		for _, t := range l.tables {
			l.apply(t)
		}
		l.c.index = l.ids
		if n := len(l.c.editions); n > 0 {
			l.c.newestKnown = max(l.c.newestKnown, l.c.editions[n-1].ID)
		}
		for i := range l.c.editions {
			l.c.said.fill(&l.c.editions[i])
		}
		l.lint()
	}
	if len(l.errs) > 0 {
		return nil, errors.Join(l.errs...)
	}
	return l.c, nil
}

// file takes over one data file.
func (l *loader) file(name string, f decoded) {
	at := Source{File: name, Line: 1, Overlay: l.overlay}
	if f.err != nil {
		l.decodeFault(at, f.err)
		return
	}
	raw := f.raw
	where := func(list string, i int) Source {
		return Source{File: at.File, Line: f.lines.of(list, i), Overlay: l.overlay}
	}
	if raw.NewestKnown != "" {
		if parseID(raw.NewestKnown) != nil {
			l.fault(at, "newestKnown %q is not a date", raw.NewestKnown)
		} else {
			l.c.newestKnown = max(l.c.newestKnown, raw.NewestKnown)
		}
	}
	for i, r := range raw.Editions {
		l.edition(where("editions", i), r, raw.Documents)
	}
	l.statements(raw, where)
	l.places(raw, where)
	if raw.Feature != "" {
		l.feature(at, raw, where)
	} else if len(raw.Requirements) > 0 {
		l.fault(at, "requirements need a feature: write for example feature: base")
	}
	if raw.Edition != nil {
		l.snapshot(at, raw, where)
	} else if len(raw.Rows) > 0 {
		l.fault(at, "rows need an edition: write for example edition: {id: 2026-07-03}")
	}
	for i, id := range raw.Remove {
		l.remove = append(l.remove, located{where("remove", i), id})
	}
}

func (l *loader) edition(at Source, r rawEdition, documents map[string]rawDocument) {
	if err := parseID(r.ID); err != nil {
		l.fault(at, "%w", err)
		return
	}
	if i := slices.IndexFunc(l.c.editions, func(e Edition) bool { return e.ID == r.ID }); i >= 0 {
		l.fault(at, "edition %s is there already (%s)", r.ID, l.c.editions[i].Source)
		return
	}
	e := Edition{
		ID: r.ID, Alias: r.Alias, Published: Day(r.ID), Title: r.Title, Document: r.Document,
		Commit: r.Commit, MSDate: r.MSDate, Source: at,
	}
	if d, ok := documents[r.Document]; ok {
		e.Document = d.Path
		if e.Title == "" {
			e.Title = d.Title
		}
	}
	if r.Commit != "" {
		e.Document += " @ " + r.Commit
	}
	l.c.editions = append(l.c.editions, e)
}

func (l *loader) feature(at Source, raw rawFile, where func(string, int) Source) {
	i := slices.IndexFunc(l.c.features, func(f Feature) bool { return f.Name == raw.Feature })
	if i >= 0 && l.known[raw.Feature] {
		// Its conditions decide which clusters need its rows: too much to change
		// in passing, and for all of them at once.
		f := l.c.features[i]
		if raw.When != nil && raw.When.String() != f.When.String() {
			l.fault(at, "feature %s is built in, and so is for whom it counts (%s): write `when` beside a requirement of your own", f.Name, orAll(f.When))
		}
		if raw.Required != nil && *raw.Required != f.Required {
			l.fault(at, "feature %s is built in, with required: %v: rows that are to count otherwise need a feature of your own", f.Name, f.Required)
		}
	}
	if i < 0 && l.overlay && raw.Title == "" {
		var names []string
		for _, f := range l.c.features {
			names = append(names, f.Name)
		}
		l.fault(at, "feature %q is not built in; write one of %s, or give it a title to add a new one", raw.Feature, strings.Join(names, ", "))
		return
	}
	if i < 0 {
		l.c.features = append(l.c.features, Feature{Name: raw.Feature, Title: raw.Feature, Required: true})
		i = len(l.c.features) - 1
	}
	f := &l.c.features[i]
	if raw.Title != "" {
		f.Title = raw.Title
	}
	if raw.Required != nil {
		f.Required = *raw.Required
	}
	if raw.When != nil {
		f.When = *raw.When
	}
	if raw.Note != "" {
		f.Note = raw.Note
	}
	for _, err := range f.When.check() {
		l.fault(at, "%s: %w", f.Name, err)
	}
	for n, r := range raw.Requirements {
		l.requirement(where("requirements", n), *f, r)
	}
}

func (l *loader) requirement(at Source, f Feature, r rawRequirement) {
	q := Requirement{
		ID: r.ID, Feature: f.Name, Cloud: r.Cloud, CloudUnstatedBefore: r.CloudSince, Required: f.Required, When: r.When,
		Stated: r.Stated, CoveredBy: r.CoveredBy, Role: r.Role, ExitCodes: r.ExitCodes, ReplacedBy: r.ReplacedBy,
		Purpose: r.Purpose, Note: r.Note, NoteSince: r.NoteSince, Lines: r.Lines, Source: at,
	}
	fault := func(err error) {
		if err != nil {
			l.fault(at, "%s: %w", r.ID, err)
		}
	}
	var err error
	q.Destination, err = ParseDestination(r.Destination)
	fault(err)
	for _, err := range q.When.check() {
		fault(err)
	}
	for _, s := range r.Also {
		d, err := ParseDestination(s)
		fault(err)
		q.Also = append(q.Also, d)
	}
	q.AlsoListed = spans(r.AlsoListed, fault)
	if r.Probe != "" {
		q.Probe, err = ParseTemplate(r.Probe)
		fault(err)
	}
	for _, rp := range r.Ports {
		p, err := parsePort(rp.Port)
		fault(err)
		for _, err := range rp.When.check() {
			fault(err)
		}
		p.When, p.WhenSince, p.Hindsight, p.Listed = rp.When, rp.WhenSince, rp.Hindsight, spans(rp.Listed, fault)
		if len(p.Listed) == 0 {
			fault(fmt.Errorf("%s was never listed", p))
		}
		q.Ports = append(q.Ports, p)
	}
	if len(q.Also) > 0 && len(q.AlsoListed) == 0 {
		for _, p := range q.Ports {
			q.AlsoListed = append(q.AlsoListed, p.Listed...)
		}
	}
	if i, taken := l.ids[q.ID]; taken {
		if l.c.requirements[i].Source.Overlay == l.overlay {
			l.fault(at, "requirement id %q is not unique: %s has it too", q.ID, l.c.requirements[i].Source)
			return
		}
		l.c.replaced = append(l.c.replaced, l.c.requirements[i])
		l.c.requirements[i] = q
		return
	}
	l.ids[q.ID] = len(l.c.requirements)
	l.c.requirements = append(l.c.requirements, q)
}

// orAll writes a condition, "every cluster" when it always holds.
func orAll(c Condition) string {
	if s := c.String(); s != "" {
		return s
	}
	return "every cluster"
}

// places takes over what a firewall on the node must leave open, and the regions.
func (l *loader) places(raw rawFile, where func(string, int) Source) {
	for i, d := range raw.NodeLocal {
		at := where("nodeLocal", i)
		if d.ID == "" || d.Purpose == "" || d.Source == "" || len(d.Prefixes) == 0 || len(d.Ports) == 0 {
			l.fault(at, "nodeLocal %q needs an id, prefixes, ports, a purpose and a source", d.ID)
		}
		for _, s := range d.Prefixes {
			if _, err := netip.ParsePrefix(s); err != nil {
				l.fault(at, "%s: %q is not a prefix such as 169.254.169.254/32", d.ID, s)
			}
		}
		for _, s := range d.Ports {
			if _, err := parsePort(s); err != nil {
				l.fault(at, "%s: %w", d.ID, err)
			}
		}
		l.c.hosts = append(l.c.hosts, d)
	}
	for i, r := range raw.Regions {
		if at := where("regions", i); r.Cloud == "" || !knownCloud(r.Cloud) {
			l.fault(at, "cloud %q is not known; write one of %s", r.Cloud, strings.Join(clouds, ", "))
		} else if len(r.Names) == 0 {
			l.fault(at, "the regions of %s have no names", r.Cloud)
		}
		l.c.regions = append(l.c.regions, r)
	}
}

func spans(list []string, fault func(error)) []Span {
	var out []Span
	for _, s := range list {
		span, err := parseSpan(s)
		fault(err)
		out = append(out, span)
	}
	return out
}

// parsePort reads "https/443".
func parsePort(s string) (Port, error) {
	proto, num, _ := strings.Cut(s, "/")
	p, err := flow.ParseProtocol(proto)
	if err != nil {
		return Port{}, err
	}
	set, err := portset.Parse(num)
	if err != nil {
		return Port{}, err
	}
	n, _ := set.Witness()
	if set.Len() != 1 {
		return Port{}, fmt.Errorf("port %q is not a single one", s)
	}
	return Port{Protocol: p, Port: n}, nil
}
