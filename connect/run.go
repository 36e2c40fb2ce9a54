// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/echprobe"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/proxypath"
	"github.com/sallyport/sallyport/resolver"
)

// Options is what a running proxy is made of. All but Now are required.
type Options struct {
	Program *program.Program
	Listen  string // address:port
	Records io.Writer
	Log     *slog.Logger
	Now     func() time.Time
}

// staleGrace is how long past its TTL an answer may serve when no upstream
// answers, as long as a binding outlives its own in the gateway.
const staleGrace = time.Hour

// Run serves until ctx ends; ready is told the address it listens on. It changes
// nothing on the host.
func Run(ctx context.Context, opt Options, ready func(netip.AddrPort)) error {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	own, err := hostAddrs()
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", opt.Listen)
	if err != nil {
		return fmt.Errorf("listen for clients of the proxy: %w", err)
	}
	at, _ := netip.ParseAddrPort(l.Addr().String())

	rules := decide.New(opt.Program)
	records := flowlog.New(fmt.Sprintf("%x", opt.Now().UnixMilli()), func() *program.Program { return opt.Program }, flowlog.NewFlows())
	resolve := opt.Program.Resolve
	resolve.Own = resolve.Own.Union(own)
	// Nobody learns an address here but the proxy itself, and it dials what it
	// was just told: there is nothing to bind.
	dns := resolver.New(resolver.Config{
		Rules: func() *decide.Snapshot { return rules }, Resolve: func() program.Resolve { return resolve },
		Bind:   func(dnsname.Name, []netip.Addr, time.Duration) error { return nil },
		Record: records.Decide, IPv6: hasIPv6Way(), Grace: staleGrace, Now: opt.Now,
	})
	never := resolve.Own.Union(netset.Never())
	probes := echprobe.New(echprobe.Config{Published: dns.PublishesECH, Own: func() netset.Set { return never }, Now: opt.Now})
	defer probes.Close()
	proxy := New(proxypath.Config{
		Rules: func() *decide.Snapshot { return rules }, Lookup: dns.Lookup, Record: records.Decide, End: records.End,
		Own: func() netset.Set { return resolve.Own }, Now: opt.Now, ECH: probes.Wait,
	})

	recordsDone := make(chan struct{})
	var writer, watcher sync.WaitGroup
	writer.Go(func() {
		if err := records.Run(recordsDone, opt.Records); err != nil {
			opt.Log.Error("records are lost", "err", err)
		}
	})
	watching, stop := context.WithCancel(ctx)
	watcher.Go(func() { withdraw(watching, opt, dns, proxy) })
	ready(at)
	err = proxy.Serve(ctx, l)
	stop()
	watcher.Wait()
	close(recordsDone)
	writer.Wait()
	if n := records.Dropped(); n > 0 {
		opt.Log.Warn("records dropped", "count", n)
	}
	return err
}

// withdraw cuts what is under way when the rule that allowed it ends. What
// begins later is judged by the time itself.
func withdraw(ctx context.Context, opt Options, dns *resolver.Resolver, proxy *proxypath.Proxy) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	ended := len(opt.Program.Expired(opt.Now()))
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		n := len(opt.Program.Expired(opt.Now()))
		if n == ended {
			continue
		}
		ended = n
		opt.Log.Warn("rules have expired and are withdrawn", "expired", n)
		dns.Forget()
		if cut := proxy.Sweep(); cut > 0 {
			opt.Log.Warn("connections under way cut", "count", cut)
		}
	}
}

// hostAddrs returns every address of this host.
func hostAddrs() (netset.Set, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return netset.Set{}, fmt.Errorf("list the addresses of this host: %w", err)
	}
	var addrs []netip.Addr
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			addrs = append(addrs, p.Addr().Unmap().WithZone(""))
		}
	}
	if len(addrs) == 0 {
		return netset.Set{}, errors.New("list the addresses of this host: there is none")
	}
	return netset.OfAddrs(addrs...), nil
}

// hasIPv6Way reports whether this host has a way out over IPv6: whether it has a
// route, and an address to leave with, for an address far away. Connecting a UDP
// socket looks both up and sends nothing.
func hasIPv6Way() bool {
	c, err := net.DialUDP("udp6", nil, &net.UDPAddr{IP: net.ParseIP("2600::1"), Port: 53})
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}
