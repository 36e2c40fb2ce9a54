// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/kernelpath"
	"github.com/sallyport/sallyport/nametable"
	"github.com/sallyport/sallyport/proxypath"
	"github.com/sallyport/sallyport/resolver"
)

// apiServerHold is how long the API server's name stays bound to the addresses
// its owner has written down, between renewals.
const apiServerHold = 24 * time.Hour

// bindAPIServer binds the API server's name to the addresses its owner gave.
func (g *Gateway) bindAPIServer() {
	name := g.force.Load().Program.Cluster.APIName
	if name.IsZero() {
		return
	}
	until := g.opt.Now().Add(apiServerHold)
	for _, a := range g.force.Load().APIServer {
		g.names.Bind(nametable.Binding{Name: name, Addr: a, Until: until})
	}
}

// resolveAPIServer resolves the API server's name at once, and again until it
// is known: nodes that cannot reach it do not start.
func (g *Gateway) resolveAPIServer(ctx context.Context) {
	name := g.force.Load().Program.Cluster.APIName
	if name.IsZero() {
		return
	}
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		addrs, err := g.dns.Lookup(ctx, name)
		if err == nil || errors.Is(err, resolver.ErrNotAllowed) || ctx.Err() != nil {
			g.log.Debug("API server resolved", "name", name, "addresses", addrs)
			return
		}
		g.log.Warn("API server name does not resolve", "name", name, "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// bind makes name lead to addrs everywhere: in the file, in the kernel, in the
// table. Only then may the resolver answer.
func (g *Gateway) bind(name dnsname.Name, addrs []netip.Addr, ttl time.Duration) error {
	now := g.opt.Now()
	bindings := make([]nametable.Binding, len(addrs))
	for i, a := range addrs {
		bindings[i] = nametable.Binding{Name: name, Addr: a, Until: now.Add(ttl + g.opt.Grace)}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.journal.Append(bindings...); err != nil {
		// The flows of now matter more than those behind a kill.
		g.log.Error("binding not kept over a restart", "err", err)
	}
	if err := g.path.Learn(g.elements(bindings, now)); err != nil {
		return err
	}
	for _, b := range bindings {
		g.names.Bind(b)
	}
	return nil
}

// elements returns what the live rules open at the addresses of bindings.
func (g *Gateway) elements(bindings []nametable.Binding, now time.Time) []kernelpath.Element {
	var out []kernelpath.Element
	rules := g.rules.Load()
	for _, b := range bindings {
		for _, o := range rules.Openings(b.Name, now) {
			for _, r := range o.Ports.Ranges() {
				for port := int(r.Lo); port <= int(r.Hi); port++ {
					out = append(out, kernelpath.Element{Addr: b.Addr, Protocol: o.Protocol, Port: uint16(port), Strict: o.Strict})
				}
			}
		}
	}
	return out
}

// lookEvery is how often it is looked whether a rule has ended, and sweepEvery
// whether bindings have. Judging a flow looks at the time itself and never waits
// for this; what the kernel decides alone does.
const (
	lookEvery  = time.Second
	sweepEvery = 10 * time.Second
)

func (g *Gateway) sweep(ctx context.Context, proxy *proxypath.Proxy) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	ended := len(g.force.Load().Program.Expired(g.opt.Now()))
	swept, compacted := g.opt.Now(), g.opt.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now := g.opt.Now()
		if expired := g.force.Load().Program.Expired(now); len(expired) != ended {
			ended = len(expired)
			g.log.Warn("rules have expired and are withdrawn", "expired", ended)
			g.dns.Forget()
			if err := g.withdraw(); err != nil {
				g.log.Error("rules not withdrawn in the kernel", "err", err)
				ended = -1 // again
			}
			if flows, requests := g.sweepFlows(proxy); flows+requests > 0 {
				g.log.Warn("what they allowed is cut", "flows", flows, "requests", requests)
			}
		}
		if present, err := kernelpath.Present(); err == nil && !present {
			// Whoever flushes the host's rules opens it: it forwards.
			if err := g.apply(); err != nil {
				g.log.Error("the table is gone from the kernel, and cannot be loaded again", "err", err)
			} else {
				g.log.Error("the table was gone from the kernel, and is loaded again")
			}
		}
		if err := g.flows.Err(); err != nil {
			g.log.Error("open flows not kept over a restart", "err", err)
		}
		if now.Sub(swept) < sweepEvery {
			continue
		}
		swept = now
		g.bindAPIServer()
		if gone := g.names.Sweep(now); len(gone) > 0 {
			g.forget(gone, now)
		}
		if now.Sub(compacted) > time.Hour {
			compacted = now
			g.mu.Lock()
			if err := g.journal.Rewrite(g.names); err != nil {
				g.log.Error("bindings file not rewritten", "err", err)
			}
			g.mu.Unlock()
		}
	}
}

// forget takes out of the kernel what only the bindings that are gone needed.
func (g *Gateway) forget(gone []nametable.Binding, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	needed := make(map[kernelpath.Element]bool)
	for _, b := range gone {
		for _, n := range g.names.Names(b.Addr, now) {
			for _, e := range g.elements([]nametable.Binding{{Name: n, Addr: b.Addr}}, now) {
				needed[e] = true
			}
		}
	}
	var out []kernelpath.Element
	for _, e := range g.elements(gone, now) {
		if !needed[e] {
			out = append(out, e)
		}
	}
	if err := g.path.Forget(out); err != nil {
		g.log.Error("bindings not taken out of the kernel", "err", err)
	}
}
