// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/netip"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab/client"
	"github.com/sallyport/sallyport/lab/internet"
)

// Ways out with segments that no kernel sends of itself. Their client has a raw
// socket, as whoever is root on a node has, and IPv4 is enough to show them.

// overlaps sends part of an allowed hello ahead of the refused one.
var overlaps = []Try{
	withDecoy("", flow.OverlapMismatch, func(allowed []byte) client.Decoy {
		return client.Decoy{Offset: 20, Data: allowed[20 : len(allowed)-20]}
	}),
}

// decoys are whole allowed hellos that the server throws away.
var decoys = []Try{
	withDecoy("few hops", flow.OverlapMismatch, func(allowed []byte) client.Decoy {
		return client.Decoy{Data: allowed, Hops: internet.MinHops} // one less behind the gateway
	}),
	withDecoy("bad checksum", flow.NameNotAllowed, func(allowed []byte) client.Decoy {
		return client.Decoy{Data: allowed, BadChecksum: true}
	}),
	withDecoy("old timestamp", flow.OverlapMismatch, func(allowed []byte) client.Decoy {
		return client.Decoy{Data: allowed, Stale: true}
	}),
	withDecoy("before the stream", flow.NameNotAllowed, func(allowed []byte) client.Decoy {
		return client.Decoy{Offset: -len(allowed), Data: allowed}
	}),
}

// withDecoy is the try of a refused hello behind a decoy made of an allowed one.
func withDecoy(what string, want flow.Reason, decoy func(allowed []byte) client.Decoy) Try {
	return Try{What: what, Want: []flow.Reason{want}, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		allowed, at, err := e.Shared(ctx)
		if err != nil {
			return false, "", err
		}
		lure, err := client.Hello(client.TLS{Classical: true}, allowed)
		if err != nil {
			return false, "", err
		}
		hello, err := refusedHello(e, "")
		if err != nil {
			return false, "", err
		}
		return e.SayBehind(ctx, client.Raw{To: at, Chunks: [][]byte{hello}, Decoys: []client.Decoy{decoy(lure)}})
	}}
}

// SayBehind is Say for what has a decoy ahead, which may arrive: only the nonce
// must not.
func (e *Env) SayBehind(ctx context.Context, r client.Raw) (leaked bool, detail string, err error) {
	e.proxied = true
	return e.Say(ctx, r)
}

var dataOnSYN = []Try{
	forged("", flow.OutOfState, func(_ *Env, s *client.Segment) { s.Flags, s.Ack = client.SYN, 0 }),
}

var midStream = []Try{
	forged("to an allowed address", flow.OutOfState, func(*Env, *client.Segment) {}),
	forged("to the attacker", flow.OutOfState, func(e *Env, s *client.Segment) { s.To = e.attacker(443) }),
}

// forged is the try of one segment with payload that no connection has; change
// makes it a special one.
func forged(what string, want flow.Reason, change func(e *Env, s *client.Segment)) Try {
	return Try{What: what, Want: []flow.Reason{want}, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		_, at, err := e.Shared(ctx)
		if err != nil {
			return false, "", err
		}
		hello, err := refusedHello(e, "")
		if err != nil {
			return false, "", err
		}
		s := client.Segment{
			From: netip.AddrPortFrom(e.Source, uint16(1024+rand.IntN(30000))), To: at,
			Seq: rand.Uint32(), Ack: rand.Uint32(), Flags: client.PSH | client.ACK, Data: hello,
		}
		change(e, &s)
		return e.Forge(ctx, s)
	}}
}

// Forge sends a segment and reports whether anything of it arrived anywhere.
func (e *Env) Forge(ctx context.Context, s client.Segment) (leaked bool, detail string, err error) {
	if _, err := e.Lab.Forge(ctx, s); err != nil {
		return false, "", err
	}
	e.flows = append(e.flows, triedFlow{"tcp", s.From, s.To})
	if leaked, detail = e.Leaked(ctx); !leaked {
		detail = "silence"
	}
	return leaked, detail, nil
}

var fragments = []Try{
	forged("a hello, mid-stream", flow.OutOfState, func(e *Env, s *client.Segment) {
		// The nonce must be whole in one of them to be found.
		s.Fragment = (20 + bytes.Index(s.Data, []byte(e.Nonce))) &^ 7
	}),
	datagram("UDP to the attacker", []flow.Reason{flow.UnboundAddress}, func(e *Env) netip.AddrPort { return e.attacker(9000) }, inPieces),
	datagram("UDP to an allowed address", []flow.Reason{flow.ProtocolMismatch, flow.PortNotAllowed}, func(e *Env) netip.AddrPort {
		return netip.AddrPortFrom(e.Lab.Plan.Shared, 443)
	}, inPieces),
}

// inPieces is a datagram that needs three fragments, with the nonce in the first
// and the last.
func inPieces(e *Env) []byte {
	b := append([]byte(e.Nonce), make([]byte, 3500)...)
	return append(b, e.Nonce...)
}
