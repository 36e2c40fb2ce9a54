// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cilium

import (
	"fmt"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/firewall/manifest"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/ruleset"
)

// Annotations in which Write says what the file itself cannot: the addresses of
// those it applies to, and of the cluster.
const (
	subjectsAnnotation = "sallyport/subjects"
	clusterAnnotation  = "sallyport/cluster"
)

// Write translates the rules of p into a CiliumClusterwideNetworkPolicy for the
// nodes or the pods. What it cannot say is left out and named; what is let
// through beside the rules, Extra says.
func Write(p *program.Program, o Options) (data []byte, left []ruleset.Left) {
	name, selector := "sallyport-nodes", "nodeSelector"
	if o.Scope == Pods {
		name, selector = "sallyport-pods", "endpointSelector"
	}
	var egress []manifest.Value
	egress = append(egress, clusterTraffic(o)...)
	if o.Scope == Nodes {
		egress = append(egress, nodeLocal(p)...)
	}
	egress = append(egress, dnsRules(p, o)...)
	for _, r := range p.Rules {
		s := say(p, r, o)
		for _, id := range s.restrictions {
			left = append(left, ruleset.Left{Rule: r.ID, Restriction: id})
		}
		if s.written {
			egress = append(egress, s.egress())
		}
	}
	docs := []manifest.Value{policy(p, o, name, selector, manifest.Fields(), egress)}
	if o.Scope == Pods && !p.Resolve.Servers().IsEmpty() {
		docs = append(docs, resolverPolicy(p, o))
	}
	head := fmt.Sprintf("# Written by sallyport from edition %s of the list, for Cilium %s.\n", p.Edition.ID, forVersion(o.Version))
	if o.Scope == Nodes {
		head += "# A host policy: it needs hostFirewall.enabled and sees the nodes' own traffic, not the pods'.\n"
	} else {
		head += "# It sees the traffic of pods that have a network of their own, not the nodes'.\n"
	}
	head += "# Names are learned from DNS answers: what is matched is an address and a port.\n"
	data, err := manifest.Write(head, docs...)
	if err != nil {
		// Everything above is built of texts and numbers, which can be written.
		panic(err)
	}
	return data, left
}

func forVersion(v Version) string {
	if !v.Known() {
		return "of any version"
	}
	if v.anyDepth() {
		return v.String() + " and newer"
	}
	return v.String()
}

// policy returns one object.
func policy(p *program.Program, o Options, name, selector string, selects manifest.Value, egress []manifest.Value) manifest.Value {
	return manifest.Fields(
		manifest.Field{Key: "apiVersion", Value: manifest.Text("cilium.io/v2")},
		manifest.Field{Key: "kind", Value: manifest.Text("CiliumClusterwideNetworkPolicy")},
		manifest.Field{Key: "metadata", Value: manifest.Fields(
			manifest.Field{Key: "name", Value: manifest.Text(name)},
			manifest.Field{Key: "annotations", Value: manifest.Fields(
				manifest.Field{Key: subjectsAnnotation, Value: manifest.Text(subjects(p, o.Scope).String())},
				manifest.Field{Key: clusterAnnotation, Value: manifest.Text(p.Inside().String())})})},
		manifest.Field{Key: "spec", Value: manifest.Fields(
			manifest.Field{Key: selector, Value: selects},
			manifest.Field{Key: "egress", Value: manifest.List(egress...)})})
}

// said is how far Cilium can say a rule.
type said struct {
	rule         program.Rule
	written      bool
	restrictions []string
	patterns     []string // what names are compared with, for a rule by name
}

// say decides how far a rule can be said.
func say(p *program.Program, r program.Rule, o Options) said {
	s := said{rule: r}
	whose := subjects(p, o.Scope)
	switch {
	case whose.IsEmpty() || !r.Sources.Covers(whose):
		s.restrictions = []string{OtherSources}
		return s
	case r.ByName() && o.Scope == Nodes && resolvers(p, o).IsEmpty():
		s.restrictions = []string{NoDNSServer}
		return s
	case !whose.Covers(r.Sources):
		s.restrictions = append(s.restrictions, OtherSources)
	}
	s.written = true
	if !r.ByName() {
		if r.Prefixes.Overlaps(p.Inside()) {
			s.restrictions = append(s.restrictions, InsideCluster)
		}
		return s
	}
	apex, wild := r.Pattern.Apex()
	if !wild {
		return s
	}
	if s.patterns = patternsUnder(apex, o.Version); !o.Version.anyDepth() {
		s.restrictions = append(s.restrictions, DepthLimit)
	}
	return s
}

// patternsUnder returns the patterns for the names below apex.
func patternsUnder(apex dnsname.Name, v Version) []string {
	if v.anyDepth() {
		return []string{"**." + apex.String()}
	}
	var out []string
	for text := "*." + apex.String(); len(out) < Depth; text = "*." + text {
		out = append(out, text)
	}
	return out
}

// egress returns the entry of the egress list.
func (s said) egress() manifest.Value {
	r := s.rule
	to := manifest.Field{Key: "toCIDR"}
	if r.ByName() {
		to.Key = "toFQDNs"
		var names []manifest.Value
		if n, exact := r.Pattern.Name(); exact {
			names = append(names, manifest.Fields(manifest.Field{Key: "matchName", Value: manifest.Text(n.String())}))
		}
		for _, text := range s.patterns {
			names = append(names, manifest.Fields(manifest.Field{Key: "matchPattern", Value: manifest.Text(text)}))
		}
		to.Value = manifest.List(names...)
	} else {
		to.Value = manifest.Texts(r.Prefixes.Texts()...)
	}
	var comment []string
	for i, origin := range r.Origins {
		line := string(r.ID) + ": " + origin.Purpose
		if i > 0 {
			line = "and: " + origin.Purpose
		}
		if c := origin.Citation; c.Edition != "" || c.Document != "" {
			where := c.Edition
			if where == "" {
				where = c.Document
			}
			if c.Line > 0 {
				where += fmt.Sprintf(":%d", c.Line)
			}
			line += " (" + where + ")"
		}
		comment = append(comment, line)
	}
	if comment == nil {
		comment = []string{string(r.ID)}
	}
	return manifest.Fields(to, toPorts(r.Ports, nil, r.Protocol.Transport)).Comment(comment...)
}

// toPorts returns the ports of a rule, split where there are too many for one
// list.
func toPorts(ports portset.Set, rules []manifest.Field, transports ...flow.Transport) manifest.Field {
	var all []manifest.Value
	for _, r := range ports.Ranges() {
		for _, t := range transports {
			name := "TCP"
			if t == flow.UDP {
				name = "UDP"
			}
			entry := []manifest.Field{{Key: "port", Value: manifest.Text(fmt.Sprint(r.Lo))}}
			if r.Hi > r.Lo {
				entry = append(entry, manifest.Field{Key: "endPort", Value: manifest.Number(int(r.Hi))})
			}
			all = append(all, manifest.Fields(append(entry, manifest.Field{Key: "protocol", Value: manifest.Text(name)})...))
		}
	}
	var lists []manifest.Value
	for len(all) > 0 {
		n := min(len(all), maxPorts)
		lists = append(lists, manifest.Fields(append([]manifest.Field{{Key: "ports", Value: manifest.List(all[:n]...)}}, rules...)...))
		all = all[n:]
	}
	return manifest.Field{Key: "toPorts", Value: manifest.List(lists...)}
}

// toCIDR returns addresses as a field.
func toCIDR(s netset.Set) manifest.Field {
	return manifest.Field{Key: "toCIDR", Value: manifest.Texts(s.Texts()...)}
}
