// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package program

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
)

var (
	noon  = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	nodes = netset.Of(netip.MustParsePrefix("10.240.0.0/24"))
	node  = netip.MustParseAddr("10.240.0.4")
	other = netip.MustParseAddr("10.250.0.4")
)

// example is a program of one rule of each kind.
func example() *Program {
	rule := func(id, pattern string, proto flow.Protocol, port uint16) Rule {
		return Rule{ID: flow.RuleID(id), Pattern: dnsname.MustParsePattern(pattern), Protocol: proto, Ports: portset.Of(port), Sources: nodes}
	}
	expired := rule("expired", "old.example", flow.ProtoHTTPS, 443)
	expired.Until = noon
	return &Program{
		Groups: []Group{
			{Name: "nodes", Set: nodes, Visible: true},
			{Name: "pods", Set: netset.Of(netip.MustParsePrefix("10.244.0.0/16")), Why: "behind the nodes"},
			{Name: "jump", Set: netset.Of(netip.MustParsePrefix("10.250.0.0/24")), Visible: true},
		},
		Rules: []Rule{
			rule("a", "a.example", flow.ProtoHTTPS, 443), rule("wild", "*.c.example", flow.ProtoHTTP, 80),
			rule("ntp", "ntp.example", flow.ProtoUDP, 123), expired,
			{ID: "net", Prefixes: netset.Of(netip.MustParsePrefix("20.50.0.0/24")), Protocol: flow.ProtoTCP, Ports: portset.Of(9000), Sources: nodes},
			{ID: "net6", Prefixes: netset.Of(netip.MustParsePrefix("2600::/64")), Protocol: flow.ProtoUDP, Ports: portset.Of(1194), Sources: nodes},
		},
	}
}

func TestEval(t *testing.T) {
	tests := map[string]struct {
		proto  flow.Protocol
		src    netip.Addr
		name   string
		dst    string
		port   uint16
		proof  flow.Proof
		reason flow.Reason
		rule   flow.RuleID
	}{
		"a proved name is allowed":                      {flow.ProtoHTTPS, node, "a.example", "20.0.0.1", 443, flow.BySNI, flow.RuleMatched, "a"},
		"a CONNECT proves it too":                       {flow.ProtoHTTPS, node, "a.example", "20.0.0.1", 443, flow.ByConnect, flow.RuleMatched, "a"},
		"a binding alone does not":                      {flow.ProtoHTTPS, node, "a.example", "20.0.0.1", 443, flow.ByDNS, flow.NameUnproved, "a"},
		"nothing does not":                              {flow.ProtoHTTPS, node, "a.example", "20.0.0.1", 443, flow.Unproved, flow.NameUnproved, "a"},
		"a name no rule knows":                          {flow.ProtoHTTPS, node, "b.example", "20.0.0.1", 443, flow.BySNI, flow.NameNotAllowed, ""},
		"a name under an exact one":                     {flow.ProtoHTTPS, node, "x.a.example", "20.0.0.1", 443, flow.BySNI, flow.NameNotAllowed, ""},
		"the apex of a wildcard":                        {flow.ProtoHTTP, node, "c.example", "20.0.0.1", 80, flow.ByHost, flow.NameNotAllowed, ""},
		"deep under a wildcard":                         {flow.ProtoHTTP, node, "x.y.c.example", "20.0.0.1", 80, flow.ByHost, flow.RuleMatched, "wild"},
		"another port":                                  {flow.ProtoHTTPS, node, "a.example", "20.0.0.1", 8443, flow.BySNI, flow.PortNotAllowed, "a"},
		"another transport on the port":                 {flow.ProtoUDP, node, "a.example", "20.0.0.1", 443, flow.ByDNS, flow.PortNotAllowed, "a"},
		"HTTP on a port for TLS":                        {flow.ProtoHTTP, node, "a.example", "20.0.0.1", 443, flow.ByHost, flow.ProtocolMismatch, "a"},
		"from another source":                           {flow.ProtoHTTPS, other, "a.example", "20.0.0.1", 443, flow.BySNI, flow.SourceNotAllowed, "a"},
		"at the end of a rule, which is exclusive":      {flow.ProtoHTTPS, node, "old.example", "20.0.0.1", 443, flow.BySNI, flow.RuleExpired, "expired"},
		"UDP by its binding":                            {flow.ProtoUDP, node, "ntp.example", "20.0.0.1", 123, flow.ByDNS, flow.RuleMatched, "ntp"},
		"an address":                                    {flow.ProtoTCP, node, "", "20.50.0.9", 9000, flow.Unproved, flow.AddressMatched, "net"},
		"an address over TLS: nothing else is asked":    {flow.ProtoHTTPS, node, "b.example", "20.50.0.9", 9000, flow.Unproved, flow.AddressMatched, "net"},
		"an IPv6 address":                               {flow.ProtoUDP, node, "", "2600::7", 1194, flow.Unproved, flow.AddressMatched, "net6"},
		"an address beside the prefix":                  {flow.ProtoTCP, node, "", "20.50.1.0", 9000, flow.Unproved, flow.AddressNotAllowed, ""},
		"an address on another port":                    {flow.ProtoTCP, node, "", "20.50.0.9", 22, flow.Unproved, flow.PortNotAllowed, "net"},
		"an address from another source":                {flow.ProtoTCP, other, "", "20.50.0.9", 9000, flow.Unproved, flow.SourceNotAllowed, "net"},
		"a name speaks before an address that is wrong": {flow.ProtoHTTPS, node, "b.example", "20.50.0.9", 443, flow.BySNI, flow.NameNotAllowed, ""},
	}
	p := example()
	for about, tt := range tests {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			f := flow.Flow{Src: tt.src, Dst: netip.MustParseAddr(tt.dst), Port: tt.port, Transport: tt.proto.Transport, App: tt.proto.App, Proof: tt.proof}
			if tt.name != "" {
				f.Name = dnsname.MustParse(tt.name)
			}
			d := p.Eval(f, noon)
			allowed := tt.reason == flow.RuleMatched || tt.reason == flow.AddressMatched
			if d.Reason != tt.reason || d.Rule != tt.rule || (d.Verdict == flow.Allow) != allowed {
				t.Errorf("%v: got %+v, want %v by %q", f, d, tt.reason, tt.rule)
			}
		})
	}
}

// apply reads a suggested change as cluster.yaml is read.
func apply(t *testing.T, p *Program, c Change) *Program {
	t.Helper()
	proto, port, _ := strings.Cut(c.Port, "/")
	r := Rule{ID: "suggested"}
	var err error
	if r.Protocol, err = flow.ParseProtocol(proto); err != nil {
		t.Fatalf("%+v: %v", c, err)
	}
	if r.Ports, err = portset.Parse(port); err != nil {
		t.Fatalf("%+v: %v", c, err)
	}
	g, ok := p.Group(c.Source)
	if !ok || !g.Visible {
		t.Fatalf("%+v: no such source, or one that nobody sees", c)
	}
	r.Sources = g.Set
	if c.Name != "" {
		if r.Pattern, err = dnsname.ParsePattern(c.Name); err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
	} else {
		prefix, err := netset.ParsePrefix(c.CIDR)
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		r.Prefixes = netset.Of(prefix)
	}
	q := *p
	q.Rules = append(append([]Rule(nil), p.Rules...), r)
	return &q
}

// The law of Suggest: with the rule it suggests, the flow is allowed, and the
// same flow to another name or address is judged as before.
func TestTheSuggestedRuleAllowsTheFlow(t *testing.T) {
	w := rand.New(rand.NewPCG(5, 6))
	p := example()
	suggested := make(map[flow.Reason]int)
	for range 50_000 {
		proto := []flow.Protocol{flow.ProtoHTTPS, flow.ProtoHTTP, flow.ProtoTCP, flow.ProtoUDP}[w.IntN(4)]
		f := flow.Flow{
			Src:  []netip.Addr{node, other, netip.MustParseAddr("10.244.0.9"), netip.MustParseAddr("1.2.3.4")}[w.IntN(4)],
			Dst:  []netip.Addr{netip.MustParseAddr("20.0.0.1"), netip.MustParseAddr("20.50.0.3"), netip.MustParseAddr("2600::7")}[w.IntN(3)],
			Port: []uint16{443, 80, 123, 9000, 1194, 8080}[w.IntN(6)], Transport: proto.Transport, App: proto.App,
		}
		if name := []string{"", "a.example", "x.c.example", "c.example", "ntp.example", "old.example", "new.example"}[w.IntN(7)]; name != "" {
			f.Name = dnsname.MustParse(name)
			f.Proof = map[flow.App]flow.Proof{flow.Raw: flow.ByDNS, flow.TLS: flow.BySNI, flow.HTTP: flow.ByHost}[f.App]
		}
		d := p.Eval(f, noon)
		c, ok := p.Suggest(f, d)
		if d.Verdict == flow.Allow {
			if ok {
				t.Fatalf("%v is allowed, and yet %+v is suggested", f, c)
			}
			continue
		}
		if ok != (f.Src == node || f.Src == other) {
			t.Fatalf("%v: suggests %+v, %t", f, c, ok)
		}
		if !ok {
			continue
		}
		suggested[d.Reason]++
		q := apply(t, p, c)
		if got := q.Eval(f, noon); got.Verdict != flow.Allow {
			t.Fatalf("%v was %v; with %s it is %v", f, d.Reason, c.YAML(), got.Reason)
		}
		elsewhere := f
		elsewhere.Dst = netip.MustParseAddr("20.99.0.1")
		if !f.Name.IsZero() {
			elsewhere.Name = dnsname.MustParse("elsewhere.example")
		}
		if was, is := p.Eval(elsewhere, noon), q.Eval(elsewhere, noon); was.Verdict != is.Verdict {
			t.Fatalf("%s changes what becomes of %v: %v, was %v", c.YAML(), elsewhere, is, was)
		}
	}
	for _, r := range []flow.Reason{
		flow.NameNotAllowed, flow.PortNotAllowed, flow.ProtocolMismatch, flow.SourceNotAllowed, flow.RuleExpired, flow.AddressNotAllowed,
	} {
		if suggested[r] == 0 {
			t.Errorf("no suggestion for %v", r)
		}
	}
}

func TestNoRuleIsSuggestedForWhatIsWrongOnTheWire(t *testing.T) {
	p := example()
	f := flow.Flow{Src: node, Dst: netip.MustParseAddr("20.0.0.1"), Port: 443, Transport: flow.TCP, App: flow.TLS, Name: dnsname.MustParse("a.example")}
	for _, r := range flow.Reasons() {
		c, ok := p.Suggest(f, flow.Decision{Reason: r})
		helps := r == flow.NameNotAllowed || r == flow.PortNotAllowed || r == flow.ProtocolMismatch || r == flow.SourceNotAllowed ||
			r == flow.RuleExpired || r == flow.AddressNotAllowed || r == flow.UnboundAddress
		if ok != helps {
			t.Errorf("%v: suggests %+v %t", r, c, ok)
		}
	}
}

func TestChangeAsYAML(t *testing.T) {
	for want, c := range map[string]Change{
		`- {name: a.example, ports: [https/443], sources: [nodes], reason: why}`: {Name: "a.example", Port: "https/443", Source: "nodes"},
		`- {cidr: "2600::7/128", ports: [udp/1194], reason: why}`:                {CIDR: "2600::7/128", Port: "udp/1194"},
	} {
		if got := c.YAML(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestWithoutLeavesTheProgramAlone(t *testing.T) {
	p := example()
	before := len(p.Rules)
	q := p.Without("a", "net")
	if len(p.Rules) != before || len(q.Rules) != before-2 {
		t.Errorf("%d rules left of %d, %d in the copy", len(p.Rules), before, len(q.Rules))
	}
	if _, ok := q.Rule("a"); ok {
		t.Error("a is still there")
	}
	if r, ok := q.Rule("wild"); !ok || r.Destination() != "*.c.example" {
		t.Errorf("wild is %+v", r)
	}
	if got := p.Expired(noon); len(got) != 1 || got[0].ID != "expired" || len(p.Rules) != before {
		t.Errorf("expired: %+v", got)
	}
	if pairs := p.Pairs(); len(pairs) != before {
		t.Errorf("%d pairs", len(pairs))
	}
}
