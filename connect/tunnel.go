// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package connect

import (
	"context"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/proxypath"
)

// judge decides about tunnels.
type judge struct {
	rules func() *decide.Snapshot
	now   func() time.Time
}

// serve serves one tunnel: first what the request names, then what is inside.
func (j *judge) serve(ctx context.Context, t *proxypath.Tunnel) {
	f, d := j.authority(t.Flow)
	if !allowed(d) {
		t.Refuse(ctx, f, d, "")
		return
	}
	// What comes before our answer was not sent to the server that we have not
	// reached yet. Looked at twice: before others are troubled, and at the last
	// moment.
	const early = "bytes behind the CONNECT request before its answer"
	if t.IsEarly() {
		t.Refuse(ctx, t.Flow, flow.Decision{Reason: flow.MalformedRequest}, early)
		return
	}
	if !t.Open(ctx, f, d) {
		return
	}
	f.Dst = t.Flow.Dst
	if t.IsEarly() {
		t.Refuse(ctx, t.Flow, flow.Decision{Reason: flow.MalformedRequest}, early)
		return
	}
	if !t.Answer() {
		t.Cut(t.Flow, flow.Decision{}, nil, "the client went away before its answer")
		return
	}
	if f.Proof == flow.ByConnect {
		var seen []byte
		var detail string
		if f, d, seen, detail = j.inside(ctx, t); !allowed(d) {
			t.Cut(f, d, seen, detail)
			return
		}
	}
	t.Release(ctx, f, d)
}

// authority decides about what a request names. The flow that is allowed says
// what is still to be proved: flow.ByConnect, for which the ClientHello must
// name the same host, or flow.ByAddress or flow.ByDNS, for which every byte is
// as good as another. Where both kinds of rule open the port, the one that asks
// for less is the one that lets more through, and so it decides.
func (j *judge) authority(asked flow.Flow) (flow.Flow, flow.Decision) {
	rules, now := j.rules(), j.now()
	f := asked
	f.App = flow.Raw
	if f.Name.IsZero() {
		f.Proof = flow.ByAddress
		return f, rules.Decide(f, now)
	}
	f.Proof = flow.ByDNS
	raw := rules.Decide(f, now)
	if allowed(raw) {
		return f, raw
	}
	f.App, f.Proof = flow.TLS, flow.ByConnect
	tls := rules.Decide(f, now)
	switch {
	case allowed(tls):
		return f, tls
	case tls.Reason == flow.ProtocolMismatch && raw.Reason != flow.ProtocolMismatch:
		asked.App = flow.Raw // the rule that came nearest is about any bytes
		return asked, raw
	}
	return asked, tls
}

// Details of records.
const (
	otherHost = "the ClientHello names another host than CONNECT"
	changed   = "the gateway stops, or the rules have changed"
)

// inside waits for the ClientHello and decides whether it proves the name that
// the request gave. seen is the name in the hello where it is not a valid one.
func (j *judge) inside(ctx context.Context, t *proxypath.Tunnel) (f flow.Flow, d flow.Decision, seen []byte, detail string) {
	f = t.Flow
	name, seen, reason, detail := t.HelloName()
	switch {
	case ctx.Err() != nil:
		return f, flow.Decision{}, nil, changed
	case reason != flow.NotDecided:
		if len(seen) > 0 {
			f.Name = dnsname.Name{}
		}
		return f, flow.Decision{Reason: reason}, seen, detail
	}
	same := name == f.Name
	f.Name, f.Proof = name, flow.ByConnect
	asked := f
	asked.Dst = netip.Addr{} // a rule about the address would not have looked inside
	d = j.rules().Decide(asked, j.now())
	if !same {
		f.Proof = flow.Unproved
		if allowed(d) {
			d.Verdict, d.Reason = flow.Deny, flow.NameAddressMismatch
		}
		return f, d, nil, otherHost
	}
	if !allowed(d) {
		return f, d, nil, ""
	}
	if hides, why := t.Hides(ctx, name); hides {
		f.Proof = flow.Unproved
		if ctx.Err() != nil {
			return f, flow.Decision{}, nil, changed
		}
		return f, flow.Decision{Reason: flow.EncryptedHello}, nil, why
	}
	return f, d, nil, ""
}
