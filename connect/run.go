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
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/echprobe"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/internal/brief"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/proxypath"
	"github.com/sallyport/sallyport/resolver"
	"github.com/sallyport/sallyport/service"
)

// Options is what a running proxy is made of. Program, Listen, Records and Log are
// required.
type Options struct {
	Program *program.Program
	// Load reads what is to be enforced anew, when Reload says so or one of the
	// files changes; nil: nothing is ever exchanged.
	Load   func() (*program.Program, error)
	Reload <-chan os.Signal
	Watch  []string

	Listen  string // address:port
	Metrics string // address:port of /metrics and /healthz; "" for none
	Records io.Writer
	Log     *slog.Logger
	Now     func() time.Time

	dial func(context.Context, netip.AddrPort) (net.Conn, error) // servers; over the network when nil
}

// staleGrace is how long past its TTL an answer may serve when no upstream
// answers, as long as a binding outlives its own in the gateway.
const staleGrace = time.Hour

// inForce is what is enforced now.
type inForce struct {
	program *program.Program
	rules   *decide.Snapshot
	resolve program.Resolve
	expired int // rules
}

// server is a running proxy.
type server struct {
	opt       Options
	host      netset.Set // its own addresses
	force     atomic.Pointer[inForce]
	exchanges service.Exchanges
	flows     *flowlog.Flows
	records   *flowlog.Log
	dns       *resolver.Resolver
	probes    *echprobe.Prober
	proxy     *proxypath.Proxy
}

// Run serves until ctx ends; ready is told the address it listens on. It changes
// nothing on the host.
func Run(ctx context.Context, opt Options, ready func(netip.AddrPort)) error {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	host, err := hostAddrs()
	if err != nil {
		return err
	}
	l, err := service.Listen(ctx, opt.Listen)
	if err != nil {
		return fmt.Errorf("--connect: %w", err)
	}
	defer l.Close()
	var metrics net.Listener
	if opt.Metrics != "" {
		if metrics, err = service.Listen(ctx, opt.Metrics); err != nil {
			return fmt.Errorf("--metrics: %w", err)
		}
		defer metrics.Close()
	}
	s := newServer(opt, host)
	defer s.probes.Close()

	recordsDone := make(chan struct{})
	var writer, others sync.WaitGroup
	writer.Go(func() {
		if err := s.records.Run(recordsDone, opt.Records); err != nil {
			opt.Log.Error("records are lost", "err", err)
		}
	})
	working, stop := context.WithCancel(ctx)
	defer stop()
	others.Go(func() { s.withdraw(working) })
	others.Go(func() { s.askUpstreams(working) })
	if opt.Load != nil {
		others.Go(func() { service.Watch(working, opt.Watch, opt.Reload, s.reload) })
	}
	if metrics != nil {
		others.Go(func() {
			if err := service.Serve(working, metrics, s.numbers(), func(context.Context) error { return nil }); err != nil {
				opt.Log.Error("no numbers any more", "err", err)
			}
		})
	}
	at, _ := netip.ParseAddrPort(l.Addr().String())
	ready(at)
	err = s.proxy.Serve(ctx, l)
	stop()
	others.Wait()
	close(recordsDone)
	writer.Wait()
	if n := s.records.Dropped(); n > 0 {
		opt.Log.Warn("records dropped", "count", n)
	}
	opt.Log.Info("ended; what went through it is cut", "connections", s.proxy.Ended())
	return err
}

// newServer returns a proxy that has not begun.
func newServer(opt Options, host netset.Set) *server {
	s := &server{opt: opt, host: host, flows: flowlog.NewFlows()}
	s.force.Store(s.forced(opt.Program))
	s.exchanges.UpToDate.Store(true)
	current := func() *program.Program { return s.force.Load().program }
	rules := func() *decide.Snapshot { return s.force.Load().rules }
	s.records = flowlog.New(fmt.Sprintf("%x", opt.Now().UnixMilli()), current, s.flows)
	// Nobody learns an address here but the proxy itself, and it dials what it
	// was just told: there is nothing to bind.
	s.dns = resolver.New(resolver.Config{
		Rules: rules, Resolve: func() program.Resolve { return s.force.Load().resolve },
		Bind:   func(dnsname.Name, []netip.Addr, time.Duration) error { return nil },
		Record: s.records.Decide, IPv6: hasIPv6Way(), Grace: staleGrace, Now: opt.Now, Log: opt.Log,
	})
	own := func() netset.Set { return s.force.Load().resolve.Own }
	s.probes = echprobe.New(echprobe.Config{
		Published: s.dns.PublishesECH, Own: func() netset.Set { return own().Union(netset.Never()) }, Now: opt.Now,
	})
	s.proxy = New(proxypath.Config{
		Rules: rules, Lookup: s.dns.Lookup, Record: s.records.Decide, End: s.records.End,
		Own: own, Now: opt.Now, ECH: s.probes.Wait, Dial: opt.dial,
	})
	return s
}

// forced returns what enforcing a program means on this host.
func (s *server) forced(p *program.Program) *inForce {
	f := &inForce{program: p, rules: decide.New(p), resolve: p.Resolve, expired: len(p.Expired(s.opt.Now()))}
	f.resolve.Own = f.resolve.Own.Union(s.host)
	return f
}

// reload exchanges the rules. Those that cannot be loaded change nothing.
func (s *server) reload() {
	p, err := s.opt.Load()
	if err != nil {
		s.exchanges.Refused.Add(1)
		s.exchanges.UpToDate.Store(false)
		s.opt.Log.Error("new rules refused, the old ones stay in force", "err", err)
		return
	}
	if p.Digest() == s.force.Load().program.Digest() {
		s.exchanges.UpToDate.Store(true)
		s.opt.Log.Info("rules unchanged", "rules", len(p.Rules))
		return
	}
	s.force.Store(s.forced(p))
	cut := s.sweep()
	s.exchanges.Taken.Add(1)
	s.exchanges.UpToDate.Store(true)
	s.opt.Log.Info("new rules in force", "rules", len(p.Rules), "edition", p.Edition.ID, "connectionsCut", cut)
}

// sweep cuts what is under way that the rules of now do not allow, and returns how
// much that was. What begins later is judged by them anyway.
func (s *server) sweep() int {
	s.dns.Forget()
	cut := s.proxy.Sweep()
	s.exchanges.FlowsCut.Add(uint64(cut))
	return cut
}

// withdraw sweeps when a rule ends.
func (s *server) withdraw(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		f := s.force.Load()
		next := *f
		next.expired = len(f.program.Expired(s.opt.Now()))
		if next.expired == f.expired || !s.force.CompareAndSwap(f, &next) {
			continue
		}
		s.opt.Log.Warn("rules have expired and are withdrawn", "expired", next.expired)
		if cut := s.sweep(); cut > 0 {
			s.opt.Log.Warn("connections under way cut", "count", cut)
		}
	}
}

// askUpstreams tells when none of them answers.
func (s *server) askUpstreams(ctx context.Context) {
	if err := resolver.Reachable(ctx, s.force.Load().resolve.Upstreams); err != nil && ctx.Err() == nil {
		s.opt.Log.Warn(brief.Error(err))
	}
}

// numbers are what /metrics tells.
func (s *server) numbers() service.Numbers {
	return service.Numbers{
		Records: s.records, Flows: s.flows, Probes: s.probes, Rules: &s.exchanges,
		Program: func() *program.Program { return s.force.Load().program },
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
