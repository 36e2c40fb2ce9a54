// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/ruleset"
)

// forms are what the writers of this package write.
var forms = []struct {
	name, file string
	write      func(*program.Program, Layout) ([]byte, []flow.RuleID)
}{
	{"arm", "azuredeploy.json", ARM}, {"terraform", "main.tf", Terraform}, {"cli", "apply.sh", AzCLI}, {"bicep", "main.bicep", Bicep},
}

// effectOf reads a text back. Nothing of it may be unknown.
func effectOf(t testing.TB, file string, text []byte) ruleset.Effect {
	t.Helper()
	s, err := Read([]File{{file, text}}, Options{})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, r := range s.Rules {
		if len(r.Unknown) > 0 {
			t.Fatalf("%s: %+v\n%s", r, r.Unknown, text)
		}
	}
	if len(s.Unknown) > 0 {
		t.Fatalf("%+v\n%s", s.Unknown, text)
	}
	return s.Evaluate()
}

var (
	somePatterns = []string{"a.com", "*.a.com", "x.a.com", "*.x.a.com", "b.org", "*.b.org", "c.net", "aa.com", "*.net", "localhost",
		"xn--bcher-kva.example", "*." + strings.Repeat("l", 63) + ".example", strings.Repeat("n.", 120) + "example", "1-2.3d.example"}
	someSources = []string{"10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "192.168.0.0/24", "0.0.0.0/0", "fd00::/64", "::/0"}
	somePrefix  = []string{"20.1.0.0/16", "20.1.2.0/24", "20.0.0.0/6", "51.4.5.6/32", "0.0.0.0/0", "2600:1400::/32", "2600::1/128"}
	somePorts   = []string{"443", "80", "8443", "1-3", "6443", "123", "1194", "65535", "63999-64002", "9000-9020"}
	someText    = []string{"a test", "it's", `"quoted"`, "${var.x}", "$${y}", "%{if}", "$(touch pwned)", "`touch pwned`", "line\nline", "\r", "*/", "/*", "//", "#", `\`, `\'`,
		"'''", "[parameters('x')]", "[", "]", "{{", "}", "é", "\x00", "\x1b[0m", "\xff", "\u2028", "\u202e", "<<EOF", ";", "&& az network firewall; touch pwned", strings.Repeat("long ", 60)}
	someIDs = []string{"rule", "Rule", "-n", "--name", "", "a b", "dns/53", "wide.", "ümlaut", "'", "${x}", "it's\nnew", strings.Repeat("x", 90), strings.Repeat("y", 79) + "-"}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// randomProgram is as wide as programs are allowed to be.
func randomProgram(r *rand.Rand) *program.Program {
	p := &program.Program{Edition: program.Edition{ID: pick(r, []string{"2026-07-03", "it's ${new}\n"})}}
	prefixes := func(from []string) (s netset.Set) {
		for range 1 + r.IntN(3) {
			s = s.Union(netset.Of(netip.MustParsePrefix(pick(r, from))))
		}
		return s
	}
	for i := range 1 + r.IntN(7) {
		rule := program.Rule{
			ID:       flow.RuleID(fmt.Sprint(pick(r, someIDs), i)),
			Protocol: pick(r, []flow.Protocol{flow.ProtoHTTPS, flow.ProtoHTTPS, flow.ProtoHTTP, flow.ProtoTCP, flow.ProtoUDP}),
			Sources:  prefixes(someSources),
			Origins:  []program.Origin{{Purpose: pick(r, someText) + pick(r, someText), Citation: program.Citation{Edition: pick(r, []string{"", "2026-07-03", "a\nb"}), Line: r.IntN(2)}}},
		}
		for range 1 + r.IntN(3) {
			ports, err := portset.Parse(pick(r, somePorts))
			if err != nil {
				panic(err)
			}
			rule.Ports = rule.Ports.Union(ports)
		}
		if r.IntN(4) == 0 {
			rule.Prefixes = prefixes(somePrefix)
			rule.Protocol = pick(r, []flow.Protocol{flow.ProtoTCP, flow.ProtoUDP})
		} else {
			rule.Pattern = dnsname.MustParsePattern(pick(r, somePatterns))
		}
		switch r.IntN(40) { // rules that allow nothing
		case 0:
			rule.Sources = netset.Set{}
		case 1:
			rule.Ports = portset.Set{}
		case 2:
			rule.Pattern, rule.Prefixes, rule.Protocol = dnsname.Pattern{}, netset.Set{}, flow.ProtoTCP
		}
		p.Rules = append(p.Rules, rule)
	}
	return p
}

// canBeSaid is what Azure can say of what r asks for: an independent statement of
// the three restrictions.
func canBeSaid(r program.Rule) flowset.Set {
	b := flowset.Everything()
	b.Src = netset.Of(netip.MustParsePrefix("0.0.0.0/0"))
	if !r.ByName() {
		b.Dst = b.Src
	} else if r.Protocol == flow.ProtoHTTPS || r.Protocol == flow.ProtoHTTP {
		b.Ports = portset.OfRanges(portset.Range{Lo: 1, Hi: 64000})
	} else if strings.HasPrefix(r.Pattern.String(), "*") {
		b.Names, b.Nameless = nameset.Set{}, false
	}
	return ruleset.Asked(r).Intersect(flowset.Of(b))
}

func TestEveryFormReadsBackAsTheProgramButForItsDeclaredGaps(t *testing.T) {
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(11, 12))
			rules, rulesIPv4, gapsIPv4, gaps := 0, 0, 0, map[string]int{}
			for range 1000 {
				p := randomProgram(r)
				text, left := form.write(p, DefaultLayout)
				declared := make(map[flow.RuleID]bool)
				for _, id := range left {
					declared[id] = true
				}
				var want []flowset.Box
				for _, rule := range p.Rules {
					can, asked := canBeSaid(rule), ruleset.Asked(rule)
					want = append(want, can.Boxes()...)
					rules++
					gap := !can.Equal(asked)
					if ipv4.Covers(rule.Sources) && ipv4.Covers(rule.Prefixes) {
						rulesIPv4++
						if gap {
							gapsIPv4++
						}
					}
					if gap {
						part := "whole"
						if !can.IsEmpty() {
							part = "part"
						}
						gaps[Restriction(rule)+" "+part]++
					}
					if gap != declared[rule.ID] || gap != (Restriction(rule) != "") {
						t.Fatalf("%s: gap %t, declared %t for %q", rule.ID, gap, declared[rule.ID], Restriction(rule))
					}
				}
				all, got := flowset.Of(want...), effectOf(t, form.file, text)
				if w, wider := got.Maybe.Minus(all).Witness(); wider {
					t.Fatalf("wider by %s\n%s", w, text)
				}
				if w, narrower := all.Minus(got.Sure).Witness(); narrower {
					t.Fatalf("narrower by %s\n%s", w, text)
				}
			}
			total := 0
			share := func(what string, n, of int) {
				t.Logf("%-40s %5d of %d rules, %.1f %%", what, n, of, 100*float64(n)/float64(of))
			}
			for _, why := range sortedKeys(gaps) {
				total += gaps[why]
				share(why, gaps[why], rules)
			}
			share("all gaps", total, rules)
			share("gaps among rules of IPv4 alone", gapsIPv4, rulesIPv4)
		})
	}
}

func TestRulesThatAllowNothingAreNotWritten(t *testing.T) {
	// Azure takes an empty list of sources for any source.
	for _, form := range forms {
		for _, r := range []program.Rule{{ID: "zero"}, {ID: "nobody", Pattern: dnsname.MustParsePattern("a.com"), Protocol: flow.ProtoHTTPS, Ports: portset.Of(443)}} {
			text, left := form.write(&program.Program{Rules: []program.Rule{r}}, DefaultLayout)
			if !effectOf(t, form.file, text).Maybe.IsEmpty() || len(left) > 0 || strings.Contains(string(text), string(r.ID)) {
				t.Errorf("%s: %s is written, or left %v:\n%s", form.name, r.ID, left, text)
			}
		}
	}
}
