// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab/client"
)

// Ways that lead back to the gateway: whatever dials such a name on a client's
// behalf dials itself, and what the host serves for itself alone is reached.
var loops = []Try{
	leadingBack("the inside", func(p *Plan) netip.Addr { return p.Gateway }),
	leadingBack("the outside", func(p *Plan) netip.Addr { return p.Outside[0] }),
	leadingBack("the public address", func(p *Plan) netip.Addr { return p.Public }),
}

// leadingBack is the try of an allowed name whose owner makes it lead to the
// gateway. Nothing of it could arrive in the internet: what leads out is the
// answer, since only an answer binds the address.
func leadingBack(what string, to func(p *Plan) netip.Addr) Try {
	return Try{What: what, Want: []flow.Reason{flow.SpecialAddress}, Do: func(ctx context.Context, e *Env) (leaked bool, detail string, err error) {
		name, err := e.Fresh()
		if err != nil {
			return false, "", err
		}
		at := to(&e.Lab.Plan)
		if !at.IsValid() {
			at = e.Lab.Plan.Gateway
		}
		net := e.Lab.Internet
		if err := net.SetRecords(ctx, map[string][]string{name: {addressRecord(at)}}); err != nil {
			return false, "", err
		}
		defer func() { err = errors.Join(err, net.SetRecords(ctx, map[string][]string{name: nil})) }()
		a, err := e.Lab.Ask(ctx, client.Question{Name: name, Source: e.Source, Timeout: time.Second})
		return len(a.Addrs) > 0, fmt.Sprintf("the answer is %s %v", a.Rcode, a.Addrs), err
	}}
}
