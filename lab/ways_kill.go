// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/sallyport/sallyport/lab/client"
)

// killed is what a client tries while the gateway is dead. Nobody is there to
// record it; the lawful flow beside it is tried when the gateway is back.
var killed = []Try{{Do: whileDead}}

// bound is what an allowed name has bound before the gateway dies.
type bound struct {
	name        string
	https, http netip.AddrPort // http is not valid without a rule for plain HTTP
}

// deadTries are said all at once.
var deadTries = []struct {
	what string
	make func(e *Env, b bound) (client.Raw, error)
}{
	{"an allowed name elsewhere", func(e *Env, b bound) (client.Raw, error) {
		hello, err := helloTo(b.name)(e)
		return client.Raw{To: e.attacker(443), Chunks: [][]byte{hello}}, err
	}},
	{"another name on the shared address", func(e *Env, b bound) (client.Raw, error) {
		hello, err := refusedHello(e, "")
		return client.Raw{To: b.https, Chunks: [][]byte{hello}}, err
	}},
	{"an allowed name, nobody to prove it", func(e *Env, b bound) (client.Raw, error) {
		hello, err := helloTo(b.name)(e)
		return client.Raw{To: b.https, Chunks: [][]byte{hello}}, err
	}},
	{"another host over HTTP", func(e *Env, b bound) (client.Raw, error) {
		return client.Raw{To: b.http, Chunks: [][]byte{[]byte(refused(site{Path: "/echo/" + e.Nonce}))}}, nil
	}},
	{"another resolver", func(e *Env, _ bound) (client.Raw, error) {
		b, err := question(e)
		return client.Raw{UDP: true, To: e.attacker(53), Chunks: [][]byte{b}}, err
	}},
	{"UDP 1194", func(e *Env, _ bound) (client.Raw, error) {
		return client.Raw{UDP: true, To: e.attacker(1194), Chunks: [][]byte{nonceBytes(e)}}, nil
	}},
}

// whileDead says everything while the gateway is killed, and starts it again
// whatever came of that.
func whileDead(ctx context.Context, e *Env) (leaked bool, detail string, err error) {
	var b bound
	if b.name, b.https, err = e.Shared(ctx); err != nil {
		return false, "", err
	}
	if r, ok := e.Lab.Plan.overHTTP(); ok {
		at, err := e.Resolve(ctx, r.Name)
		if err != nil {
			return false, "", err
		}
		b.http = netip.AddrPortFrom(at, 80)
	}
	if e.Held() {
		if err := e.Firewall.Kill(ctx); err != nil {
			return false, "", err
		}
		defer func() { err = errors.Join(err, e.Firewall.Start(ctx)) }()
	}
	all := make([]attempt, len(deadTries))
	var wg sync.WaitGroup
	for i, t := range deadTries {
		wg.Go(func() {
			own := *e
			own.Nonce, own.Began = client.NewNonce(), time.Now()
			r, err := t.make(&own, b)
			if all[i].err = err; err != nil {
				return
			}
			if all[i].leaked = !e.Held(); r.To.IsValid() {
				all[i].leaked, all[i].detail, all[i].err = own.Say(ctx, r)
			}
		})
	}
	wg.Wait()
	for i, t := range deadTries {
		if a := all[i]; a.err != nil || a.leaked == e.Held() {
			return a.leaked, t.what + ": " + a.detail, a.err
		}
	}
	return !e.Held(), fmt.Sprintf("%d forms", len(deadTries)), nil
}
