// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/ruleset"
)

// groups finds security groups that stop traffic within the cluster's subnet,
// which AKS does not support ("Limitations of a network security group",
// learn.microsoft.com/azure/aks/concepts-network, 2026-11-23), or what the
// cluster needs of the world. A group can stand around any subnet: only one that
// is alone, that names the cluster's addresses or is called after it is judged.
func (a *auditor) groups() {
	byName := make(map[string][]ruleset.SecurityRule)
	for _, r := range a.rules.Security {
		byName[r.Group] = append(byName[r.Group], r)
	}
	own := a.p.Visible()
	for name, rules := range byName {
		if !around(name, rules, own) && (len(byName) > 1 || forOthers(name)) {
			continue
		}
		slices.SortStableFunc(rules, func(x, y ruleset.SecurityRule) int { return cmp.Compare(x.Priority, y.Priority) })
		inside := flowset.Of(flowset.Box{
			Src: own, Dst: own, Class: flowset.TCP | flowset.UDP, Ports: portset.All(), Names: nameset.All(), Nameless: true,
		})
		for _, outbound := range []bool{true, false} {
			if r, ok := stops(rules, inside, outbound); ok {
				a.find(Finding{
					Check: Subnet, Severity: High, Pos: r.Pos, Rule: groupRule(r), Term: r.Name, Witness: witness(r.Sure.Intersect(inside)),
					Text:    fmt.Sprintf("%s stops traffic between the cluster's own nodes, which AKS does not support", groupRule(r)),
					Because: "the nodes are " + own.String(), Fix: "allow traffic within " + own.String() + " before it, or remove it",
				}, groupKey(r))
			}
		}
		cut := make(map[string][]string)
		first := make(map[string]ruleset.SecurityRule)
		for _, n := range a.needs {
			out := publicPart(n.set)
			r, ok := stops(rules, out, true)
			if !ok {
				continue
			}
			key := groupKey(r)
			first[key] = r
			cut[key] = append(cut[key], n.rule.Destination()+" "+ports(n.rule))
		}
		for key, names := range cut {
			r := first[key]
			a.find(Finding{
				Check: Group, Severity: High, Pos: r.Pos, Rule: groupRule(r), Term: r.Name, Witness: witness(r.Sure),
				Text: fmt.Sprintf("%s stops %d of %d destinations that the cluster needs before the firewall sees them, %s among them",
					groupRule(r), len(names), len(a.needs), names[0]),
				Because: strings.Join(names, ", "), Fix: "let the subnet out, and let the firewall decide by name",
			}, key)
		}
	}
}

func groupRule(r ruleset.SecurityRule) string {
	if r.Group == "" {
		return r.Name
	}
	return r.Group + "/" + r.Name
}

// groupKey makes a finding the same when rules are renamed.
func groupKey(r ruleset.SecurityRule) string {
	return fmt.Sprint(r.Outbound, " ", r.Priority, " ", describe(r.Maybe))
}

// around reports whether a group is the cluster's, by what it names.
func around(name string, rules []ruleset.SecurityRule, own netset.Set) bool {
	lower := strings.ToLower(name)
	if strings.Contains(lower, "aks") || strings.Contains(lower, "node") || strings.Contains(lower, "cluster") {
		return true
	}
	return slices.ContainsFunc(rules, func(r ruleset.SecurityRule) bool {
		return slices.ContainsFunc(r.Sure.Boxes(), func(b flowset.Box) bool {
			return own.Covers(b.Src) || own.Covers(b.Dst)
		})
	})
}

// forOthers reports whether a group is called after something that is no cluster.
func forOthers(name string) bool {
	lower := strings.ToLower(name)
	return slices.ContainsFunc([]string{"bastion", "jump", "appgw", "gateway", "firewall", "vm"}, func(w string) bool {
		return strings.Contains(lower, w)
	})
}

// stops returns the rule that denies some flows for certain.
func stops(rules []ruleset.SecurityRule, flows flowset.Set, outbound bool) (ruleset.SecurityRule, bool) {
	rest := flows
	for _, r := range rules {
		if r.Outbound != outbound {
			continue
		}
		if r.Allow || r.Doubt != "" { // in doubt it allows
			rest = rest.Minus(r.Maybe)
			continue
		}
		if rest.Overlaps(r.Sure) {
			return r, true
		}
	}
	return ruleset.SecurityRule{}, false
}

// publicPart returns the flows of a set that leave private networks.
func publicPart(s flowset.Set) flowset.Set {
	public := netset.All().Minus(netset.Private()).Minus(netset.Never())
	var out []flowset.Box
	for _, b := range s.Boxes() {
		b.Dst = b.Dst.Intersect(public)
		out = append(out, b)
	}
	return flowset.Of(out...)
}
