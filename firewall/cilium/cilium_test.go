// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cilium

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/ruleset"
)

func set(texts ...string) netset.Set {
	var s netset.Set
	for _, t := range texts {
		s = s.Union(netset.Of(netip.MustParsePrefix(t)))
	}
	return s
}

var nodes, pods = set("10.240.0.0/16"), set("10.244.0.0/16", "fd00::/64")

// cluster is a program without rules.
func cluster(podsVisible bool) *program.Program {
	return &program.Program{
		Edition: program.Edition{ID: "2026-07-03"},
		Groups:  []program.Group{{Name: "nodes", Set: nodes, Visible: true}, {Name: "pods", Set: pods, Visible: podsVisible}},
		Resolve: program.Resolve{Upstreams: []netip.AddrPort{netip.MustParseAddrPort("168.63.129.16:53")}},
		NodeLocal: []program.NodeLocal{
			{ID: "node-metadata", Prefixes: []string{"169.254.169.254/32"}, Ports: []string{"tcp/80"}, Purpose: "metadata"},
			{ID: "node-dns", Prefixes: []string{"169.254.10.0/24"}, Ports: []string{"udp/53", "tcp/53"}, Purpose: "DNS"},
		},
	}
}

func randomProgram(r *rand.Rand) *program.Program {
	p := cluster(r.IntN(2) == 0)
	if r.IntN(8) == 0 {
		p.Resolve, p.NodeLocal = program.Resolve{}, nil
	}
	patterns := []string{"a.com", "*.a.com", "x.a.com", "*.x.a.com", "b.org", "*.b.org", "c.net"}
	protocols := []flow.Protocol{flow.ProtoHTTPS, flow.ProtoHTTP, flow.ProtoTCP, flow.ProtoUDP}
	sources := []netset.Set{nodes, nodes, nodes.Union(pods), pods, set("10.240.1.0/24"), set("192.168.0.0/24")}
	for i := range 1 + r.IntN(6) {
		rule := program.Rule{
			ID: flow.RuleID(fmt.Sprint("rule-", i)), Protocol: protocols[r.IntN(len(protocols))],
			Ports:   portset.Of([]uint16{443, 80, 8443}[r.IntN(3)]),
			Sources: sources[r.IntN(len(sources))], Origins: []program.Origin{{Purpose: "a test"}},
		}
		switch r.IntN(8) {
		case 0:
			rule.Prefixes, rule.Protocol = set("20.1.0.0/16", "2600::/64"), flow.ProtoTCP
		case 1:
			rule.Prefixes, rule.Protocol = set("10.0.0.0/8"), flow.ProtoUDP
		default:
			rule.Pattern = dnsname.MustParsePattern(patterns[r.IntN(len(patterns))])
		}
		if r.IntN(6) == 0 {
			var many []portset.Range
			for i := range uint16(100) {
				many = append(many, portset.Range{Lo: 1000 + 10*i, Hi: 1000 + 10*i + i%3})
			}
			rule.Ports = portset.OfRanges(many...)
		}
		p.Rules = append(p.Rules, rule)
	}
	return p
}

func TestWhatIsWrittenReadsBackAsTheSameFlowsOrAsDeclared(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 1000 {
		p := randomProgram(r)
		o := Options{Scope: Scope(r.IntN(2)), Version: []Version{{}, {1, 18}, {1, 19}, {1, 20}}[r.IntN(4)]}
		data, left := Write(p, o)
		rules, err := Read("cilium.yaml", data, Options{Version: o.Version})
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		e := rules.Evaluate()
		var asked, whole, beside []flowset.Box
		for _, rule := range p.Rules {
			asked = append(asked, ruleset.Asked(rule).Boxes()...)
			if !slices.ContainsFunc(left, func(l ruleset.Left) bool { return l.Rule == rule.ID }) {
				whole = append(whole, ruleset.Asked(rule).Boxes()...)
			}
		}
		for _, x := range Extras(p, o) {
			beside = append(beside, x.Flows.Boxes()...)
		}
		if w, lacks := flowset.Of(whole...).Minus(e.Sure).Witness(); lacks {
			t.Fatalf("lets not through %s, and no restriction says so: %v\n%s", w, left, data)
		}
		if w, wider := e.Maybe.Minus(flowset.Of(asked...)).Minus(flowset.Of(beside...)).Witness(); wider {
			t.Fatalf("lets through %s, and nothing declares it\n%s", w, data)
		}
		if w, lie := flowset.Of(beside...).Minus(e.Maybe).Witness(); lie {
			t.Fatalf("%s is declared and not let through\n%s", w, data)
		}
		if !e.Maybe.Covers(e.Sure) {
			t.Fatal("something is certain that is not possible")
		}
		for _, l := range left {
			if why := reason(p, l, o); why != "" {
				t.Fatalf("%v: %s\n%s", l, why, data)
			}
		}
		if again, _ := Write(p, o); !bytes.Equal(data, again) {
			t.Fatal("written twice it is not the same")
		}
	}
}

// reason says what is wrong with leaving a rule out, "" when it is right.
func reason(p *program.Program, l ruleset.Left, o Options) string {
	rule, _ := p.Rule(l.Rule)
	_, wild := rule.Pattern.Apex()
	whose := nodes
	if o.Scope == Pods && p.Groups[1].Visible {
		whose = pods
	}
	switch l.Restriction {
	case DepthLimit:
		if !wild || o.Version.Minor >= 19 {
			return "this version can say it"
		}
	case OtherSources:
		if rule.Sources.Equal(whose) {
			return "the policy is about just these sources"
		}
	case InsideCluster:
		if rule.ByName() || !rule.Prefixes.Overlaps(nodes.Union(pods)) {
			return "it does not lead inside the cluster"
		}
	case NoDNSServer:
		if !rule.ByName() || len(p.Resolve.Upstreams)+len(p.NodeLocal) > 0 || o.Scope == Pods {
			return "there is a DNS server"
		}
	default:
		return "no restriction is called so"
	}
	return ""
}

// one is a program of one rule.
func one(pattern string) *program.Program {
	p := cluster(false)
	p.Rules = []program.Rule{{
		ID: "r", Pattern: dnsname.MustParsePattern(pattern), Protocol: flow.ProtoTCP, Ports: portset.Of(443),
		Sources: nodes, Origins: []program.Origin{{Purpose: "a test"}},
	}}
	return p
}

// TestAWrongWildcardIsCaught plants what a careless writer would write.
func TestAWrongWildcardIsCaught(t *testing.T) {
	p, o := one("*.a.com"), Options{Version: Version{1, 19}}
	data, _ := Write(p, o)
	want := ruleset.Asked(p.Rules[0])
	for name, m := range map[string]struct {
		old, new        string
		wider, narrower string // witnesses
	}{
		"one_label_only":     {"'**.a.com'", "'*.a.com'", "", "https to a.a.a.com:443 from 10.240.0.4"},
		"star_without_a_dot": {"'**.a.com'", "'*a.com'", "https to a.com:443 from 10.240.0.4", "https to a.a.com:443 from 10.240.0.4"},
		"apex_alone":         {"matchPattern: '**.a.com'", "matchName: a.com", "https to a.com:443 from 10.240.0.4", "https to a.a.com:443 from 10.240.0.4"},
		"other_port":         {"port: '443'", "port: '444'", "https to a.a.com:444 from 10.240.0.4", "https to a.a.com:443 from 10.240.0.4"},
		"no_ports":           {"- matchPattern: '**.a.com'\n    toPorts:\n    - ports:\n      - port: '443'\n        protocol: TCP\n", "- matchPattern: '**.a.com'\n", "icmp to a.a.com from 10.240.0.4", ""},
	} {
		text := strings.Replace(string(data), m.old, m.new, 1)
		if text == string(data) {
			t.Fatalf("%s: nothing was changed in\n%s", name, data)
		}
		rules, err := Read("x.yaml", []byte(text), o)
		if err != nil {
			t.Fatal(err)
		}
		e := rules.Evaluate()
		for _, x := range Extras(p, o) {
			e.Maybe = e.Maybe.Minus(x.Flows)
		}
		show := func(s flowset.Set) string {
			if w, ok := s.Witness(); ok {
				return w.String()
			}
			return ""
		}
		if got := show(e.Maybe.Minus(want)); got != m.wider {
			t.Errorf("%s: wider by %q, want %q", name, got, m.wider)
		}
		if got := show(want.Minus(e.Sure)); got != m.narrower {
			t.Errorf("%s: narrower by %q, want %q", name, got, m.narrower)
		}
	}
}

func TestTheFileNamesEachRuleAndWhereItIsFrom(t *testing.T) {
	p := one("*.a.com")
	p.Rules[0].Origins[0].Citation = program.Citation{Edition: "2026-07-03", Line: 120}
	data, _ := Write(p, Options{Version: Version{1, 19}})
	for _, want := range []string{"# r: a test (2026-07-03:120)\n", "edition 2026-07-03", "nodeSelector: {}\n", "Cilium agent"} {
		if !strings.Contains(string(data), want) {
			t.Errorf("does not say %q:\n%s", want, data)
		}
	}
}
