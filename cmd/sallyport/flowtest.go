// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"

	"github.com/jstemmer/go-junit-report/v2/junit"
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/ruleset"
)

const testSchema = "sallyport.test/1"

func testCommand() *cobra.Command {
	var file, format string
	var values, against []string
	c := &cobra.Command{
		Use:   "test FILE",
		Short: "Run a table of flows with the verdicts you expect against the rules, or a firewall you have",
		Long: `Ask for each flow of a table whether it is let through, and compare with what the
table says. The rules are those of the cluster, or with --against those in files of a
firewall. FILE is YAML:

  flows:
  - {to: mcr.microsoft.com, port: https/443, want: allow}
  - {to: "*.blob.core.windows.net", port: https/443, want: deny, why: anybody's}
  - {to: 203.0.113.0/24, port: tcp/22, from: 10.240.0.7, want: deny}

to is a name, a wildcard, an address or a prefix; every flow to it must have the
verdict. A name leads to an address that no rule names, unless address: gives one.
from is the cluster's addresses unless it is given.

Exit codes: 0 as expected, 1 not, 3 could not be decided, 2 bad input.`,
		Example: `  sallyport test flows.yaml -c cluster.yaml
  sallyport test flows.yaml --against hub.json --set location=westeurope -o junit`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			data, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			flows, err := audit.ParseFlows(args[0], data)
			if err != nil {
				return err
			}
			rules, from, err := testedRules(c, file, against, values)
			if err != nil {
				return err
			}
			results, err := audit.Test(rules, flows, from)
			if err != nil {
				return err
			}
			if err := writeTest(c, rules, results, format); err != nil {
				return err
			}
			no, undecided := false, false
			for _, r := range results {
				no = no || !r.OK && !r.Unknown
				undecided = undecided || r.Unknown
			}
			return endWith(no, undecided)
		},
	}
	clusterFlag(c, &file)
	firewallFlags(c, &values)
	c.Flags().StringArrayVar(&against, "against", nil, "file of a firewall to ask instead of the cluster's own rules; may be given several times")
	formatFlag(c, &format, "table, json, yaml, csv, md or junit")
	return c
}

// testedRules returns the rules to be asked, and the cluster's own addresses. A
// firewall can be asked without a cluster.
func testedRules(c *cobra.Command, file string, against, values []string) (*ruleset.RuleSet, netset.Set, error) {
	_, p, err := load(c, file)
	if err != nil && (len(against) == 0 || c.Flags().Changed("cluster")) {
		return nil, netset.Set{}, err
	}
	var from netset.Set
	location := ""
	if err == nil {
		from, location = p.Visible(), p.Cluster.Location
	}
	if len(against) == 0 {
		return ruleset.OfProgram(file, p), from, nil
	}
	files, err := readFiles(against)
	if err != nil {
		return nil, netset.Set{}, err
	}
	rules, err := readFirewall(c, location, files, values)
	return rules, from, err
}

type testJSON struct {
	Schema string         `json:"schema"`
	Files  []string       `json:"files"` // of the rules
	Failed int            `json:"failed"`
	Flows  []testFlowJSON `json:"flows"`
}

type testFlowJSON struct {
	Line    int    `json:"line"`
	To      string `json:"to"`
	Port    string `json:"port"`
	From    string `json:"from"`
	Want    string `json:"want"`
	Got     string `json:"got"` // allow, deny, partly, unknown
	OK      bool   `json:"ok"`
	Rule    string `json:"rule,omitempty"`
	Place   string `json:"place,omitempty"`
	Witness string `json:"witness,omitempty"` // a flow with another verdict than the one that is wanted
	Why     string `json:"why,omitempty"`
}

func writeTest(c *cobra.Command, rules *ruleset.RuleSet, results []audit.FlowResult, format string) error {
	doc := testJSON{Schema: testSchema, Files: rules.Files, Flows: []testFlowJSON{}}
	t := table{head: []string{"", "TO", "PORT", "FROM", "WANT", "GOT", "RULE", "SHOWN BY"}}
	for _, r := range results {
		if !r.OK {
			doc.Failed++
		}
		x := testFlowJSON{
			r.Flow.Line, r.Flow.To, r.Flow.Port, r.From, r.Flow.Want, r.Got, r.OK, r.Rule, r.Pos.String(), r.Witness, r.Flow.Why,
		}
		doc.Flows = append(doc.Flows, x)
		mark := "ok"
		switch {
		case r.Unknown:
			mark = "?"
		case !r.OK:
			mark = "FAIL"
		}
		t.add(mark, x.To, x.Port, x.From, x.Want, x.Got, orDash(x.Rule), x.Witness)
	}
	switch format {
	case "junit":
		return writeTestJUnit(c.OutOrStdout(), results)
	case "table":
		t.text(c.OutOrStdout())
		fmt.Fprintf(c.OutOrStdout(), "\n%d of %d flows as expected\n", len(results)-doc.Failed, len(results))
		return nil
	}
	return t.write(c, format, doc)
}

func writeTestJUnit(w io.Writer, results []audit.FlowResult) error {
	suite := junit.Testsuite{Name: "flows", Time: "0"}
	for _, r := range results {
		c := junit.Testcase{Classname: "flows", Name: fmt.Sprintf("%s %s %s", r.Flow.Want, r.Flow.To, r.Flow.Port), Time: "0"}
		text := fmt.Sprintf("line %d: wanted %s, got %s: %s", r.Flow.Line, r.Flow.Want, r.Got, r.Witness)
		switch {
		case r.Unknown:
			c.Skipped = &junit.Result{Message: text}
		case !r.OK:
			c.Failure = &junit.Result{Message: text, Data: r.Flow.Why}
		}
		suite.AddTestcase(c)
	}
	suites := junit.Testsuites{Name: "sallyport test"}
	suites.AddSuite(suite)
	return suites.WriteXML(w)
}
