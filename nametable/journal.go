// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nametable

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/internal/linefile"
)

// Journal keeps bindings in a file, one JSON object a line, so that a process
// that was killed finds them again; after the machine a cluster asks again anyway.
type Journal struct{ file *linefile.File }

type line struct {
	Name  dnsname.Name `json:"name"`
	Addr  netip.Addr   `json:"addr"`
	Until time.Time    `json:"until"`
}

// OpenJournal reads the bindings of path that have not ended into t and opens
// the file for more, rewritten without those that have. A file that does not
// exist is an empty one. Lines that cannot be read, such as one cut short by a
// full disk, are left out and counted.
func OpenJournal(path string, t *Table, now time.Time) (j *Journal, unreadable int, err error) {
	file, unreadable, err := linefile.Open(path, func(text []byte) bool {
		var l line
		if err := json.Unmarshal(text, &l); err != nil || l.Name.IsZero() || !l.Addr.IsValid() {
			return false
		}
		if now.Before(l.Until) {
			t.Bind(Binding{l.Name, l.Addr.Unmap(), l.Until})
		}
		return true
	})
	if err != nil {
		return nil, 0, err
	}
	j = &Journal{file}
	return j, unreadable, j.Rewrite(t)
}

// Rewrite replaces the file by the bindings of t, in one step.
func (j *Journal) Rewrite(t *Table) error {
	lines, err := linesOf(t.All())
	if err != nil {
		return err
	}
	return j.file.Replace(lines)
}

// Append writes bindings behind the others.
func (j *Journal) Append(bindings ...Binding) error {
	lines, err := linesOf(bindings)
	if err != nil {
		return err
	}
	return j.file.Append(lines)
}

func linesOf(bindings []Binding) (out []byte, err error) {
	for _, b := range bindings {
		l, err := json.Marshal(line(b))
		if err != nil {
			return nil, err
		}
		out = append(append(out, l...), '\n')
	}
	return out, nil
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }
