// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/program"
)

const auditSchema = "sallyport.audit/1"

// maxConfig is the longest file of a firewall that is read, in bytes.
const maxConfig = 16 << 20

func auditCommand() *cobra.Command {
	var file, format string
	var values, only []string
	c := &cobra.Command{
		Use:   "audit FILE...",
		Short: "Say what a firewall you have is missing, and where it is too wide, obsolete or dead",
		Long: `Compare a firewall's own files with what the cluster needs, as sets of flows. Files
that belong together are given together, or their folder. Azure Firewall is read, policies and
classic: ARM JSON with comments, az -o json exports, Terraform with its tfvars, az
CLI scripts (also in Markdown), and Bicep; and squid.conf, Cilium's and Kubernetes'
policies, and request sheets.

-o sarif is for code scanning, -o junit for a pipeline's test report, and -o patch is
a unified diff that makes the findings go away: sallyport audit hub.json -o patch
--only obsolete | git apply.

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
			files, err := readFiles(args)
			if err != nil {
				return err
			}
			rules, err := readFirewall(c, p.Cluster.Location, files, values)
			if err != nil {
				return err
			}
			r := audit.Run(rules, p)
			if len(only) > 0 {
				if err := keepOnly(&r, only); err != nil {
					return err
				}
			}
			if err := writeAudit(c, r, p, rules.Text, format); err != nil {
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
	firewallFlags(c, &values)
	c.Flags().StringSliceVar(&only, "only", nil, "only these findings, by id or by check, such as missing,too-wide")
	formatFlag(c, &format, auditForms)
	c.Flags().Lookup("output").DefValue = "text"
	format = "text"
	return c
}

const auditForms = "text, json, yaml, csv, md, sarif, junit, patch"

// keepOnly leaves the findings that are named by id or by check.
func keepOnly(r *audit.Report, only []string) error {
	for _, name := range only {
		if !slices.ContainsFunc(r.Findings, func(f audit.Finding) bool { return f.ID == name }) && !slices.Contains(audit.Checks(), audit.Check(name)) {
			return fmt.Errorf("--only %q is neither a finding of these files nor one of the checks: %s", name, checkNames())
		}
	}
	r.Findings = slices.DeleteFunc(r.Findings, func(f audit.Finding) bool {
		return !slices.Contains(only, f.ID) && !slices.Contains(only, string(f.Check))
	})
	return nil
}

// checkNames are all checks, for whoever mistyped one.
func checkNames() string {
	var names []string
	for _, c := range audit.Checks() {
		names = append(names, string(c))
	}
	return strings.Join(names, ", ")
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
	Notes    []noteJSON    `json:"notes"` // what the files say beside their rules
}

type noteJSON struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Text   string `json:"text"`
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
	// Edits make the finding go away; absent when it takes more than that.
	Edits []editJSON `json:"edits,omitempty"`
}

type unknownJSON struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Part   string `json:"part"`
	Text   string `json:"text,omitempty"`
	Why    string `json:"why"`
}

func newAuditJSON(r audit.Report, p *program.Program, text map[string][]byte) auditJSON {
	out := auditJSON{
		Schema: auditSchema, Edition: newEditionJSON(p), Files: r.Files, Dialect: r.Dialect, Rules: r.Rules, Needed: r.Needed,
		Closed: r.Closed, Assumed: r.Assumed, Extra: r.Extra, Findings: []findingOut{}, Unknown: []unknownJSON{}, Notes: []noteJSON{},
	}
	places := newLineStarts(text)
	for _, f := range r.Findings {
		x := findingOut{
			f.ID, string(f.Check), string(f.Severity), f.Pos.File, f.Pos.Line, f.Pos.Col, f.Rule, f.Term, f.Text, f.Witness,
			f.Because, f.Fix, f.Unknown, nil,
		}
		for _, e := range f.Edits {
			x.Edits = append(x.Edits, places.edit(e))
		}
		out.Findings = append(out.Findings, x)
	}
	for _, u := range r.Unknown {
		out.Unknown = append(out.Unknown, unknownJSON{u.Pos.File, u.Pos.Line, u.Pos.Col, u.Part, u.Text, u.Why})
	}
	for _, n := range r.Notes {
		out.Notes = append(out.Notes, noteJSON{n.Pos.File, n.Pos.Line, n.Pos.Col, n.Text})
	}
	return out
}

func writeAudit(c *cobra.Command, r audit.Report, p *program.Program, text map[string][]byte, format string) error {
	w := c.OutOrStdout()
	switch format {
	case "text", "table":
		auditText(w, r, text)
		return nil
	case "sarif":
		return writeSARIF(w, r, text)
	case "junit":
		return writeJUnit(w, r, p)
	case "patch":
		return writePatch(w, r, text)
	case "json", "yaml", "csv", "md":
	default:
		return errUnknownOutput(format, auditForms)
	}
	t := table{head: []string{"SEVERITY", "CHECK", "WHERE", "TEXT", "WITNESS", "FIX", "ID"}}
	for _, f := range r.Findings {
		t.add(string(f.Severity), string(f.Check), f.Pos.String(), f.Text, f.Witness, f.Fix, f.ID)
	}
	return t.write(c, format, newAuditJSON(r, p, text))
}

// auditText writes the report for people: the effect first, then each finding.
func auditText(w io.Writer, r audit.Report, text map[string][]byte) {
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
		for _, line := range audit.Lines(text, f.Edits) {
			fmt.Fprintf(w, "  %s\n", line)
		}
	}
	if len(r.Notes) > 0 {
		fmt.Fprintf(w, "\nNOTES\n")
		for _, n := range r.Notes {
			fmt.Fprintf(w, "  %s: %s\n", n.Pos, n.Text)
		}
	}
	if len(r.Unknown) > 0 {
		fmt.Fprintf(w, "\nNOT UNDERSTOOD, AND SO NEVER A PASS\n")
		for _, u := range r.Unknown {
			fmt.Fprintf(w, "  %s: %s %s: %s\n", u.Pos, u.Part, u.Text, u.Why)
		}
	}
}
