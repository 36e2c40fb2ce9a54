// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/program"
)

func rulesCommand() *cobra.Command {
	var file, format, records string
	var requirements, strict bool
	c := &cobra.Command{
		Use:   "rules",
		Short: "Print what the cluster must be able to reach, and why",
		Long: `Print the compiled rules of a cluster: each with its reason and its source,
what is pending, what to set up around the gateway, and advice.

With --requirements it prints one row for each pair the published list states,
never merged, with what became of it.

Exit codes: 0, 1 with --strict when the edition of the list is not current,
2 bad input.`,
		Example: `  sallyport rules
  sallyport rules -c prod.yaml -o json
  sallyport rules --requirements -o csv
  sallyport rules --seen /var/log/sallyport.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, p, err := load(c, file)
			if err != nil {
				return err
			}
			var seen []seenJSON
			if records != "" {
				unreadable := 0
				if seen, unreadable, err = readSeen(records, p); err != nil {
					return err
				}
				if unreadable > 0 {
					fmt.Fprintf(c.ErrOrStderr(), "%s: %d lines are no whole records, and left out\n", records, unreadable)
				}
			}
			if err := writeRules(c, file, p, format, requirements, seen); err != nil {
				return err
			}
			if line := staleLine(p); line != "" {
				fmt.Fprintln(c.ErrOrStderr(), line)
				if strict {
					return exit{code: exitNo}
				}
			}
			return nil
		},
	}
	clusterFlag(c, &file)
	formatFlag(c, &format, "table, json, yaml, csv or md")
	c.Flags().StringVar(&records, "seen", "", "a gateway's records `file`: list the exact names reached under each wildcard, which could take its place")
	c.Flags().BoolVar(&requirements, "requirements", false, "one row for each source pair, never merged")
	c.Flags().BoolVar(&strict, "strict", false, "end with 1 when the edition of the list is not current")
	return c
}

func writeRules(c *cobra.Command, file string, p *program.Program, format string, requirements bool, seen []seenJSON) error {
	now := time.Now()
	all := newRulesJSON(file, p, now)
	all.Seen = seen
	var structured any = all
	t := rulesTable(p, now)
	if requirements {
		structured, t = newRequirementsJSON(file, p), requirementsTable(p)
	}
	if format == "table" {
		t.text(c.OutOrStdout())
		writeNotes(c.OutOrStdout(), p, requirements)
		if seen != nil {
			writeSeen(c.OutOrStdout(), seen)
		}
		return nil
	}
	return t.write(c, format, structured)
}

func rulesTable(p *program.Program, now time.Time) table {
	t := table{head: []string{"DESTINATION", "PORT", "FROM", "NEED", "SOURCE", "RULE", "WHY"}}
	for _, r := range p.Rules {
		need := "optional"
		switch {
		case !r.LiveAt(now):
			need = "EXPIRED"
		case r.Required:
			need = "required"
		case r.Origins[0].Feature == program.FeatureOwner:
			need = "owner"
		}
		t.add(r.Destination(), strings.Join(r.PortTexts(), " "), strings.Join(r.Groups, " "), need,
			cited(r.Origins[0]), string(r.ID), reasonOf(r))
	}
	return t
}

func requirementsTable(p *program.Program) table {
	t := table{head: []string{"LINE", "STATED", "PORT", "FEATURE", "NEED", "BECOMES", "ID"}}
	for _, r := range p.Rows {
		need := "optional"
		if r.Required {
			need = "required"
		}
		becomes := r.Destination
		switch {
		case r.Pending != "":
			becomes = "pending: " + r.Pending
		case r.Covered != "":
			becomes = "answered by " + r.Covered
		}
		if r.NotStated {
			becomes += " (not stated for this cloud)"
		}
		line := "-"
		if r.Citation.Line > 0 {
			line = fmt.Sprint(r.Citation.Line)
		}
		t.add(line, strings.Join(append([]string{r.Stated}, r.Also...), " or "), r.Port, r.Feature, need, becomes, r.ID)
	}
	return t
}

// reasonOf returns why a rule is there, from its origins.
func reasonOf(r program.Rule) string {
	var out []string
	seen := make(map[string]bool)
	for _, o := range r.Origins {
		s := o.Purpose
		if o.NotStated {
			s += " (not stated for this cloud)"
		}
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return strings.Join(out, "; ")
}

// cited returns where an origin stands, in a few characters.
func cited(o program.Origin) string {
	c := o.Citation
	if c.Edition == "" {
		return fmt.Sprintf("%s:%d", c.Document, c.Line)
	}
	where := c.Edition
	if c.Line > 0 {
		where += fmt.Sprintf(":%d", c.Line)
	}
	if o.Overlay != "" {
		where += " (" + o.Overlay + ")"
	}
	return where
}

// day writes a date, "" for none.
func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.DateOnly)
}
