// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxypath

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
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
	t      *testing.T
	proxy  *Proxy
	addr   string
	cancel context.CancelFunc
	ended  chan error

	mu      sync.Mutex
	rules   *decide.Snapshot
	events  []flowlog.Event
	closed  []flowlog.Closed
	servers map[netip.Addr]string // where an address leads
	dialled []netip.AddrPort
	names   map[string][]netip.Addr
	dst     netip.AddrPort // where clients believe they connect to
	src     netip.Addr
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
	r := &rig{
		t: t, rules: defaultRules(), servers: make(map[netip.Addr]string), ended: make(chan error, 1),
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
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.rules
		},
		Lookup: func(_ context.Context, n dnsname.Name) ([]netip.Addr, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if n.String() == "private.example" {
				return nil, privateError{}
			}
			if a := r.names[n.String()]; a != nil {
				return a, nil
			}
			return nil, errors.New("no such name")
		},
		Record: func(e *flowlog.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, *e)
		},
		End: func(c flowlog.Closed) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.closed = append(r.closed, c)
		},
		Own: func() netset.Set { return netset.OfAddrs(addrOwn) },
		Dial: func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
			r.mu.Lock()
			r.dialled = append(r.dialled, addr)
			to := r.servers[addr.Addr()]
			r.mu.Unlock()
			if to == "" {
				return nil, errors.New("connection refused")
			}
			var d net.Dialer
			return d.DialContext(ctx, "tcp", to)
		},
		Limits: limits,
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() { r.ended <- r.proxy.Serve(ctx, transparentListener{l, r}) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-r.ended:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Serve does not end")
		}
		if n := len(r.proxy.sessions) + len(r.proxy.bySource); n != 0 {
			t.Errorf("%d sessions and sources are left", n)
		}
	})
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
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	remote := c.RemoteAddr().(*net.TCPAddr)
	return transparentConn{
		c.(*net.TCPConn), net.TCPAddrFromAddrPort(l.r.dst),
		net.TCPAddrFromAddrPort(netip.AddrPortFrom(l.r.src, uint16(remote.Port))),
	}, nil
}

// serveRaw plays a server at addr: each connection is given to handle.
func (r *rig) serveRaw(addr netip.Addr, handle func(net.Conn, *bufio.Reader)) {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	var wg sync.WaitGroup
	r.t.Cleanup(func() {
		_ = l.Close()
		r.cancel()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				handle(c, bufio.NewReader(c))
			})
		}
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.servers[addr] = l.Addr().String()
}

// serve plays an HTTP server at addr.
func (r *rig) serve(addr netip.Addr, handler http.HandlerFunc) {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	srv := &http.Server{Handler: handler}
	go func() { _ = srv.Serve(l) }()
	r.t.Cleanup(func() { _ = srv.Close() })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.servers[addr] = l.Addr().String()
}

// echo answers with the host, the path and the body it got.
func echo(w http.ResponseWriter, q *http.Request) {
	b, _ := io.ReadAll(q.Body)
	_, _ = io.WriteString(w, q.Host+q.URL.Path+" "+string(b))
}

// dial connects as a client in the cluster.
func (r *rig) dial() (net.Conn, *bufio.Reader) {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(15 * time.Second))
	r.t.Cleanup(func() { _ = c.Close() })
	return c, bufio.NewReader(c)
}

func (r *rig) send(c net.Conn, s string) {
	r.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		r.t.Fatal(err)
	}
}

// read reads one response with its body.
func (r *rig) read(br *bufio.Reader, method string) (res *http.Response, body string) {
	r.t.Helper()
	res, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		r.t.Fatalf("read the answer: %v", err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatalf("read the body of the answer: %v after %d bytes", err, len(b))
	}
	return res, string(b)
}

// say sends a request on a new connection and returns the answer.
func (r *rig) say(s string) (status int, body string) {
	r.t.Helper()
	c, br := r.dial()
	r.send(c, s)
	method, _, _ := strings.Cut(s, " ")
	res, body := r.read(br, method)
	return res.StatusCode, body
}

// recorded waits for n records and returns them.
func (r *rig) recorded(n int) []flowlog.Event {
	r.t.Helper()
	for range 200 {
		r.mu.Lock()
		got := len(r.events)
		r.mu.Unlock()
		if got >= n {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.events) != n {
		r.t.Fatalf("%d records, want %d: %+v", len(r.events), n, r.events)
	}
	return r.events
}

// wantOne checks that there is one record, with the given reason.
func (r *rig) wantOne(reason flow.Reason) flowlog.Event {
	r.t.Helper()
	e := r.recorded(1)[0]
	if e.Decision.Reason != reason || (e.Decision.Verdict == flow.Allow) != (reason == flow.RuleMatched || reason == flow.AddressMatched) {
		r.t.Errorf("record %+v, want %v", e.Decision, reason)
	}
	if e.Path != "proxy" || e.SrcPort == 0 || e.Flow.Src != r.src || e.At.IsZero() {
		r.t.Errorf("record lacks who and when: %+v", e)
	}
	return e
}

// wantNoDial checks that no server was asked for anything.
func (r *rig) wantNoDial() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.dialled) != 0 {
		r.t.Errorf("dialled %v, want nothing", r.dialled)
	}
}

// wantReset checks that the client is told by a reset.
func (r *rig) wantReset(c net.Conn) {
	r.t.Helper()
	b, err := io.ReadAll(c)
	if err == nil || !strings.Contains(err.Error(), "reset") || len(b) > 0 {
		r.t.Errorf("read %q, %v, want a reset", b, err)
	}
}

// set changes the tests' world while the proxy looks at it.
func (r *rig) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// wentTo returns what was dialled.
func (r *rig) wentTo() []netip.AddrPort {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.dialled)
}
