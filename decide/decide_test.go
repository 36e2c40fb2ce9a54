// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package decide

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// world is a small universe, so that random rules and flows meet often.
type world struct{ *rand.Rand }

func pick[T any](w world, from ...T) T { return from[w.IntN(len(from))] }

func (w world) name() dnsname.Name {
	labels := make([]string, 1+w.IntN(4))
	for i := range labels {
		labels[i] = pick(w, "a", "b", "aa")
	}
	return dnsname.MustParse(strings.Join(append(labels, "x"), "."))
}

func (w world) addr() netip.Addr {
	if w.IntN(4) == 0 {
		return netip.AddrFrom16([16]byte{0x26, 15: byte(w.IntN(8))})
	}
	return netip.AddrFrom4([4]byte{20, 0, 0, byte(w.IntN(8))})
}

func (w world) set() netset.Set {
	var ps []netip.Prefix
	for range 1 + w.IntN(2) {
		a := w.addr()
		ps = append(ps, netip.PrefixFrom(a, a.BitLen()-w.IntN(4)))
	}
	if w.IntN(10) == 0 {
		return netset.All()
	}
	return netset.Of(ps...)
}

func (w world) ports() portset.Set {
	return portset.OfRanges(portset.Range{Lo: uint16(1 + w.IntN(3)), Hi: uint16(2 + w.IntN(3))})
}

func (w world) rule(i int) program.Rule {
	r := program.Rule{ID: flow.RuleID(fmt.Sprint("r", i)), Ports: w.ports(), Sources: w.set()}
	r.Protocol = pick(w, flow.ProtoHTTPS, flow.ProtoHTTP, flow.ProtoTCP, flow.ProtoUDP)
	switch w.IntN(3) {
	case 0:
		r.Prefixes, r.Protocol.App = w.set(), flow.Raw
	case 1:
		r.Pattern = dnsname.Exact(w.name())
	default:
		r.Pattern = dnsname.MustParsePattern("*." + w.name().String())
	}
	r.Until = pick(w, time.Time{}, time.Time{}, noon, noon.Add(time.Nanosecond), noon.Add(-time.Hour))
	return r
}

func (w world) flow() flow.Flow {
	f := flow.Flow{
		Src: w.addr(), Dst: w.addr(), Port: uint16(w.IntN(6)), Transport: pick(w, flow.TCP, flow.UDP),
		App: pick(w, flow.Raw, flow.TLS, flow.HTTP), Name: w.name(),
		Proof: pick(w, flow.Unproved, flow.ByAddress, flow.ByDNS, flow.BySNI, flow.ByHost, flow.ByConnect),
	}
	switch w.IntN(8) {
	case 0:
		f.Name = dnsname.Name{}
	case 1:
		f.Dst = netip.Addr{}
	case 2:
		f.Src = netip.Addr{}
	}
	return f
}

// aim brings f near what r allows.
func (w world) aim(f *flow.Flow, r program.Rule) {
	f.Transport, f.App = r.Protocol.Transport, r.Protocol.App
	f.Src, _ = r.Sources.Witness()
	f.Port, _ = r.Ports.Witness()
	f.Proof = map[flow.App]flow.Proof{flow.Raw: flow.ByDNS, flow.TLS: flow.BySNI, flow.HTTP: flow.ByHost}[f.App]
	if n, ok := r.Pattern.Minus(); ok {
		f.Name = n
	}
	switch w.IntN(8) { // and one thing is off
	case 0:
		f.Src = w.addr()
	case 1:
		f.Port = uint16(w.IntN(6))
	case 2:
		f.App = pick(w, flow.Raw, flow.TLS, flow.HTTP)
	case 3:
		f.Proof = pick(w, flow.Unproved, flow.ByDNS)
	case 4:
		f.Name = w.name()
	}
}

// The fast twin says what the slow judge says: verdict, reason and rule.
func TestDecideIsEval(t *testing.T) {
	cases := 200_000
	w := world{rand.New(rand.NewPCG(1, 2))}
	seen := make(map[flow.Reason]int)
	for n := 0; n < cases; {
		p := new(program.Program)
		for i := range w.IntN(12) {
			p.Rules = append(p.Rules, w.rule(i))
		}
		s := New(p)
		for range 200 {
			f := w.flow()
			if len(p.Rules) > 0 && w.IntN(2) == 0 {
				w.aim(&f, p.Rules[w.IntN(len(p.Rules))])
			}
			want := p.Eval(f, noon)
			if got := s.Decide(f, noon); got != want {
				t.Fatalf("%v %v:\ngot  %+v\nwant %+v\nrules %+v", f, f.Proof, got, want, p.Rules)
			}
			seen[want.Reason]++
			n++
		}
	}
	for _, r := range []flow.Reason{
		flow.RuleMatched, flow.AddressMatched, flow.NameNotAllowed, flow.AddressNotAllowed, flow.PortNotAllowed,
		flow.ProtocolMismatch, flow.SourceNotAllowed, flow.RuleExpired, flow.NameUnproved,
	} {
		if seen[r] < cases/2000 {
			t.Errorf("only %d cases of %v", seen[r], r)
		}
	}
}

// What the resolver asks about names agrees with the rules, one by one.
func TestQuestionsAboutNames(t *testing.T) {
	w := world{rand.New(rand.NewPCG(3, 4))}
	for range 2000 {
		p := new(program.Program)
		for i := range w.IntN(6) {
			p.Rules = append(p.Rules, w.rule(i))
		}
		s := New(p)
		n := w.name()
		var exact, below bool
		want := make(map[flow.Protocol]portset.Set)
		for _, r := range p.Rules {
			if !r.ByName() {
				continue
			}
			if r.LiveAt(noon) && r.Pattern.Contains(n) {
				want[r.Protocol] = want[r.Protocol].Union(r.Ports)
			}
			exact = exact || r.Pattern == dnsname.Exact(n)
			if name, ok := r.Pattern.Name(); ok {
				below = below || name.Under(n)
			} else if apex, _ := r.Pattern.Apex(); apex == n || apex.Under(n) {
				below = true
			}
		}
		got := s.Openings(n, noon)
		for _, o := range got {
			if !o.Ports.Equal(want[o.Protocol]) {
				t.Fatalf("%v: %v opens %v, want %v; rules %+v", n, o.Protocol, o.Ports, want[o.Protocol], p.Rules)
			}
			delete(want, o.Protocol)
		}
		if len(want) != 0 {
			t.Fatalf("%v: %v missing in %v", n, want, got)
		}
		if s.IsExact(n) != exact || s.HasBelow(n) != below {
			t.Fatalf("%v: exact %t below %t, want %t %t; rules %+v", n, s.IsExact(n), s.HasBelow(n), exact, below, p.Rules)
		}
	}
}

func TestTheEmptySnapshotDenies(t *testing.T) {
	s := New(&program.Program{})
	f := flow.Flow{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("20.0.0.1"), Port: 443, Transport: flow.TCP}
	if d := s.Decide(f, noon); d != (flow.Decision{Reason: flow.AddressNotAllowed}) {
		t.Errorf("got %+v", d)
	}
	if d := s.Decide(flow.Flow{}, time.Time{}); d.Verdict != flow.Deny {
		t.Errorf("the zero flow: %+v", d)
	}
}

// many makes a snapshot of n names, a tenth of them wildcards, and one flow each
// that is allowed, that is denied, and that is by address.
func many(n int) (s *Snapshot, flows []flow.Flow) {
	p := &program.Program{Rules: make([]program.Rule, 0, n+1)}
	sources := netset.Of(netip.MustParsePrefix("10.240.0.0/16"))
	for i := range n {
		text := fmt.Sprintf("host%d.zone%d.example", i, i%1000)
		if i%10 == 9 {
			text = "*." + text
		}
		p.Rules = append(p.Rules, program.Rule{
			ID: flow.RuleID(fmt.Sprint(i)), Pattern: dnsname.MustParsePattern(text), Protocol: flow.ProtoHTTPS,
			Ports: portset.Of(443), Sources: sources,
		})
	}
	p.Rules = append(p.Rules, program.Rule{
		ID: "net", Prefixes: netset.Of(netip.MustParsePrefix("20.50.0.0/16")), Protocol: flow.ProtoTCP, Ports: portset.Of(9000), Sources: sources,
	})
	f := flow.Flow{
		Src: netip.MustParseAddr("10.240.0.4"), Dst: netip.MustParseAddr("20.0.0.1"), Port: 443,
		Transport: flow.TCP, App: flow.TLS, Proof: flow.BySNI,
	}
	for _, name := range []string{"host0.zone0.example", "a.b.host9.zone9.example", "evil.zone0.example"} {
		f.Name = dnsname.MustParse(name)
		flows = append(flows, f)
	}
	f.Name, f.Dst, f.Port = dnsname.Name{}, netip.MustParseAddr("20.50.7.7"), 9000
	return New(p), append(flows, f)
}

func TestNoAllocs(t *testing.T) {
	s, flows := many(100)
	for i, f := range flows {
		name := []byte(f.Name.String())
		if n := testing.AllocsPerRun(200, func() { s.DecideBytes(f, name, noon) }); n != 0 {
			t.Errorf("flow %d: DecideBytes allocates %v times", i, n)
		}
		if n := testing.AllocsPerRun(200, func() { s.Decide(f, noon) }); n != 0 {
			t.Errorf("flow %d: Decide allocates %v times", i, n)
		}
	}
	want := []flow.Verdict{flow.Allow, flow.Allow, flow.Deny, flow.Allow}
	var got []flow.Verdict
	for _, f := range flows {
		got = append(got, s.Decide(f, noon).Verdict)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The time does not grow with the rules.
func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{100, 10_000, 1_000_000} {
		s, flows := many(n)
		for i, about := range []string{"exact", "wildcard", "denied", "address"} {
			f := flows[i]
			name := []byte(f.Name.String())
			b.Run(fmt.Sprintf("names=%d/%s", n, about), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					s.DecideBytes(f, name, noon)
				}
			})
		}
	}
}
