// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package program

import (
	"slices"
	"time"

	"github.com/sallyport/sallyport/flow"
)

// question is one thing a rule must say yes to before it allows a flow.
type question struct {
	yes  func(Rule) bool
	deny flow.Reason // when no rule that said yes so far says yes to this
}

// Eval decides about f at a point in time. It is slow and obvious and the judge
// of everything faster: the rules that are left after each question are put to
// the next one, and the first question that leaves none is the reason.
//
// A rule about addresses looks at nothing but addresses, port and source, so it
// is asked first and for every flow.
func (p *Program) Eval(f flow.Flow, at time.Time) flow.Decision {
	samePort := func(r Rule) bool {
		return r.Protocol.Transport == f.Transport && r.Ports.Contains(f.Port)
	}
	fromSource := func(r Rule) bool { return r.Sources.Contains(f.Src) }
	live := func(r Rule) bool { return r.LiveAt(at) }

	byAddress := p.ask(
		question{func(r Rule) bool { return !r.ByName() && r.Prefixes.Contains(f.Dst) }, flow.AddressNotAllowed},
		question{samePort, flow.PortNotAllowed},
		question{fromSource, flow.SourceNotAllowed},
		question{live, flow.RuleExpired},
	)
	if byAddress.Verdict == flow.Allow {
		byAddress.Reason = flow.AddressMatched
		return byAddress
	}
	if f.Name.IsZero() {
		return byAddress
	}
	return p.ask(
		question{func(r Rule) bool { return r.ByName() && r.Pattern.Contains(f.Name) }, flow.NameNotAllowed},
		question{samePort, flow.PortNotAllowed},
		question{func(r Rule) bool { return r.Protocol.App == f.App }, flow.ProtocolMismatch},
		question{fromSource, flow.SourceNotAllowed},
		question{live, flow.RuleExpired},
		question{func(r Rule) bool { return f.Proof.Proves(r.Protocol.App) }, flow.NameUnproved},
	)
}

// ask puts the questions to the rules one after another.
func (p *Program) ask(questions ...question) flow.Decision {
	left := p.Rules
	for i, q := range questions {
		var next []Rule
		for _, r := range left {
			if q.yes(r) {
				next = append(next, r)
			}
		}
		if len(next) == 0 {
			d := flow.Decision{Verdict: flow.Deny, Reason: q.deny}
			if i > 0 {
				d.Rule = left[0].ID // came nearest
			}
			return d
		}
		left = next
	}
	return flow.Decision{Verdict: flow.Allow, Reason: flow.RuleMatched, Rule: left[0].ID}
}

// Expired returns the rules that have ended at that time.
func (p *Program) Expired(at time.Time) []Rule {
	return slices.DeleteFunc(slices.Clone(p.Rules), func(r Rule) bool { return r.LiveAt(at) })
}
