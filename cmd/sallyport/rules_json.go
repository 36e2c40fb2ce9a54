// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/sallyport/sallyport/program"
)

// Schemas of what rules prints as JSON. Fields are added freely; a break is a
// new number.
const (
	rulesSchema        = "sallyport.rules/1"
	requirementsSchema = "sallyport.requirements/1"
)

type rulesJSON struct {
	Schema        string          `json:"schema"`
	Cluster       clusterJSON     `json:"cluster"`
	Edition       editionJSON     `json:"edition"`
	Sources       []groupJSON     `json:"sources"`
	Pairs         int             `json:"pairs"` // number of all rules' pairs
	Rules         []ruleJSON      `json:"rules"`
	Pending       []pendingJSON   `json:"pending"`
	NotStated     []rowJSON       `json:"notStated"`
	NotNeeded     []rowJSON       `json:"notNeeded"`
	NodeLocal     []nodeLocalJSON `json:"nodeLocal"` // what a firewall on a node itself must leave open
	Retired       []retiredJSON   `json:"retired"`
	Coverage      []coverageJSON  `json:"networkRules"`
	Prerequisites []statementJSON `json:"prerequisites"`
	Advice        []adviceJSON    `json:"advice"`
	Warnings      []statementJSON `json:"warnings"`
	// Seen is there with --seen alone.
	Seen []seenJSON `json:"seen,omitempty"`
}

type requirementsJSON struct {
	Schema  string        `json:"schema"`
	Cluster clusterJSON   `json:"cluster"`
	Edition editionJSON   `json:"edition"`
	Count   int           `json:"count"`
	Rows    []rowJSON     `json:"requirements"`
	Pending []pendingJSON `json:"pending"`
}

type clusterJSON struct {
	File      string `json:"file"`
	Provider  string `json:"provider"`
	Cloud     string `json:"cloud"`
	Location  string `json:"location"`
	APIServer string `json:"apiServer,omitempty"`
}

type editionJSON struct {
	ID          string `json:"id"`
	Alias       string `json:"alias,omitempty"`
	Document    string `json:"document"`
	Current     bool   `json:"current"`
	NewestKnown string `json:"newestKnown"`
	Warning     string `json:"warning,omitempty"`
}

type groupJSON struct {
	Name     string   `json:"name"`
	Prefixes []string `json:"prefixes"`
	Visible  bool     `json:"visible"`
	Why      string   `json:"why,omitempty"`
}

type ruleJSON struct {
	ID             string       `json:"id"`
	Name           string       `json:"name,omitempty"`      // destination by name, or
	Addresses      []string     `json:"addresses,omitempty"` // by address
	Protocol       string       `json:"protocol"`
	Ports          string       `json:"ports"`
	Pairs          []pairJSON   `json:"pairs"`
	Sources        []string     `json:"sources"`
	SourcePrefixes []string     `json:"sourcePrefixes"`
	Strict         bool         `json:"strict,omitempty"` // the gateway dials what the name resolves to
	Required       bool         `json:"required"`
	Until          *time.Time   `json:"until,omitempty"` // exclusive
	Expired        bool         `json:"expired,omitempty"`
	Reason         string       `json:"reason"`
	Origins        []originJSON `json:"origins"`
}

type pairJSON struct {
	Destination string `json:"destination"`
	Port        string `json:"port"` // "https/443"
}

type originJSON struct {
	Requirement string       `json:"requirement"`
	Feature     string       `json:"feature"`
	Required    bool         `json:"required"`
	NotStated   bool         `json:"notStatedForThisCloud,omitempty"`
	Stated      string       `json:"stated"`
	Also        []string     `json:"also,omitempty"`    // other forms in which the source writes it
	Only        string       `json:"onlyFor,omitempty"` // for which clusters the source states it
	Port        string       `json:"port"`
	Purpose     string       `json:"purpose"`
	Probe       string       `json:"probe,omitempty"`
	ExitCodes   []int        `json:"exitCodes,omitempty"`
	Since       string       `json:"since,omitempty"`
	Until       string       `json:"until,omitempty"`
	ReplacedBy  string       `json:"replacedBy,omitempty"`
	Note        string       `json:"note,omitempty"`
	Overlay     string       `json:"overlay,omitempty"` // file and line of the user's own catalog
	Citation    citationJSON `json:"citation"`
}

type citationJSON struct {
	Document string `json:"document"`
	Edition  string `json:"edition,omitempty"`
	Line     int    `json:"line,omitempty"` // absent when the edition's text was not at hand
}

type rowJSON struct {
	ID          string   `json:"id"`
	Protocol    string   `json:"protocol"`
	PortNumber  uint16   `json:"portNumber"`
	Destination string   `json:"destination,omitempty"` // as compiled
	Rules       []string `json:"rules"`
	Pending     string   `json:"pending,omitempty"`
	Covered     string   `json:"coveredBy,omitempty"` // what answers the pair when it makes no rule of its own
	originJSON
}

type nodeLocalJSON struct {
	ID       string   `json:"id"`
	Prefixes []string `json:"prefixes"`
	Ports    []string `json:"ports"`
	Purpose  string   `json:"purpose"`
	Note     string   `json:"note,omitempty"`
	Source   string   `json:"source"`
}

type pendingJSON struct {
	Missing string   `json:"missing"`
	Key     string   `json:"key"`
	Command string   `json:"command"`
	Rows    []string `json:"rows,omitempty"`
}

type retiredJSON struct {
	Destinations []string     `json:"destinations"`
	ReplacedBy   string       `json:"replacedBy,omitempty"`
	Text         string       `json:"text"`
	Citation     citationJSON `json:"citation"`
}

type coverageJSON struct {
	ID        string       `json:"id"`
	Text      string       `json:"text"`
	Ports     []string     `json:"ports"`
	CoveredBy string       `json:"coveredBy"`
	Citation  citationJSON `json:"citation"`
}

type statementJSON struct {
	ID       string        `json:"id"`
	Text     string        `json:"text"`
	Command  string        `json:"command,omitempty"`
	Citation *citationJSON `json:"citation,omitempty"`
}

type adviceJSON struct {
	statementJSON
	Kind  string `json:"kind"`
	Paste string `json:"paste,omitempty"`
}

func newRulesJSON(file string, p *program.Program, now time.Time) rulesJSON {
	out := rulesJSON{
		Schema: rulesSchema, Cluster: newClusterJSON(file, p), Edition: newEditionJSON(p), Pairs: len(p.Pairs()),
		Rules: []ruleJSON{}, Pending: newPendingJSON(p), NotStated: newRowsJSON(p.NotStated),
		NotNeeded: newRowsJSON(p.NotNeeded), NodeLocal: []nodeLocalJSON{}, Retired: []retiredJSON{},
		Coverage: []coverageJSON{}, Prerequisites: newStatementsJSON(p.Prerequisites), Advice: []adviceJSON{},
		Warnings: newStatementsJSON(p.Warnings),
	}
	for _, d := range p.NodeLocal {
		out.NodeLocal = append(out.NodeLocal, nodeLocalJSON(d))
	}
	for _, g := range p.Groups {
		out.Sources = append(out.Sources, groupJSON{g.Name, g.Set.Texts(), g.Visible, g.Why})
	}
	for _, r := range p.Rules {
		out.Rules = append(out.Rules, newRuleJSON(r, now))
	}
	for _, r := range p.Retired {
		out.Retired = append(out.Retired, retiredJSON{r.Destinations, r.ReplacedBy, r.Text, citationJSON(r.Citation)})
	}
	for _, c := range p.Coverage {
		out.Coverage = append(out.Coverage, coverageJSON{c.ID, c.Text, c.Ports, c.By, citationJSON(c.Citation)})
	}
	for _, a := range p.Advice {
		out.Advice = append(out.Advice, adviceJSON{newStatementJSON(a.Statement), a.Kind, a.Paste})
	}
	return out
}

func newRequirementsJSON(file string, p *program.Program) requirementsJSON {
	return requirementsJSON{
		Schema: requirementsSchema, Cluster: newClusterJSON(file, p), Edition: newEditionJSON(p),
		Count: len(p.Rows), Rows: newRowsJSON(p.Rows), Pending: newPendingJSON(p),
	}
}

func newClusterJSON(file string, p *program.Program) clusterJSON {
	return clusterJSON{file, p.Cluster.Provider, p.Cluster.Cloud, p.Cluster.Location, p.Cluster.APIName.String()}
}

func newEditionJSON(p *program.Program) editionJSON {
	e := p.Edition
	return editionJSON{e.ID, e.Alias, e.Document, e.Current, e.NewestKnown, staleLine(p)}
}

func newRuleJSON(r program.Rule, now time.Time) ruleJSON {
	out := ruleJSON{
		ID: string(r.ID), Name: r.Pattern.String(), Protocol: r.Protocol.String(), Ports: r.Ports.String(),
		Sources: r.Groups, SourcePrefixes: r.Sources.Texts(), Strict: r.Strict, Required: r.Required, Expired: !r.LiveAt(now),
		Reason: reasonOf(r),
	}
	if !r.ByName() {
		out.Addresses = r.Prefixes.Texts()
	}
	if !r.Until.IsZero() {
		out.Until = &r.Until
	}
	for _, ports := range r.PortTexts() {
		out.Pairs = append(out.Pairs, pairJSON{r.Destination(), ports})
	}
	for _, o := range r.Origins {
		out.Origins = append(out.Origins, newOriginJSON(o))
	}
	return out
}

func newOriginJSON(o program.Origin) originJSON {
	return originJSON{
		Requirement: o.Requirement, Feature: o.Feature, Required: o.Required, NotStated: o.NotStated, Stated: o.Stated,
		Also: o.Also, Only: o.Only, Overlay: o.Overlay, Port: o.Port, Purpose: o.Purpose, Probe: o.Probe.String(), ExitCodes: o.ExitCodes,
		Since: day(o.Since), Until: day(o.Until), ReplacedBy: o.ReplacedBy, Note: o.Note, Citation: citationJSON(o.Citation),
	}
}

func newRowsJSON(rows []program.Row) []rowJSON {
	out := make([]rowJSON, len(rows))
	for i, r := range rows {
		out[i] = rowJSON{
			ID: r.ID, Protocol: r.Protocol.String(), PortNumber: r.PortNumber, Destination: r.Destination,
			Rules: []string{}, Pending: r.Pending, Covered: r.Covered, originJSON: newOriginJSON(r.Origin),
		}
		for _, id := range r.Rules {
			out[i].Rules = append(out[i].Rules, string(id))
		}
	}
	return out
}

func newPendingJSON(p *program.Program) []pendingJSON {
	out := make([]pendingJSON, len(p.Pending))
	for i, x := range p.Pending {
		out[i] = pendingJSON{x.Missing, x.Key, x.Command, x.Rows}
	}
	return out
}

func newStatementsJSON(in []program.Statement) []statementJSON {
	out := make([]statementJSON, len(in))
	for i, s := range in {
		out[i] = newStatementJSON(s)
	}
	return out
}

func newStatementJSON(s program.Statement) statementJSON {
	out := statementJSON{ID: s.ID, Text: s.Text, Command: s.Command}
	if s.Citation != (program.Citation{}) {
		c := citationJSON(s.Citation)
		out.Citation = &c
	}
	return out
}
