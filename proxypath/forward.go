// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxypath

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/httphead"
	"github.com/sallyport/sallyport/internal/brief"
)

// maxInterim is how many interim responses may come before the final one.
const maxInterim = 64

// failure is why a request that was let through got no answer.
type failure struct {
	reason flow.Reason
	detail string
	silent bool // the answer has begun, so that nothing of ours can be said
}

// forward sends an allowed request, whose head is the first n bytes at hand, to
// its host and the answer back. It reports whether another request may follow.
func (s *session) forward(ctx context.Context, f flow.Flow, d flow.Decision, method string, req httphead.Request, n int) bool {
	reused, err := s.connect(ctx, f)
	if err != nil {
		return s.unreachable(ctx, f, d, method, err)
	}
	f.Dst = s.addr.Addr()
	if now := s.enter(f); now.Verdict != flow.Allow {
		s.drop()
		return s.refuse(ctx, f, now, method, nil, rulesChanged)
	}
	s.record(f, d, nil, "")
	server, out, in := s.server, s.server.sent, s.client.sent
	alive, fail := s.exchange(method, req, n)
	if fail != nil && reused && !fail.silent && server.read == 0 && mayRepeat(method, req) {
		// The server closed a connection that was at hand just as we used it.
		s.drop()
		if _, err = s.connect(ctx, f); err == nil {
			f.Dst, server, out = s.addr.Addr(), s.server, 0
			s.begin(f)
			alive, fail = s.exchange(method, req, n)
		}
	}
	s.begin(flow.Flow{})
	s.p.cfg.End(flowlog.Closed{
		At: s.p.cfg.Now(), Counted: true, BytesOut: server.sent - out, BytesIn: s.client.sent - in,
		Tuple: flowlog.Tuple{Transport: flow.TCP, Src: s.src, Dst: netip.AddrPortFrom(f.Dst, f.Port)},
	})
	switch {
	case fail == nil && alive:
		return true
	case fail == nil:
		s.drop() // now, not after a client that lingers
		s.client.linger(s.p.cfg.Limits.Linger)
		return false
	case ctx.Err() != nil || fail.silent:
		s.client.reset() // so that half an answer is not taken for a whole one
		return false
	}
	s.drop()
	if fail.reason != flow.UpstreamFailed {
		s.recordRefused(f, flow.Decision{Reason: fail.reason, Rule: d.Rule}, fail.detail)
	}
	return s.say(fail.reason, placeOf(f), method)
}

// unreachable records and answers an allowed request whose host cannot be
// reached.
func (s *session) unreachable(ctx context.Context, f flow.Flow, d flow.Decision, method string, err error) bool {
	reason, detail := whyUnreachable(ctx, err)
	f.Proof = flow.Unproved
	return s.refuse(ctx, f, flow.Decision{Reason: reason, Rule: d.Rule}, method, nil, detail)
}

// whyUnreachable says for a record why connect has failed.
func whyUnreachable(ctx context.Context, err error) (reason flow.Reason, detail string) {
	reason = reasonOf(err)
	switch {
	case ctx.Err() != nil:
		detail = "the gateway stops, or the rules have changed"
	case errors.Is(err, errUnreached):
		detail = "no address of the name could be reached"
	case reason == flow.UpstreamFailed:
		detail = "the name could not be resolved: " + brief.Error(err)
	}
	return reason, detail
}

// mayRepeat reports whether a request may be sent twice (RFC 9110 section
// 9.2.2), and its bytes are still at hand.
func mayRepeat(method string, req httphead.Request) bool {
	return req.Body.Kind == httphead.NoBody && (method == "GET" || method == "HEAD" || method == "OPTIONS")
}

// exchange sends one request and relays the responses to it. Body and answer
// flow at the same time.
func (s *session) exchange(method string, req httphead.Request, n int) (alive bool, fail *failure) {
	server := s.server
	server.read = 0
	up := s.upload(req, n)
	resp, m, fail := s.readResponse(method, req, up)
	if fail != nil {
		s.abort(up)
		if errors.Is(up.err, errBody) {
			return false, &failure{reason: flow.MalformedRequest, detail: "the body breaks its framing"}
		}
		return false, fail
	}
	if req.Body.Kind == httphead.NoBody {
		s.client.take(n) // not before: it may have to be sent again
	}
	// A server that answers before it has the whole request may read the rest as
	// another one, or not at all. Then this is the last on both connections.
	whole := up.isWhole()
	if !whole {
		up.cancel()
	}
	if err := pass(s.client, server, m, resp.Body); err != nil {
		s.abort(up)
		return false, &failure{reason: flow.UpstreamFailed, silent: true}
	}
	s.abort(up)
	if errors.Is(up.err, errBody) {
		return false, &failure{reason: flow.MalformedRequest, silent: true}
	}
	if !resp.KeepAlive || len(server.data()) > 0 || !whole {
		s.drop()
	}
	return whole && up.err == nil && req.KeepAlive && resp.KeepAlive, nil
}

// readResponse relays interim responses and waits for the head of the final
// one, which is the first n bytes that the server side then has at hand.
func (s *session) readResponse(method string, req httphead.Request, up *upload) (resp httphead.Response, n int, fail *failure) {
	for range maxInterim {
		resp, n, err := s.readResponseHead(method)
		switch {
		case err != nil:
			return resp, 0, &failure{reason: flow.UpstreamFailed}
		case resp.IsUpgrade():
			return resp, 0, &failure{reason: flow.UpstreamFailed} // nobody asked
		case !resp.IsInterim():
			return resp, n, nil
		}
		if req.Minor == 0 { // RFC 9110 section 15.2
			s.server.take(n)
		} else if err := pass(s.client, s.server, n, httphead.Body{}); err != nil {
			return resp, 0, &failure{reason: flow.UpstreamFailed, silent: true}
		}
		if resp.Status == 100 {
			up.goOn()
		}
	}
	return resp, 0, &failure{reason: flow.UpstreamFailed}
}

func (s *session) readResponseHead(method string) (resp httphead.Response, n int, err error) {
	for asked := 0; ; {
		// The end of a head is an empty line; what is wrong shows there at the latest.
		if data := s.server.data(); len(data) > 0 && (asked < 16 || len(data) >= 2*asked || len(data) >= httphead.MaxHead ||
			bytes.Contains(data[max(0, asked-2):], []byte("\n\r\n"))) {
			asked = len(data)
			var more bool
			if resp, n, more, err = httphead.ReadResponse(data, method); !more {
				return resp, n, err
			}
		}
		if err := s.server.await(firstBuffer); err != nil {
			return resp, 0, fmt.Errorf("read the answer: %w", err)
		}
	}
}

// Times of uploads.
const (
	// expectTime is how long a body waits for the 100 that its client asked for.
	// A server that knows nothing of it gets the body then (RFC 9110 section
	// 10.1.1), as from most clients after one second.
	expectTime = time.Second
	// wholeTime is for a body that has all been sent to be seen as sent.
	wholeTime = 50 * time.Millisecond
	// lateTime is for an answer after the request broke off.
	lateTime = 5 * time.Second
)

// upload is a request on its way to the server.
type upload struct {
	done chan struct{} // closed at its end; err is valid then
	err  error
	on   chan struct{} // closed when a 100 came
	off  chan struct{} // closed when the body is not wanted any more
	late bool          // the body went without the 100 it was to wait for
}

func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

func (u *upload) goOn()   { closeOnce(u.on) }
func (u *upload) cancel() { closeOnce(u.off) }

// isWhole reports whether the whole request is sent, in the way that the client
// and the server agreed on.
func (u *upload) isWhole() bool {
	select {
	case <-u.done:
	case <-time.After(wholeTime):
		return false
	}
	return u.err == nil && !u.late
}

// errUnwanted says that the server answered without waiting for the body.
var errUnwanted = errors.New("the body is not wanted")

// upload sends the head that is the first n bytes at hand, and begins to send
// the body.
func (s *session) upload(req httphead.Request, n int) *upload {
	u := &upload{done: make(chan struct{}), on: make(chan struct{}), off: make(chan struct{})}
	if req.Body.Kind == httphead.NoBody {
		u.err = s.server.write(s.client.data()[:n])
		close(u.done)
		return u
	}
	client, server := s.client, s.server
	go func() {
		defer close(u.done)
		u.err = u.send(client, server, req, n)
		if u.err == nil || errors.Is(u.err, errUnwanted) {
			return
		}
		if errors.Is(u.err, errBody) {
			_ = server.conn.Close() // it must not take what it has for the whole
			return
		}
		// The client went away, or the server no longer listens: an answer may
		// still be on its way, but not for long.
		server.closeWrite()
		server.hurry(lateTime)
	}()
	return u
}

func (u *upload) send(client, server *stream, req httphead.Request, n int) error {
	if req.Expect100 {
		if err := pass(server, client, n, httphead.Body{}); err != nil {
			return err
		}
		n = 0
		timer := time.NewTimer(expectTime)
		defer timer.Stop()
		select {
		case <-u.on:
		case <-u.off:
			return errUnwanted
		case <-timer.C:
			u.late = true
		}
	}
	return pass(server, client, n, req.Body)
}

// abort ends an upload and waits for that.
func (s *session) abort(u *upload) {
	u.cancel()
	select {
	case <-u.done:
		return
	default:
	}
	s.client.stop()
	s.drop()
	<-u.done
}
