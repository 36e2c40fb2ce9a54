// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// warm returns a rig that has answered what hot questions are about.
func warm(t *testing.T) *rig {
	t.Helper()
	zone := []string{
		"a.example. 300 IN A 20.0.0.1", "a.example. 300 IN A 20.0.0.2", "a.example. 300 IN AAAA 2600::1",
		"x.c.example. 60 IN CNAME y.c.example.", "y.c.example. 30 IN CNAME far.test.", "far.test. 30 IN A 20.0.0.9",
		"private.c.example. 60 IN A 10.1.2.3", "private.c.example. 60 IN A 20.0.0.3",
	}
	for i := range 60 {
		zone = append(zone, fmt.Sprintf("many.c.example. 60 IN A 20.1.0.%d", i))
	}
	r := newRig(t, zone...)
	for _, name := range []string{"a.example.", "x.c.example.", "many.c.example.", "private.c.example.", "none.c.example."} {
		r.ask(name, dns.TypeA)
		r.ask(name, dns.TypeAAAA)
	}
	return r
}

// sameAsOrdinary compares the answer that is at hand with the ordinary one.
func (r *rig) sameAsOrdinary(t *testing.T, wire []byte) (isHot bool) {
	t.Helper()
	got, ok := r.hot(nil, wire)
	if !ok {
		return false
	}
	q, m := new(dns.Msg), new(dns.Msg)
	if err := q.Unpack(wire); err != nil {
		t.Fatalf("%x is no message, and was answered: %v", wire, err)
	}
	if err := m.Unpack(got); err != nil {
		t.Fatalf("the answer to %v cannot be read: %v", q, err)
	}
	want := r.answer(q, client)
	want.Truncate(clientSize(q))
	want.Compress = false
	packed, err := want.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if err := want.Unpack(packed); err != nil {
		t.Fatal(err)
	}
	lengths(want.Answer)
	lengths(m.Answer)
	// A name that shares its end with the question shares its letters, too.
	if !strings.EqualFold(m.String(), want.String()) || len(got) > clientSize(q) {
		t.Fatalf("at hand is\n%v\nand the ordinary answer is\n%v", m, want)
	}
	return true
}

// lengths takes away what depends on how names are written.
func lengths(list []dns.RR) {
	for _, rr := range list {
		rr.Header().Rdlength = 0
	}
}

func TestWhatIsAtHandIsTheOrdinaryAnswer(t *testing.T) {
	r := warm(t)
	plain := func(*dns.Msg) {}
	for about, tt := range map[string]struct {
		name   string
		typ    uint16
		change func(*dns.Msg)
		hot    bool
	}{
		"an address":                {"a.example.", dns.TypeA, plain, true},
		"an IPv6 address":           {"a.example.", dns.TypeAAAA, plain, true},
		"in other letters":          {"A.eXample.", dns.TypeA, plain, true},
		"a chain":                   {"x.c.example.", dns.TypeA, plain, true},
		"with EDNS":                 {"a.example.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(4096, true) }, true},
		"as dig asks":               {"a.example.", dns.TypeA, func(m *dns.Msg) { m.AuthenticatedData = true; m.SetEdns0(1232, false) }, true},
		"without recursion":         {"a.example.", dns.TypeA, func(m *dns.Msg) { m.RecursionDesired = false }, true},
		"without validation":        {"a.example.", dns.TypeA, func(m *dns.Msg) { m.CheckingDisabled = true }, true},
		"sixty addresses with EDNS": {"many.c.example.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(1232, false) }, true},
		"sixty addresses without":   {"many.c.example.", dns.TypeA, plain, false},
		"an option": {"a.example.", dns.TypeA, func(m *dns.Msg) {
			m.SetEdns0(1232, false)
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0011223344556677"}}
		}, false},
		"a version of EDNS to come": {"a.example.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(1232, false); m.IsEdns0().SetVersion(1) }, false},
		"some addresses filtered":   {"private.c.example.", dns.TypeA, plain, false},
		"no address":                {"none.c.example.", dns.TypeA, plain, false},
		"a name without a rule":     {"evil.example.", dns.TypeA, plain, false},
		"another type":              {"a.example.", dns.TypeMX, plain, false},
		"another class":             {"a.example.", dns.TypeA, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, false},
		"two questions":             {"a.example.", dns.TypeA, func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, false},
		"an answer":                 {"a.example.", dns.TypeA, func(m *dns.Msg) { m.Response = true }, false},
		"a notification":            {"a.example.", dns.TypeA, func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }, false},
	} {
		t.Run(about, func(t *testing.T) {
			q := new(dns.Msg)
			q.SetQuestion(tt.name, tt.typ)
			tt.change(q)
			wire, err := q.Pack()
			if err != nil {
				t.Fatal(err)
			}
			if got := r.sameAsOrdinary(t, wire); got != tt.hot {
				t.Errorf("at hand: %t, want %t", got, tt.hot)
			}
			for n := range wire { // cut anywhere it is no such question
				if _, ok := r.hot(nil, wire[:n]); ok {
					t.Errorf("cut to %d bytes it is answered", n)
				}
			}
		})
	}
}

// The time to live is what is left, and what is over, or from other rules, is not
// at hand.
func TestWhatIsAtHandEnds(t *testing.T) {
	r := warm(t)
	q := new(dns.Msg)
	q.SetQuestion("a.example.", dns.TypeA)
	wire, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	r.pass(100 * time.Second)
	out, ok := r.hot(nil, wire)
	m := new(dns.Msg)
	if err := m.Unpack(out); !ok || err != nil || m.Answer[0].Header().Ttl != 200 || m.Answer[1].Header().Ttl != 200 {
		t.Errorf("%t, %v, %v", ok, err, m)
	}
	r.pass(200 * time.Second)
	if _, ok := r.hot(nil, wire); ok {
		t.Error("still at hand when its time is over")
	}
	r.ask("a.example.", dns.TypeA)
	if _, ok := r.hot(nil, wire); !ok {
		t.Error("not at hand although it was asked for again")
	}
	r.Forget()
	if _, ok := r.hot(nil, wire); ok {
		t.Error("still at hand under other rules")
	}
}

func TestWhatIsAtHandCostsNoMemory(t *testing.T) {
	r := warm(t)
	q := new(dns.Msg)
	q.SetQuestion("a.example.", dns.TypeA)
	q.SetEdns0(1232, false)
	wire, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, 0, udpSize)
	if n := testing.AllocsPerRun(200, func() {
		if _, ok := r.hot(out, wire); !ok {
			t.Fatal("not at hand")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzHot states: whatever is answered from what is at hand is a question, and
// has the ordinary answer.
func FuzzHot(f *testing.F) {
	for _, name := range []string{"a.example.", "X.C.Example.", "many.c.example."} {
		for _, size := range []uint16{0, 512, 4096} {
			q := new(dns.Msg)
			q.SetQuestion(name, dns.TypeA)
			if size > 0 {
				q.SetEdns0(size, true)
			}
			wire, err := q.Pack()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(wire)
		}
	}
	var r *rig
	f.Fuzz(func(t *testing.T, wire []byte) {
		if r == nil {
			r = warm(t)
		}
		r.sameAsOrdinary(t, wire)
	})
}
