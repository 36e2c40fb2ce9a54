// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/sallyport/sallyport/flow"
)

var neighbour = netip.MustParseAddr("10.240.0.5")

func (r *rig) askFrom(src netip.Addr, name string) *dns.Msg {
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), dns.TypeA)
	return r.answer(q, src)
}

// B30: what one source makes upstreams answer is bounded, and another one's
// questions are answered beside it.
func TestASourceThatAsksForEverNewNames(t *testing.T) {
	r := newRig(t, "a.example. 60 IN A 20.0.0.1")
	refused := 0
	for i := range 3 * newBurst {
		if r.askFrom(neighbour, fmt.Sprintf("n%d.c.example", i)).Rcode == dns.RcodeServerFailure {
			refused++
		}
	}
	if refused != 2*newBurst {
		t.Errorf("%d of %d were refused", refused, 3*newBurst)
	}
	if m := r.askFrom(client, "a.example"); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
		t.Errorf("another source got %v", m)
	}
	if m := r.askFrom(neighbour, "a.example"); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
		t.Errorf("what is in the cache: got %v", m)
	}
	r.pass(time.Second)
	for i := range newRate + 1 {
		m := r.askFrom(neighbour, fmt.Sprintf("later%d.c.example", i))
		if got, want := m.Rcode == dns.RcodeServerFailure, i >= newRate; got != want {
			t.Fatalf("a second later, question %d: %s", i, dns.RcodeToString[m.Rcode])
		}
	}
	overload := 0
	for _, e := range r.events {
		if e.Decision.Reason == flow.Overload && e.Flow.Src == neighbour {
			overload++
		}
	}
	if overload != 1 {
		t.Errorf("%d records of one source without room, want one in %s", overload, tellAgain)
	}
}

func TestSharesAreBounded(t *testing.T) {
	s := shares{of: make(map[netip.Addr]share)}
	now := time.Unix(1_800_000_000, 0)
	a := netip.MustParseAddr("10.0.0.1")
	for range 3 * maxSources {
		a = a.Next()
		if !s.take(a, now) {
			t.Fatalf("%s asks for the first time", a)
		}
		now = now.Add(time.Millisecond)
	}
	if len(s.of) > maxSources {
		t.Errorf("%d sources are remembered", len(s.of))
	}
}

func TestConnectionsOfOneSourceAreBounded(t *testing.T) {
	r := newRig(t, "a.example. 60 IN A 20.0.0.1")
	addr := r.serve()
	var held []net.Conn
	for range 2 * maxConns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		held = append(held, c)
	}
	// Beyond the limit they are closed at once, those below stay.
	open := 0
	for _, c := range held {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				open++
			}
		}
	}
	if open != maxConns {
		t.Errorf("%d connections are open, want %d", open, maxConns)
	}
	_ = held[0].Close()
	deadline := time.Now().Add(5 * time.Second)
	for {
		q := new(dns.Msg)
		q.SetQuestion("a.example.", dns.TypeA)
		c := dns.Client{Net: "tcp", Timeout: time.Second}
		if m, _, err := c.Exchange(q, addr); err == nil && len(m.Answer) == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of a closed connection is not given again")
		}
	}
}
