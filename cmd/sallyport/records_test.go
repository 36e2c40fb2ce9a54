// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A file of records makes room for the next one when it is full, whole lines
// together, and only so many are kept.
func TestRecordsMakeRoomForOthers(t *testing.T) {
	name := filepath.Join(t.TempDir(), "records.jsonl")
	if err := os.WriteFile(name, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := recordsFile{name: name, size: 1, keep: 2}
	w, closeFile, err := r.open(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer closeFile()
	line := append(bytes.Repeat([]byte("x"), 60<<10), '\n')
	for range 80 { // nearly five files
		if _, err := w.Write(line); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond) // the time is in the files' names
	}
	var files []string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if files, err = filepath.Glob(filepath.Join(filepath.Dir(name), "*")); err != nil || len(files) == 3 {
			break
		}
	}
	if len(files) != 3 {
		t.Fatalf("the files are %q", files)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil || len(b) > 1<<20 || !bytes.HasSuffix(b, line) {
			t.Errorf("%s has %d bytes: %v", f, len(b), err)
		}
	}
}

func TestRecordsThatAreNoFileStayWhatTheyAre(t *testing.T) {
	r := recordsFile{name: os.DevNull, size: 1, keep: 1}
	w, closeFile, err := r.open(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer closeFile()
	if _, isFile := w.(*os.File); !isFile {
		t.Errorf("%s is written by a %T", os.DevNull, w)
	}
}
