// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
	"gopkg.in/natefinch/lumberjack.v2"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/service"
)

// recordsFile is where a gateway writes its records.
type recordsFile struct {
	name string // - for standard output
	size int    // in MiB, 0 for any
	keep int
}

func (r *recordsFile) flags(f *pflag.FlagSet) {
	f.StringVar(&r.name, "records", "-", "file that decision records are appended to as JSON lines, - for standard output")
	f.IntVar(&r.size, "records-size", 100, "MiB that the file of records may have before another one takes its place, 0 for any")
	f.IntVar(&r.keep, "records-keep", 10, "how many former files of records are kept")
}

func (r *recordsFile) sensible() error {
	var errs []error
	if r.size < 0 || r.size > 1<<20 {
		errs = append(errs, fmt.Errorf("--records-size %d is not between 0 and %d MiB", r.size, 1<<20))
	}
	if r.keep < 1 {
		errs = append(errs, fmt.Errorf("--records-keep %d keeps nothing of what was written; give 1 at least", r.keep))
	}
	return errors.Join(errs...)
}

// answer says where the records would go, for --check.
func (r *recordsFile) answer() gateway.Answer {
	a := gateway.Answer{What: "records", Note: r.name, Err: r.writable()}
	if r.name == "-" {
		a.Note = "to standard output"
	}
	return a
}

// writable fails when the file cannot be written, and changes nothing.
func (r *recordsFile) writable() error {
	if r.name == "-" {
		return nil
	}
	if info, err := os.Stat(r.name); err == nil && info.IsDir() {
		return fmt.Errorf("--records %s is a folder: name a file in it", r.name)
	}
	switch at, err := service.Nearest(r.name); {
	case errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("--records %s: %s is no folder", r.name, at)
	case err != nil:
		return fmt.Errorf("--records %s: %s cannot be written: %w", r.name, at, err)
	}
	return nil
}

// open opens the file, and makes the folders that lead to it. A regular one that has
// grown to its size is renamed, with the time in its name, and a new one takes its
// place; a pipe or a device stays.
func (r *recordsFile) open(stdout io.Writer) (w io.Writer, closeFile func(), err error) {
	if r.name == "-" {
		return stdout, func() {}, nil
	}
	if err := r.writable(); err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(filepath.Dir(r.name), 0o750); err != nil {
		return nil, nil, fmt.Errorf("--records: %w", err)
	}
	f, err := os.OpenFile(r.name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("--records: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open records: %w", err), f.Close())
	}
	if r.size == 0 || !info.Mode().IsRegular() {
		return f, func() { _ = f.Close() }, nil
	}
	_ = f.Close() // it is there and can be written
	l := &lumberjack.Logger{Filename: r.name, MaxSize: r.size, MaxBackups: r.keep}
	return l, func() { _ = l.Close() }, nil
}
