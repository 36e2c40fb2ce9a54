// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"net/netip"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab/client"
)

// Ways out over IPv6, where the cluster has any.

func needsIPv6(p *Plan) error {
	if !p.IPv6 {
		return errors.New("the cluster has no IPv6")
	}
	return nil
}

var overIPv6 = []Try{
	over6("an allowed name elsewhere", flow.UnboundAddress, func(e *Env) (client.Raw, error) {
		name, err := e.Allowed()
		if err != nil {
			return client.Raw{}, err
		}
		hello, err := e.Hello(client.TLS{}, name)
		return client.Raw{To: netip.AddrPortFrom(attacker6, 443), Chunks: [][]byte{hello}}, err
	}),
	over6("another name on the shared address", flow.NameNotAllowed, func(e *Env) (client.Raw, error) {
		hello, err := refusedHello(e, "")
		return client.Raw{To: netip.AddrPortFrom(cdn6, 443), Chunks: [][]byte{hello}}, err
	}),
	over6("another resolver", flow.OtherResolver, func(e *Env) (client.Raw, error) {
		b, err := question(e)
		return client.Raw{UDP: true, To: netip.AddrPortFrom(attacker6, 53), Chunks: [][]byte{b}}, err
	}),
	over6("UDP 1194", flow.UnboundAddress, func(e *Env) (client.Raw, error) {
		return client.Raw{UDP: true, To: netip.AddrPortFrom(attacker6, 1194), Chunks: [][]byte{nonceBytes(e)}}, nil
	}),
	pinging("ICMPv6 echo", func(*Plan) netip.Addr { return attacker6 }),
	injected("from the node's address, arriving outside", func(e *Env) netip.Addr { return e.sourceFor(attacker6) }, internetSide),
}

// over6 is the try of a flow from the node's IPv6 address. The shared address is
// bound before.
func over6(what string, want flow.Reason, make func(e *Env) (client.Raw, error)) Try {
	return Try{What: what, Want: []flow.Reason{want}, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		allowed, err := e.Allowed()
		if err != nil {
			return false, "", err
		}
		if _, err := e.Lab.Ask(ctx, client.Question{Name: allowed, Type: "AAAA", Source: e.Source}); err != nil {
			return false, "", err
		}
		r, err := make(e)
		if err != nil {
			return false, "", err
		}
		r.Source = e.sourceFor(r.To.Addr())
		return e.Say(ctx, r)
	}}
}
