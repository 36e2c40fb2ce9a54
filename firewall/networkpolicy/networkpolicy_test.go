// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package networkpolicy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/firewall/manifest"
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

func cluster(podsVisible bool) *program.Program {
	return &program.Program{
		Edition: program.Edition{ID: "2026-07-03"},
		Groups:  []program.Group{{Name: "nodes", Set: nodes, Visible: true}, {Name: "pods", Set: pods, Visible: podsVisible}},
		Resolve: program.Resolve{Upstreams: []netip.AddrPort{netip.MustParseAddrPort("168.63.129.16:53")}},
	}
}

func randomProgram(r *rand.Rand) *program.Program {
	p := cluster(r.IntN(2) == 0)
	patterns := []string{"a.com", "*.a.com", "x.a.com", "*.x.a.com", "b.org", "*.b.org", "*.com", "net"}
	protocols := []flow.Protocol{flow.ProtoHTTPS, flow.ProtoHTTP, flow.ProtoTCP, flow.ProtoUDP}
	sources := []netset.Set{nodes, nodes, pods, nodes.Union(pods), set("10.240.1.0/24"), set("192.168.0.0/24")}
	many := func(n int) (out []portset.Range) {
		for i := range uint16(n) {
			out = append(out, portset.Range{Lo: 1000 + 10*i, Hi: 1000 + 10*i + i%3})
		}
		return out
	}
	count := 1 + r.IntN(6)
	if r.IntN(60) == 0 {
		count = 60 // more than one policy holds
	}
	for i := range count {
		rule := program.Rule{
			ID: flow.RuleID(fmt.Sprint("rule-", i)), Protocol: protocols[r.IntN(len(protocols))],
			Ports:   portset.Of([]uint16{443, 80, 8443}[r.IntN(3)]),
			Sources: sources[r.IntN(len(sources))], Origins: []program.Origin{{Purpose: "a test"}},
		}
		switch r.IntN(8) {
		case 0:
			rule.Prefixes, rule.Protocol = set("20.1.0.0/16", "2600::/64", "10.0.0.0/8"), flow.ProtoTCP
		case 1: // more networks than a peer may have
			for n := range 40 {
				rule.Prefixes = rule.Prefixes.Union(set(fmt.Sprintf("20.%d.0.0/24", n)))
			}
			rule.Protocol = flow.ProtoUDP
		default:
			rule.Pattern = dnsname.MustParsePattern(patterns[r.IntN(len(patterns))])
		}
		if r.IntN(8) == 0 {
			rule.Ports = portset.OfRanges(many(60)...)
		}
		p.Rules = append(p.Rules, rule)
	}
	return p
}

func TestWhatIsWrittenReadsBackAsTheSameFlowsOrAsDeclared(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 1000 {
		p := randomProgram(r)
		data, left := Write(p)
		rules, err := Read("cnp.yaml", data, Options{})
		if err != nil || strings.Contains(fmt.Sprint(rules.Unknown), "refuses") {
			t.Fatalf("%v %v\n%s", err, rules.Unknown, data)
		}
		e := rules.Evaluate()
		var asked, whole, beside []flowset.Box
		for _, rule := range p.Rules {
			asked = append(asked, ruleset.Asked(rule).Boxes()...)
			if !slices.ContainsFunc(left, func(l ruleset.Left) bool { return l.Rule == rule.ID }) {
				whole = append(whole, ruleset.Asked(rule).Boxes()...)
			}
		}
		for _, x := range Extras(p) {
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
		for _, l := range left {
			rule, _ := p.Rule(l.Rule)
			whose := nodes
			if p.Groups[1].Visible {
				whose = pods
			}
			switch {
			case l.Restriction == OtherSources && !rule.Sources.Equal(whose):
			case l.Restriction == SingleLabel && (rule.Pattern.String() == "*.com" || rule.Pattern.String() == "net"):
			default:
				t.Fatalf("%v could be said", l)
			}
		}
		if again, _ := Write(p); !bytes.Equal(data, again) {
			t.Fatal("written twice it is not the same")
		}
	}
}

func one(pattern string) *program.Program {
	p := cluster(false)
	p.Rules = []program.Rule{{
		ID: "r", Pattern: dnsname.MustParsePattern(pattern), Protocol: flow.ProtoTCP, Ports: portset.Of(443),
		Sources: nodes, Origins: []program.Origin{{Purpose: "a test", Citation: program.Citation{Edition: "2026-07-03", Line: 120}}},
	}}
	return p
}

// TestAWrongTranslationIsCaught plants what a careless writer would write.
func TestAWrongTranslationIsCaught(t *testing.T) {
	p := one("*.a.com")
	data, _ := Write(p)
	want := ruleset.Asked(p.Rules[0])
	for name, m := range map[string]struct{ old, new, wider, narrower string }{
		"apex_alone":   {"'*.a.com'", "a.com", "https to a.com:443 from 10.240.0.4", "https to a.a.com:443 from 10.240.0.4"},
		"other_port":   {"number: 443", "number: 444", "https to a.a.com:444 from 10.240.0.4", "https to a.a.com:443 from 10.240.0.4"},
		"not_said":     {"action: Accept\n    to:\n    - domainNames", "action: Pass\n    to:\n    - domainNames", "", "https to a.a.com:443 from 10.240.0.4"},
		"no_star_dot":  {"'*.a.com'", "'*a.com'", "", "https to a.a.com:443 from 10.240.0.4"},
		"denied_first": {"priority: 103", "priority: 1", "", "https to a.a.com:443 from 10.240.0.4"},
	} {
		text := strings.Replace(string(data), m.old, m.new, 1)
		if text == string(data) {
			t.Fatalf("%s: nothing was changed in\n%s", name, data)
		}
		rules, err := Read("x.yaml", []byte(text), Options{})
		if err != nil {
			t.Fatal(err)
		}
		e := rules.Evaluate()
		for _, x := range Extras(p) {
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
	if !strings.Contains(string(data), "# r: a test (2026-07-03:120)\n") {
		t.Errorf("does not name the rule and its origin:\n%s", data)
	}
}

func TestWhatIsNoPolicyIsRefused(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "no_yaml": "a: [", "another_kind": "kind: Pod\n", "too_long": strings.Repeat("#", manifest.MaxSize+1)} {
		if _, err := Read("x.yaml", []byte(text), Options{}); err == nil || !strings.HasPrefix(err.Error(), "x.yaml: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	data, _ := Write(one("*.a.com"))
	f.Add(data)
	f.Add([]byte(head + "  - {action: Pass, to: [{networks: [20.1.2.0/24]}]}\n  - {action: Accept, to: [{pods: {}}], protocols: [{sctp: {}}]}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, err := Read("x", data, Options{})
		if err != nil || len(data) > 3000 {
			return
		}
		if e := rules.Evaluate(); !e.Maybe.Covers(e.Sure) {
			t.Fatal("something is certain that is not possible")
		}
	})
}
