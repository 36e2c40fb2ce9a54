// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package connect

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/decide"
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
		if f, d, seen, detail = t.Inside(ctx, otherHost); !allowed(d) {
			if d == (flow.Decision{}) {
				detail = changed
			}
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
