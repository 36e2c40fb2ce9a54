// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nftables

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

var (
	someSources = []string{"10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/24", "fd00::/64", "0.0.0.0/0"}
	someTargets = []string{"20.1.0.0/16", "20.1.2.3/32", "20.0.0.0/7", "0.0.0.0/0", "2600::/32", "2600:1::/64", "::/0"}
)

func randomSet(r *rand.Rand, from []string) netset.Set {
	var s netset.Set
	for range 1 + r.IntN(3) {
		s = s.Union(netset.Of(netip.MustParsePrefix(from[r.IntN(len(from))])))
	}
	return s
}

func randomProgram(r *rand.Rand) *program.Program {
	p := &program.Program{Edition: program.Edition{ID: "2026-07-03"}}
	ports := []portset.Set{portset.Of(443), portset.Of(80, 8443), portset.OfRanges(portset.Range{Lo: 9000, Hi: 9010}), portset.All()}
	for i := range 1 + r.IntN(6) {
		rule := program.Rule{
			ID: flow.RuleID(fmt.Sprint("rule-", i)), Protocol: []flow.Protocol{flow.ProtoTCP, flow.ProtoUDP}[r.IntN(2)],
			Ports: ports[r.IntN(len(ports))], Sources: randomSet(r, someSources), Origins: []program.Origin{{Purpose: "a \"test\"\nof lines"}},
		}
		if r.IntN(4) == 0 {
			rule.Pattern, rule.Protocol = dnsname.MustParsePattern("*.a.com"), flow.ProtoHTTPS
		} else {
			rule.Prefixes = randomSet(r, someTargets)
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
		rules, err := Read("sallyport.nft", conf)
		if err != nil || len(rules.Unknown) > 0 {
			t.Fatalf("%v %v\n%s", err, rules.Unknown, conf)
		}
		want, got := written(p, left), rules.Evaluate()
		if !got.Sure.Equal(want) || !got.Maybe.Equal(want) {
			w, _ := got.Maybe.Minus(want).Witness()
			m, _ := want.Minus(got.Sure).Witness()
			t.Fatalf("wider by %s, narrower by %s\n%s", w, m, conf)
		}
		for _, x := range p.Rules {
			if x.ByName() != slices.Contains(left, x.ID) {
				t.Fatalf("%s: by name: %v, left out: %v", x.ID, x.ByName(), !x.ByName())
			}
		}
		if again, _ := Write(p); string(again) != string(conf) {
			t.Fatal("written twice it is not the same")
		}
	}
}

// TestAChangedFileIsCaught plants what a slip of the hand would do.
func TestAChangedFileIsCaught(t *testing.T) {
	p := &program.Program{Rules: []program.Rule{{
		ID: "r", Prefixes: netset.Of(netip.MustParsePrefix("20.1.0.0/16")), Protocol: flow.ProtoTCP, Ports: portset.Of(9000),
		Sources: netset.Of(netip.MustParsePrefix("10.0.0.0/8")), Origins: []program.Origin{{Purpose: "a test"}},
	}}}
	conf, _ := Write(p)
	want := written(p, nil)
	for name, m := range map[string]struct {
		old, new string
		wider    bool
	}{
		"wider_prefix":    {"20.1.0.0/16", "20.0.0.0/15", true},
		"narrower_prefix": {"20.1.0.0/16", "20.1.0.0/17", false},
		"other_source":    {"10.0.0.0/8", "10.0.0.0/9", false},
		"more_ports":      {"dport 9000", "dport 9000-9001", true},
		"other_port":      {"dport 9000", "dport 9001", true},
		"any_transport":   {"tcp dport", "th dport", true},
		"policy":          {"policy drop", "policy accept", true},
		"rule_is_gone":    {"jump r1", "jump r1 comment \"x\"\n#", false},
		"state_new":       {"established,related", "established,new", true},
		"other_hook":      {"hook forward", "hook input", true},
		"dormant":         {"table inet sallyport {", "table inet sallyport {\nflags dormant", true},
	} {
		text := strings.Replace(string(conf), m.old, m.new, 1)
		if name == "rule_is_gone" {
			text = strings.Replace(string(conf), "\t\tip saddr @r1_src4 jump r1\n", "", 1)
		}
		rules, err := Read("sallyport.nft", []byte(text))
		if err != nil || text == string(conf) {
			t.Fatal(name, err)
		}
		got := rules.Evaluate()
		if wider := !want.Covers(got.Sure); wider != m.wider {
			t.Errorf("%s: wider: %v, want %v\n%s", name, wider, m.wider, text)
		}
		if !m.wider && got.Sure.Covers(want) {
			t.Errorf("%s: nothing is missing\n%s", name, text)
		}
	}
}

// nft runs a shell script, which calls nft, in a network namespace of its own.
func nft(t *testing.T, script string) ([]byte, error) {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("nft is not installed: apt install nftables")
	}
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	return exec.Command("unshare", "-n", "sh", "-ec", script).CombinedOutput()
}

func TestNftItselfTakesWhatIsWrittenAndPrintsTheSameFlows(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 15 {
		p := randomProgram(r)
		conf, left := Write(p)
		file := filepath.Join(t.TempDir(), "sallyport.nft")
		if err := os.WriteFile(file, conf, 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := nft(t, "nft -c -f "+file); err != nil || len(out) > 0 {
			t.Fatalf("%v\n%s\n%s", err, out, conf)
		}
		// Loading twice is what an update does.
		out, err := nft(t, fmt.Sprintf("nft -f %s; nft -f %s; nft list ruleset", file, file))
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		rules, err := Read("list", out)
		if err != nil || len(rules.Unknown) > 0 {
			t.Fatalf("%v %v\n%s", err, rules.Unknown, out)
		}
		if got := rules.Evaluate(); !got.Sure.Equal(written(p, left)) || !got.Maybe.Equal(got.Sure) {
			t.Fatalf("what nft prints is not what was written\n%s\n%s", conf, out)
		}
	}
}

func FuzzRead(f *testing.F) {
	conf, _ := Write(randomProgram(rand.New(rand.NewPCG(1, 2))))
	f.Add(conf)
	for _, row := range foreign {
		f.Add([]byte(row.conf))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 2000 {
			return
		}
		rules, err := Read("x", data)
		if err != nil {
			return
		}
		e := rules.Evaluate()
		if !e.Maybe.Covers(e.Sure) {
			t.Fatal("something is certain that is not possible")
		}
	})
}
