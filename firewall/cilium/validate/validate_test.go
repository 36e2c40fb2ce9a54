// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	v2 "github.com/cilium/cilium/pkg/k8s/apis/cilium.io/v2"
	"github.com/cilium/cilium/pkg/option"
	"github.com/cilium/cilium/pkg/policy/api"
	"sigs.k8s.io/yaml"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/firewall/cilium"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
)

// randomProgram is a program with rules of each kind, some with more ports than
// one list may have.
func randomProgram(r *rand.Rand) *program.Program {
	nodes := netset.Of(netip.MustParsePrefix("10.240.0.0/16"))
	p := &program.Program{
		Groups:    []program.Group{{Name: "nodes", Set: nodes, Visible: true}},
		Resolve:   program.Resolve{Upstreams: []netip.AddrPort{netip.MustParseAddrPort("168.63.129.16:53")}},
		NodeLocal: []program.NodeLocal{{ID: "metadata", Prefixes: []string{"169.254.169.254/32"}, Ports: []string{"tcp/80"}, Purpose: "metadata"}},
	}
	for i := range 1 + r.IntN(8) {
		rule := program.Rule{ID: flow.RuleID(fmt.Sprint("rule-", i)), Protocol: flow.ProtoHTTPS, Ports: portset.Of(443), Sources: nodes}
		switch r.IntN(4) {
		case 0:
			rule.Protocol, rule.Prefixes = flow.ProtoUDP, netset.Of(netip.MustParsePrefix("20.1.0.0/16"), netip.MustParsePrefix("2600::/64"))
		case 1:
			rule.Pattern = dnsname.MustParsePattern("*.a.com")
		default:
			rule.Pattern = dnsname.MustParsePattern("x.a.com")
		}
		if r.IntN(3) == 0 {
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

// parse reads a file as Cilium's agent does, with what its defaults switch on.
func parse(t *testing.T, data []byte) (rules api.Rules) {
	t.Helper()
	option.Config.EnableL7Proxy = true
	option.Config.EnableICMPRules = true
	for doc := range strings.SplitSeq(string(data), "\n---\n") {
		var policy v2.CiliumClusterwideNetworkPolicy
		if err := yaml.UnmarshalStrict([]byte(doc), &policy); err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		out, err := policy.Parse(slog.New(slog.DiscardHandler), "default")
		if err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		rules = append(rules, out...)
	}
	return rules
}

func TestCiliumTakesWhatIsWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		p := randomProgram(r)
		for _, o := range []cilium.Options{
			{Scope: cilium.Nodes, Version: cilium.Version{Major: 1, Minor: 19}}, {Scope: cilium.Nodes, Version: cilium.Version{Major: 1, Minor: 18}},
			{Scope: cilium.Pods, Version: cilium.Version{Major: 1, Minor: 19}}, {Scope: cilium.Pods},
		} {
			data, _ := cilium.Write(p, o)
			for _, rule := range parse(t, data) {
				if len(rule.Egress) == 0 || len(rule.Ingress) > 0 {
					t.Fatalf("a rule about nothing, or about what comes in:\n%s", data)
				}
			}
		}
	}
}

// TestCiliumsPatternsMatchAsTheyAreRead asks Cilium's own expressions.
func TestCiliumsPatternsMatchAsTheyAreRead(t *testing.T) {
	names := []string{"a.com", "x.a.com", "y.x.a.com", "z.y.x.a.com", "xa.com", "evila.com", "x-a.com", "sub.a.com", "subdomain.a.com", "b.org", "com"}
	patterns := []string{"*", "**", "***", "*.", "**.", "*.a.com", "**.a.com", "***.a.com", "*a.com", "**a.com", "sub*.a.com", "x.*.com", "x.**.com",
		"**.*.a.com", "*.*.a.com", "*.a.com.", "A.com", "*-*.com", "**.x.**.com"}
	for _, text := range patterns {
		re, err := (&api.FQDNSelector{MatchPattern: text}).ToRegex()
		if err != nil {
			t.Fatal(err)
		}
		file := "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: p}\nspec:\n  nodeSelector: {}\n  egress:\n  - toFQDNs: [{matchPattern: '" + text + "'}]\n"
		rules, err := cilium.Read("x.yaml", []byte(file), cilium.Options{Version: cilium.Version{Major: 1, Minor: 19}})
		if err != nil {
			t.Fatal(err)
		}
		e := rules.Evaluate()
		for _, n := range names {
			f := probe(n)
			if want := re.MatchString(n + "."); e.Sure.Contains(f) != want || e.Maybe.Contains(f) != want {
				t.Errorf("%s matches %s: Cilium says %v, read as %v, perhaps %v", text, n, want, e.Sure.Contains(f), e.Maybe.Contains(f))
			}
		}
	}
}
