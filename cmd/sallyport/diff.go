// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/cluster"
	"github.com/sallyport/sallyport/firewall"
	"github.com/sallyport/sallyport/ruleset"
)

const ruleDiffSchema = "sallyport.rulediff/1"

func diffCommand() *cobra.Command {
	var format string
	var values []string
	c := &cobra.Command{
		Use:   "diff A B",
		Short: "Say what two sets of rules let through differently, whatever language they are in",
		Long: `Compare two sets of rules as sets of flows. A and B are files of a firewall, folders
whose files belong together, or cluster descriptions, which stand for what that
cluster needs. They need not be in the same language. To compare editions of the
published list there is sallyport catalog diff.

Each difference is part of one rule, with a flow that shows it. What a file does not
tell is unknown: a difference that hangs on it is said apart.

Exit codes: 0 the same, 1 different, 3 could not be decided, 2 bad input.`,
		Example: `  sallyport diff before/ after/
  sallyport diff hub.json squid.conf -o json
  sallyport diff cluster.yaml main.tf --location westeurope`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			a, err := readSide(c, args[0], values)
			if err != nil {
				return err
			}
			b, err := readSide(c, args[1], values)
			if err != nil {
				return err
			}
			differences := audit.Compare(a, b)
			if err := writeRuleDiff(c, a, b, args, differences, format); err != nil {
				return err
			}
			sure, unknown := false, false
			for _, d := range differences {
				sure = sure || !d.Unknown
				unknown = unknown || d.Unknown
			}
			return endWith(sure, unknown)
		},
	}
	firewallFlags(c, &values)
	c.Flags().String("location", "", "region, for files in which it is a parameter")
	c.Flags().String("service-tags", "", "file of Azure's service tags")
	listFlags(c)
	formatFlag(c, &format, "table, json, yaml, csv or md")
	return c
}

// firewallFlags adds the flags that say how a firewall's files are read.
func firewallFlags(c *cobra.Command, values *[]string) {
	var names []string
	for _, r := range firewall.Readers {
		names = append(names, r.Name)
	}
	c.Flags().String("dialect", "", "language of the files, told by what is in them otherwise: "+strings.Join(names, ", "))
	c.Flags().StringArrayVar(values, "set", nil, "value of a parameter or variable that the files do not give, NAME=VALUE")
}

// readSide reads a file, a folder, or a cluster description.
func readSide(c *cobra.Command, path string, values []string) (*ruleset.RuleSet, error) {
	location, _ := c.Flags().GetString("location")
	files, err := readFiles([]string{path})
	if err != nil {
		return nil, err
	}
	if len(files) == 1 && cluster.IsDescription(files[0].Data) {
		_, p, err := load(c, path)
		if err != nil {
			return nil, err
		}
		return ruleset.OfProgram(path, p), nil
	}
	return readFirewall(c, location, files, values)
}

// readFiles reads the files of a firewall; a folder stands for the files in it.
func readFiles(names []string) ([]firewall.File, error) {
	var out []firewall.File
	var errs []error
	for _, name := range names {
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			inside, err := filesIn(name)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			more, err := readFiles(inside)
			out, errs = append(out, more...), append(errs, err)
			continue
		}
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s: no such file or folder; give the firewall's own files, or the folder they are in", name)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
		f.Close()
		if err == nil && len(data) > maxConfig {
			err = fmt.Errorf("%s: is longer than %d MiB", name, maxConfig>>20)
		}
		errs = append(errs, err)
		out = append(out, firewall.File{Name: name, Data: data})
	}
	return out, errors.Join(errs...)
}

// filesIn lists the files of a folder, without hidden ones.
func filesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: holds no file", dir)
	}
	return out, nil
}

// readFirewall reads the files of one firewall.
func readFirewall(c *cobra.Command, location string, files []firewall.File, values []string) (*ruleset.RuleSet, error) {
	opt := firewall.Options{Values: make(map[string]string), Location: location}
	opt.Dialect, _ = c.Flags().GetString("dialect")
	for _, v := range values {
		name, value, ok := strings.Cut(v, "=")
		if !ok {
			return nil, fmt.Errorf("--set %q is not NAME=VALUE", v)
		}
		opt.Values[name] = value
	}
	var err error
	if opt.Tags, err = openServiceTags(c); err != nil {
		return nil, err
	}
	return firewall.Read(files, opt)
}

type ruleDiffJSON struct {
	Schema      string           `json:"schema"`
	A           sideJSON         `json:"a"`
	B           sideJSON         `json:"b"`
	Same        bool             `json:"same"`
	Differences []differenceJSON `json:"differences"`
}

type sideJSON struct {
	Path    string   `json:"path"`
	Dialect string   `json:"dialect"`
	Files   []string `json:"files"`
	Rules   int      `json:"rules"`
}

type differenceJSON struct {
	In      string `json:"in"`    // lets it through
	NotIn   string `json:"notIn"` // does not
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Rule    string `json:"rule,omitempty"`
	Term    string `json:"term,omitempty"`
	Whole   bool   `json:"whole"` // everything of the term; else a part of it
	Flows   string `json:"flows"` // kinds and ports
	Witness string `json:"witness"`
	Unknown bool   `json:"unknown,omitempty"`
	Why     string `json:"why,omitempty"` // what is not known
}

func writeRuleDiff(c *cobra.Command, a, b *ruleset.RuleSet, args []string, differences []audit.Difference, format string) error {
	doc := ruleDiffJSON{
		Schema: ruleDiffSchema, Same: len(differences) == 0, Differences: []differenceJSON{},
		A: sideJSON{args[0], a.Dialect, a.Files, len(a.Rules)}, B: sideJSON{args[1], b.Dialect, b.Files, len(b.Rules)},
	}
	t := table{head: []string{"ONLY IN", "WHERE", "WHAT", "FLOWS", "FOR EXAMPLE", "NOTE"}}
	for _, d := range differences {
		doc.Differences = append(doc.Differences, differenceJSON{
			d.In, d.NotIn, d.Pos.File, d.Pos.Line, d.Pos.Col, d.Rule, d.Term, d.All, d.Flows, d.Witness.String(), d.Unknown, d.Why,
		})
		note := ""
		if !d.All {
			note = "a part of it"
		}
		if d.Unknown {
			note = strings.TrimPrefix(note+"; perhaps: "+d.Why, "; ")
		}
		what := d.Term
		if d.Rule != "" && d.Rule != d.Term {
			what += " (" + d.Rule + ")"
		}
		if d.Term == "" {
			what = "whatever no rule denies"
		}
		t.add(d.In, orDash(d.Pos.String()), what, d.Flows, d.Witness.String(), note)
	}
	if format == "table" && doc.Same {
		fmt.Fprintf(c.OutOrStdout(), "%s and %s let the same through\n", args[0], args[1])
		return nil
	}
	return t.write(c, format, doc)
}
