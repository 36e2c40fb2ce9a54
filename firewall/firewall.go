// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package firewall translates a program into the language of a firewall that
// somebody else made, and proves the translation: what was written is read back,
// and both are compared as sets of flows. So a writer cannot lie.
package firewall

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/firewall/azure"
	"github.com/sallyport/sallyport/firewall/sheet"
	"github.com/sallyport/sallyport/firewall/squid"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/ruleset"
)

// File is one file of a translation.
type File struct {
	Name string
	Data []byte
}

// Dialect is one firewall's language, as far as Sallyport writes it.
type Dialect struct {
	Name         string
	Title        string
	Scope        string // whose traffic it sees: "node", "pod" or "both"
	Matches      string // what a name is compared with
	Restrictions []Restriction
	// Write translates the rules of p, and names those that a restriction keeps
	// it from saying.
	Write func(p *program.Program) (files []File, left []Left)
	// Read reads back the file of a translation that decides.
	Read func(files []File) (*ruleset.RuleSet, error)
}

// Restriction is something a dialect cannot say.
type Restriction struct {
	ID     string
	Text   string
	Source string // with the day it was checked
}

// Left is a rule that a writer left out, and the restriction for which it did.
type Left struct {
	Rule        flow.RuleID
	Restriction string
}

// azureDialect is one of the forms in which Azure Firewall is configured.
func azureDialect(name, title, file string, write func(*program.Program, azure.Layout) ([]byte, []flow.RuleID)) Dialect {
	return Dialect{
		Name: name, Title: title, Scope: "both", Matches: "SNI for HTTPS, Host for HTTP",
		Restrictions: []Restriction{{
			ID: azure.WildcardInNetworkRule, Text: "network rules take names without wildcards alone, and need the DNS proxy for them",
			Source: "learn.microsoft.com/azure/firewall/fqdn-filtering-network-rules, 2026-11-22",
		}},
		Write: func(p *program.Program) ([]File, []Left) {
			data, ids := write(p, azure.DefaultLayout)
			var left []Left
			for _, id := range ids {
				left = append(left, Left{id, azure.WildcardInNetworkRule})
			}
			return []File{{file, data}}, left
		},
		Read: func(files []File) (*ruleset.RuleSet, error) {
			return azure.Read([]azure.File{{Name: files[0].Name, Data: files[0].Data}}, azure.Options{})
		},
	}
}

// Dialects lists every dialect that Sallyport writes.
var Dialects = []Dialect{
	azureDialect("azure-arm", "Azure Firewall policy, ARM template", "azuredeploy.json", azure.ARM),
	azureDialect("azure-terraform", "Azure Firewall policy, Terraform azurerm", "main.tf", azure.Terraform),
	azureDialect("azure-cli", "Azure Firewall policy, script of az commands", "apply.sh", azure.AzCLI),
	{
		Name: "sheet", Title: "request sheet for the team that owns the firewall", Scope: "both", Matches: "whatever the firewall does",
		Write: func(p *program.Program) ([]File, []Left) {
			return []File{{"request.csv", sheet.CSV(p)}, {"request.md", sheet.Markdown(p)}}, nil
		},
		Read: func(files []File) (*ruleset.RuleSet, error) { return sheet.Read(files[0].Name, files[0].Data) },
	},
	{
		Name: "squid", Title: "Squid as a forward proxy", Scope: "both", Matches: "the host of the request or of CONNECT",
		Restrictions: []Restriction{{
			ID: squid.HTTPOnly, Text: "a forward proxy carries HTTP and CONNECT to names; other traffic needs another way out",
			Source: "wiki.squid-cache.org/Features, 2026-11-23",
		}},
		Write: func(p *program.Program) ([]File, []Left) {
			conf, ids := squid.Write(p)
			var left []Left
			for _, id := range ids {
				left = append(left, Left{id, squid.HTTPOnly})
			}
			return []File{{"squid.conf", conf}}, left
		},
		Read: func(files []File) (*ruleset.RuleSet, error) { return squid.Read(files[0].Name, files[0].Data) },
	},
}

// Find returns the dialect called name; ok is false when there is none.
func Find(name string) (d Dialect, ok bool) {
	for _, d := range Dialects {
		if d.Name == name {
			return d, true
		}
	}
	return Dialect{}, false
}

// Gap is a difference between a program and its translation.
type Gap struct {
	Rule        flow.RuleID // "" for what no rule of the program asks for
	Wider       bool        // lets through more; else less
	Restriction string      // id, "" when none explains it
	Text        string
	Witness     flowset.Flow
}

// Translation is files with the proof of what they mean.
type Translation struct {
	Files []File
	Gaps  []Gap
}

// Equal reports whether the files mean exactly what the program does.
func (t Translation) Equal() bool { return len(t.Gaps) == 0 }

// Wider reports whether the files let through what the program does not.
func (t Translation) Wider() bool {
	return slices.ContainsFunc(t.Gaps, func(g Gap) bool { return g.Wider })
}

// Translate writes p in the dialect, reads that back, and compares.
func Translate(d Dialect, p *program.Program) (Translation, error) {
	files, left := d.Write(p)
	rules, err := d.Read(files)
	if err != nil {
		return Translation{}, fmt.Errorf("%s does not read what it wrote: %w", d.Name, err)
	}
	t := Translation{Files: files}
	e := rules.Evaluate()
	var want []flowset.Box
	for _, r := range p.Rules {
		asked := ruleset.Asked(r)
		want = append(want, asked.Boxes()...)
		lacks := asked.Minus(e.Sure)
		w, missing := lacks.Witness()
		if !missing {
			continue
		}
		g := Gap{Rule: r.ID, Witness: w, Text: "is not let through"}
		if i := slices.IndexFunc(left, func(l Left) bool { return l.Rule == r.ID }); i >= 0 {
			g.Restriction = left[i].Restriction
			for _, x := range d.Restrictions {
				if x.ID == g.Restriction {
					g.Text = x.Text
				}
			}
		}
		t.Gaps = append(t.Gaps, g)
	}
	if w, wider := e.Maybe.Minus(flowset.Of(want...)).Witness(); wider {
		t.Gaps = append(t.Gaps, Gap{Wider: true, Witness: w, Text: "is let through, and nothing asks for it"})
	}
	return t, nil
}
