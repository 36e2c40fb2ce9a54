// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nametable

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/dnsname"
)

// Journal keeps bindings in a file, one JSON object a line, so that a process
// that was killed finds them again. A line is written with one system call, and
// so survives the process, though not the machine; after the machine a cluster
// asks again anyway.
type Journal struct {
	path string
	file *os.File
}

type line struct {
	Name  dnsname.Name `json:"name"`
	Addr  netip.Addr   `json:"addr"`
	Until time.Time    `json:"until"`
}

// maxLine bounds what is read of one line; a longer one ends the reading.
const maxLine = 4096

// OpenJournal reads the bindings of path that have not ended into t and opens
// the file for more, rewritten without those that have. A file that does not
// exist is an empty one. Lines that cannot be read, such as one cut short by a
// full disk, are left out and counted.
func OpenJournal(path string, t *Table, now time.Time) (j *Journal, unreadable int, err error) {
	old, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, 0, err
	default:
		defer old.Close()
		s := bufio.NewScanner(old)
		s.Buffer(make([]byte, maxLine), maxLine)
		for s.Scan() {
			var l line
			if err := json.Unmarshal(s.Bytes(), &l); err != nil || l.Name.IsZero() || !l.Addr.IsValid() {
				unreadable++
				continue
			}
			if now.Before(l.Until) {
				t.Bind(Binding{l.Name, l.Addr.Unmap(), l.Until})
			}
		}
		if s.Err() != nil {
			unreadable++
		}
	}
	j = &Journal{path: path}
	return j, unreadable, j.Rewrite(t)
}

// Rewrite replaces the file by the bindings of t, in one step.
func (j *Journal) Rewrite(t *Table) error {
	tmp, err := os.CreateTemp(filepath.Dir(j.path), ".bindings-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	w := bufio.NewWriter(tmp)
	enc := json.NewEncoder(w)
	for _, b := range t.All() {
		if err := enc.Encode(line(b)); err != nil {
			return err
		}
	}
	if err := errors.Join(w.Flush(), tmp.Close(), os.Rename(tmp.Name(), j.path)); err != nil {
		return fmt.Errorf("rewrite %s: %w", j.path, err)
	}
	file, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if j.file != nil {
		_ = j.file.Close()
	}
	j.file = file
	return nil
}

// Append writes bindings behind the others.
func (j *Journal) Append(bindings ...Binding) error {
	var buf []byte
	for _, b := range bindings {
		l, err := json.Marshal(line(b))
		if err != nil {
			return err
		}
		buf = append(append(buf, l...), '\n')
	}
	_, err := j.file.Write(buf)
	return err
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }
