// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
)

var client = netip.MustParseAddr("10.240.0.4")

// rig is a resolver in front of upstreams that the test plays.
type rig struct {
	t *testing.T
	*Resolver

	mu      sync.Mutex
	now     time.Time
	res     program.Resolve
	zone    []dns.RR // what every upstream knows
	fail    error    // what upstreams do instead
	asked   []string // "server name type"
	bound   []bound
	bindErr error
	events  []flowlog.Event
	steps   []string // "ask", "bind" in their order
}

type bound struct {
	name  string
	addrs []netip.Addr
	ttl   time.Duration
}

func rules(patterns ...string) *decide.Snapshot {
	p := &program.Program{}
	for _, s := range patterns {
		p.Rules = append(p.Rules, program.Rule{
			ID: flow.RuleID(s), Pattern: dnsname.MustParsePattern(s), Protocol: flow.ProtoHTTPS, Ports: portset.Of(443),
			Sources: netset.All(),
		})
	}
	return decide.New(p)
}

var upstream = netip.MustParseAddrPort("20.9.9.9:53")

// newRig allows a.example, names under c.example, and deep.down.example.
func newRig(t *testing.T, records ...string) *rig {
	t.Helper()
	r := &rig{t: t, now: time.Unix(1_800_000_000, 0), res: program.Resolve{Upstreams: []netip.AddrPort{upstream}}}
	for _, s := range records {
		rr, err := dns.NewRR(s)
		if err != nil {
			t.Fatal(err)
		}
		r.zone = append(r.zone, rr)
	}
	snapshot := rules("a.example", "*.c.example", "deep.down.example")
	r.Resolver = New(Config{
		Rules: func() *decide.Snapshot { return snapshot },
		Resolve: func() program.Resolve {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.res
		},
		Bind: func(name dnsname.Name, addrs []netip.Addr, ttl time.Duration) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.steps = append(r.steps, "bind")
			r.bound = append(r.bound, bound{name.String(), slices.Clone(addrs), ttl})
			return r.bindErr
		},
		Record: func(e *flowlog.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, *e)
		},
		IPv6: true, Grace: time.Hour,
		Now: func() time.Time {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.now
		},
		Exchange: r.exchange,
	})
	return r
}

// exchange answers like an authoritative server for everything: what it has of
// the name, or its CNAME and, when it is asked to, all it has.
func (r *rig) exchange(_ context.Context, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	question := q.Question[0]
	r.steps = append(r.steps, "ask")
	r.asked = append(r.asked, server.String()+" "+question.Name+" "+dns.TypeToString[question.Qtype])
	if r.fail != nil {
		return nil, r.fail
	}
	m := new(dns.Msg)
	m.SetReply(q)
	m.Rcode = dns.RcodeNameError
	for _, rr := range r.zone {
		if rr.Header().Name == question.Name {
			m.Rcode = dns.RcodeSuccess
			if t := rr.Header().Rrtype; t == question.Qtype || t == dns.TypeCNAME {
				m.Answer = append(m.Answer, dns.Copy(rr))
			}
		}
	}
	return m, nil
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

var errDown = errors.New("upstream is down")

func (r *rig) down(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = err
}

// ask asks as a client does.
func (r *rig) ask(name string, typ uint16) *dns.Msg {
	r.t.Helper()
	q := new(dns.Msg)
	q.SetQuestion(name, typ)
	return r.answer(q, client)
}

// addrs returns the addresses of an answer as text.
func addrs(m *dns.Msg) []string {
	var out []string
	for _, rr := range m.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			out = append(out, rr.A.String())
		case *dns.AAAA:
			out = append(out, rr.AAAA.String())
		}
	}
	return out
}

// wantNegative checks the code, and that an SOA says for how long.
func wantNegative(t *testing.T, m *dns.Msg, rcode int) {
	t.Helper()
	if m.Rcode != rcode || len(addrs(m)) != 0 {
		t.Errorf("got %s with %v, want %s without addresses", dns.RcodeToString[m.Rcode], m.Answer, dns.RcodeToString[rcode])
	}
	if len(m.Ns) != 1 {
		t.Fatalf("authority section %v, want an SOA", m.Ns)
	}
	soa, ok := m.Ns[0].(*dns.SOA)
	if !ok || soa.Hdr.Ttl != 5 || soa.Minttl != 5 {
		t.Errorf("authority %v, want an SOA of 5 seconds", m.Ns[0])
	}
}

func (r *rig) reasons() []flow.Reason {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []flow.Reason
	for _, e := range r.events {
		if e.Path != "resolver" || e.Decision.Verdict != flow.Deny || e.Flow.Src != client {
			r.t.Errorf("record %+v", e)
		}
		out = append(out, e.Decision.Reason)
	}
	return out
}

func (r *rig) wantReasons(want ...flow.Reason) {
	r.t.Helper()
	if got := r.reasons(); !slices.Equal(got, want) {
		r.t.Errorf("records %v, want %v", got, want)
	}
}

func (r *rig) wantUnbound() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.bound) != 0 {
		r.t.Errorf("bound %v, want nothing", r.bound)
	}
}
