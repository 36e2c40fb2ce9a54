// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package networkpolicy

import (
	"fmt"
	"slices"
	"strings"

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

// Write translates the rules of p into policies of the Admin tier: what the rules
// ask for is accepted, what stays inside the cluster passes on, the rest is
// denied. What it cannot say is left out and named; what is let through beside
// the rules, Extras says.
func Write(p *program.Program) (data []byte, left []ruleset.Left) {
	w := writer{p: p, priority: firstPriority}
	if s := p.Resolve.Servers(); !s.IsEmpty() {
		w.policy("sallyport-dns", kubeDNS(), egress("dns", "Accept", networks(s), portset.Of(53), flow.UDP, flow.TCP))
	}
	var rules []manifest.Value
	for _, r := range p.Rules {
		parts, why := rule(p, r)
		if len(rules)+len(parts) > maxRules {
			parts, why = nil, TooMany
		}
		if why != "" {
			left = append(left, ruleset.Left{Rule: r.ID, Restriction: why})
		}
		rules = append(rules, parts...)
	}
	n := 0
	for chunk := range slices.Chunk(rules, most) {
		n++
		w.policy(fmt.Sprintf("sallyport-%d", n), everyPod(), chunk)
	}
	w.policy("sallyport-inside", everyPod(), []manifest.Value{insideRule()})
	w.policy("sallyport-deny", everyPod(), []manifest.Value{item("deny", "Deny", networks(netset.All()), nil).
		Comment("Whatever no rule before accepts or passes on.")})
	data, err := manifest.Write(fmt.Sprintf("# Written by sallyport from edition %s of the list. It sees the traffic of pods that have a\n"+
		"# network of their own, not the nodes'. Names are resolved: what is matched is an address and a port.\n", p.Edition.ID), w.docs...)
	if err != nil {
		// Everything above is built of texts and numbers, which can be written.
		panic(err)
	}
	return data, left
}

// maxRules is how many entries fit between the first priority and the last, with
// one policy before and two behind them.
const maxRules = (lastPriority - firstPriority - 3) * most

type writer struct {
	p        *program.Program
	priority int
	docs     []manifest.Value
}

// policy adds an object of the next priority.
func (w *writer) policy(name string, subject manifest.Field, egress []manifest.Value) {
	w.docs = append(w.docs, manifest.Fields(
		manifest.Field{Key: "apiVersion", Value: manifest.Text("policy.networking.k8s.io/v1alpha2")},
		manifest.Field{Key: "kind", Value: manifest.Text("ClusterNetworkPolicy")},
		manifest.Field{Key: "metadata", Value: manifest.Fields(
			manifest.Field{Key: "name", Value: manifest.Text(name)},
			manifest.Field{Key: "annotations", Value: manifest.Fields(
				manifest.Field{Key: subjectsAnnotation, Value: manifest.Text(w.p.PodSources().String())},
				manifest.Field{Key: clusterAnnotation, Value: manifest.Text(w.p.Inside().String())})})},
		manifest.Field{Key: "spec", Value: manifest.Fields(
			manifest.Field{Key: "tier", Value: manifest.Text("Admin")},
			manifest.Field{Key: "priority", Value: manifest.Number(w.priority)},
			manifest.Field{Key: "subject", Value: manifest.Fields(subject)},
			manifest.Field{Key: "egress", Value: manifest.List(egress...)})}))
	w.priority++
}

func everyPod() manifest.Field { return manifest.Field{Key: "namespaces", Value: manifest.Fields()} }

func kubeDNS() manifest.Field {
	labels := func(key, value string) manifest.Value {
		return manifest.Fields(manifest.Field{Key: "matchLabels", Value: manifest.Fields(manifest.Field{Key: key, Value: manifest.Text(value)})})
	}
	return manifest.Field{Key: "pods", Value: manifest.Fields(
		manifest.Field{Key: "namespaceSelector", Value: labels("kubernetes.io/metadata.name", "kube-system")},
		manifest.Field{Key: "podSelector", Value: labels("k8s-app", "kube-dns")})}
}

// insideRule passes on what stays inside the cluster, DNS to its servers too.
func insideRule() manifest.Value {
	peers := []manifest.Value{manifest.Fields(everyPod()), manifest.Fields(manifest.Field{Key: "nodes", Value: manifest.Fields()})}
	return item("inside", "Pass", peers, nil).Comment("Inside the cluster, with its DNS: as NetworkPolicies have it.")
}

// rule returns the entries for a rule, and what of it cannot be said.
func rule(p *program.Program, r program.Rule) (parts []manifest.Value, why string) {
	whose := p.PodSources()
	peers := networks(r.Prefixes)
	if r.ByName() {
		if name, _, ok := strings.Cut(strings.TrimPrefix(r.Pattern.String(), "*."), "."); !ok || name == "" {
			return nil, SingleLabel
		}
		peers = []manifest.Value{manifest.Fields(manifest.Field{Key: "domainNames", Value: manifest.Texts(r.Pattern.String())})}
	}
	if whose.IsEmpty() || !r.Sources.Covers(whose) {
		return nil, OtherSources
	}
	if !whose.Covers(r.Sources) {
		why = OtherSources
	}
	parts = egress(string(r.ID), "Accept", peers, r.Ports, r.Protocol.Transport)
	var comment []string
	for _, o := range r.Origins {
		line := string(r.ID) + ": " + o.Purpose
		where := o.Citation.Edition
		if where == "" {
			where = o.Citation.Document
		}
		if o.Citation.Line > 0 {
			where += fmt.Sprintf(":%d", o.Citation.Line)
		}
		if where != "" {
			line += " (" + where + ")"
		}
		comment = append(comment, line)
	}
	if comment != nil {
		parts[0] = parts[0].Comment(comment...)
	}
	return parts, why
}

// networks returns addresses as peers of as many as one may have.
func networks(s netset.Set) (peers []manifest.Value) {
	for chunk := range slices.Chunk(s.Texts(), most) {
		peers = append(peers, manifest.Fields(manifest.Field{Key: "networks", Value: manifest.Texts(chunk...)}))
	}
	return peers
}

// egress returns the entries for peers and ports, split where there are too many.
func egress(name, action string, peers []manifest.Value, ports portset.Set, transports ...flow.Transport) (out []manifest.Value) {
	var protocols []manifest.Value
	for _, t := range transports {
		for _, r := range ports.Ranges() {
			port := manifest.Field{Key: "number", Value: manifest.Number(int(r.Lo))}
			if r.Hi > r.Lo {
				port = manifest.Field{Key: "range", Value: manifest.Fields(
					manifest.Field{Key: "start", Value: manifest.Number(int(r.Lo))}, manifest.Field{Key: "end", Value: manifest.Number(int(r.Hi))})}
			}
			protocols = append(protocols, manifest.Fields(manifest.Field{Key: t.String(), Value: manifest.Fields(
				manifest.Field{Key: "destinationPort", Value: manifest.Fields(port)})}))
		}
	}
	for to := range slices.Chunk(peers, most) {
		for some := range slices.Chunk(protocols, most) {
			out = append(out, item(name, action, to, some))
		}
	}
	return out
}

// item returns one entry. A name may have 100 characters.
func item(name, action string, peers, protocols []manifest.Value) manifest.Value {
	fields := []manifest.Field{
		{Key: "name", Value: manifest.Text(name[:min(len(name), 100)])},
		{Key: "action", Value: manifest.Text(action)},
		{Key: "to", Value: manifest.List(peers...)},
	}
	if protocols != nil {
		fields = append(fields, manifest.Field{Key: "protocols", Value: manifest.List(protocols...)})
	}
	return manifest.Fields(fields...)
}
