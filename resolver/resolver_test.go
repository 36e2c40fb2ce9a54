// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
)

// Nobody can use an address before it is bound: the answer leaves after Bind.
func TestAnAnswerIsBoundBeforeItIsGiven(t *testing.T) {
	r := newRig(t, "a.example. 300 IN A 20.0.0.1", "a.example. 300 IN A 20.0.0.2")
	binding, release := make(chan bool), make(chan bool)
	bind := r.cfg.Bind
	r.cfg.Bind = func(n dnsname.Name, as []netip.Addr, ttl time.Duration) error {
		binding <- true
		<-release
		return bind(n, as, ttl)
	}
	answered := make(chan *dns.Msg, 1)
	go func() { answered <- r.ask("a.example.", dns.TypeA) }()
	<-binding
	select {
	case m := <-answered:
		t.Fatalf("answered %v before it was bound", m)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	m := <-answered
	if got := addrs(m); !slices.Equal(got, []string{"20.0.0.1", "20.0.0.2"}) || m.Answer[0].Header().Ttl != 300 || !m.RecursionAvailable {
		t.Errorf("got %v", m)
	}
	if b := r.bound[0]; b.name != "a.example" || len(b.addrs) != 2 || b.ttl != 300*time.Second {
		t.Errorf("bound %+v", b)
	}
	r.wantReasons()
}

func TestABindingThatFailsIsNotAnswered(t *testing.T) {
	r := newRig(t, "a.example. 300 IN A 20.0.0.1")
	r.bindErr = errors.New("the kernel said no")
	if m := r.ask("a.example.", dns.TypeA); m.Rcode != dns.RcodeServerFailure || len(m.Answer) != 0 {
		t.Errorf("got %v", m)
	}
	r.wantReasons(flow.UpstreamFailed)
	r.bindErr = nil
	if m := r.ask("a.example.", dns.TypeA); len(addrs(m)) != 1 {
		t.Errorf("afterwards: %v", m)
	}
}

func TestQuestions(t *testing.T) {
	records := []string{
		"a.example. 300 IN A 20.0.0.1", "a.example. 300 IN AAAA 2600::1", "a.example. 300 IN TXT \"secret\"", "a.example. 300 IN MX 1 mx.example.",
		"x.c.example. 60 IN A 20.0.0.2", "y.x.c.example. 60 IN A 20.0.0.3", "evil.example. 60 IN A 20.6.6.6", "c.example. 60 IN A 20.0.0.4",
	}
	tests := map[string]struct {
		name   string
		typ    uint16
		rcode  int
		addrs  []string
		reason flow.Reason // recorded; NotDecided: nothing is
	}{
		"an allowed name":                           {name: "a.example.", typ: dns.TypeA, addrs: []string{"20.0.0.1"}},
		"its IPv6 address":                          {name: "a.example.", typ: dns.TypeAAAA, addrs: []string{"2600::1"}},
		"a name under a wildcard":                   {name: "x.c.example.", typ: dns.TypeA, addrs: []string{"20.0.0.2"}},
		"a name deep under a wildcard":              {name: "y.x.c.example.", typ: dns.TypeA, addrs: []string{"20.0.0.3"}},
		"an allowed name that does not exist":       {name: "gone.c.example.", typ: dns.TypeA, rcode: dns.RcodeNameError},
		"a name without a rule (B16)":               {name: "evil.example.", typ: dns.TypeA, rcode: dns.RcodeNameError, reason: flow.NameNotAllowed},
		"data in a label (B16)":                     {name: "c2VjcmV0.evil.example.", typ: dns.TypeTXT, rcode: dns.RcodeNameError, reason: flow.NameNotAllowed},
		"the apex of a wildcard has no data":        {name: "c.example.", typ: dns.TypeA},
		"the parent of an allowed name has no data": {name: "down.example.", typ: dns.TypeA},
		"the top-level domain of an allowed name":   {name: "example.", typ: dns.TypeA},
		"a name under an exact one":                 {name: "sub.a.example.", typ: dns.TypeA, rcode: dns.RcodeNameError, reason: flow.NameNotAllowed},
		"TXT of an allowed name (B16)":              {name: "a.example.", typ: dns.TypeTXT, reason: flow.TypeNotAllowed},
		"MX of an allowed name":                     {name: "a.example.", typ: dns.TypeMX, reason: flow.TypeNotAllowed},
		"NULL of an allowed name":                   {name: "a.example.", typ: dns.TypeNULL, reason: flow.TypeNotAllowed},
		"ANY of an allowed name":                    {name: "a.example.", typ: dns.TypeANY, reason: flow.TypeNotAllowed},
		"CNAME of an allowed name":                  {name: "a.example.", typ: dns.TypeCNAME, reason: flow.TypeNotAllowed},
		"HTTPS of an allowed name, as browsers ask": {name: "a.example.", typ: dns.TypeHTTPS},
		"SVCB of an allowed name":                   {name: "a.example.", typ: dns.TypeSVCB},
		"a service name":                            {name: "_http._tcp.a.example.", typ: dns.TypeSRV, rcode: dns.RcodeNameError, reason: flow.InvalidName},
		"an escaped dot":                            {name: `a\.example.`, typ: dns.TypeA, rcode: dns.RcodeNameError, reason: flow.InvalidName},
		"a NUL in a label":                          {name: `a\000.example.`, typ: dns.TypeA, rcode: dns.RcodeNameError, reason: flow.InvalidName},
		"the root":                                  {name: ".", typ: dns.TypeNS, rcode: dns.RcodeNameError, reason: flow.InvalidName},
		"an address written as a name":              {name: "20.0.0.1.", typ: dns.TypeA, rcode: dns.RcodeNameError, reason: flow.InvalidName},
		"the name of an address":                    {name: "1.0.0.20.in-addr.arpa.", typ: dns.TypePTR, rcode: dns.RcodeNameError, reason: flow.NameNotAllowed},
		"an allowed name in mixed case (0x20)":      {name: "A.eXaMpLe.", typ: dns.TypeA, addrs: []string{"20.0.0.1"}},
	}
	for about, tt := range tests {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			r := newRig(t, records...)
			m := r.ask(tt.name, tt.typ)
			if tt.addrs == nil {
				wantNegative(t, m, tt.rcode)
				r.wantUnbound()
			} else if got := addrs(m); m.Rcode != dns.RcodeSuccess || !slices.Equal(got, tt.addrs) || m.Answer[0].Header().Name != tt.name {
				t.Errorf("got %v", m)
			}
			if m.Question[0].Name != tt.name {
				t.Errorf("the question became %q", m.Question[0].Name)
			}
			if tt.reason == flow.NotDecided {
				r.wantReasons()
			} else {
				r.wantReasons(tt.reason)
			}
			if tt.reason != flow.NotDecided && len(r.asked) > 0 {
				t.Errorf("upstreams were asked %v", r.asked)
			}
		})
	}
}

func TestWithoutIPv6ThereAreNoIPv6Answers(t *testing.T) {
	r := newRig(t, "a.example. 300 IN AAAA 2600::1", "a.example. 300 IN A 20.0.0.1")
	r.cfg.IPv6 = false
	wantNegative(t, r.ask("a.example.", dns.TypeAAAA), dns.RcodeSuccess)
	r.wantUnbound()
	got, err := r.Lookup(t.Context(), dnsname.MustParse("a.example"))
	if err != nil || len(got) != 1 || got[0].String() != "20.0.0.1" {
		t.Errorf("Lookup: %v %v", got, err)
	}
}

func TestMessagesThatAreNoQuestions(t *testing.T) {
	tests := map[string]struct {
		change func(*dns.Msg)
		rcode  int
	}{
		"two questions":  {func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, dns.RcodeFormatError},
		"no question":    {func(m *dns.Msg) { m.Question = nil }, dns.RcodeFormatError},
		"an answer":      {func(m *dns.Msg) { m.Response = true }, dns.RcodeFormatError},
		"an update":      {func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }, dns.RcodeNotImplemented},
		"a notification": {func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }, dns.RcodeNotImplemented},
		"opcode 15":      {func(m *dns.Msg) { m.Opcode = 15 }, dns.RcodeNotImplemented},
		"class CHAOS":    {func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, dns.RcodeRefused},
		"class ANY":      {func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassANY }, dns.RcodeRefused},
	}
	for about, tt := range tests {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			r := newRig(t, "a.example. 300 IN A 20.0.0.1")
			q := new(dns.Msg)
			q.SetQuestion("a.example.", dns.TypeA)
			tt.change(q)
			if m := r.answer(q, client); m.Rcode != tt.rcode || len(m.Answer) != 0 || !m.Response || m.Id != q.Id {
				t.Errorf("got %v", m)
			}
			r.wantUnbound()
		})
	}
}

// B18: only the chain from the question counts.
func TestChains(t *testing.T) {
	cnames := func(n int) (records []string) {
		records = append(records, "a.example. 300 IN CNAME n0.cdn.test.")
		for i := range n - 1 {
			records = append(records, fmt.Sprintf("n%d.cdn.test. 300 IN CNAME n%d.cdn.test.", i, i+1))
		}
		return append(records, fmt.Sprintf("n%d.cdn.test. 300 IN A 20.0.0.1", n-1))
	}
	tests := map[string]struct {
		records []string
		whole   bool // the server gives all it has in every answer
		chain   []string
		addrs   []string
		rcode   int
		asked   int
		ttl     uint32
	}{
		"one answer holds all":                   {records: cnames(2), whole: true, chain: []string{"n0.cdn.test.", "n1.cdn.test."}, addrs: []string{"20.0.0.1"}, asked: 1, ttl: 300},
		"each answer holds one step":             {records: cnames(3), chain: []string{"n0.cdn.test.", "n1.cdn.test.", "n2.cdn.test."}, addrs: []string{"20.0.0.1"}, asked: 4, ttl: 300},
		"the longest chain":                      {records: cnames(16), whole: true, chain: make([]string, 16), addrs: []string{"20.0.0.1"}, asked: 1, ttl: 300},
		"a chain that is too long":               {records: cnames(17), whole: true, rcode: dns.RcodeServerFailure, asked: 1},
		"a chain that is too long in steps":      {records: cnames(17), rcode: dns.RcodeServerFailure, asked: 17},
		"a loop":                                 {records: []string{"a.example. 300 IN CNAME b.test.", "b.test. 300 IN CNAME a.example."}, whole: true, rcode: dns.RcodeServerFailure, asked: 1},
		"a loop in steps":                        {records: []string{"a.example. 300 IN CNAME b.test.", "b.test. 300 IN CNAME a.example."}, rcode: dns.RcodeServerFailure, asked: 17},
		"a name that is its own alias":           {records: []string{"a.example. 300 IN CNAME a.example."}, rcode: dns.RcodeServerFailure, asked: 1},
		"a target that does not exist":           {records: []string{"a.example. 300 IN CNAME gone.test."}, chain: []string{"gone.test."}, rcode: dns.RcodeNameError, asked: 2},
		"a target without addresses":             {records: []string{"a.example. 300 IN CNAME b.test.", "b.test. 300 IN TXT x"}, chain: []string{"b.test."}, asked: 2},
		"addresses of another name are ignored":  {records: []string{"a.example. 300 IN A 20.0.0.1", "other.test. 300 IN A 20.6.6.6"}, whole: true, addrs: []string{"20.0.0.1"}, asked: 1, ttl: 300},
		"only addresses of another name":         {records: []string{"other.test. 300 IN A 20.6.6.6"}, whole: true, asked: 1},
		"an alias of another name":               {records: []string{"other.test. 300 IN CNAME a.example.", "a.example. 300 IN A 20.0.0.1"}, whole: true, addrs: []string{"20.0.0.1"}, asked: 1, ttl: 300},
		"addresses beside an alias do not count": {records: []string{"a.example. 300 IN A 20.6.6.6", "a.example. 300 IN CNAME b.test.", "b.test. 300 IN A 20.0.0.1"}, whole: true, chain: []string{"b.test."}, addrs: []string{"20.0.0.1"}, asked: 1, ttl: 300},
		"the first of two aliases counts":        {records: []string{"a.example. 300 IN CNAME b.test.", "a.example. 300 IN CNAME c.test.", "b.test. 300 IN A 20.0.0.1", "c.test. 300 IN A 20.6.6.6"}, whole: true, chain: []string{"b.test."}, addrs: []string{"20.0.0.1"}, asked: 1, ttl: 300},
		"the order of records does not matter":   {records: []string{"b.test. 300 IN A 20.0.0.1", "a.example. 300 IN CNAME b.test."}, whole: true, chain: []string{"b.test."}, addrs: []string{"20.0.0.1"}, asked: 1, ttl: 300},
		"the shortest TTL of the chain":          {records: []string{"a.example. 300 IN CNAME b.test.", "b.test. 20 IN A 20.0.0.1", "b.test. 30 IN A 20.0.0.2"}, whole: true, chain: []string{"b.test."}, addrs: []string{"20.0.0.1", "20.0.0.2"}, asked: 1, ttl: 20},
		"another class is ignored":               {records: []string{"a.example. 300 CH A 20.6.6.6", "a.example. 300 IN A 20.0.0.1"}, whole: true, addrs: []string{"20.0.0.1"}, asked: 1, ttl: 300},
		"an AAAA in an answer to A is ignored":   {records: []string{"a.example. 5 IN AAAA 2600::6", "a.example. 300 IN A 20.0.0.1"}, whole: true, addrs: []string{"20.0.0.1"}, asked: 1, ttl: 300},
		"a target that is no host name":          {records: []string{"a.example. 300 IN CNAME _x.test.", "_x.test. 300 IN A 20.0.0.1"}, whole: true, asked: 1},
		"upper case in an answer":                {records: []string{"A.EXAMPLE. 300 IN CNAME B.test.", "b.TEST. 300 IN A 20.0.0.1"}, whole: true, chain: []string{"B.test."}, addrs: []string{"20.0.0.1"}, asked: 1, ttl: 300},
	}
	for about, tt := range tests {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			r := newRig(t, tt.records...)
			if tt.whole {
				r.cfg.Exchange = func(ctx context.Context, s netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
					m, err := r.exchange(ctx, s, q)
					m.Rcode, m.Answer = dns.RcodeSuccess, r.zone
					return m, err
				}
			}
			m := r.ask("a.example.", dns.TypeA)
			var chain []string
			owner := "a.example."
			for _, rr := range m.Answer {
				if rr.Header().Name != owner {
					t.Errorf("%v does not follow %s", rr, owner)
				}
				if c, ok := rr.(*dns.CNAME); ok {
					chain, owner = append(chain, c.Target), c.Target
				}
				if tt.ttl != 0 && rr.Header().Ttl != tt.ttl {
					t.Errorf("%v: TTL is not %d", rr, tt.ttl)
				}
			}
			if m.Rcode != tt.rcode || !slices.Equal(addrs(m), tt.addrs) || len(chain) != len(tt.chain) {
				t.Errorf("got %v, want %v %v", m, tt.chain, tt.addrs)
			}
			if len(tt.chain) < 16 && !slices.Equal(chain, tt.chain) {
				t.Errorf("chain %v, want %v", chain, tt.chain)
			}
			if len(r.asked) != tt.asked {
				t.Errorf("%d questions to upstreams, want %d: %v", len(r.asked), tt.asked, r.asked)
			}
			if len(tt.addrs) == 0 {
				r.wantUnbound()
			} else if len(r.bound) != 1 || r.bound[0].name != "a.example" || len(r.bound[0].addrs) != len(tt.addrs) {
				t.Errorf("bound %v, want a.example to %v", r.bound, tt.addrs)
			}
		})
	}
}

func TestTTLs(t *testing.T) {
	for about, tt := range map[string]struct {
		sent uint32
		want uint32
	}{
		"an ordinary one":           {60, 60},
		"the longest kept":          {3600, 3600},
		"a day is an hour":          {86400, 3600},
		"2^31-1":                    {1<<31 - 1, 3600},
		"2^31 counts as none (B18)": {1 << 31, 5},
		"2^32-1 counts as none":     {1<<32 - 1, 5},
		"none is the shortest kept": {0, 5},
	} {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			r := newRig(t, "a.example. 1 IN A 20.0.0.1")
			r.zone[0].Header().Ttl = tt.sent
			m := r.ask("a.example.", dns.TypeA)
			if len(m.Answer) != 1 || m.Answer[0].Header().Ttl != tt.want || r.bound[0].ttl != time.Duration(tt.want)*time.Second {
				t.Errorf("got %v, bound for %v, want %d", m.Answer, r.bound, tt.want)
			}
		})
	}
}

func TestTheTTLRunsDownAndThenTheUpstreamIsAskedAgain(t *testing.T) {
	r := newRig(t, "a.example. 60 IN A 20.0.0.1")
	for _, want := range []uint32{60, 40, 20, 60} {
		if m := r.ask("a.example.", dns.TypeA); m.Answer[0].Header().Ttl != want {
			t.Errorf("TTL %d, want %d", m.Answer[0].Header().Ttl, want)
		}
		r.pass(20 * time.Second)
	}
	if len(r.asked) != 2 || len(r.bound) != 2 {
		t.Errorf("asked %v, bound %v", r.asked, r.bound)
	}
	r.Forget()
	r.ask("a.example.", dns.TypeA)
	if len(r.asked) != 3 {
		t.Errorf("after Forget: %v", r.asked)
	}
}

// B19: no prefix of the special lists can be reached through a name, at its
// first address, at its last and between; forms of IPv4 addresses inside IPv6
// neither.
func TestAddressesNoNameMayLeadTo(t *testing.T) {
	type row struct {
		addr netip.Addr
		want flow.Reason
	}
	var rows []row
	add := func(s netset.Set, want flow.Reason) {
		if len(s.Prefixes()) < 5 {
			t.Fatalf("only %d prefixes to test", len(s.Prefixes()))
		}
		for _, rg := range s.Ranges() {
			rows = append(rows, row{rg.Lo, want}, row{rg.Hi, want})
			if mid := rg.Lo.Next(); s.Contains(mid) {
				rows = append(rows, row{mid, want})
			}
		}
		for _, p := range s.Prefixes() {
			rows = append(rows, row{p.Addr(), want})
		}
	}
	add(netset.Never(), flow.SpecialAddress)
	add(netset.Private().Minus(netset.Never()), flow.PrivateAddress)
	for _, s := range []string{
		"::ffff:20.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:127.0.0.1", // mapped
		"64:ff9b::a00:1", "64:ff9b:1::a00:1", "2002:a00:1::1", "2001:0:a00:1::1", "::10.0.0.1", // NAT64, 6to4, Teredo, compatible
		"0.0.0.0", "127.0.0.1", "169.254.169.254", "168.63.129.16", "255.255.255.255", "224.0.0.1", "::", "::1", "fe80::1", "ff02::1",
	} {
		rows = append(rows, row{netip.MustParseAddr(s), flow.SpecialAddress})
	}
	rows = append(rows, row{netip.MustParseAddr("20.0.0.77"), flow.SpecialAddress}) // our own
	for _, row := range rows {
		typ, record := dns.TypeA, "a.example. 300 IN A "
		if !row.addr.Is4() {
			typ, record = dns.TypeAAAA, "a.example. 300 IN AAAA "
		}
		r := newRig(t, record+row.addr.String())
		r.res.Own = netset.OfAddrs(netip.MustParseAddr("20.0.0.77"))
		if typ == dns.TypeAAAA { // as zone files cannot write mapped addresses
			b := row.addr.As16()
			r.zone[0].(*dns.AAAA).AAAA = b[:]
		}
		wantNegative(t, r.ask("a.example.", typ), dns.RcodeSuccess)
		r.wantReasons(row.want)
		r.wantUnbound()
		_, err := r.Lookup(t.Context(), dnsname.MustParse("a.example"))
		if refused, ok := errors.AsType[RefusedError](err); !ok || refused.Reason() != row.want {
			t.Errorf("%v: Lookup says %v, want %v", row.addr, err, row.want)
		}
		if t.Failed() {
			t.Fatalf("with %v", row.addr)
		}
	}
	t.Logf("%d addresses", len(rows))
}

func TestAllowPrivateLetsItsOwnPass(t *testing.T) {
	r := newRig(t, "a.example. 300 IN A 10.1.0.5", "a.example. 300 IN A 10.2.0.5", "a.example. 300 IN A 169.254.169.254", "a.example. 300 IN A 20.0.0.1")
	r.res.AllowPrivate = netset.Of(netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("169.254.0.0/16"))
	if got := addrs(r.ask("a.example.", dns.TypeA)); !slices.Equal(got, []string{"10.1.0.5", "20.0.0.1"}) {
		t.Errorf("got %v", got)
	}
	if b := r.bound[0].addrs; len(b) != 2 {
		t.Errorf("bound %v", b)
	}
	if got := r.reasons(); len(got) != 1 || got[0] != flow.SpecialAddress && got[0] != flow.PrivateAddress {
		t.Errorf("records %v", got)
	}
}

func TestStaleAnswersAreServedForTheGraceAndNoLonger(t *testing.T) {
	r := newRig(t, "a.example. 60 IN A 20.0.0.1")
	r.ask("a.example.", dns.TypeA)
	r.down(errDown)
	r.pass(61 * time.Second)
	if m := r.ask("a.example.", dns.TypeA); len(addrs(m)) != 1 || m.Answer[0].Header().Ttl != 30 {
		t.Fatalf("got %v", m)
	}
	for range 130 { // asked all the while, for longer than the grace
		r.pass(31 * time.Second)
		m := r.ask("a.example.", dns.TypeA)
		if old := r.now.Sub(time.Unix(1_800_000_000, 0)); (len(addrs(m)) == 1) != (old < time.Hour+time.Minute) {
			t.Fatalf("after %v: %v", old, m)
		}
	}
	r.down(nil)
	if m := r.ask("a.example.", dns.TypeA); len(addrs(m)) != 1 || m.Answer[0].Header().Ttl != 60 {
		t.Errorf("when the upstream is back: %v", m)
	}
}

func TestTheLogSaysOnceAMinuteThatNoUpstreamAnswers(t *testing.T) {
	r := newRig(t, "a.example. 60 A 20.1.1.1")
	var log strings.Builder
	r.cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	r.down(errDown)
	for range 3 {
		r.ask("a.example.", dns.TypeA)
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), `msg="no name server answers" name=a.example err="upstream 20.9.9.9:53: upstream is down"`) {
		t.Errorf("%d warnings:\n%s", n, log.String())
	}
	r.pass(time.Minute)
	r.ask("a.example.", dns.TypeA)
	if n := strings.Count(log.String(), "level=WARN"); n != 2 {
		t.Errorf("a minute later there are %d warnings:\n%s", n, log.String())
	}

	r = newRig(t, "a.example. 60 CNAME a.example.")
	r.cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	log.Reset()
	r.ask("a.example.", dns.TypeA)
	r.wantReasons(flow.UpstreamFailed)
	if log.Len() > 0 {
		t.Errorf("the upstream answered, with a chain that never ends, and the log says:\n%s", log.String())
	}
}

func TestAnUpstreamThatFailsIsAskedTwiceAndTheNextOneToo(t *testing.T) {
	r := newRig(t)
	second := netip.MustParseAddrPort("20.9.9.8:53")
	r.res.Upstreams = append(r.res.Upstreams, second)
	r.down(errDown)
	if m := r.ask("a.example.", dns.TypeA); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("got %v", m)
	}
	r.wantReasons(flow.UpstreamFailed)
	if len(r.asked) != 4 || !strings.HasPrefix(r.asked[1], second.String()) {
		t.Errorf("asked %v", r.asked)
	}
}

func TestAnswersThatAreNoAnswers(t *testing.T) {
	for about, change := range map[string]func(*dns.Msg){
		"REFUSED":             func(m *dns.Msg) { m.Rcode = dns.RcodeRefused },
		"SERVFAIL":            func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure },
		"another question":    func(m *dns.Msg) { m.Question[0].Name = "b.example." },
		"another type":        func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA },
		"no question":         func(m *dns.Msg) { m.Question = nil },
		"a question too many": func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) },
	} {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			r := newRig(t, "a.example. 60 IN A 20.0.0.1")
			r.cfg.Exchange = func(ctx context.Context, s netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
				m, err := r.exchange(ctx, s, q.Copy())
				m = m.Copy()
				change(m)
				return m, err
			}
			if m := r.ask("a.example.", dns.TypeA); m.Rcode != dns.RcodeServerFailure || len(m.Answer) != 0 {
				t.Errorf("got %v", m)
			}
			r.wantUnbound()
		})
	}
}

func TestPrivateZonesGoToTheirUpstreams(t *testing.T) {
	r := newRig(t, "x.c.example. 60 IN A 20.0.0.1", "y.deep.c.example. 60 IN A 20.0.0.2", "a.example. 60 IN CNAME x.link.test.", "x.link.test. 60 IN A 20.0.0.3")
	zone := func(apex, server string) program.Zone {
		return program.Zone{Apex: dnsname.MustParse(apex), Upstreams: []netip.AddrPort{netip.MustParseAddrPort(server)}}
	}
	r.res.Zones = []program.Zone{zone("c.example", "20.1.1.1:53"), zone("deep.c.example", "20.2.2.2:53"), zone("link.test", "20.3.3.3:5353")}
	for name, want := range map[string][]string{
		"x.c.example.":       {"20.1.1.1:53 x.c.example. A"},
		"y.deep.c.example.":  {"20.2.2.2:53 y.deep.c.example. A"},
		"deep.c.example.":    {"20.2.2.2:53 deep.c.example. A"},
		"a.example.":         {"20.9.9.9:53 a.example. A", "20.3.3.3:5353 x.link.test. A"},
		"deep.down.example.": {"20.9.9.9:53 deep.down.example. A"},
	} {
		r.asked = nil
		r.ask(name, dns.TypeA)
		if !slices.Equal(r.asked, want) {
			t.Errorf("%s: asked %v, want %v", name, r.asked, want)
		}
	}
}

func TestManyClientsMakeOneQuestion(t *testing.T) {
	r := newRig(t, "a.example. 60 IN A 20.0.0.1")
	release := make(chan bool)
	r.cfg.Exchange = func(ctx context.Context, s netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
		<-release
		return r.exchange(ctx, s, q)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if m := r.ask("a.example.", dns.TypeA); len(addrs(m)) != 1 {
				t.Errorf("got %v", m)
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	close(release)
	wg.Wait()
	if len(r.asked) != 1 || len(r.bound) != 1 {
		t.Errorf("asked %v, bound %v", r.asked, r.bound)
	}
}

// An answer that was on its way when the rules changed is not kept.
func TestForgetForgetsWhatIsOnItsWay(t *testing.T) {
	r := newRig(t, "a.example. 60 IN A 20.0.0.1")
	asked, release := make(chan bool, 1), make(chan bool)
	r.cfg.Exchange = func(ctx context.Context, s netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
		asked <- true
		<-release
		return r.exchange(ctx, s, q)
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		r.ask("a.example.", dns.TypeA)
	}()
	<-asked
	r.Forget()
	close(release)
	<-done
	r.ask("a.example.", dns.TypeA)
	if len(r.asked) != 2 {
		t.Errorf("asked %v, want twice", r.asked)
	}
}

func TestADenialIsRecordedOncePerFiveSeconds(t *testing.T) {
	r := newRig(t)
	for range 10 {
		r.ask("evil.example.", dns.TypeA)
		r.pass(time.Second)
	}
	r.wantReasons(flow.NameNotAllowed, flow.NameNotAllowed)
}

func TestLookupOfANameThatIsNotAllowed(t *testing.T) {
	r := newRig(t, "evil.example. 60 IN A 20.0.0.1")
	if _, err := r.Lookup(t.Context(), dnsname.MustParse("evil.example")); !errors.Is(err, ErrNotAllowed) || len(r.asked) > 0 {
		t.Errorf("got %v after %v", err, r.asked)
	}
}

// Exact names stay bound although nobody asks; names under wildcards do not, and
// an upstream that fails for a while is asked again.
func TestRefreshFollowsExactNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "a.example. 100 IN A 20.0.0.1", "x.c.example. 100 IN A 20.0.0.9")
		r.cfg.Now = time.Now
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan bool)
		go func() {
			defer close(done)
			r.Refresh(ctx)
		}()
		r.ask("a.example.", dns.TypeA)
		r.ask("x.c.example.", dns.TypeA)
		time.Sleep(75 * time.Second)
		if len(r.bound) != 2 {
			t.Errorf("refreshed too early: %v", r.bound)
		}
		r.mu.Lock()
		r.zone[0].(*dns.A).A = []byte{20, 0, 0, 2} // the server moves
		r.mu.Unlock()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(r.bound) != 3 || r.bound[2].name != "a.example" || r.bound[2].addrs[0].String() != "20.0.0.2" {
			t.Errorf("bound %v", r.bound)
		}
		r.down(errDown)
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		r.down(nil)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		r.mu.Lock()
		last := r.bound[len(r.bound)-1]
		r.mu.Unlock()
		if last.name != "a.example" || last.ttl != 100*time.Second {
			t.Errorf("after the upstream came back: bound %v", last)
		}
		cancel()
		<-done
	})
}

// While a name is asked for again, what is known of it is still good.
func TestRefreshDoesNotKeepClientsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "a.example. 100 IN A 20.0.0.1")
		r.cfg.Now = time.Now
		slow := false
		r.cfg.Exchange = func(ctx context.Context, s netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
			if slow {
				time.Sleep(queryTimeout)
				return nil, errDown
			}
			return r.exchange(ctx, s, q)
		}
		r.ask("a.example.", dns.TypeA)
		slow = true
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan bool)
		go func() {
			defer close(done)
			r.Refresh(ctx)
		}()
		time.Sleep(82 * time.Second)
		begin := time.Now()
		if m := r.ask("a.example.", dns.TypeA); len(addrs(m)) != 1 || time.Since(begin) > 0 {
			t.Errorf("%v after %v", m, time.Since(begin))
		}
		cancel()
		<-done
	})
}

// FuzzAnswer states: whatever a client sends, the answer can be written, has the
// client's id, and binds nothing but names that are allowed and addresses that
// may be; and so does whatever an upstream answers.
func FuzzAnswer(f *testing.F) {
	seed := func(name string, typ uint16, change func(*dns.Msg)) {
		q := new(dns.Msg)
		q.SetQuestion(name, typ)
		if change != nil {
			change(q)
		}
		b, err := q.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, b)
	}
	seed("a.example.", dns.TypeA, nil)
	seed("A.c.EXAMPLE.", dns.TypeAAAA, func(m *dns.Msg) { m.SetEdns0(4096, true) })
	seed("evil.example.", dns.TypeANY, nil)
	seed("a.example.", dns.TypeA, func(m *dns.Msg) {
		for _, s := range []string{"a.example. 5 IN CNAME b.test.", "b.test. 5 IN A 20.0.0.1", "b.test. 5 IN A 127.0.0.1"} {
			rr, _ := dns.NewRR(s)
			m.Answer = append(m.Answer, rr)
		}
	})
	f.Fuzz(func(t *testing.T, question, answer []byte) {
		q := new(dns.Msg)
		if q.Unpack(question) != nil {
			return
		}
		r := newRig(t)
		r.cfg.Exchange = func(_ context.Context, _ netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
			m := new(dns.Msg)
			if err := m.Unpack(answer); err != nil {
				return nil, err
			}
			return m, nil
		}
		m := r.answer(q, client)
		if m.Id != q.Id || !m.Response {
			t.Fatalf("%v is no answer to %v", m, q)
		}
		if _, err := m.Pack(); err != nil {
			t.Fatalf("%v: %v", m, err)
		}
		snapshot := r.cfg.Rules()
		for _, b := range r.bound {
			if len(snapshot.Openings(dnsname.MustParse(b.name), r.now)) == 0 {
				t.Fatalf("bound %v", b)
			}
			for _, a := range b.addrs {
				if netset.Never().Contains(a) || netset.Private().Contains(a) || a.Is4In6() || !a.IsValid() {
					t.Fatalf("bound %v", b)
				}
			}
		}
		for _, s := range addrs(m) {
			a := netip.MustParseAddr(s)
			if len(r.bound) != 1 || !slices.Contains(r.bound[0].addrs, a) {
				t.Fatalf("answered %v, bound %v", a, r.bound)
			}
		}
	})
}
