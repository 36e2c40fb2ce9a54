// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package linefile keeps lines in a file, so that a process that was killed finds
// them again. Lines are added with one system call, and so survive the process,
// though not the machine; all of them are replaced in one step. What a line says
// is up to the caller.
package linefile

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// maxLine bounds what is read of one line; a longer one ends the reading.
const maxLine = 4096

// File is an open file of lines. It is not safe for concurrent use.
type File struct {
	path string
	file *os.File // nil until the first Replace
}

// Open reads the lines of path, without their ends; read says of each whether it
// could make something of it. A file that does not exist is an empty one. Lines
// that cannot be read, such as one cut short by a full disk, are counted. Replace
// comes next: it makes the file ready for more.
func Open(path string, read func(line []byte) bool) (f *File, unreadable int, err error) {
	old, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &File{path: path}, 0, nil
	case err != nil:
		return nil, 0, err
	}
	defer old.Close()
	s := bufio.NewScanner(old)
	s.Buffer(make([]byte, maxLine), maxLine)
	for s.Scan() {
		if !read(s.Bytes()) {
			unreadable++
		}
	}
	if s.Err() != nil {
		unreadable++
	}
	return &File{path: path}, unreadable, nil
}

// Replace replaces the file by lines, in one step. On an error the old file stays.
func (f *File) Replace(lines []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(f.path), "."+filepath.Base(f.path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(lines)
	if err := errors.Join(err, tmp.Close()); err != nil {
		return fmt.Errorf("rewrite %s: %w", f.path, err)
	}
	if err := os.Rename(tmp.Name(), f.path); err != nil {
		return fmt.Errorf("rewrite %s: %w", f.path, err)
	}
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_ = f.Close()
	f.file = file
	return nil
}

// Append writes lines behind the others.
func (f *File) Append(lines []byte) error {
	_, err := f.file.Write(lines)
	return err
}

// Close closes the file; one that is not open is no error.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}
