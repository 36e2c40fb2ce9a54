// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxypath

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/echprobe"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/proxypath/proxytest"
)

// The addresses of the tests' world.
var (
	nodeAddr  = netip.MustParseAddr("10.240.0.4")
	otherNode = netip.MustParseAddr("10.240.9.9")
	addrA     = netip.MustParseAddr("20.0.0.1") // a.example and b.example, a shared CDN address
	addrA2    = netip.MustParseAddr("20.0.0.2") // a.example alone
	addrDead  = netip.MustParseAddr("20.0.0.3")
	addrRaw   = netip.MustParseAddr("20.0.0.9") // allowed by address
	addrOwn   = netip.MustParseAddr("10.0.0.1")
)

// rig is a proxy in front of servers that the test plays.
type rig struct {
	*proxytest.World
	proxy *Proxy

	rules *decide.Snapshot
	later *decide.Snapshot // in force from the next question for a name on, when not nil
	names map[string][]netip.Addr
	dst   netip.AddrPort // where clients believe they connect to
	src   netip.Addr
	ech   echprobe.Answer // of every server
	asked []string        // "source address name"
}

func allow(id, pattern string, proto flow.Protocol, ports ...uint16) program.Rule {
	return program.Rule{
		ID: flow.RuleID(id), Pattern: dnsname.MustParsePattern(pattern), Protocol: proto, Ports: portset.Of(ports...),
		Sources: netset.Of(netip.MustParsePrefix("10.240.0.0/24")),
	}
}

// defaultRules allow a.example, b.example, names under c.example, gone.example,
// loop.example, and one address.
func defaultRules() *decide.Snapshot {
	return decide.New(&program.Program{Rules: []program.Rule{
		allow("a", "a.example", flow.ProtoHTTP, 80, 8080),
		allow("b", "b.example", flow.ProtoHTTP, 80),
		allow("c", "*.c.example", flow.ProtoHTTP, 80),
		allow("tls", "tls.example", flow.ProtoHTTPS, 80),
		allow("gone", "gone.example", flow.ProtoHTTP, 80),
		allow("loop", "loop.example", flow.ProtoHTTP, 80),
		allow("private", "private.example", flow.ProtoHTTP, 80),
		{
			ID: "raw", Prefixes: netset.OfAddrs(addrRaw), Protocol: flow.ProtoTCP, Ports: portset.Of(80),
			Sources: netset.Of(netip.MustParsePrefix("10.240.0.0/24")),
		},
	}})
}

type privateError struct{}

func (privateError) Error() string       { return "private" }
func (privateError) Reason() flow.Reason { return flow.PrivateAddress }

// start runs a proxy whose limits are short; the test ends when it has ended.
func start(t *testing.T, limits Limits) *rig {
	t.Helper()
	return startIn(t, limits, false)
}

// startIn is start, for a proxy in audit mode or one that enforces.
func startIn(t *testing.T, limits Limits, audit bool) *rig {
	t.Helper()
	r := &rig{
		World: proxytest.New(t), rules: defaultRules(),
		names: map[string][]netip.Addr{
			"a.example": {addrA, addrA2}, "b.example": {addrA}, "x.c.example": {addrDead, addrA}, "gone.example": {addrDead},
			"loop.example": {addrOwn}, "tls.example": {addrA},
		},
		dst: netip.AddrPortFrom(addrA, 80), src: nodeAddr,
	}
	if limits.Linger == 0 {
		limits.Linger = 200 * time.Millisecond
	}
	r.proxy = New(Config{
		Rules: func() *decide.Snapshot {
			r.Mu.Lock()
			defer r.Mu.Unlock()
			return r.rules
		},
		Lookup: func(_ context.Context, n dnsname.Name) ([]netip.Addr, error) {
			r.Mu.Lock()
			defer r.Mu.Unlock()
			if r.later != nil {
				r.rules = r.later
			}
			if n.String() == "private.example" {
				return nil, privateError{}
			}
			if a := r.names[n.String()]; a != nil {
				return a, nil
			}
			return nil, errors.New("no such name")
		},
		Record: r.Record, End: r.End,
		Own:  func() netset.Set { return netset.OfAddrs(addrOwn) },
		Dial: r.DialServer,
		ECH: func(_ context.Context, source netip.Addr, to netip.AddrPort, name dnsname.Name) (echprobe.Answer, string) {
			r.Mu.Lock()
			defer r.Mu.Unlock()
			r.asked = append(r.asked, fmt.Sprintf("%s %s %s", source, to, name))
			return r.ech, "as the test says"
		},
		Limits: limits, Audit: audit,
	})
	// Behind the end of Serve, which comes first among what is cleaned up.
	t.Cleanup(func() {
		if n := len(r.proxy.sessions) + len(r.proxy.bySource); n != 0 {
			t.Errorf("%d sessions and sources are left", n)
		}
	})
	r.Serve(func(ctx context.Context, l net.Listener) error { return r.proxy.Serve(ctx, transparentListener{l, r}) })
	return r
}

// transparentListener accepts connections as tproxy gives them: the local
// address is where the client wanted to go.
type transparentListener struct {
	net.Listener
	r *rig
}

type transparentConn struct {
	*net.TCPConn
	local, remote net.Addr
}

func (c transparentConn) LocalAddr() net.Addr  { return c.local }
func (c transparentConn) RemoteAddr() net.Addr { return c.remote }

func (l transparentListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.r.Mu.Lock()
	defer l.r.Mu.Unlock()
	remote := c.RemoteAddr().(*net.TCPAddr)
	return transparentConn{
		c.(*net.TCPConn), net.TCPAddrFromAddrPort(l.r.dst),
		net.TCPAddrFromAddrPort(netip.AddrPortFrom(l.r.src, uint16(remote.Port))),
	}, nil
}

// echo answers with the host, the path and the body it got.
func echo(w http.ResponseWriter, q *http.Request) {
	b, _ := io.ReadAll(q.Body)
	_, _ = io.WriteString(w, q.Host+q.URL.Path+" "+string(b))
}

// say sends a request on a new connection and returns the answer.
func (r *rig) say(s string) (status int, body string) {
	r.T.Helper()
	c, br := r.Dial()
	r.Send(c, s)
	method, _, _ := strings.Cut(s, " ")
	res, body := r.Read(br, method)
	return res.StatusCode, body
}

// wantOne checks that there is one record, with the given reason.
func (r *rig) wantOne(reason flow.Reason) flowlog.Event {
	r.T.Helper()
	e := r.Recorded(1)[0]
	if e.Decision.Reason != reason || (e.Decision.Verdict == flow.Allow) != (reason == flow.RuleMatched || reason == flow.AddressMatched) {
		r.T.Errorf("record %+v, want %v", e.Decision, reason)
	}
	if e.Path != "proxy" || e.SrcPort == 0 || e.Flow.Src != r.src || e.At.IsZero() {
		r.T.Errorf("record lacks who and when: %+v", e)
	}
	return e
}

// wantNoDial checks that no server was asked for anything.
func (r *rig) wantNoDial() {
	r.T.Helper()
	r.Mu.Lock()
	defer r.Mu.Unlock()
	if len(r.Dialled) != 0 {
		r.T.Errorf("dialled %v, want nothing", r.Dialled)
	}
}

// wentTo returns what was dialled.
func (r *rig) wentTo() []netip.AddrPort {
	r.Mu.Lock()
	defer r.Mu.Unlock()
	return slices.Clone(r.Dialled)
}
