// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/program"
)

// Left is a rule that a translation leaves out, wholly or in part, and the
// restriction of the language that is the cause.
type Left struct {
	Rule        flow.RuleID
	Restriction string
}

// Extra is what a translation lets through beside the rules, and the restriction
// of the language that is the cause.
type Extra struct {
	Rule        flow.RuleID // "" when it belongs to none
	Restriction string
	Flows       flowset.Set
}

// OfProgram returns the rules of a program as a rule set of its own, so that it
// can be compared with a foreign one.
func OfProgram(name string, p *program.Program) *RuleSet {
	out := &RuleSet{Dialect: "sallyport", Files: []string{name}}
	for _, r := range p.Rules {
		set := Asked(r)
		rule := Rule{Pos: Position{File: name}, Name: string(r.ID), Kind: Application, Action: Allow}
		if !r.ByName() {
			rule.Kind = Network
		}
		rule.Terms = []Term{{Pos: rule.Pos, Text: r.Destination(), Sure: set, Maybe: set}}
		out.Rules = append(out.Rules, rule)
	}
	return out
}
