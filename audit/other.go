// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/ruleset"
)

// shadowed finds rules for which earlier ones of their kind decide everything.
// What a void rule swallows is said once, there. A rule that covers another
// covers its first term, so earlier rules are found by the endings of their
// terms' names, and thousands of rules are not compared with each other.
func (a *auditor) shadowed() {
	type placed struct {
		rule int
		sure flowset.Set // of the whole rule, filled when somebody asks
		know bool
	}
	index := make(map[string][]*placed) // kind and ending of a term -> rules
	for i, r := range a.rules.Rules {
		if r.Kind == ruleset.NAT || r.Dead != "" || len(r.Terms) == 0 || r.Terms[0].Maybe.IsEmpty() {
			continue
		}
		for _, earlier := range candidates(index, r.Kind, r.Terms[0].Maybe) {
			before := a.rules.Rules[earlier.rule]
			if !earlier.know {
				earlier.sure, earlier.know = before.Sure(), true
			}
			if among(a.voids, before) || slices.ContainsFunc(r.Terms, func(t ruleset.Term) bool { return !earlier.sure.Covers(t.Maybe) }) {
				continue
			}
			f := Finding{
				Check: Shadowed, Severity: Low, Pos: r.Pos, Rule: r.String(), Term: r.Name,
				Text:    fmt.Sprintf("%s decides for everything that %s matches", before, r),
				Because: fmt.Sprintf("%s at %s is tried first", before, before.Pos), Fix: "remove " + r.Name,
			}
			if i := slices.IndexFunc(before.Terms, func(t ruleset.Term) bool { return a.gone[t.Pos] }); i >= 0 {
				// It is what stays when the wide one goes.
				f.Severity, f.Fix = Info, "narrow "+before.Terms[i].Text+" and keep this"
			} else {
				f.Edits = a.dropRule(r)
			}
			a.find(f, termKey(r, ""))
			break
		}
		p := &placed{rule: i}
		for _, t := range r.Terms {
			key := string(r.Kind) + " " + ending(t.Sure)
			if have := index[key]; len(have) == 0 || have[len(have)-1] != p {
				index[key] = append(have, p)
			}
		}
	}
}

// ending returns what all names of a set end in, "" when it has nameless flows.
func ending(s flowset.Set) string {
	out, first := "", true
	for _, b := range s.Boxes() {
		e := b.Names.Ending()
		if b.Nameless {
			e = ""
		}
		if first {
			out, first = e, false
			continue
		}
		for !strings.HasSuffix(e, out) {
			out = out[1:]
		}
	}
	return out
}

// candidates returns what stands in index under the endings of a set's names,
// the longest first.
func candidates[T any](index map[string][]T, kind ruleset.Kind, set flowset.Set) []T {
	var out []T
	e := ending(set)
	for i := 0; i <= len(e); i++ {
		out = append(out, index[string(kind)+" "+e[i:]]...)
	}
	return out
}

// dead finds rules that can never match.
func (a *auditor) dead() {
	for _, r := range a.rules.Rules {
		if r.Dead != "" {
			a.find(Finding{
				Check: Dead, Severity: Medium, Pos: r.Pos, Rule: r.String(), Term: r.Name,
				Text: fmt.Sprintf("%s can never match: %s", r, r.Dead), Fix: "correct or remove it", Edits: a.dropRule(r),
			}, termKey(r, ""))
		}
	}
}

// inspected finds rules that open TLS to the API server: nodes and pods prove
// themselves to it by certificates, which an inspecting firewall takes away.
func (a *auditor) inspected() {
	for _, r := range a.rules.Rules {
		if r.Inspects == (ruleset.Word{}) || r.Action != ruleset.Allow {
			continue
		}
		for _, n := range a.needs {
			if !strings.Contains(n.rule.Origins[0].Requirement, "api-server") || !n.rule.ByName() {
				continue
			}
			i := slices.IndexFunc(r.Terms, func(t ruleset.Term) bool { return t.Maybe.Overlaps(n.set) })
			if i < 0 {
				continue
			}
			a.find(Finding{
				Check: Inspected, Severity: High, Pos: r.Inspects.Pos, Rule: r.String(), Term: r.Terms[i].Text,
				Text:    fmt.Sprintf("%s opens TLS to the API server, %s: its client certificates do not survive that", r, n.rule.Destination()),
				Because: because(n.rule.Origins[0]), Fix: "turn TLS inspection off in this rule, or give the API server a rule of its own",
				Witness: witness(n.set), Edits: a.turnOff(r.Inspects),
			}, termKey(r, r.Terms[i].Text))
			break
		}
	}
}

// proxy finds names in network rules on a firewall that does not resolve.
func (a *auditor) proxy() {
	if a.rules.Dialect != "azure-firewall" || a.rules.DNS.Proxy {
		return
	}
	for _, r := range a.rules.Rules {
		if r.Kind != ruleset.Network {
			continue
		}
		for _, t := range r.Terms {
			for _, b := range t.Sure.Boxes() {
				if b.Nameless || b.Names.IsEmpty() {
					continue
				}
				f := Finding{
					Check: NoProxy, Severity: High, Pos: t.Pos, Rule: r.String(), Term: t.Text,
					Text: fmt.Sprintf("%s stands in a network rule, which needs the firewall's DNS proxy", t.Text),
					Fix:  "turn on the DNS proxy and let the cluster resolve through the firewall",
				}
				if !a.rules.DNS.Known {
					f.Severity, f.Unknown = Info, true
					f.Text += "; the files do not say whether it is on"
				}
				a.find(f, termKey(r, t.Text))
				return
			}
		}
	}
}

// routing finds a default route to the appliance that breaks a public load
// balancer.
func (a *auditor) routing() {
	var toAppliance *ruleset.Route
	back := false
	for i, r := range a.rules.Routes {
		if r.Prefix == "0.0.0.0/0" && strings.EqualFold(r.NextHop, "VirtualAppliance") {
			toAppliance = &a.rules.Routes[i]
		}
		// The firewall's own public address around it.
		back = back || strings.EqualFold(r.NextHop, "Internet") && r.Prefix != "0.0.0.0/0"
	}
	if toAppliance == nil || back || !a.p.LoadBalancers {
		return
	}
	a.find(Finding{
		Check: Routing, Severity: High, Pos: toAppliance.Pos, Rule: toAppliance.Name, Term: toAppliance.Prefix,
		Text: "the default route leads to the appliance while a public load balancer is in use, and no route leads the appliance's own public address around it: replies are dropped",
		Fix:  "add a route for the appliance's public address/32 with next hop Internet, and DNAT for each service",
	}, "routing")
}
