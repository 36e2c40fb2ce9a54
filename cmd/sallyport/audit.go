// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/firewall/azure"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/ruleset"
)

const auditSchema = "sallyport.audit/1"

// maxConfig is the longest file of a firewall that is read, in bytes.
const maxConfig = 16 << 20

func auditCommand() *cobra.Command {
	var file, format string
	var values []string
	c := &cobra.Command{
		Use:   "audit FILE...",
		Short: "Say what a firewall you have is missing, and where it is too wide, obsolete or dead",
		Long: `Compare a firewall's own files with what the cluster needs, as sets of flows. Files
that belong together are given together. Azure Firewall is read, policies and
classic: ARM JSON with comments, az -o json exports, Terraform with its tfvars, az
CLI scripts (also in Markdown), and Bicep.

Each finding has a place in the file, a flow that shows it and what proves it. What
a file does not tell (a parameter without value, an FQDN tag) is unknown and never
counts as pass; --set NAME=VALUE gives it.

Exit codes: 0 nothing found, 1 findings, 3 something could not be decided, 2 bad
input.`,
		Example: `  sallyport audit hub.json --cluster prod.yaml
  sallyport audit *.tf prod.tfvars --set location=westeurope -o json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			_, p, err := load(c, file)
			if err != nil {
				return err
			}
			rules, err := readFirewall(c, p, args, values)
			if err != nil {
				return err
			}
			r := audit.Run(rules, p)
			if err := writeAudit(c, r, p, format); err != nil {
				return err
			}
			switch {
			case r.Faults() > 0:
				return exit{code: exitNo}
			case r.Undecided():
				return exit{code: exitUndecided}
			}
			return nil
		},
	}
	clusterFlag(c, &file)
	c.Flags().StringArrayVar(&values, "set", nil, "value of a parameter or variable that the files do not give, NAME=VALUE")
	formatFlag(c, &format, "text, json, csv or md")
	c.Flags().Lookup("output").DefValue = "text"
	format = "text"
	return c
}

// readFirewall reads the files of one firewall.
func readFirewall(c *cobra.Command, p *program.Program, names, values []string) (*ruleset.RuleSet, error) {
	opt := azure.Options{Values: make(map[string]string), Location: p.Cluster.Location}
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
	var files []azure.File
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
		f.Close()
		if err != nil {
			return nil, err
		}
		files = append(files, azure.File{Name: name, Data: data})
	}
	return azure.Read(files, opt)
}

type auditJSON struct {
	Schema   string        `json:"schema"`
	Edition  editionJSON   `json:"edition"`
	Files    []string      `json:"files"`
	Dialect  string        `json:"dialect"`
	Rules    int           `json:"rules"`
	Needed   int           `json:"needed"`
	Closed   int           `json:"neededAndClosed"`
	Assumed  int           `json:"neededAndUnknown"`
	Extra    int           `json:"openAndNotNeeded"`
	Findings []findingOut  `json:"findings"`
	Unknown  []unknownJSON `json:"unknown"`
}

type findingOut struct {
	ID       string `json:"id"`
	Check    string `json:"check"`
	Severity string `json:"severity"`
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
	Rule     string `json:"rule,omitempty"`
	Term     string `json:"term,omitempty"`
	Text     string `json:"text"`
	Witness  string `json:"witness,omitempty"`
	Because  string `json:"because,omitempty"`
	Fix      string `json:"fix,omitempty"`
	Unknown  bool   `json:"unknown,omitempty"` // could not be decided
}

type unknownJSON struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Part   string `json:"part"`
	Text   string `json:"text,omitempty"`
	Why    string `json:"why"`
}

func newAuditJSON(r audit.Report, p *program.Program) auditJSON {
	out := auditJSON{
		Schema: auditSchema, Edition: newEditionJSON(p), Files: r.Files, Dialect: r.Dialect, Rules: r.Rules, Needed: r.Needed,
		Closed: r.Closed, Assumed: r.Assumed, Extra: r.Extra, Findings: []findingOut{}, Unknown: []unknownJSON{},
	}
	for _, f := range r.Findings {
		out.Findings = append(out.Findings, findingOut{
			f.ID, string(f.Check), string(f.Severity), f.Pos.File, f.Pos.Line, f.Pos.Col, f.Rule, f.Term, f.Text, f.Witness,
			f.Because, f.Fix, f.Unknown,
		})
	}
	for _, u := range r.Unknown {
		out.Unknown = append(out.Unknown, unknownJSON{u.Pos.File, u.Pos.Line, u.Pos.Col, u.Part, u.Text, u.Why})
	}
	return out
}

func writeAudit(c *cobra.Command, r audit.Report, p *program.Program, format string) error {
	w := c.OutOrStdout()
	if format == "text" || format == "table" {
		auditText(w, r)
		return nil
	}
	t := table{head: []string{"SEVERITY", "CHECK", "WHERE", "TEXT", "WITNESS", "FIX", "ID"}}
	for _, f := range r.Findings {
		t.add(string(f.Severity), string(f.Check), f.Pos.String(), f.Text, f.Witness, f.Fix, f.ID)
	}
	return t.write(c, format, newAuditJSON(r, p))
}

// auditText writes the report for people: the effect first, then each finding.
func auditText(w io.Writer, r audit.Report) {
	fmt.Fprintf(w, "%d rules of %s against %d that the cluster needs by edition %s\n", r.Rules, r.Dialect, r.Needed, r.Edition.ID)
	fmt.Fprintf(w, "  needed and closed      %d\n", r.Closed)
	fmt.Fprintf(w, "  needed and unknown     %d\n", r.Assumed)
	fmt.Fprintf(w, "  open and not needed    %d\n", r.Extra)
	for _, f := range r.Findings {
		where := f.Pos.String()
		if where != "" {
			where += ": "
		}
		fmt.Fprintf(w, "\n%s%s: %s [%s]\n", where, f.Severity, f.Text, f.ID)
		for _, line := range []struct{ key, text string }{{"flow", f.Witness}, {"because", f.Because}, {"fix", f.Fix}} {
			if line.text != "" {
				fmt.Fprintf(w, "  %-8s %s\n", line.key, line.text)
			}
		}
	}
	if len(r.Unknown) > 0 {
		fmt.Fprintf(w, "\nNOT UNDERSTOOD, AND SO NEVER A PASS\n")
		for _, u := range r.Unknown {
			fmt.Fprintf(w, "  %s: %s %s: %s\n", u.Pos, u.Part, u.Text, u.Why)
		}
	}
}
