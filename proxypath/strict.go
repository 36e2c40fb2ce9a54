// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxypath

import (
	"context"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/echprobe"
	"github.com/sallyport/sallyport/flow"
)

// recordHandshake is the first byte of a TLS stream, and of no request (RFC 8446
// section 5.1).
const recordHandshake = 22

// isTLS waits for the first byte and reports whether it begins a TLS stream.
func (s *session) isTLS() bool {
	if len(s.client.data()) == 0 {
		_ = s.client.fill(time.Now().Add(s.p.cfg.Limits.Head), firstBuffer) // whoever reads next finds out why not
	}
	data := s.client.data()
	return len(data) > 0 && data[0] == recordHandshake
}

// strict serves a connection whose stream is TLS: it is here because some name
// that leads to its address has a rule that is strict. The name in the
// ClientHello is resolved again, and what that gives is dialled, whatever address
// the client has chosen. The bytes pass unread behind the server's first ones.
func (s *session) strict(ctx context.Context) {
	f := s.wanted()
	f.App = flow.TLS
	deny := func(d flow.Decision, raw []byte, detail string) {
		if !s.deny(ctx, f, d, raw, detail) {
			s.client.reset()
		}
	}
	name, seen, reason, detail := s.helloName(false)
	if ctx.Err() != nil {
		return // was cut
	}
	if reason != flow.NotDecided {
		deny(flow.Decision{Reason: reason}, seen, detail)
		return
	}
	f.Name, f.Proof = name, flow.ByResolvedSNI
	asked := f
	asked.Dst = netip.Addr{} // a rule about the address would not have looked inside
	var d flow.Decision
	if f, d = s.anyBytes(f, s.p.cfg.Rules().Decide(asked, s.p.cfg.Now())); d.Verdict != flow.Allow {
		deny(d, nil, "")
		return
	}
	if _, err := s.connect(ctx, f); err != nil {
		reason, detail := whyUnreachable(ctx, err)
		f.Proof = flow.Unproved
		deny(flow.Decision{Reason: reason, Rule: d.Rule}, nil, detail)
		return
	}
	f.Dst = s.addr.Addr()
	if f.Proof == flow.ByDNS {
		s.passAll(ctx, f, d)
		return
	}
	if hides, why := s.hides(ctx, name); hides {
		if ctx.Err() != nil {
			return // was cut
		}
		f.Proof = flow.Unproved
		deny(flow.Decision{Reason: flow.EncryptedHello}, nil, why)
		return
	}
	s.passAll(ctx, f, d)
}

// hides reports whether the client's hello, whose name is allowed, may have another
// one inside: when the server that s is connected to knows ECH, or nobody can tell;
// and why. It waits as long as a client may take for its hello.
func (s *session) hides(ctx context.Context, name dnsname.Name) (hides bool, why string) {
	if !s.ech || s.p.cfg.ECH == nil {
		return s.ech, ""
	}
	ctx, cancel := context.WithTimeout(ctx, s.p.cfg.Limits.Hello)
	defer cancel()
	a, why := s.p.cfg.ECH(ctx, s.src.Addr(), s.addr, name)
	return a != echprobe.Ignored, why
}
