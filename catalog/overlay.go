// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// LoadOverlay reads the built-in catalog with the data files of a user's
// directory laid over it: a requirement with the id of a built-in one replaces
// it, others are added, and so are imported editions. Faults are reported with
// file and line, all of them.
func LoadOverlay(dir string) (*Catalog, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%s: is a file; --catalog takes a directory of data files (sallyport catalog import -w DIR writes them)", dir)
	}
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return nil, err
	}
	l := newLoader(Default().clone(), true)
	found := false
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		switch filepath.Ext(name) {
		case ".yaml":
			found = true
			if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
				l.errs = append(l.errs, fmt.Errorf("%s: is not a file", name))
				continue
			}
			l.file(name, decodeFile(os.DirFS(dir), e.Name()))
		case ".yml":
			l.errs = append(l.errs, fmt.Errorf("%s: data files end in .yaml; rename it, or move it away", name))
		}
	}
	if !found {
		l.errs = append(l.errs, fmt.Errorf("%s: holds no *.yaml; a catalog directory holds data files such as `sallyport catalog export` prints", dir))
	}
	return l.finish()
}

// Overlay returns c with one more data file laid over it, called name in
// messages.
func (c *Catalog) Overlay(name string, data []byte) (*Catalog, error) {
	l := newLoader(c.clone(), true)
	l.file(name, decode(data))
	return l.finish()
}

// clone copies c so far that a loader may change it.
func (c *Catalog) clone() *Catalog {
	out := *c
	out.editions = slices.Clone(c.editions)
	out.features = slices.Clone(c.features)
	out.requirements = slices.Clone(c.requirements)
	for i := range out.requirements {
		out.requirements[i].Ports = slices.Clone(out.requirements[i].Ports)
	}
	out.replaced = slices.Clone(c.replaced)
	out.hosts = slices.Clone(c.hosts)
	out.regions = slices.Clone(c.regions)
	out.said = c.said.clone()
	return &out
}

// removeAll takes away the built-in requirements that the owner does not want.
func (l *loader) removeAll() {
	gone := make(map[string]Source)
	for _, r := range l.remove {
		i, ok := l.ids[r.text]
		switch other, twice := gone[r.text]; {
		case twice:
			l.fault(r.Source, "remove: %s is removed at %s already", r.text, other)
		case !ok:
			l.fault(r.Source, "remove: no requirement is called %q%s", r.text, l.like(r.text))
		case l.c.requirements[i].Source.Overlay:
			l.fault(r.Source, "remove: %s is your own, from %s: delete it there", r.text, l.c.requirements[i].Source)
		default:
			gone[r.text] = r.Source
			l.c.replaced = append(l.c.replaced, l.c.requirements[i])
		}
	}
	l.c.requirements = slices.DeleteFunc(l.c.requirements, func(q Requirement) bool { _, ok := gone[q.ID]; return ok })
	clear(l.ids)
	for i, q := range l.c.requirements {
		l.ids[q.ID] = i
	}
}

// like names a requirement whose id begins or ends as id does, as a hint.
func (l *loader) like(id string) string {
	for _, q := range l.c.requirements {
		if n := len(id); n > 3 && (strings.HasPrefix(q.ID, id[:n-2]) || strings.HasSuffix(q.ID, id[2:])) {
			return "; did you mean " + q.ID + "?"
		}
	}
	return "; `sallyport catalog list` shows their ids"
}
