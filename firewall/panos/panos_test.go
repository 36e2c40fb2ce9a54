// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package panos

import (
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

func randomSet(r *rand.Rand, from []string) netset.Set {
	var s netset.Set
	for range 1 + r.IntN(2) {
		s = s.Union(netset.Of(netip.MustParsePrefix(from[r.IntN(len(from))])))
	}
	return s
}

func randomProgram(r *rand.Rand) *program.Program {
	p := &program.Program{Edition: program.Edition{ID: "2026-07-03"}}
	patterns := []string{"a.com", "*.a.com", "x.a.com", "*.x.a.com", "b.org", "*.b.org"}
	protocols := []flow.Protocol{flow.ProtoHTTPS, flow.ProtoHTTPS, flow.ProtoHTTP, flow.ProtoTCP, flow.ProtoUDP}
	ports := []portset.Set{portset.Of(443), portset.Of(80, 8443), portset.OfRanges(portset.Range{Lo: 9000, Hi: 9010}), portset.All()}
	sources := []string{"10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/24", "fd00::/64", "0.0.0.0/0"}
	targets := []string{"20.1.0.0/16", "20.1.2.3/32", "2600::/32", "0.0.0.0/0", "::/0", "::/64"}
	for i := range 1 + r.IntN(5) {
		rule := program.Rule{
			ID: flow.RuleID(fmt.Sprint("rule/", i, strings.Repeat("-long", r.IntN(20)))), Protocol: protocols[r.IntN(len(protocols))],
			Ports: ports[r.IntN(len(ports))], Sources: randomSet(r, sources), Origins: []program.Origin{{Purpose: "a \"test\"\nof ]lines["}},
		}
		if r.IntN(3) == 0 {
			rule.Prefixes = randomSet(r, targets)
			rule.Protocol = []flow.Protocol{flow.ProtoTCP, flow.ProtoUDP}[r.IntN(2)]
		} else {
			rule.Pattern = dnsname.MustParsePattern(patterns[r.IntN(len(patterns))])
		}
		p.Rules = append(p.Rules, rule)
	}
	return p
}

// written returns what a program asks for, without the rules that were left out.
func written(p *program.Program, left []ruleset.Left) flowset.Set {
	var boxes []flowset.Box
	for _, r := range p.Rules {
		if !slices.ContainsFunc(left, func(l ruleset.Left) bool { return l.Rule == r.ID }) {
			boxes = append(boxes, ruleset.Asked(r).Boxes()...)
		}
	}
	return flowset.Of(boxes...)
}

func TestWhatIsWrittenReadsBackAsTheSameFlows(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	seen := make(map[string]int)
	for range 1000 {
		p := randomProgram(r)
		conf, left := Write(p)
		rules, err := Read("panos.set", conf)
		if err != nil || len(rules.Unknown) > 0 {
			t.Fatalf("%v %v\n%s", err, rules.Unknown, conf)
		}
		want, got := written(p, left), rules.Evaluate()
		if !got.Sure.Equal(want) || !got.Maybe.Equal(want) {
			w, _ := got.Maybe.Minus(want).Witness()
			m, _ := want.Minus(got.Sure).Witness()
			t.Fatalf("wider by %s, narrower by %s\n%s", w, m, conf)
		}
		for _, l := range left {
			seen[l.Restriction]++
			rule, _ := p.Rule(l.Rule)
			web := rule.Protocol == flow.ProtoHTTPS || rule.Protocol == flow.ProtoHTTP
			if l.Restriction == HTTPOnly && (web || !rule.ByName()) {
				t.Fatalf("%s was left out although a category says it", l.Rule)
			}
		}
		if again, _ := Write(p); string(again) != string(conf) {
			t.Fatal("written twice it is not the same")
		}
	}
	if seen[HTTPOnly] == 0 || seen[IPv6HoldsIPv4] == 0 {
		t.Errorf("some restriction was never met: %v", seen)
	}
}

func TestWhatIsWrittenKeepsToTheLimits(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		conf, _ := Write(randomProgram(r))
		names := make(map[string]bool)
		for line := range strings.Lines(string(conf)) {
			w, whole := words(line)
			if !whole || w[0] != "set" {
				t.Fatalf("%q is no command", line)
			}
			switch {
			case w[1] == "address" || w[1] == "service":
				if len(w[2]) > maxName || names[w[1]+w[2]] {
					t.Fatalf("the name %s is too long or twice there", w[2])
				}
				names[w[1]+w[2]] = true
			case w[1] == "rulebase":
				if len(w[4]) > maxName || names[w[4]] {
					t.Fatalf("the name %s is too long or twice there", w[4])
				}
				names[w[4]] = true
			case w[1] == "profiles" && w[4] == "list":
				if len(w[6]) > maxEntry || !strings.HasSuffix(w[6], "/") {
					t.Fatalf("the entry %s is too long or has no final slash", w[6])
				}
			}
		}
	}
}

func TestANameThatIsTooLongIsLeftOut(t *testing.T) {
	label := strings.Repeat("a", 63)
	name := strings.Join([]string{label, label, label, label[:61]}, ".")
	rule := program.Rule{ID: "r", Pattern: dnsname.MustParsePattern(name), Protocol: flow.ProtoHTTPS, Ports: portset.Of(443), Sources: netset.All()}
	if _, left := Write(&program.Program{Rules: []program.Rule{rule}}); len(left) != 0 {
		t.Errorf("a name of %d characters: %v", len(name), left)
	}
	pattern, err := dnsname.ParsePattern("*." + name)
	if err != nil {
		t.Skip("no pattern is that long")
	}
	rule.Pattern = pattern
	if _, left := Write(&program.Program{Rules: []program.Rule{rule}}); len(left) != 1 || left[0].Restriction != LongName {
		t.Errorf("a pattern of %d characters: %v", len(name)+2, left)
	}
}

// TestAChangedFileIsCaught plants what a slip of the hand would do.
func TestAChangedFileIsCaught(t *testing.T) {
	nodes := netset.Of(netip.MustParsePrefix("10.0.0.0/8"))
	p := &program.Program{Rules: []program.Rule{
		{ID: "w", Pattern: dnsname.MustParsePattern("*.a.com"), Protocol: flow.ProtoHTTPS, Ports: portset.Of(443), Sources: nodes},
		{ID: "n", Prefixes: netset.Of(netip.MustParsePrefix("20.1.0.0/16")), Protocol: flow.ProtoUDP, Ports: portset.Of(1194), Sources: nodes},
	}}
	conf, _ := Write(p)
	want := written(p, nil)
	for name, m := range map[string]struct {
		old, new string
		maybe    bool // may be wider
		less     bool // is certainly less
	}{
		"no_final_slash":      {"*.a.com/", "*.a.com", true, true},
		"apex_too":            {"[ *.a.com/ ]", "[ *.a.com/ a.com/ ]", true, false},
		"one_label_alone":     {"*.a.com/", "^.a.com/", false, true},
		"another_name":        {"*.a.com/", "*.b.com/", true, true},
		"wider_prefix":        {"ip-netmask 20.1.0.0/16", "ip-netmask 20.0.0.0/15", true, false},
		"narrower_prefix":     {"ip-netmask 20.1.0.0/16", "ip-netmask 20.1.0.0/17", false, true},
		"other_port":          {"port 443", "port 8443", true, true},
		"any_service":         {"service sp-tcp-443 action", "service any action", true, false},
		"any_application":     {"application ssl", "application any", true, false},
		"another_application": {"application ssl", "application ms-update", true, true},
		"no_category":         {"category sallyport-1-w application", "category any application", true, false},
		"drop_for_allow":      {"action allow", "action drop", false, true},
		"the_rest_is_let_go":  {"action deny", "action allow", true, false},
		"disabled":            {"action allow", "action allow disabled yes", false, true},
		"a_zone":              {"from any", "from trust", false, true},
		"all_of_ipv6":         {"ip-netmask 20.1.0.0/16", "ip-netmask ::/0", true, false},
	} {
		text := strings.Replace(string(conf), m.old, m.new, 1)
		rules, err := Read("panos.set", []byte(text))
		if err != nil || text == string(conf) {
			t.Fatal(name, err)
		}
		e := rules.Evaluate()
		if maybe := !want.Covers(e.Maybe); maybe != m.maybe {
			t.Errorf("%s: may be wider: %v, want %v\n%s", name, maybe, m.maybe, text)
		}
		if less := !e.Sure.Covers(want); less != m.less {
			t.Errorf("%s: is certainly less: %v, want %v\n%s", name, less, m.less, text)
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
