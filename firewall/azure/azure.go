// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package azure reads the configuration of an Azure Firewall as people keep it:
// ARM templates, exports of the az command, Terraform, scripts and documents
// with az commands, and Bicep. All of them become one ruleset.RuleSet in the
// order in which Azure evaluates.
//
// Every form is read into the same tree of values (value.go), in which what
// nobody resolved is marked and never empty; what the tree means is said once
// (find.go and on). Sources: the rule processing page of Azure Firewall
// (learn.microsoft.com/azure/firewall/rule-processing) and the API reference of
// Microsoft.Network, read 2026-11-22.
//
// It leaves out: modules that are not in the given files, the content of FQDN
// tags, web categories and threat intelligence, and what Azure adds by itself
// (built-in infrastructure names).
package azure

import (
	"fmt"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/ruleset"
)

// Dialect is the name of this form of rules in a ruleset.RuleSet.
const Dialect = "azure-firewall"

// Bounds on what is read.
const (
	maxFile  = 16 << 20 // bytes of one file
	maxDepth = 200      // nesting of values, expressions and references
	maxText  = 64 << 10 // bytes of a computed text
	maxWork  = 4 << 20  // values computed or walked, over all files
	maxRules = 100_000
)

// Options are what files alone do not tell.
type Options struct {
	// Values are parameters and variables given from outside, name -> value. They
	// win over everything the files say.
	Values map[string]string
	// Tags are the ranges of service tags; nil: they stay unknown.
	Tags *catalog.ServiceTags
	// Location fills parameters and variables that have no value and whose name
	// is that of a location; each time a note says so.
	Location string
}

// File is a file with its content.
type File struct {
	Name string
	Data []byte
}

// Error says why a file cannot be read at all.
type Error struct {
	File      string
	Line, Col int // 0 when the whole file is meant
	Text      string
}

// Error writes the place as compilers do, and the reason.
func (e *Error) Error() string {
	return ruleset.Position{File: e.File, Line: e.Line, Col: e.Col}.String() + ": " + e.Text
}

// Read reads files that belong together as one firewall. A file that cannot be
// read at all is an error; a part that is not understood is an Unknown.
func Read(files []File, opt Options) (*ruleset.RuleSet, error) {
	r := newReader(opt)
	for _, f := range files {
		if len(f.Data) > maxFile {
			return nil, &Error{File: f.Name, Text: fmt.Sprintf("is longer than %d MiB", maxFile>>20)}
		}
		form, ok := Detect(f.Name, f.Data)
		if !ok {
			return nil, &Error{File: f.Name, Text: "is none of: ARM JSON, az -o json, Terraform, tfvars, az commands, Bicep"}
		}
		r.files = append(r.files, f.Name)
		r.text[f.Name] = f.Data
		if err := r.parse(form, newSource(f)); err != nil {
			return nil, err
		}
	}
	r.evaluate()
	return r.ruleSet(), nil
}
