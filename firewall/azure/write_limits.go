// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"cmp"
	"fmt"

	"github.com/sallyport/sallyport/program"
)

// Layout is how rule collection groups are named and placed, so that they fit an
// existing policy.
type Layout struct {
	Policy   string // name of the firewall policy
	Group    string // name of the rule collection group; a second one has -2 behind it
	Priority int    // of the first group, 100 to 65000; each further one has the next
	Limits   Limits // what is zero is as DefaultLimits has it
}

// DefaultLayout is what is written when nobody says otherwise.
var DefaultLayout = Layout{Policy: "firewall-policy", Group: "aks-egress", Priority: 500, Limits: DefaultLimits}

// Limits are bounds that Azure sets. What exceeds those of a rule or a group is
// split over several; what exceeds those of the policy is named by Exceeded.
type Limits struct {
	Name       int // characters of a name, 24 at least
	GroupBytes int // bytes of the rules of one group, as JSON
	Groups     int // groups of a policy
	// Pairs is most sources × destinations × ports of the network rules of a
	// policy; no rule and no group has more either.
	Pairs        int
	NetworkNames int // FQDNs in the network rules of a policy
}

// DefaultLimits are the published ones (learn.microsoft.com/azure/
// azure-resource-manager/management/azure-subscription-service-limits, section
// Azure Firewall limits, as noted 2026-11-22; copies of the page have other numbers
// of groups), but for GroupBytes: 2 MB hold for policies made since July 2022, 1 MB
// for older ones and for one resource of a template
// (learn.microsoft.com/azure/azure-resource-manager/templates/best-practices,
// 2026-11-23), so that no group is larger than 1 MB.
var DefaultLimits = Limits{Name: 80, GroupBytes: 1_000_000, Groups: 60, Pairs: 20_000, NetworkNames: 1_000}

const (
	firstPriority = 100
	lastPriority  = 65_000
)

// settled returns l with its gaps filled and its names such that Azure takes them.
func (l Layout) settled() Layout {
	d := DefaultLimits
	m := &l.Limits
	m.Name = max(cmp.Or(m.Name, d.Name), 24) // for -network and a number
	m.GroupBytes, m.Groups = cmp.Or(m.GroupBytes, d.GroupBytes), cmp.Or(m.Groups, d.Groups)
	m.Pairs, m.NetworkNames = cmp.Or(m.Pairs, d.Pairs), cmp.Or(m.NetworkNames, d.NetworkNames)
	l.Policy = azureName(cmp.Or(l.Policy, DefaultLayout.Policy), "policy", m.Name)
	l.Group = azureName(cmp.Or(l.Group, DefaultLayout.Group), "group", m.Name)
	l.Priority = min(max(cmp.Or(l.Priority, DefaultLayout.Priority), firstPriority), lastPriority)
	return l
}

// Excess is a limit of the policy that the rules exceed however they are split.
type Excess struct {
	What string // "source and destination pairs in network rules"
	Has  int
	Most int
}

// String writes "30000 destinations, at most 20000".
func (e Excess) String() string { return fmt.Sprintf("%d %s, at most %d", e.Has, e.What, e.Most) }

// Exceeded names the limits of a policy that the rules of p exceed by themselves,
// whatever else the policy holds.
func Exceeded(p *program.Program, l Layout) []Excess { return plan(p, l).excess }

func (l Layout) exceeded(groups []writtenGroup) (out []Excess) {
	pairs, names := 0, 0
	for _, g := range groups {
		pairs += g.pairs
		names += g.networkNames
	}
	for _, e := range []Excess{
		{"pairs of source and destination in network rules", pairs, l.Limits.Pairs},
		{"names in network rules", names, l.Limits.NetworkNames},
		{"rule collection groups", len(groups), l.Limits.Groups},
	} {
		if e.Has > e.Most {
			out = append(out, e)
		}
	}
	return out
}
