// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// listenBoth opens a port of loopback over UDP and TCP. What is free over one may be
// taken over the other, as by a connection of another test: then it is another port.
func listenBoth(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for tries := 1; ; tries++ {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", pc.LocalAddr().String())
		if err == nil {
			return pc, l
		}
		_ = pc.Close()
		if tries == 20 {
			t.Fatal(err)
		}
	}
}

// serve runs the resolver on loopback, and an upstream behind it on real
// sockets.
func (r *rig) serve() (addr string) {
	r.t.Helper()
	up, upTCP := listenBoth(r.t)
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m, err := r.exchange(context.Background(), upstream, q)
		if err != nil {
			return
		}
		if w.RemoteAddr().Network() == "udp" {
			m.Truncate(clientSize(q))
		}
		_ = w.WriteMsg(m)
	})
	for _, s := range []*dns.Server{{PacketConn: up, Handler: handler}, {Listener: upTCP, Handler: handler}} {
		started := make(chan bool)
		s.NotifyStartedFunc = func() { close(started) }
		go func() { _ = s.ActivateAndServe() }()
		<-started
		r.t.Cleanup(func() { _ = s.Shutdown() })
	}
	r.res.Upstreams = []netip.AddrPort{netip.MustParseAddrPort(up.LocalAddr().String())}
	r.cfg.Exchange = exchange

	pc, l := listenBoth(r.t)
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, []net.PacketConn{pc}, []net.Listener{l}) }()
	r.t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				r.t.Errorf("Serve: %v", err)
			}
		case <-time.After(3 * time.Second):
			r.t.Error("Serve does not end")
		}
	})
	return pc.LocalAddr().String()
}

func TestServeOverUDPAndTCP(t *testing.T) {
	r := newRig(t, "a.example. 300 IN A 20.0.0.1")
	addr := r.serve()
	for _, network := range []string{"udp", "tcp"} {
		q := new(dns.Msg)
		q.SetQuestion("a.ExamplE.", dns.TypeA)
		m, _, err := (&dns.Client{Net: network}).Exchange(q, addr)
		if err != nil || len(addrs(m)) != 1 || m.Question[0].Name != "a.ExamplE." || m.Answer[0].Header().Name != "a.ExamplE." {
			t.Errorf("%s: %v %v", network, m, err)
		}
		if m.IsEdns0() != nil {
			t.Errorf("%s: an EDNS answer to a plain question", network)
		}
		q.SetQuestion("evil.example.", dns.TypeA)
		if m, _, err = (&dns.Client{Net: network}).Exchange(q, addr); err != nil || m.Rcode != dns.RcodeNameError {
			t.Errorf("%s: %v %v", network, m, err)
		}
	}
	if e := r.events[0]; e.Flow.Src.String() != "127.0.0.1" {
		t.Errorf("record %+v", e)
	}
}

// An answer that is too long for UDP is cut, and whole over TCP; so it is
// between us and the upstream.
func TestLongAnswersGoOverTCP(t *testing.T) {
	var records []string
	for i := range 200 {
		records = append(records, fmt.Sprintf("a.example. 300 IN A 20.0.1.%d", i))
	}
	r := newRig(t, records...)
	addr := r.serve()
	for _, tt := range []struct {
		network string
		edns    uint16
		cut     bool
		max     int
	}{{"udp", 0, true, 512}, {"udp", 4096, true, udpSize}, {"tcp", 0, false, 65535}} {
		q := new(dns.Msg)
		q.SetQuestion("a.example.", dns.TypeA)
		if tt.edns > 0 {
			q.SetEdns0(tt.edns, false)
		}
		m, _, err := (&dns.Client{Net: tt.network}).Exchange(q, addr)
		if err != nil || m.Truncated != tt.cut || (len(addrs(m)) == 200) == tt.cut {
			t.Fatalf("%s %d: cut %t with %d addresses, %v", tt.network, tt.edns, m.Truncated, len(addrs(m)), err)
		}
		m.Compress = true
		if m.Len() > tt.max {
			t.Errorf("%s %d: %d bytes", tt.network, tt.edns, m.Len())
		}
	}
	if len(r.bound) != 1 || len(r.bound[0].addrs) != 200 {
		t.Errorf("bound %d times", len(r.bound))
	}
}

// What no resolver should get is not worth a crash, nor, when it is an answer,
// an answer: two servers must not talk to each other.
func TestServeSurvivesNoise(t *testing.T) {
	r := newRig(t, "a.example. 300 IN A 20.0.0.1")
	addr := r.serve()
	c, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer := new(dns.Msg)
	answer.SetQuestion("a.example.", dns.TypeA)
	answer.Response = true
	b, _ := answer.Pack()
	for _, noise := range [][]byte{{0}, {1, 2, 3}, make([]byte, 12), make([]byte, 600), b} {
		_, _ = c.Write(noise)
	}
	_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	got := make([]byte, 2000)
	for {
		n, err := c.Read(got)
		if err != nil {
			break
		}
		m := new(dns.Msg)
		if err := m.Unpack(got[:n]); err != nil || m.Rcode != dns.RcodeFormatError || m.Id == answer.Id && answer.Id != 0 {
			t.Errorf("answered %v %v", m, err)
		}
	}
	q := new(dns.Msg)
	q.SetQuestion("a.example.", dns.TypeA)
	if m, _, err := new(dns.Client).Exchange(q, addr); err != nil || len(addrs(m)) != 1 {
		t.Errorf("afterwards: %v %v", m, err)
	}
}
