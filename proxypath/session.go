// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxypath

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/httphead"
)

// session is one connection of a client with the requests on it.
type session struct {
	p       *Proxy
	client  *stream
	src     netip.AddrPort
	dst     netip.AddrPort // where the client wanted to go; zero when it will say so
	crowded bool           // there is no room for it, and audit mode lets it pass
	ech     bool           // the client's hello is as one with another name inside
	// helloLen is how many bytes there are at hand up to the end of the client's hello.
	helloLen int
	served   int // requests that were answered by a server
	moved    atomic.Uint64
	cancel   context.CancelFunc // ends this session alone
	place    *list.Element      // in the care of p's lock

	server *stream // nil while there is none; its conn is also in mu's care
	name   dnsname.Name
	addr   netip.AddrPort // of server

	mu       sync.Mutex
	flow     flow.Flow // of the request under way, zero between requests
	upstream net.Conn  // of server
	over     bool      // was cut
}

func newSession(p *Proxy, conn net.Conn, cancel context.CancelFunc) *session {
	s := &session{p: p, src: addrPort(conn.RemoteAddr()), cancel: cancel}
	if p.cfg.Tunnel == nil {
		s.dst = addrPort(conn.LocalAddr())
	}
	s.client = s.stream(conn)
	return s
}

func (s *session) stream(conn net.Conn) *stream {
	return &stream{conn: conn, stall: s.p.cfg.Limits.Stall, moved: &s.moved}
}

// addrPort returns a without an IPv6 form of an IPv4 address and without a zone,
// which rules do not know.
func addrPort(a net.Addr) netip.AddrPort {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// wanted returns the flow as it is known before the first byte.
func (s *session) wanted() flow.Flow {
	return flow.Flow{Src: s.src.Addr(), Dst: s.dst.Addr(), Port: s.dst.Port(), Transport: flow.TCP}
}

func (s *session) event(f flow.Flow, d flow.Decision, detail string) flowlog.Event {
	return flowlog.Event{At: s.p.cfg.Now(), Flow: f, SrcPort: s.src.Port(), Decision: d, Path: s.p.cfg.Path, Detail: detail}
}

func (s *session) record(f flow.Flow, d flow.Decision, raw []byte, detail string) {
	e := s.event(f, d, detail)
	if f.Name.IsZero() && len(raw) > 0 {
		e.SetName(raw)
	}
	s.p.cfg.Record(&e)
}

// current returns the flow under way.
func (s *session) current() (f flow.Flow, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flow, s.flow.Dst.IsValid()
}

// busy reports whether a flow is under way.
func (s *session) busy() bool {
	_, ok := s.current()
	return ok
}

// rulesChanged is the detail of a record of what was allowed a moment before.
const rulesChanged = "the rules have changed"

// enter makes f, which was allowed, the flow under way, unless the rules of now do
// not allow it: those that were exchanged while the server was reached have the last
// word. No sweep has seen f until then, and every later one does.
func (s *session) enter(f flow.Flow) (d flow.Decision) {
	s.begin(f)
	if d = s.p.cfg.Rules().Decide(f, s.p.cfg.Now()); d.Verdict != flow.Allow {
		s.begin(flow.Flow{})
	}
	return d
}

func (s *session) begin(f flow.Flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flow = f
}

// cut ends the session from outside. Whatever waits for its connections wakes.
func (s *session) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.client.reset()
	if s.upstream != nil {
		_ = s.upstream.Close()
	}
}

// run serves the connection to its end.
func (s *session) run(ctx context.Context) {
	defer func() {
		s.drop()
		_ = s.client.conn.Close()
	}()
	if s.crowded {
		s.letPass(ctx)
		return
	}
	if s.p.cfg.Tunnel == nil && !s.mayServe(ctx) {
		return
	}
	if s.p.cfg.Tunnel == nil && s.isTLS() {
		s.strict(ctx)
		return
	}
	for s.next(ctx) {
		s.served++
	}
}

// mayServe reports whether the requests of a client that knows nothing of the
// proxy are to be served. When they are not, the connection has had its end.
func (s *session) mayServe(ctx context.Context) bool {
	f := s.wanted()
	if !f.Dst.IsValid() || s.p.cfg.Own().Contains(f.Dst) {
		s.recordRefused(f, flow.Decision{Reason: flow.SpecialAddress}, "the destination is the gateway itself")
		s.client.reset()
		return false
	}
	f.Proof = flow.ByAddress
	if d := s.p.cfg.Rules().Decide(f, s.p.cfg.Now()); d.Verdict == flow.Allow {
		s.tunnel(ctx, f, d)
		return false
	}
	return true
}

// next serves one request and reports whether another may follow.
func (s *session) next(ctx context.Context) bool {
	req, n, reason, detail := s.readHead()
	f := s.wanted()
	if reason == flow.NotHTTP {
		if s.deny(ctx, f, flow.Decision{Reason: reason}, nil, detail) {
			return false
		}
		if s.served == 0 {
			s.client.reset()
			return false
		}
		// A reset would throw away the answer before.
		return s.say(reason, "", "")
	}
	if n == 0 && reason == flow.NotDecided {
		return false // the client is gone
	}
	f.App, f.Name = flow.HTTP, req.Host
	method := string(req.Method)
	if reason != flow.NotDecided {
		f.Name = dnsname.Name{}
		raw := req.HostSent
		if s.p.cfg.Tunnel != nil && raw == nil {
			raw = req.Target
		}
		return s.refuse(ctx, f, flow.Decision{Reason: reason}, method, raw, detail)
	}
	f.Proof = flow.ByHost
	// Only name rules speak of a request; one about the address has been asked.
	asked := f
	asked.Dst = netip.Addr{}
	switch {
	case req.IsConnect():
		s.openTunnel(ctx, req, n)
		return false
	case s.p.cfg.Tunnel != nil:
		f = s.named(req)
		asked, n = f, s.toOrigin(req, n)
	case req.Port != 0 && req.Port != s.dst.Port():
		return s.refuse(ctx, f, flow.Decision{Reason: flow.AmbiguousHost}, method, nil, "Host has another port than the connection")
	}
	f, d := s.anyBytes(f, s.p.cfg.Rules().Decide(asked, s.p.cfg.Now()))
	if d.Verdict == flow.Allow && f.App == flow.Raw && s.p.cfg.Tunnel == nil {
		if _, err := s.connect(ctx, f); err != nil {
			return s.unreachable(ctx, f, d, method, err)
		}
		f.Dst = s.addr.Addr()
		s.passAll(ctx, f, d)
		return false
	}
	if d.Verdict == flow.Allow && req.Upgrade {
		d.Verdict, d.Reason = flow.Deny, flow.UpgradeRefused
	}
	if d.Verdict != flow.Allow {
		return s.refuse(ctx, f, d, method, nil, "")
	}
	return s.forward(ctx, f, d, method, req, n)
}

// readHead waits for a whole request head. Without a head, reason says what was
// wrong with what came; n is 0 and reason is flow.NotDecided when nothing came.
func (s *session) readHead() (req httphead.Request, n int, reason flow.Reason, detail string) {
	limits := s.p.cfg.Limits
	until := time.Now().Add(limits.Head)
	if s.served > 0 && len(s.client.data()) == 0 {
		until = time.Now().Add(limits.Idle)
	}
	for asked := 0; ; {
		if data := s.client.data(); worthAsking(data, asked) {
			asked = len(data)
			var more bool
			if s.p.cfg.Tunnel == nil {
				req, n, more, reason = httphead.ReadRequest(data)
			} else if req, n, more, reason = httphead.ReadProxyRequest(data); isForServer(req, reason) {
				detail = "a request for a server, where one for a proxy belongs"
			}
			if !more {
				return req, n, reason, detail
			}
		}
		begun := len(s.client.data()) > 0
		err := s.client.fill(until, firstBuffer)
		timeout := errors.Is(err, os.ErrDeadlineExceeded)
		switch {
		case err == nil && !begun:
			until = time.Now().Add(limits.Head)
		case err == nil:
		case begun && timeout:
			return httphead.Request{}, 0, flow.MalformedRequest, "the head was not complete in time"
		case begun:
			return httphead.Request{}, 0, flow.MalformedRequest, "the connection ended within the head"
		case timeout && s.served == 0:
			return httphead.Request{}, 0, flow.NotHTTP, "the client said nothing"
		default:
			return httphead.Request{}, 0, flow.NotDecided, ""
		}
	}
}

// worthAsking reports whether a head of which asked bytes were not enough may be
// decided now: at its beginning, when it has an empty line, ended in whichever
// way, or has grown much. A client that sends lines one by one must not make us
// read all of them each time.
func worthAsking(data []byte, asked int) bool {
	const methodAndSpace = 33
	if len(data) == 0 || len(data) == asked {
		return false
	}
	news := data[max(0, asked-2):]
	return asked < methodAndSpace || len(data) >= 2*asked || len(data) >= httphead.MaxHead ||
		bytes.Contains(news, []byte("\n\n")) || bytes.Contains(news, []byte("\n\r\n"))
}

// refuse records and answers a request that goes nowhere, and ends the
// connection: what follows on it cannot be told apart from a body. In audit mode
// the connection passes instead.
func (s *session) refuse(ctx context.Context, f flow.Flow, d flow.Decision, method string, raw []byte, detail string) bool {
	if s.deny(ctx, f, d, raw, detail) {
		return false
	}
	name := placeOf(f)
	if name == "" || len(raw) > 0 {
		name = string(raw[:min(len(raw), dnsname.MaxName)])
	}
	return s.say(d.Reason, name, method)
}

// say answers the client in our own name and closes. It returns false.
func (s *session) say(reason flow.Reason, name, method string) bool {
	if s.client.write(answer(reason, name, method)) == nil {
		s.client.linger(s.p.cfg.Limits.Linger)
	}
	return false
}
