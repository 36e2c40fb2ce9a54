// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/ruleset"
)

var plainKinds = map[flowset.Class]string{
	flowset.TLS: "tls", flowset.HTTP: "http", flowset.OtherTCP: "tcp", flowset.UDP: "udp", flowset.ICMP: "icmp",
}

func plainly(f flowset.Flow) plainFlow {
	return plainFlow{src: f.Src, dst: f.Dst, kind: plainKinds[f.Class], port: int(f.Port), name: f.Name.String()}
}

// randomFlow lies on the edges of what randomProgram speaks of; most differ in
// one part or none from what a rule of p asks for.
func randomFlow(r *rand.Rand, p *program.Program) flowset.Flow {
	rule := pick(r, p.Rules)
	one := func(of []string, other []string) string {
		if len(of) == 0 || r.IntN(6) == 0 {
			return pick(r, other)
		}
		return pick(r, of)
	}
	address := func(prefix string) netip.Addr {
		p := netip.MustParsePrefix(prefix)
		switch first, end := p.Masked().Addr(), netset.Of(p).Ranges()[0].Hi; {
		case r.IntN(3) == 0:
			return end
		case r.IntN(8) == 0 && end.Next().IsValid():
			return end.Next() // the first one outside
		default:
			return first
		}
	}
	f := flowset.Flow{
		Src: address(one(rule.Sources.Texts(), someSources)), Dst: address(one(rule.Prefixes.Texts(), somePrefix)),
		Class: ruleset.ClassOf(rule.Protocol),
	}
	if r.IntN(8) == 0 || f.Class == flowset.TCP {
		f.Class = pick(r, []flowset.Class{flowset.TLS, flowset.HTTP, flowset.OtherTCP, flowset.UDP, flowset.ICMP})
	}
	if ports, err := portset.Parse(one(rule.Ports.Texts(), somePorts)); err == nil && f.Class != flowset.ICMP {
		q := pick(r, ports.Ranges())
		f.Port = pick(r, []uint16{q.Lo, q.Hi, q.Hi, min(q.Hi, 65534) + uint16(r.IntN(2))})
	}
	pattern := pick(r, somePatterns)
	if rule.ByName() && r.IntN(6) > 0 {
		pattern = rule.Pattern.String()
	}
	base := strings.TrimPrefix(pattern, "*.")
	if base != pattern && r.IntN(3) > 0 {
		base = pick(r, []string{"a.", "a.b."}) + base
	}
	for _, name := range []string{pick(r, []string{"", "", "", "a.", "evil", "evil.com."}) + base, base} {
		if n, err := dnsname.Parse(name); err == nil && r.IntN(8) > 0 {
			f.Name = n
			break
		}
	}
	return f
}

// armMutations are replacements that a random template may hold.
var armMutations = [][2]string{
	{`"*.`, `"*`}, {`"*.`, `"`}, {`"Allow"`, `"Deny"`}, {`"port": 443`, `"port": 8443`}, {`10.1.0.0/16`, `10.0.0.0/15`},
	{`"Https"`, `"Http"`}, {`"TCP"`, `"UDP"`}, {`"443"`, `"*"`}, {`20.1.0.0/16`, `20.0.0.0/8`}, {`"TCP"`, `"Any"`},
}

func TestAPlainMatcherDecidesAsTheSetsSay(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	flows, allowed := 0, 0
	for round := range 100 {
		p := randomProgram(r)
		text, _ := ARM(p, DefaultLayout)
		if round%2 == 1 {
			m := pick(r, armMutations)
			text = []byte(strings.Replace(string(text), m[0], m[1], 1+r.IntN(2)))
		}
		sets, plain := effectOf(t, "azuredeploy.json", text), decodePlain(t, text)
		for range 100 {
			f := randomFlow(r, p)
			got := plain.allows(plainly(f))
			flows++
			if got {
				allowed++
			}
			if got != sets.Sure.Contains(f) || got != sets.Maybe.Contains(f) {
				t.Fatalf("%s: plainly %t, the sets say %t and %t\n%s", f, got, sets.Sure.Contains(f), sets.Maybe.Contains(f), text)
			}
		}
	}
	t.Logf("%d flows, %d of them allowed", flows, allowed)
	if flows < 10_000 || allowed < flows/20 || allowed > flows*19/20 {
		t.Errorf("%d of %d flows are allowed: too one-sided to show anything", allowed, flows)
	}
}

func TestAWitnessIsAllowedByOneAndNotByTheOther(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	check := func(name string, one, other []byte) (differs bool) {
		w, differs := effectOf(t, "a.json", one).Sure.Minus(effectOf(t, "b.json", other).Maybe).Witness()
		if !differs {
			return false
		}
		if !decodePlain(t, one).allows(plainly(w)) || decodePlain(t, other).allows(plainly(w)) {
			t.Fatalf("%s: witness %s is not decided as the sets say\n%s\n%s", name, w, one, other)
		}
		return true
	}
	programs, mutants := 0, make(map[string]int)
	for range 150 {
		p := randomProgram(r)
		one, _ := ARM(p, DefaultLayout)
		other, _ := ARM(randomProgram(r), DefaultLayout)
		for _, pair := range [][2][]byte{{one, other}, {other, one}} {
			if check("programs", pair[0], pair[1]) {
				programs++
			}
		}
		m := pick(r, armMutations)
		mutated := []byte(strings.Replace(string(one), m[0], m[1], 1))
		if check(m[0], one, mutated) || check(m[0], mutated, one) {
			mutants[m[0]+" -> "+m[1]]++
		}
	}
	t.Logf("witnesses confirmed: %d of programs, of mutants %v", programs, mutants)
	if programs < 200 || len(mutants) < 6 {
		t.Errorf("too few differ: %d programs, mutants %v", programs, mutants)
	}
}
