// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxypath

import (
	"context"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/httphead"
)

// isForServer reports whether a refused request is one in origin form: whoever
// sent it took the proxy for a server.
func isForServer(req httphead.Request, reason flow.Reason) bool {
	return reason == flow.MalformedRequest && len(req.Target) > 0 && req.Target[0] == '/'
}

// named returns the flow that a request to a known proxy asks for.
func (s *session) named(req httphead.Request) flow.Flow {
	f := s.wanted()
	f.App, f.Name, f.Dst, f.Port, f.Proof = flow.HTTP, req.Host, req.Addr, req.Port, flow.ByHost
	if f.Port == 0 {
		f.Port = 80
	}
	if f.Name.IsZero() {
		f.Proof = flow.ByAddress
	}
	return f
}

// toOrigin makes the head that is the first n bytes at hand one for the server
// that it names, and returns its new length. req does not hold its bytes any
// more.
func (s *session) toOrigin(req httphead.Request, n int) int {
	head := httphead.AppendOrigin(make([]byte, 0, n), s.client.data()[:n], req)
	s.client.take(n - len(head))
	return copy(s.client.data(), head)
}

// Tunnel is a CONNECT request that waits for its answer, and then what its
// client sends. Its methods are for the one goroutine that serves it, in the
// order in which they stand here.
type Tunnel struct {
	// Flow is what is asked for: either Name or Dst, and Port. The application is
	// flow.TLS and nothing is proved.
	Flow flow.Flow

	s *session
}

// openTunnel serves CONNECT, whose head is the first n bytes at hand, to the end
// of the connection.
func (s *session) openTunnel(ctx context.Context, req httphead.Request, n int) {
	s.drop()
	s.client.take(n)
	f := s.named(req)
	f.App, f.Proof = flow.TLS, flow.Unproved
	s.p.cfg.Tunnel(ctx, &Tunnel{Flow: f, s: s})
}

// Refuse records and answers a request that goes nowhere.
func (t *Tunnel) Refuse(ctx context.Context, f flow.Flow, d flow.Decision, detail string) {
	t.s.drop() // now, not after a client that lingers
	t.s.refuse(ctx, f, d, "CONNECT", nil, detail)
}

// Open connects to the server. When it cannot, it has recorded that, answered,
// and returns false. d is the decision that lets f so far.
func (t *Tunnel) Open(ctx context.Context, f flow.Flow, d flow.Decision) (opened bool) {
	if _, err := t.s.connect(ctx, f); err != nil {
		t.s.unreachable(ctx, f, d, "CONNECT", err)
		return false
	}
	t.Flow.Dst = t.s.addr.Addr()
	return true
}

// IsEarly reports whether the client has sent something behind its request
// already, without waiting for the answer.
func (t *Tunnel) IsEarly() bool {
	return len(t.s.client.data()) > 0 || t.s.client.hasMore()
}

// Answer tells the client that it may send. It returns false when the client is
// gone.
func (t *Tunnel) Answer() bool {
	return t.s.client.write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")) == nil
}

// Inside waits for the client's ClientHello, of which nothing has left, and decides
// whether it proves the name that the request gave. seen is the name in the hello where
// it is not a valid one; other is the detail where it names another host. When ctx ends
// meanwhile, the decision is the zero one.
func (t *Tunnel) Inside(ctx context.Context, other string) (f flow.Flow, d flow.Decision, seen []byte, detail string) {
	f = t.Flow
	f.Proof = flow.ByConnect
	return t.s.decideHello(ctx, f, false, other)
}

// Cut records why the tunnel is denied although it was answered, and resets both
// sides. raw is the name as it was seen, where f has none.
func (t *Tunnel) Cut(f flow.Flow, d flow.Decision, raw []byte, detail string) {
	t.s.record(f, d, raw, detail)
	t.s.client.reset()
	if t.s.server != nil {
		t.s.server.reset()
	}
}

// Release records that f is allowed, sends what was held and passes everything
// on until both sides have ended, one fails, or nothing moves for long.
func (t *Tunnel) Release(ctx context.Context, f flow.Flow, d flow.Decision) {
	t.s.passAll(ctx, f, d)
}
