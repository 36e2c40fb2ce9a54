// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab/client"
	"github.com/sallyport/sallyport/program"
)

// Ways out by taking so much of the gateway that it has nothing left to look
// with. One source floods; another one's lawful flows must not notice.

// inTime is how long a lawful flow may take beside a flood: a segment may get
// lost once and be sent again.
const inTime = 3 * time.Second

var floods = []Try{
	flooding("hellos that never end", []flow.Reason{flow.HelloTimeout, flow.Overload}, func(e *Env, hello []byte) client.Flood {
		// As many segments as a client sends before it wants to hear something: they
		// are packets that wait in the kernel.
		begun := append(bytewise(hello[:9]), hello[9:len(hello)-1])
		return client.Flood{Conns: 2400, Chunks: begun, Hold: inTime}
	}),
	flooding("SYNs, and a hello behind them", []flow.Reason{flow.NameNotAllowed, flow.Overload, flow.OutOfState}, func(e *Env, hello []byte) client.Flood {
		return client.Flood{SYNs: 60_000, Conns: 1, Chunks: [][]byte{hello}, Hold: settle}
	}),
	{What: "questions", Want: []flow.Reason{flow.NameNotAllowed}, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		q, err := question(e)
		if err != nil {
			return false, "", err
		}
		e.label = e.Nonce
		return e.flood(ctx, client.Flood{
			UDP: true, To: []netip.AddrPort{e.Lab.Resolver()}, Conns: 200, Chunks: slices.Repeat([][]byte{q}, 200),
		})
	}},
}

// flooding is the try of a flood with hellos of a refused name, to every address
// that some HTTPS name leads to: the kernel chooses a queue by the addresses.
func flooding(what string, want []flow.Reason, make func(e *Env, hello []byte) client.Flood) Try {
	return Try{What: what, Want: want, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		hello, err := refusedHello(e, "")
		if err != nil {
			return false, "", err
		}
		f := make(e, hello)
		if f.To, err = e.httpsAddrs(ctx); err != nil {
			return false, "", err
		}
		return e.flood(ctx, f)
	}}
}

// httpsAddrs returns where some allowed HTTPS names lead, bound, and only names.
func (e *Env) httpsAddrs(ctx context.Context) (out []netip.AddrPort, err error) {
	for _, r := range e.Lab.Plan.Reaches {
		if r.Pair.Rule.Protocol != flow.ProtoHTTPS || r.Port != 443 || r.Name == "" || !r.Source.Is4() {
			continue
		}
		a, err := e.Resolve(ctx, r.Name)
		if err != nil {
			return nil, err
		}
		byAddress := slices.ContainsFunc(e.Program.Rules, func(r program.Rule) bool { return !r.ByName() && r.Prefixes.Contains(a) })
		if at := netip.AddrPortFrom(a, 443); !byAddress && !slices.Contains(out, at) {
			out = append(out, at)
		}
		if len(out) == 8 {
			break
		}
	}
	return out, nil
}

// flood floods from the second of the node's addresses, and asks, greets and
// fetches from the first one meanwhile.
func (e *Env) flood(ctx context.Context, f client.Flood) (leaked bool, detail string, err error) {
	f.Source = e.Lab.Plan.Sources[1]
	if !e.Held() { // what is to be shown is that one of them leads out
		f.Conns, f.SYNs, f.Hold = 1, 0, 0
		if f.UDP {
			f.Chunks = f.Chunks[:1]
		}
	}
	var got client.Flooded
	ended := make(chan error, 1)
	go func() { ended <- e.Lab.Node.Call(ctx, "flood", f, &got) }()
	worst, n, over := time.Duration(0), 0, false
	for !over {
		select {
		case err = <-ended:
			over = true
		case <-time.After(50 * time.Millisecond):
			if !e.Held() {
				continue
			}
			took, why := e.serves(ctx)
			if n, worst = n+1, max(worst, took); why != nil {
				return false, "", errors.Join(fmt.Errorf("beside the flood, %w", why), <-ended)
			}
		}
	}
	if err != nil || got.Opened == 0 {
		return false, "", fmt.Errorf("nothing was flooded: %w", errors.Join(err, errors.New(got.Error)))
	}
	proto := "tcp"
	if f.UDP {
		proto = "udp"
	}
	for _, o := range got.First {
		e.flows = append(e.flows, triedFlow{proto, o.From, o.To})
	}
	if leaked, detail = e.Leaked(ctx); !leaked {
		detail = fmt.Sprintf("%d flows; another source was served %d times beside them, within %s", got.Opened, n, worst.Round(time.Millisecond))
	}
	return leaked, detail, nil
}

// serves asks a question, opens a TLS session and makes an HTTP request, each in
// time, and returns how long the longest took.
func (e *Env) serves(ctx context.Context) (worst time.Duration, err error) {
	name, err := e.Allowed()
	if err != nil {
		return 0, err
	}
	targets := []client.Target{{Kind: client.HTTPS, Name: name, Port: 443, Source: e.Source, Timeout: inTime}}
	if r, ok := e.Lab.Plan.overHTTP(); ok {
		t := r.Target()
		t.Timeout = inTime
		targets = append(targets, t)
	}
	for _, t := range targets {
		_, r := e.Lab.Reach(ctx, t)
		if worst = max(worst, r.Took); !r.OK {
			return worst, fmt.Errorf("%s %s was not reached: %s", t.Kind, t.Name, r.Error)
		}
	}
	return worst, nil
}
