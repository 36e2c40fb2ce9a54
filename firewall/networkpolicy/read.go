// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package networkpolicy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/firewall/manifest"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/ruleset"
)

// reader gathers rules in the order in which they are tried.
type reader struct {
	file    string
	o       Options
	rules   *ruleset.RuleSet
	sources netset.Set // of whom the policies are about
	passed  struct{ sure, maybe flowset.Set }
	twice   bool // whether another policy has the tier and priority of this one
}

// policy is one object with its place in the order.
type policy struct {
	obj      manifest.Object
	spec     manifest.Node
	baseline bool
	priority int
	refused  string // why the API server takes none of it, "" when it does
}

// Read reads the egress part of the policies in a file. Other objects are passed
// over, NetworkPolicies too: what the Admin tier leaves to them is unknown.
func Read(name string, data []byte, o Options) (*ruleset.RuleSet, error) {
	objects, err := manifest.Read(name, data)
	if err != nil {
		return nil, err
	}
	r := &reader{file: name, o: o, rules: &ruleset.RuleSet{Dialect: Dialect, Files: []string{name}}}
	var policies []policy
	for _, obj := range objects {
		version, ok := strings.CutPrefix(obj.APIVersion, "policy.networking.k8s.io/")
		if !ok || obj.Kind != "ClusterNetworkPolicy" {
			continue
		}
		if version != "v1alpha2" && version != "v1beta1" {
			r.unknown(obj.Node, "apiVersion", version, "only v1alpha2 and v1beta1 are read")
		}
		policies = append(policies, place(obj))
	}
	if policies == nil {
		return nil, fmt.Errorf("%s: holds no ClusterNetworkPolicy", name)
	}
	slices.SortStableFunc(policies, func(a, b policy) int {
		if a.baseline != b.baseline {
			if b.baseline {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.priority, b.priority)
	})
	for i, p := range policies {
		same := func(q policy) bool { return q.baseline == p.baseline && q.priority == p.priority }
		r.twice = i > 0 && same(policies[i-1]) || i+1 < len(policies) && same(policies[i+1])
		if i > 0 && p.baseline != policies[i-1].baseline {
			r.passed.sure, r.passed.maybe = flowset.Set{}, flowset.Set{}
		}
		r.policy(p)
	}
	r.rest()
	return r.rules, nil
}

// place reads where a policy stands in the order.
func place(obj manifest.Object) policy {
	p := policy{obj: obj, spec: obj.Node.Get("spec")}
	tier, _ := p.spec.Get("tier").Text()
	text, _ := p.spec.Get("priority").Text()
	n, err := strconv.Atoi(text)
	p.baseline, p.priority = tier == "Baseline", n
	switch {
	case tier != "Admin" && tier != "Baseline":
		p.refused = "the tier is Admin or Baseline"
	case err != nil || n < 0 || n > lastPriority:
		p.refused = "the priority is a number from 0 to 1000"
	case len(p.spec.Get("egress").Items()) > most:
		p.refused = "it has more than 25 egress rules"
	}
	return p
}

func (r *reader) at(n manifest.Node) ruleset.Position {
	return ruleset.Position{File: r.file, Line: n.Line()}
}

func (r *reader) unknown(n manifest.Node, part, text, why string) {
	r.rules.Unknown = append(r.rules.Unknown, ruleset.Unknown{Pos: r.at(n), Part: part, Text: text, Why: why})
}

// rest says what becomes of what no rule decides: NetworkPolicies may deny it,
// and without any Kubernetes lets it through.
func (r *reader) rest() {
	b := flowset.Everything()
	if b.Src = r.sources; b.Src.IsEmpty() {
		b.Src = netset.All()
	}
	pos := ruleset.Position{File: r.file}
	r.rules.Rules = append(r.rules.Rules, ruleset.Rule{
		Pos: pos, Name: "not decided", Kind: ruleset.Network, Action: ruleset.Allow,
		Terms:   []ruleset.Term{{Text: "everything", Maybe: flowset.Of(b)}},
		Unknown: []ruleset.Unknown{{Pos: pos, Part: "policy", Text: "not decided", Why: "NetworkPolicies decide it, which are not read"}},
	})
}

// policy reads the rules of one policy.
func (r *reader) policy(p policy) {
	src, maybeSrc, cluster, why := r.subject(p)
	if p.refused == "" {
		p.refused = why
	}
	egress := p.spec.Get("egress")
	if egress.Exists() && !egress.IsList() {
		r.unknown(egress, "egress", egress.Shown(), "is no list")
	}
	var entries []*entry
	for i, n := range egress.Items() {
		e := &entry{r: r, node: n, cluster: cluster}
		e.rule = ruleset.Rule{Pos: r.at(n), Collection: p.obj.Name, Name: fmt.Sprintf("egress %d", i+1), Kind: ruleset.Network}
		if name, ok := n.Get("name").Text(); ok {
			e.rule.Name = name
		}
		e.read(src, maybeSrc)
		if entries = append(entries, e); p.refused == "" {
			p.refused = e.refused
		}
	}
	if p.refused != "" {
		r.unknown(p.spec, p.obj.Kind, p.obj.Name, "the API server refuses it: "+p.refused)
	}
	if r.twice {
		r.unknown(p.spec, "priority", p.obj.Name, "another policy of the tier has the same priority, so their order is not known")
	}
	for _, e := range entries {
		r.decide(e, p)
	}
	if len(entries) > 0 {
		r.sources = r.sources.Union(maybeSrc)
	}
}

// decide puts a rule into the order: without what passed on before, and as
// certain as its tier lets it be.
func (r *reader) decide(e *entry, p policy) {
	if p.baseline {
		e.unknown(e.node, "tier", "NetworkPolicies decide before the Baseline tier, and are not read")
	}
	for i := range e.rule.Terms {
		t := &e.rule.Terms[i]
		if t.Maybe = t.Maybe.Minus(r.passed.sure); p.refused != "" || p.baseline || r.twice {
			t.Sure = flowset.Set{}
		}
		t.Sure = t.Sure.Minus(r.passed.maybe)
	}
	if e.pass {
		r.passed.sure = r.passed.sure.Union(e.rule.Sure())
		r.passed.maybe = r.passed.maybe.Union(e.rule.Maybe())
		e.unknown(e.node, "action", "passes on to NetworkPolicies, which are not read")
		for i := range e.rule.Terms {
			e.rule.Terms[i].Sure = flowset.Set{}
		}
	}
	r.rules.Rules = append(r.rules.Rules, e.rule)
}

// subject reads whom a policy is about: as sources, certainly and at most, and
// the addresses of the cluster as far as they are stated.
func (r *reader) subject(p policy) (sure, maybe, cluster netset.Set, refused string) {
	notes := p.obj.Node.Get("metadata").Get("annotations")
	stated := func(key string, given netset.Set) netset.Set {
		n := notes.Get(key)
		text, ok := n.Text()
		if !given.IsEmpty() || !ok {
			return given
		}
		for part := range strings.SplitSeq(text, ",") {
			prefix, err := netip.ParsePrefix(strings.TrimSpace(part))
			if err != nil {
				r.unknown(n, key, text, err.Error())
				return netset.Set{}
			}
			given = given.Union(netset.Of(prefix))
		}
		return given
	}
	cluster = stated(clusterAnnotation, r.o.Cluster)
	if maybe = stated(subjectsAnnotation, r.o.Subjects); maybe.IsEmpty() {
		maybe = netset.All()
	}
	subject := p.spec.Get("subject")
	keys := subject.Keys()
	if len(keys) != 1 || keys[0] != "namespaces" && keys[0] != "pods" {
		return sure, maybe, cluster, "its subject is either namespaces or pods"
	}
	whole := empty(subject.Get("namespaces"))
	if pods := subject.Get("pods"); pods.Exists() {
		whole = empty(pods.Get("namespaceSelector")) && empty(pods.Get("podSelector")) && len(pods.Other("namespaceSelector", "podSelector")) == 0
	}
	if whole || !r.o.Subjects.IsEmpty() {
		return maybe, maybe, cluster, ""
	}
	r.unknown(subject, "subject", p.obj.Name, "which addresses the selected pods have is not in the file")
	return sure, maybe, cluster, ""
}

// empty reports whether a label selector selects everything.
func empty(n manifest.Node) bool {
	return len(n.Get("matchLabels").Keys()) == 0 && len(n.Get("matchExpressions").Items()) == 0 && len(n.Other("matchLabels", "matchExpressions")) == 0
}
