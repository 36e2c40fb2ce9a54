// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"net/netip"
	"testing"
	"time"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/internal/vectors"
	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
)

// TestVectorsWithRealPackets plays the table of flows through a real gateway:
// what is allowed is understood by the server, what is denied leaves no byte of
// payload outside, and the record names the reason.
func TestVectorsWithRealPackets(t *testing.T) {
	s := newSite(t, example(t, vectors.Example), nil)
	// A machine that is no part of the cluster stands behind the same wire.
	for _, c := range [][]string{
		{"ip", "addr", "add", vectors.Outsider.String() + "/32", "dev", "eth0"},
	} {
		if r := s.run(c...); r.Code != 0 {
			t.Fatalf("%v: %s", c, r.Stderr)
		}
	}
	r, err := s.Gateway.Run(t.Context(), lab.Cmd{Argv: []string{"ip", "route", "add", vectors.Outsider.String(), "dev", lab.InsideLink}})
	if err != nil || r.Code != 0 {
		t.Fatalf("%v %s", err, r.Stderr)
	}
	s.start()
	for _, v := range vectors.All {
		t.Run(v.Name, func(t *testing.T) {
			play(t, s, v)
		})
	}
}

// play sends v's flow from the node and compares what happens with the table.
func play(t *testing.T, s *site, v vectors.Vector) {
	target := client.Target{
		Kind: kind(v), Port: v.Port, Name: v.Host, Nonce: client.NewNonce(), Timeout: 3 * time.Second,
		TLS: client.TLS{Unverified: true, NoName: v.Host == ""},
	}
	if v.Stranger {
		target.Source = vectors.Outsider
	}
	addr, fixed := v.To.Address()
	switch {
	case fixed:
		target.Addr = addr
	case v.At != "":
		// The client has asked for the other name, and so the gateway has bound
		// its address.
		a, err := s.Ask(t.Context(), client.Question{Name: v.At})
		if err != nil || len(a.Addrs) == 0 {
			t.Fatalf("ask for %s: %+v, %v", v.At, a, err)
		}
		target.Addr = a.Addrs[0]
	}
	_, got := s.Reach(t.Context(), target)
	if v.Verdict == flow.Allow {
		if !got.OK {
			t.Errorf("%+v, want it to pass", got)
		} else if _, ok := s.Internet.Await(t.Context(), target.Nonce, time.Second); !ok {
			t.Error("no server has seen its nonce")
		}
	} else {
		if got.OK {
			t.Errorf("passed, want %s", v.Reason)
		}
		if !got.Refused && got.Status != 403 {
			t.Errorf("%+v: the client was not told", got)
		}
		if to, leaked := s.Internet.Arrived(t.Context(), []byte(target.Nonce), 0); leaked {
			t.Errorf("payload arrived at %s", to)
		}
	}
	want := v.Reason
	if v.Wire != flow.NotDecided {
		want = v.Wire
	}
	site := *s
	site.t = t
	site.awaitRecord(v.Verdict.String()+" "+want.String()+" for "+v.Name, func(r lab.Record) bool {
		return r.Verdict == v.Verdict.String() && r.Reason == want.String() && concerns(r, v, got)
	})
}

// concerns reports whether a record is about a vector's flow.
func concerns(r lab.Record, v vectors.Vector, got client.Result) bool {
	if got.Local.IsValid() && r.Source == got.Local.String() {
		return true
	}
	if dest, err := netip.ParseAddrPort(r.Dest); err == nil && got.Remote.IsValid() {
		return dest == got.Remote
	}
	return r.Dest == "" && r.Name == v.Host
}

// kind returns the client that speaks a vector's protocol.
func kind(v vectors.Vector) string {
	switch {
	case v.Protocol == flow.ProtoHTTPS:
		return client.HTTPS
	case v.Protocol == flow.ProtoHTTP:
		return client.HTTP
	case v.Protocol == flow.ProtoUDP && v.Port == 123:
		return client.NTP
	case v.Protocol == flow.ProtoUDP:
		return client.UDP
	}
	return client.TCP
}
