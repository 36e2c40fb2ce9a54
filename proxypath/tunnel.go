// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxypath

import (
	"context"
	"io"
	"net/netip"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/httphead"
	"github.com/sallyport/sallyport/tlshello"
)

// tunnel serves a connection that a rule about its address allows. Such a rule
// looks at nothing else, so the bytes pass unread; that the connection came here
// at all is because some name leads to the same address over HTTP.
func (s *session) tunnel(ctx context.Context, f flow.Flow, d flow.Decision) {
	if err := s.connectWanted(ctx); err != nil {
		s.recordRefused(f, flow.Decision{Reason: flow.UpstreamFailed, Rule: d.Rule}, "")
		s.client.reset()
		return
	}
	s.passAll(ctx, f, d)
}

// passAll passes everything on a connection that d allows and whose server is
// connected, from what is at hand on.
func (s *session) passAll(ctx context.Context, f flow.Flow, d flow.Decision) {
	if now := s.enter(f); now.Verdict != flow.Allow {
		if !s.deny(ctx, f, now, nil, rulesChanged) {
			s.client.reset()
			s.server.reset()
		}
		return
	}
	s.record(f, d, nil, "")
	s.splice(ctx, f)
}

// anyBytes judges what names a host by a rule for tcp, where d says that no rule is
// for its protocol: by such a rule any protocol may pass. It came here because
// another name, which leads to the same address, has a rule for HTTP or a strict one.
func (s *session) anyBytes(f flow.Flow, d flow.Decision) (flow.Flow, flow.Decision) {
	if d.Reason != flow.ProtocolMismatch {
		return f, d
	}
	raw := f
	raw.App, raw.Proof, raw.Dst = flow.Raw, flow.ByDNS, netip.Addr{}
	if e := s.p.cfg.Rules().Decide(raw, s.p.cfg.Now()); e.Verdict == flow.Allow {
		raw.Dst = f.Dst
		return raw, e
	}
	return f, d
}

// splice passes everything between client and server until both have ended, one
// fails, or no byte moves for Limits.Stall. What ended on one side ends on the
// other, and the way back stays open. Behind a name in a ClientHello no other hello
// passes that was not judged. The flow is the one under way.
func (s *session) splice(ctx context.Context, f flow.Flow) {
	client, server := s.client, s.server
	out, in := server.sent, client.sent
	outwards, inwards := func() error { return nil }, func() error { return nil }
	if f.Proof == flow.ByResolvedSNI || f.Proof == flow.ByConnect {
		replies, deaf := make(chan tlshello.Reply, 4), make(chan struct{})
		outwards = func() error {
			defer close(deaf)
			return s.shakeHands(ctx, f, replies)
		}
		inwards = func() error { return s.listen(ctx, replies, deaf) }
	}
	half := func(dst, src *stream, first func() error) {
		err := first()
		if err == nil {
			// Whatever is at hand is the first of it.
			err = pass(dst, src, 0, httphead.Body{Kind: httphead.UntilClose})
		}
		if err != nil && err != io.EOF {
			s.cancel() // also wakes the other half
			return
		}
		dst.closeWrite()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		half(server, client, outwards)
	}()
	half(client, server, inwards)
	<-done
	s.begin(flow.Flow{})
	s.p.cfg.End(flowlog.Closed{
		At: s.p.cfg.Now(), Counted: true, BytesOut: server.sent - out, BytesIn: client.sent - in,
		Tuple: flowlog.Tuple{Transport: flow.TCP, Src: s.src, Dst: s.addr},
	})
}
