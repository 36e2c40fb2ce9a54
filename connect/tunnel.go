// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package connect

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"time"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/proxypath"
	"github.com/sallyport/sallyport/tlshello"
)

// judge decides about tunnels.
type judge struct {
	rules func() *decide.Snapshot
	now   func() time.Time
	hello time.Duration
}

// serve serves one tunnel: first what the request names, then what is inside.
func (j *judge) serve(ctx context.Context, t *proxypath.Tunnel) {
	f, d := j.authority(t.Flow)
	if !allowed(d) {
		t.Refuse(f, d, "")
		return
	}
	// What comes before our answer was not sent to the server that we have not
	// reached yet. Looked at twice: before others are troubled, and at the last
	// moment.
	const early = "bytes behind the CONNECT request before its answer"
	if t.IsEarly() {
		t.Refuse(t.Flow, flow.Decision{Reason: flow.MalformedRequest}, early)
		return
	}
	if !t.Open(ctx, f, d) {
		return
	}
	f.Dst = t.Flow.Dst
	if t.IsEarly() {
		t.Refuse(t.Flow, flow.Decision{Reason: flow.MalformedRequest}, early)
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
	t.Release(f, d)
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
	silent    = "the client ended the connection and sent nothing"
	halfHello = "the connection ended within the ClientHello"
	changed   = "the gateway stops, or the rules have changed"
)

// inside waits for the ClientHello and decides whether it proves the name that
// the request gave. seen is the name in the hello where it is not a valid one.
func (j *judge) inside(ctx context.Context, t *proxypath.Tunnel) (f flow.Flow, d flow.Decision, seen []byte, detail string) {
	f = t.Flow
	h, reason, detail := j.read(t)
	switch {
	case ctx.Err() != nil:
		return f, flow.Decision{}, nil, changed
	case reason == flow.AddressAsName || reason == flow.InvalidName:
		f.Name = dnsname.Name{}
		return f, flow.Decision{Reason: reason}, h.Name, ""
	case reason != flow.NotDecided:
		return f, flow.Decision{Reason: reason}, nil, detail
	case h.ECH: // as everywhere: GREASE cannot be told from the real thing
		return f, flow.Decision{Reason: flow.EncryptedHello}, nil, ""
	}
	name, err := dnsname.Parse(string(h.Name))
	if err != nil {
		f.Name = dnsname.Name{}
		return f, flow.Decision{Reason: flow.InvalidName}, h.Name, ""
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
	return f, d, nil, ""
}

// read holds what the client sends until its ClientHello is whole, or cannot
// become one any more. The hello aliases what is held.
func (j *judge) read(t *proxypath.Tunnel) (h tlshello.Hello, reason flow.Reason, detail string) {
	until := time.Now().Add(j.hello)
	scratch := make([]byte, tlshello.MaxBytes)
	for {
		more := true
		if held := t.Held(); len(held) > 0 {
			if h, more, reason = tlshello.Read(held, scratch); !more {
				return h, reason, ""
			}
		}
		err := t.Fill(until)
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			return h, flow.HelloTimeout, ""
		case len(t.Held()) == 0:
			return h, flow.NotTLS, silent
		default:
			return h, flow.MalformedHello, halfHello
		}
	}
}
