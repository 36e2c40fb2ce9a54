// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package ruleset holds the rules of a foreign firewall as their file has them:
// in their order, each with its kind, its action, its place in the file, and
// what of it could not be understood. Evaluate turns them into sets of flows.
//
// Three answers are kept apart. What is certainly let through, what is possibly
// let through, and what is not. A variable that nobody resolved is unknown and
// never empty, and unknown never counts as pass.
package ruleset

import (
	"fmt"

	"github.com/sallyport/sallyport/flowset"
)

// Position is a place in a file, from 1; the zero Line is none.
type Position struct {
	File      string
	Line, Col int
}

// String writes the position as compilers do.
func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Action is what a rule does with the flows it matches.
type Action uint8

// Actions. The zero Action denies.
const (
	Deny Action = iota
	Allow
)

// String returns "deny" or "allow".
func (a Action) String() string {
	if a == Allow {
		return "allow"
	}
	return "deny"
}

// Kind is a class of rules with an order of its own.
type Kind string

// Kinds that readers of this package's dialects use.
const (
	Network     Kind = "network"     // by address and port
	Application Kind = "application" // by name
	NAT         Kind = "nat"         // for traffic that comes in
)

// Unknown is a part of a rule that was not understood.
type Unknown struct {
	Pos  Position
	Part string // "destination", "source", "ports" ...
	Text string // as written
	Why  string // "parameter hubIp has no value", "FQDN tag: its content is Microsoft's"
}

// Term is one destination of a rule as it is written, with what it matches. A
// rule is split into terms so that findings can point at one of twenty names.
type Term struct {
	Pos  Position
	Text string // "*.docker.io", "AzureCloud.westeurope"
	// Sure is what the term certainly matches, Maybe what it may match at most.
	// They are equal when everything of it is known.
	Sure, Maybe flowset.Set
}

// Word is a part of a rule as it is written, and where.
type Word struct {
	Pos  Position
	Text string
}

// Rule is one rule.
type Rule struct {
	Pos        Position
	Collection string // group it stands in, "" when there is none
	// CollectionPos is where that begins, zero when the reader does not say.
	CollectionPos Position
	Name          string
	Kind          Kind
	Action        Action
	Terms         []Term
	Sources       []Word // as written, nil when the reader does not say
	Ports         []Word
	Unknown       []Unknown
	Inspects      Word     // opens TLS where this says so; the zero Word: it does not
	Dead          string   // why it can never match, "" when it can
	Notes         []string // what is odd in it and changes nothing
}

// String names the rule as people find it.
func (r Rule) String() string {
	if r.Collection == "" {
		return r.Name
	}
	return r.Collection + "/" + r.Name
}

// Sure returns what the rule certainly matches.
func (r Rule) Sure() flowset.Set { return r.union(func(t Term) flowset.Set { return t.Sure }) }

// Maybe returns what the rule matches at most.
func (r Rule) Maybe() flowset.Set { return r.union(func(t Term) flowset.Set { return t.Maybe }) }

func (r Rule) union(of func(Term) flowset.Set) flowset.Set {
	var boxes []flowset.Box
	for _, t := range r.Terms {
		boxes = append(boxes, of(t).Boxes()...)
	}
	return flowset.Of(boxes...)
}

// RuleSet is the rules of one firewall in the order in which they are tried.
type RuleSet struct {
	Dialect string // "azure-firewall", "nftables" ...
	Files   []string
	Text    map[string][]byte // of the files, nil when the reader does not keep it
	Rules   []Rule
	Default Action // for what no rule matches
	Unknown []Unknown
	Notes   []Statement
	DNS     DNS
	Routes  []Route
	// Security is the rules of network security groups, in no order.
	Security []SecurityRule
}

// Statement is something a file says beside its rules.
type Statement struct {
	Pos  Position
	Text string
}

// DNS says whether the firewall resolves for its clients.
type DNS struct {
	Proxy bool
	Known bool // whether the files say
	Pos   Position
}

// Route is a route of a route table that stands beside a firewall.
type Route struct {
	Pos      Position
	Name     string
	Prefix   string // as written
	NextHop  string // VirtualAppliance, Internet, VirtualNetworkGateway ...
	Address  string // of an appliance
	Resolved bool   // whether prefix and next hop are known
}

// SecurityRule is a rule of a group around a subnet. Of a group the rule with the
// lowest priority decides; for what no rule matches, traffic within the network
// and out of it passes, and other traffic in does not.
type SecurityRule struct {
	Pos         Position
	Group, Name string
	Priority    int
	Outbound    bool
	Allow       bool
	Sure, Maybe flowset.Set
	Doubt       string // what of it is not known, "" when all is
}

// Effect is what a rule set does.
type Effect struct {
	Sure  flowset.Set // certainly let through
	Maybe flowset.Set // let through at most
}

// known reports whether everything of every rule is known, so that what is
// possible is what is certain.
func (s RuleSet) known() bool {
	for _, r := range s.Rules {
		if len(r.Unknown) > 0 {
			return false
		}
		for _, t := range r.Terms {
			if t.Sure.IsEmpty() != t.Maybe.IsEmpty() {
				return false
			}
		}
	}
	return true
}

// Evaluate returns what the rules let through: the first match decides. Rules
// for traffic that comes in are left out.
func (s RuleSet) Evaluate() Effect {
	var e Effect
	var decided, decidedMaybe flowset.Set // by rules so far, certainly and possibly
	denies := s.Default == Allow
	for _, r := range s.Rules {
		denies = denies || r.Action == Deny && r.Kind != NAT
	}
	var sure, maybe []flowset.Box
	for _, r := range s.Rules {
		if r.Kind == NAT || r.Dead != "" {
			continue
		}
		for _, t := range r.Terms {
			switch {
			case r.Action == Allow && denies:
				sure = append(sure, t.Sure.Minus(decidedMaybe).Boxes()...)
				maybe = append(maybe, t.Maybe.Minus(decided).Boxes()...)
			case r.Action == Allow: // order matters only to what some rule denies
				sure = append(sure, t.Sure.Boxes()...)
				maybe = append(maybe, t.Maybe.Boxes()...)
			}
		}
		if r.Action == Deny {
			decided = decided.Union(r.Sure())
			decidedMaybe = decidedMaybe.Union(r.Maybe())
		}
	}
	e.Sure = flowset.Of(sure...)
	if s.known() {
		e.Maybe = e.Sure
	} else {
		e.Maybe = flowset.Of(maybe...)
	}
	if s.Default == Allow {
		e.Sure = e.Sure.Union(flowset.All().Minus(decidedMaybe))
		e.Maybe = e.Maybe.Union(flowset.All().Minus(decided))
	}
	return e
}
