// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab/client"
	"github.com/sallyport/sallyport/lab/internet"
)

const ntpPort = 123

// String says what is reached, such as "https/443 mcr.microsoft.com".
func (r Reach) String() string {
	to := r.Name
	if to == "" {
		to = r.Addr.String()
	}
	return fmt.Sprintf("%s/%d %s", r.Pair.Rule.Protocol, r.Port, to)
}

// Target returns the client for r: the protocol that the rule is for.
func (r Reach) Target() client.Target {
	t := client.Target{Name: r.Name, Addr: r.Addr, Port: r.Port, Source: r.Source, Kind: client.TCP}
	switch p := r.Pair.Rule.Protocol; {
	case p.App == flow.TLS:
		t.Kind = client.HTTPS
	case p.App == flow.HTTP:
		t.Kind = client.HTTP
	case p.Transport == flow.UDP && r.Port == ntpPort:
		t.Kind = client.NTP
	case p.Transport == flow.UDP:
		t.Kind = client.UDP
	}
	return t
}

// soon is how long an event may take from the server that made it to here.
const soon = time.Second

// Witnessed returns nil when the server that r is for has noted the nonce of t:
// under r's name where the protocol tells it, and else at the address that the
// client dialled.
func (r Reach) Witnessed(ctx context.Context, w *Internet, t client.Target, got client.Result) error {
	e, ok := w.Await(ctx, t.Nonce, soon)
	switch {
	case !ok:
		return fmt.Errorf("no server has noted the nonce %s", t.Nonce)
	case e.Local != got.Remote && t.Kind != client.HTTP: // a proxy looks names up again and may choose another
		return fmt.Errorf("the nonce was noted at %s, not at %s", e.Local, got.Remote)
	case namesItself(t.Kind) && e.Name != r.Name:
		return fmt.Errorf("the nonce was noted under the name %q, not %s", e.Name, r.Name)
	case e.Kind != internet.Served:
		return fmt.Errorf("no server has understood the nonce %s", t.Nonce)
	}
	return nil
}

// namesItself reports whether a client of that kind tells the server the name
// it is for.
func namesItself(kind string) bool { return kind == client.HTTPS || kind == client.HTTP }
