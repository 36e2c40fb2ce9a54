// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/cluster"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab/client"
	"github.com/sallyport/sallyport/program"
)

// Way is one way out that an attacker inside the cluster may try. Each is tried
// twice: past plain forwarding, where it must lead out, so that the test is able
// to fail; and past the gateway, where it must not, with a record that says why.
type Way struct {
	ID    string // of the security test list, such as "B01"
	Title string
	Want  []flow.Reason // one of these is recorded; none when nothing is there to record it
	// Try tries it and reports whether any payload of it reached a server that it
	// was not allowed to reach, with what happened in a few words. err is for what
	// kept it from being tried at all.
	Try func(ctx context.Context, e *Env) (leaked bool, detail string, err error)
}

// Ways are the ways out that are tried, in the order of the list.
var Ways = []Way{
	{
		ID: "B01", Title: "allowed server name sent to the attacker's address",
		Want: []flow.Reason{flow.UnboundAddress}, Try: allowedNameElsewhere,
	},
	{
		ID: "B02", Title: "another name on an allowed name's shared address",
		Want: []flow.Reason{flow.NameNotAllowed}, Try: otherNameOnSharedAddress,
	},
	{
		ID: "B04", Title: "no server name on an allowed name's address",
		Want: []flow.Reason{flow.NoName}, Try: noServerName,
	},
}

// Env is what a Way has at hand.
type Env struct {
	Lab      *Lab
	Cluster  *cluster.Cluster
	Program  *program.Program
	Firewall *Firewall  // nil while everything is forwarded plainly
	Source   netip.Addr // the node's address
	Nonce    string     // of this attempt; whatever carries it out has leaked
	Began    time.Time  // when this attempt began
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
// addresses.
func (e *Env) Resolve(ctx context.Context, name string) (netip.Addr, error) {
	a, err := e.Lab.Ask(ctx, client.Question{Name: name, Source: e.Source})
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

// Leaked reports whether the attempt's nonce reaches any server, and where.
func (e *Env) Leaked(ctx context.Context) (bool, string) {
	within := settle
	if !e.Held() {
		within = soon
	}
	if at, ok := e.Lab.Internet.Arrived(ctx, []byte(e.Nonce), within); ok {
		return true, "payload arrived at " + at.String()
	}
	return false, ""
}

// SayHello sends a hello to an address and reports whether it arrived anywhere.
func (e *Env) SayHello(ctx context.Context, to netip.AddrPort, hello []byte) (leaked bool, detail string, err error) {
	h, err := e.Lab.Say(ctx, client.Raw{Source: e.Source, To: to, Chunks: [][]byte{hello}, Listen: settle})
	if err != nil {
		return false, "", err
	}
	leaked, detail = e.Leaked(ctx)
	if !leaked {
		detail = h.Outcome()
	}
	return leaked, detail, nil
}

func allowedNameElsewhere(ctx context.Context, e *Env) (bool, string, error) {
	name, err := e.Allowed()
	if err != nil {
		return false, "", err
	}
	hello, err := e.Hello(client.TLS{}, name)
	if err != nil {
		return false, "", err
	}
	return e.SayHello(ctx, netip.AddrPortFrom(e.Lab.Plan.Attacker, 443), hello)
}

func otherNameOnSharedAddress(ctx context.Context, e *Env) (bool, string, error) {
	return e.onShared(ctx, client.TLS{}, FrontedName)
}

func noServerName(ctx context.Context, e *Env) (bool, string, error) {
	return e.onShared(ctx, client.TLS{NoName: true}, "")
}

// onShared binds the shared address by resolving an allowed name, and says
// another hello there.
func (e *Env) onShared(ctx context.Context, t client.TLS, name string) (bool, string, error) {
	allowed, err := e.Allowed()
	if err != nil {
		return false, "", err
	}
	at, err := e.Resolve(ctx, allowed)
	if err != nil {
		return false, "", err
	}
	hello, err := e.Hello(t, name)
	if err != nil {
		return false, "", err
	}
	return e.SayHello(ctx, netip.AddrPortFrom(at, 443), hello)
}
