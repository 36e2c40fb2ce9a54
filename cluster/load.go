// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// Load reads the description in the file at path; "-" is standard input. The
// error is an Errors with everything that is wrong in it, or a *FileError when
// it could not be read. more names add-ons beside those of AddOns, which a
// catalog of the user's knows.
func Load(path string, more ...AddOn) (*Cluster, error) {
	name, in := path, io.Reader(os.Stdin)
	if path == "-" {
		name = "stdin"
	} else {
		f, err := os.Open(path)
		if err != nil {
			return nil, unreadable(path, err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, MaxSize+1))
	if err != nil {
		return nil, unreadable(name, err)
	}
	if len(data) > MaxSize {
		return nil, &FileError{Path: name, Msg: "is longer than 1 MiB; leave out what does not belong here"}
	}
	return Parse(name, data, more...)
}

func unreadable(path string, err error) error {
	e := &FileError{Path: path, Err: err}
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Msg = "no such file; write one with: sallyport init"
	case errors.Is(err, fs.ErrPermission):
		e.Msg = "may not be read by this user; change its mode or run as its owner"
	default:
		e.Msg = err.Error() + "; name a file that can be read, or - for standard input"
	}
	return e
}

// Parse reads the description in data. name is what messages call it. The error
// is an Errors with everything that is wrong. more is as in Load.
func Parse(name string, data []byte, more ...AddOn) (*Cluster, error) {
	f := &findings{file: name}
	raw, ok := decode(data, f)
	if !ok {
		return nil, f.err()
	}
	v := validator{findings: f, raw: &raw, c: &Cluster{File: name}, more: more}
	v.basics()
	v.network()
	v.gateway()
	v.publish()
	v.dns()
	v.apiServer()
	v.allow()
	if err := f.err(); err != nil {
		return nil, err
	}
	return v.c, nil
}
