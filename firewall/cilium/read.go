// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cilium

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/firewall/manifest"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/ruleset"
)

// reader gathers rules. What is denied is denied whatever else allows it, so
// those rules come first.
type reader struct {
	file        string
	o           Options
	rules       *ruleset.RuleSet
	deny, allow []ruleset.Rule
	scopes      [2]coverage // by Scope

	oneStar, manyStars, serverNames int
}

// coverage is how much of a scope's traffic the policies restrict.
type coverage struct {
	whole, part bool
	sources     netset.Set
}

// subject is whom a policy is about.
type subject struct {
	sure, maybe netset.Set // as sources
	cluster     netset.Set // addresses inside the cluster, as far as they are stated
	scope       Scope
	whole       bool // everything of the scope
}

// Read reads the egress part of the policies in a file. Other objects are passed
// over. Nothing else than the policies of the file is taken into account.
func Read(name string, data []byte, o Options) (*ruleset.RuleSet, error) {
	objects, err := manifest.Read(name, data)
	if err != nil {
		return nil, err
	}
	r := &reader{file: name, o: o, rules: &ruleset.RuleSet{Dialect: Dialect, Files: []string{name}}}
	found := false
	for _, obj := range objects {
		if !strings.HasPrefix(obj.APIVersion, "cilium.io/") || obj.Kind != "CiliumNetworkPolicy" && obj.Kind != "CiliumClusterwideNetworkPolicy" {
			continue
		}
		found = true
		specs := obj.Node.Get("specs").Items()
		if spec := obj.Node.Get("spec"); spec.Exists() {
			specs = append([]manifest.Node{spec}, specs...)
		}
		for _, spec := range specs {
			r.policy(obj, spec)
		}
		if len(specs) == 0 {
			r.unknown(obj.Node, obj.Kind, obj.Name, "has no spec")
		}
	}
	if !found {
		return nil, fmt.Errorf("%s: holds no CiliumNetworkPolicy and no CiliumClusterwideNetworkPolicy", name)
	}
	r.rest()
	r.rules.Rules = append(r.deny, r.allow...)
	return r.rules, nil
}

func (r *reader) at(n manifest.Node) ruleset.Position {
	return ruleset.Position{File: r.file, Line: n.Line()}
}

func (r *reader) unknown(n manifest.Node, part, text, why string) {
	r.rules.Unknown = append(r.rules.Unknown, ruleset.Unknown{Pos: r.at(n), Part: part, Text: text, Why: why})
}

// rest says what becomes of traffic that no policy of the file restricts: Cilium
// lets it through.
func (r *reader) rest() {
	none := true
	for _, c := range r.scopes {
		none = none && !c.whole && !c.part
		if c.whole || !c.part {
			continue
		}
		b := flowset.Everything()
		b.Src = c.sources
		why := "nodes or pods that the selectors do not match, or whose policy is refused, are not restricted"
		r.allow = append(r.allow, ruleset.Rule{
			Pos: ruleset.Position{File: r.file}, Name: "not selected", Kind: ruleset.Network, Action: ruleset.Allow,
			Terms:   []ruleset.Term{{Text: "everything", Maybe: flowset.Of(b)}},
			Unknown: []ruleset.Unknown{{Pos: ruleset.Position{File: r.file}, Part: "source", Text: "not selected", Why: why}},
		})
	}
	if none {
		r.rules.Default = ruleset.Allow
	}
}

// policy reads one spec.
func (r *reader) policy(obj manifest.Object, spec manifest.Node) {
	s := r.subject(obj, spec)
	var entries []*entry
	collect := func(list manifest.Node, deny bool) {
		if list.Exists() && !list.IsList() {
			r.unknown(list, "egress", list.Shown(), "is no list")
			return
		}
		for i, n := range list.Items() {
			e := &entry{r: r, subject: &s, node: n, deny: deny}
			e.rule = ruleset.Rule{Pos: r.at(n), Collection: obj.Name, Name: fmt.Sprintf("egress %d", i+1), Kind: ruleset.Network, Action: ruleset.Allow}
			if deny {
				e.rule.Name, e.rule.Action = fmt.Sprintf("egressDeny %d", i+1), ruleset.Deny
			}
			e.read()
			entries = append(entries, e)
		}
	}
	collect(spec.Get("egressDeny"), true)
	collect(spec.Get("egress"), false)

	refused := r.refusal(obj, spec)
	for _, e := range entries {
		if refused == "" {
			refused = e.refused
		}
	}
	if refused != "" {
		r.unknown(spec, obj.Kind, obj.Name, "Cilium refuses the policy: "+refused)
	}
	for _, e := range entries {
		if refused != "" {
			for i := range e.rule.Terms {
				e.rule.Terms[i].Sure = flowset.Set{}
			}
		}
		if e.deny {
			r.deny = append(r.deny, e.rule)
		} else {
			r.allow = append(r.allow, e.rule)
		}
	}
	r.cover(spec, s, len(entries) > 0, refused != "")
}

// cover notes whom the policy restricts: those it selects, when it has an egress
// entry and does not say otherwise.
func (r *reader) cover(spec manifest.Node, s subject, entries, refused bool) {
	c := &r.scopes[s.scope]
	deny, said := spec.Get("enableDefaultDeny").Get("egress").Text()
	switch {
	case refused, said && deny != "true" && deny != "false":
		c.part = true
	case said && deny == "false", !said && !entries:
		return
	case s.whole:
		c.whole = true
	default:
		c.part = true
	}
	c.sources = c.sources.Union(s.maybe)
}

// refusal says why Cilium does not take a spec, as far as its selectors show
// (pkg/policy/api/rule_validation.go, 1.19.0).
func (r *reader) refusal(obj manifest.Object, spec manifest.Node) string {
	nodes, pods := spec.Get("nodeSelector"), spec.Get("endpointSelector")
	switch {
	case nodes.Exists() == pods.Exists():
		return "it takes exactly one of endpointSelector and nodeSelector"
	case nodes.Exists() && obj.Kind == "CiliumNetworkPolicy":
		return "a nodeSelector belongs into a CiliumClusterwideNetworkPolicy"
	}
	return ""
}

// subject reads whom a spec is about.
func (r *reader) subject(obj manifest.Object, spec manifest.Node) subject {
	var s subject
	selector := spec.Get("endpointSelector")
	if n := spec.Get("nodeSelector"); n.Exists() {
		s.scope, selector = Nodes, n
	} else {
		s.scope = Pods
	}
	notes := obj.Node.Get("metadata").Get("annotations")
	stated := func(key string, given netset.Set) netset.Set {
		n := notes.Get(key)
		text, ok := n.Text()
		if !given.IsEmpty() || !ok {
			return given
		}
		for part := range strings.SplitSeq(text, ",") {
			set, why := prefix(strings.TrimSpace(part))
			if why != "" {
				r.unknown(n, key, text, why)
				return netset.Set{}
			}
			given = given.Union(set)
		}
		return given
	}
	s.cluster = stated(clusterAnnotation, r.o.Cluster)
	if s.maybe = stated(subjectsAnnotation, r.o.Subjects); s.maybe.IsEmpty() {
		s.maybe = netset.All()
	}
	labels := len(selector.Get("matchLabels").Keys()) + len(selector.Get("matchExpressions").Items()) + len(selector.Other("matchLabels", "matchExpressions"))
	s.whole = labels == 0 && obj.Kind == "CiliumClusterwideNetworkPolicy"
	if s.whole || !r.o.Subjects.IsEmpty() {
		s.sure = s.maybe
		return s
	}
	r.unknown(spec, "source", obj.Name, "which addresses the selected pods or nodes have is not in the file")
	return s
}
