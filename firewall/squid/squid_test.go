// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package squid

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
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

func randomProgram(r *rand.Rand) *program.Program {
	p := &program.Program{Edition: program.Edition{ID: "2026-07-03"}}
	patterns := []string{"a.com", "*.a.com", "x.a.com", "*.x.a.com", "b.org", "*.b.org", "c.net"}
	protocols := []flow.Protocol{flow.ProtoHTTPS, flow.ProtoHTTP, flow.ProtoTCP, flow.ProtoUDP}
	sources := []string{"10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/24", "fd00::/64"}
	for i := range 1 + r.IntN(6) {
		rule := program.Rule{
			ID: flow.RuleID(fmt.Sprint("rule-", i)), Protocol: protocols[r.IntN(len(protocols))],
			Ports:   portset.Of([]uint16{443, 80, 8443}[r.IntN(3)]),
			Sources: netset.Of(netip.MustParsePrefix(sources[r.IntN(len(sources))])),
			Origins: []program.Origin{{Purpose: "a test"}},
		}
		if r.IntN(6) == 0 {
			rule.Prefixes, rule.Protocol = netset.Of(netip.MustParsePrefix("20.1.0.0/16")), flow.ProtoTCP
		} else {
			rule.Pattern = dnsname.MustParsePattern(patterns[r.IntN(len(patterns))])
		}
		p.Rules = append(p.Rules, rule)
	}
	return p
}

// written returns what a program asks for, without the rules that were left out.
func written(p *program.Program, left []flow.RuleID) flowset.Set {
	var boxes []flowset.Box
	for _, r := range p.Rules {
		if !slices.Contains(left, r.ID) {
			boxes = append(boxes, ruleset.Asked(r).Boxes()...)
		}
	}
	return flowset.Of(boxes...)
}

func TestWhatIsWrittenReadsBackAsTheSameFlows(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 1000 {
		p := randomProgram(r)
		conf, left := Write(p)
		rules, err := Read("squid.conf", conf)
		if err != nil || len(rules.Unknown) > 0 {
			t.Fatalf("%v %v\n%s", err, rules.Unknown, conf)
		}
		want, got := written(p, left), rules.Evaluate()
		if !got.Sure.Equal(want) || !got.Maybe.Equal(want) {
			w, _ := got.Maybe.Minus(want).Witness()
			m, _ := want.Minus(got.Sure).Witness()
			t.Fatalf("wider by %s, narrower by %s\n%s", w, m, conf)
		}
		for _, id := range left {
			rule, _ := p.Rule(id)
			if rule.ByName() && (rule.Protocol == flow.ProtoHTTPS || rule.Protocol == flow.ProtoHTTP) {
				t.Fatalf("%s was left out although a proxy carries it", id)
			}
		}
	}
}

// TestAWrongWildcardIsCaught plants what a careless writer would write.
func TestAWrongWildcardIsCaught(t *testing.T) {
	p := &program.Program{Rules: []program.Rule{{
		ID: "r", Pattern: dnsname.MustParsePattern("*.a.com"), Protocol: flow.ProtoHTTPS, Ports: portset.Of(443),
		Sources: netset.Of(netip.MustParsePrefix("10.0.0.0/8")), Origins: []program.Origin{{Purpose: "a test"}},
	}}}
	conf, _ := Write(p)
	want := written(p, nil)
	for name, m := range map[string]struct {
		old, new string
		witness  string
		wider    bool
	}{
		"apex_let_through": {" !r1_apex", "", "https to a.com:443 from 10.240.0.4", true},
		"star_is_dead":     {"dstdomain -n .a.com", "dstdomain -n *.a.com", "https to a.a.com:443 from 10.240.0.4", false},
		"exact_for_all":    {"dstdomain -n .a.com", "dstdomain -n x.a.com", "https to a.a.com:443 from 10.240.0.4", false},
	} {
		text := strings.Replace(string(conf), m.old, m.new, 1)
		rules, err := Read("squid.conf", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		got := rules.Evaluate().Sure
		diff := want.Minus(got)
		if m.wider {
			diff = got.Minus(want)
		}
		if w, ok := diff.Witness(); !ok || w.String() != m.witness {
			t.Errorf("%s: witness %q, want %s\n%s", name, w, m.witness, text)
		}
	}
}

func TestForeignConfigurationsMeanWhatSquidMakesOfThem(t *testing.T) {
	for _, row := range []struct {
		name, conf, allows string
		unknown            int
	}{
		{"deny_first", "acl bad dstdomain .b.org\nhttp_access deny bad\nhttp_access allow all\n", "https a.com, not b.org, not x.b.org", 0},
		{"last_line_denies_nothing_else_matches", "acl bad dstdomain b.org\nhttp_access deny bad\n", "https a.com, not b.org", 0},
		{"no_line", "acl x dstdomain a.com\n", "nothing", 0},
		{"values_are_alternatives", "acl ok dstdomain a.com .b.org\nhttp_access allow ok\nhttp_access deny all\n", "https a.com b.org x.b.org, not c.net", 0},
		{"star_is_no_wildcard", "acl ok dstdomain *.b.org\nhttp_access allow ok\nhttp_access deny all\n", "https nothing", 0},
		{"unknown_type", "acl t time 08:00-17:00\nhttp_access allow t\nhttp_access deny all\n", "maybe", 1},
		{"unknown_acl", "http_access allow nonesuch\nhttp_access deny all\n", "maybe", 1},
	} {
		rules, err := Read("squid.conf", []byte(row.conf))
		if err != nil {
			t.Fatal(err)
		}
		e := rules.Evaluate()
		ask := func(s flowset.Set, name string) bool {
			return s.Contains(flowset.Flow{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("20.1.2.3"), Class: flowset.TLS, Port: 443, Name: dnsname.MustParse(name)})
		}
		var got []string
		for _, n := range []string{"a.com", "b.org", "x.b.org", "c.net"} {
			if ask(e.Sure, n) != (strings.Contains(row.allows, n) && !strings.Contains(row.allows, "not "+n)) && strings.HasPrefix(row.allows, "https") {
				if !(strings.HasPrefix(row.name, "deny_first") || strings.HasPrefix(row.name, "last_line")) || strings.Contains(row.allows, n) {
					t.Errorf("%s: %s: %v", row.name, n, ask(e.Sure, n))
				}
			}
			if ask(e.Maybe, n) {
				got = append(got, n)
			}
		}
		if row.allows == "maybe" && (!e.Sure.IsEmpty() || len(got) != 4) || row.allows == "nothing" && len(got) != 0 {
			t.Errorf("%s: maybe %v, sure %v", row.name, got, !e.Sure.IsEmpty())
		}
		unknown := len(rules.Unknown)
		for _, r := range rules.Rules {
			unknown += len(r.Unknown)
		}
		if unknown != row.unknown {
			t.Errorf("%s: %d unknown, want %d", row.name, unknown, row.unknown)
		}
	}
}

func TestSquidItselfTakesWhatIsWritten(t *testing.T) {
	squid, err := exec.LookPath("squid")
	if err != nil {
		t.Skip("squid is not installed: apt install squid-openssl")
	}
	r := rand.New(rand.NewPCG(7, 8))
	for range 20 {
		conf, _ := Write(randomProgram(r))
		file := filepath.Join(t.TempDir(), "squid.conf")
		if err := os.WriteFile(file, append(conf, "http_port 3128\n"...), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(squid, "-k", "parse", "-f", file).CombinedOutput()
		if err != nil || strings.Contains(string(out), "WARNING") || strings.Contains(string(out), "FATAL") {
			t.Fatalf("%v\n%s\n%s", err, out, conf)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("acl a dstdomain -n .b.org\nacl p port 443 80-90\nhttp_access allow CONNECT a !p\nhttp_access deny all\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, err := Read("x", data)
		if err != nil || len(data) > 2000 {
			return
		}
		e := rules.Evaluate()
		if !e.Maybe.Covers(e.Sure) {
			t.Fatal("something is certain that is not possible")
		}
	})
}
