// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package exampletest compiles cluster descriptions for tests, the repository's and
// their own.
package exampletest

import (
	"io/fs"
	"testing"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/cluster"
	"github.com/sallyport/sallyport/compile"
	"github.com/sallyport/sallyport/examples"
	"github.com/sallyport/sallyport/program"
)

// Program returns the program of one description, such as "seed.yaml".
func Program(t testing.TB, name string) *program.Program {
	t.Helper()
	data, err := examples.Files.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	_, p := Compile(t, name, data)
	return p
}

// Compile compiles a description of a test's own.
func Compile(t testing.TB, name string, data []byte) (*cluster.Cluster, *program.Program) {
	t.Helper()
	c, err := cluster.Parse(name, data)
	if err != nil {
		t.Fatal(err)
	}
	p, err := compile.Compile(c, catalog.Default(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, p
}

// Programs returns the programs of all descriptions by their names.
func Programs(t testing.TB) map[string]*program.Program {
	t.Helper()
	names, err := fs.Glob(examples.Files, "*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatal("no examples")
	}
	out := make(map[string]*program.Program)
	for _, name := range names {
		out[name] = Program(t, name)
	}
	return out
}
