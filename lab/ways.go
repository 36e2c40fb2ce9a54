// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/cluster"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab/client"
	"github.com/sallyport/sallyport/program"
)

// Way is one way out that an attacker inside the cluster may try, in one or more
// forms. Each is tried twice: past plain forwarding, where it must lead out, so
// that the test is able to fail; and past the gateway, where it must not, with a
// record that says why.
type Way struct {
	ID     string // of the security test list, such as "B01"
	Title  string
	Tries  []Try
	Needs  func(p *Plan) error         // says what a lab lacks to try it in; nil: nothing is needed
	Beside func(lawful *client.Target) // makes the lawful flow beside it like it; nil: it is an ordinary one
}

// Try is one form of a way out.
type Try struct {
	What string        // "" when there is but one form
	Want []flow.Reason // one of these is recorded; none when nothing is there to record it
	// Single is what is recorded in place of Want where inside and outside are one
	// interface; nil: the same.
	Single []flow.Reason
	// TwoSides says that it can only be held where inside and outside are two
	// interfaces; with one, it is not tried.
	TwoSides bool
	// Do tries it and reports whether any payload of it reached a server that it
	// was not allowed to reach, with what happened in a few words. err is for what
	// kept it from being tried at all.
	Do func(ctx context.Context, e *Env) (leaked bool, detail string, err error)
}

// Ways are the ways out that are tried, in the order of the list. Those of the
// list that are not here are either no test of one machine or need more than a
// client's own kernel.
var Ways = []Way{
	{ID: "B01", Title: "allowed server name sent to the attacker's address", Tries: allowedNameElsewhere},
	{ID: "B02", Title: "another name on an allowed name's shared address", Tries: otherNameOnSharedAddress},
	{ID: "B04", Title: "no server name on an allowed name's address", Tries: noServerName},
	{ID: "B05", Title: "an encrypted hello behind an allowed outer name", Tries: encryptedHello},
	{ID: "B06", Title: "refused hello in many segments", Tries: helloInSegments, Beside: inSegments},
	{ID: "B07", Title: "refused hello over several TLS records", Tries: helloInRecords},
	{ID: "B08", Title: "segments that overlap with other bytes", Tries: overlaps},
	{ID: "B09", Title: "an allowed hello that the server never sees", Tries: decoys},
	{ID: "B10", Title: "data on the SYN", Tries: dataOnSYN},
	{ID: "B11", Title: "leaving HTTP", Tries: leavingHTTP, Needs: needsHTTP},
	{ID: "B12", Title: "a second request, for a host not allowed", Tries: secondRequest, Needs: needsHTTP},
	{ID: "B13", Title: "requests that can be read in two ways", Tries: ambiguousRequests, Needs: needsHTTP},
	{ID: "B16", Title: "data in questions to the gateway's resolver", Tries: dnsTunnel},
	{ID: "B17", Title: "another resolver: DNS, DoT, DoQ, DoH", Tries: otherResolver},
	{ID: "B18", Title: "answers with records nobody asked for", Tries: poisonedAnswers},
	{ID: "B19", Title: "an allowed name that leads to a forbidden address", Tries: rebinding},
	{ID: "B20", Title: "address literal, or another port on a bound address", Tries: literalOrPort},
	{ID: "B21", Title: "another protocol on 443 of an allowed address", Tries: otherProtocol},
	{ID: "B22", Title: "QUIC to an allowed address", Tries: quic},
	{ID: "B23", Title: "payload in ICMP", Tries: ping},
	{ID: "B24", Title: "NTP, 1194, 9000 and 22 as tunnels to anywhere", Tries: tunnelPorts},
	{ID: "B26", Title: "IPv6 beside IPv4", Tries: overIPv6, Needs: needsIPv6},
	{ID: "B27", Title: "payload in IP fragments", Tries: fragments},
	{ID: "B28", Title: "a flow picked up in the middle", Tries: midStream},
	{ID: "B29", Title: "our marks, put on by somebody else", Tries: forgedMarks, Needs: needsNft},
	{ID: "B30", Title: "so much at once that nobody looks", Tries: floods},
	{ID: "B31", Title: "the gateway killed", Tries: killed},
	{ID: "B33", Title: "another's address as the source", Tries: spoofed},
	{ID: "B34", Title: "an allowed name that leads to the gateway itself", Tries: loops},
	{ID: "B35", Title: "server names that are read in two ways", Tries: oddNames},
	{ID: "B36", Title: "a resumed session's early data under another name", Tries: earlyData},
}

// Env is what a Try has at hand.
type Env struct {
	Lab      *Lab
	Cluster  *cluster.Cluster
	Program  *program.Program
	Firewall *Firewall  // nil while everything is forwarded plainly
	Source   netip.Addr // the node's address
	Nonce    string     // of this try; whatever carries it out has leaked
	Began    time.Time  // when this try began

	flows   []triedFlow // of this try
	proxied bool        // a server may hear of these flows lawfully
	label   string      // of a name made up for this try
}

// triedFlow is a flow that a try has begun.
type triedFlow struct {
	proto    string // tcp, udp or icmp
	from, to netip.AddrPort
}

func flowOf(r client.Raw, h client.Heard) triedFlow {
	if r.UDP {
		return triedFlow{"udp", h.Local, r.To}
	}
	return triedFlow{"tcp", h.Local, r.To}
}

// Held reports whether the gateway is in force.
func (e *Env) Held() bool { return e.Firewall != nil }

// Allowed returns an allowed HTTPS name that stands on the shared address.
func (e *Env) Allowed() (string, error) {
	if len(e.Lab.Plan.OnShared) == 0 {
		return "", errors.New("the program has no exact HTTPS name that could share an address")
	}
	return e.Lab.Plan.OnShared[0], nil
}

// Resolve asks the node's resolver for an allowed name, which binds its
// addresses. Like any stub it asks once more when a datagram got lost.
func (e *Env) Resolve(ctx context.Context, name string) (netip.Addr, error) {
	a, err := e.Lab.Ask(ctx, client.Question{Name: name, Source: e.Source})
	if err == nil && len(a.Addrs) == 0 && a.Rcode == "" {
		a, err = e.Lab.Ask(ctx, client.Question{Name: name, Source: e.Source})
	}
	if err == nil && len(a.Addrs) == 0 {
		err = fmt.Errorf("%s does not resolve: %s%s", name, a.Rcode, a.Error)
	}
	if err != nil {
		return netip.Addr{}, err
	}
	return a.Addrs[0], nil
}

// Hello returns a ClientHello that carries the nonce, as a protocol it offers.
func (e *Env) Hello(t client.TLS, name string) ([]byte, error) {
	t.ALPN = append(t.ALPN, e.Nonce)
	return client.Hello(t, name)
}

// settle is how long is waited for what must not arrive. Everything here is one
// machine: what the gateway lets pass arrives within a millisecond.
const settle = 150 * time.Millisecond

// Leaked reports whether anything of the try reaches any server, and where: its
// nonce, or any payload of its flows.
func (e *Env) Leaked(ctx context.Context) (bool, string) {
	within := settle
	if !e.Held() {
		within = soon
	}
	if at, ok := e.Lab.Internet.Arrived(ctx, []byte(e.Nonce), within); ok {
		return true, "payload arrived at " + at.String()
	}
	if e.Held() && !e.proxied {
		for _, f := range e.flows {
			if e.Lab.Internet.HeardOf(e.Began, f.proto, f.from.Port(), f.to) {
				return true, "some of the flow arrived at " + f.to.String()
			}
		}
	}
	return false, ""
}

// about reports whether a record is about this try: about one of its flows, or a
// name that nobody else uses.
func (e *Env) about(r Record) bool {
	if strings.Contains(r.Name, e.Nonce) || e.label != "" && strings.Contains(r.Name, e.label) {
		return true
	}
	return slices.ContainsFunc(e.flows, func(f triedFlow) bool {
		if f.proto == "icmp" { // without ports
			return strings.HasPrefix(r.Source, f.from.Addr().String()) && strings.HasPrefix(r.Dest, f.to.Addr().String())
		}
		return r.Source == f.from.String() && r.Dest == f.to.String()
	})
}

// Say says it and reports whether anything of it arrived anywhere.
func (e *Env) Say(ctx context.Context, r client.Raw) (leaked bool, detail string, err error) {
	leaked, h, detail, err := e.say(ctx, r)
	if err == nil && !leaked {
		detail = h.Outcome()
	}
	return leaked, detail, err
}

// say is Say with what the client heard. Past the gateway the client listens for
// a while, if r does not say how long, or until it is told of the refusal.
func (e *Env) say(ctx context.Context, r client.Raw) (leaked bool, h client.Heard, where string, err error) {
	if !r.Source.IsValid() {
		r.Source = e.Source
	}
	if r.Listen == 0 {
		r.Listen = settle
	}
	if !e.Held() && !r.First {
		r.Listen = time.Millisecond // what matters is what has been said
	}
	if h, err = e.Lab.Say(ctx, r); err != nil {
		return false, h, "", err
	}
	if h.Local.IsValid() {
		e.flows = append(e.flows, flowOf(r, h))
	}
	leaked, where = e.Leaked(ctx)
	return leaked, h, where, nil
}

// SayHello sends a hello to an address and reports whether it arrived anywhere.
func (e *Env) SayHello(ctx context.Context, to netip.AddrPort, hello []byte) (leaked bool, detail string, err error) {
	return e.Say(ctx, client.Raw{To: to, Chunks: [][]byte{hello}})
}

// Shared binds the shared address by resolving an allowed name, and returns that
// name with the address.
func (e *Env) Shared(ctx context.Context) (name string, at netip.AddrPort, err error) {
	if name, err = e.Allowed(); err != nil {
		return "", at, err
	}
	addr, err := e.Resolve(ctx, name)
	return name, netip.AddrPortFrom(addr, 443), err
}

// attacker is a port of the attacker's.
func (e *Env) attacker(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(e.Lab.Plan.Attacker, port)
}
