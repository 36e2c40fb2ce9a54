// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package gateway is the firewall that Sallyport can be: it wires resolver,
// name table, packet path and proxy together on this host and keeps them going.
// It decides nothing itself.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/echprobe"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/kernelpath"
	"github.com/sallyport/sallyport/nametable"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/proxypath"
	"github.com/sallyport/sallyport/resolver"
	"github.com/sallyport/sallyport/service"
)

// Options is what a gateway is made of.
type Options struct {
	Loaded // what is enforced first

	// Load reads what is to be enforced anew, when Reload says so or one of the
	// files changes; nil: nothing is ever exchanged.
	Load   func() (Loaded, error)
	Reload <-chan os.Signal
	Watch  []string

	Inside, Outside string // interfaces: towards the cluster, and away from it
	StateDir        string // bindings, saved host state and lock; made when missing
	Records         io.Writer
	Log             *slog.Logger

	MarkMask   uint32        // kernelpath.DefaultMask when 0
	FirstQueue uint16        // of the packet queues
	Queues     int           // how many; the number of processors when 0
	LogGroup   uint16        // of the packet log
	ProxyPort  uint16        // of the transparent proxy
	Grace      time.Duration // how long a binding outlives its TTL; DefaultGrace when 0
	Audit      bool          // nothing is refused: what would be is recorded, and passes
	Masquerade bool          // hide the cluster behind the outside interface's address
	Metrics    string        // address and port of /metrics and /healthz; "" for none
	Now        func() time.Time
}

// Defaults of Options. A cache may serve stale for a day, but clients of a
// cluster's caches re-resolve within the hour.
const (
	DefaultGrace      = time.Hour
	DefaultFirstQueue = 7100
	DefaultLogGroup   = 7100
	DefaultProxyPort  = 7180
)

// Gateway is a running firewall.
type Gateway struct {
	opt   Options
	log   *slog.Logger
	marks kernelpath.Marks

	host      hostFacts
	force     atomic.Pointer[inForce] // what is enforced
	rules     atomic.Pointer[decide.Snapshot]
	exchanges service.Exchanges

	names     *nametable.Table
	flows     *flowlog.Flows
	records   *flowlog.Log
	dns       *resolver.Resolver
	probes    *echprobe.Prober
	rulesFile string // names the rules in force, for the next process

	engine *kernelpath.Engine

	mu      sync.Mutex // guards path and journal: one change at a time
	path    *kernelpath.Path
	journal *nametable.Journal
}

// Run enforces opt until ctx ends. Everything that can be known beforehand is
// checked before the host is touched, and on a failure to start the host is as
// it was. When ctx ends the rules stay: closed for new flows by name, open for
// proved ones; Off takes them away.
func Run(ctx context.Context, opt Options, ready func()) (err error) {
	opt.defaults()
	g := &Gateway{opt: opt, log: opt.Log, names: nametable.New()}
	if g.marks, err = kernelpath.NewMarks(opt.MarkMask); err != nil {
		return err
	}
	if g.host, err = inspect(opt.Inside, opt.Outside); err != nil {
		return err
	}
	if err := g.host.fits(opt.Loaded, opt.Inside, opt.Outside); err != nil {
		return err
	}
	if text := leadsOut(opt.Inside, opt.Outside); text != "" {
		g.log.Warn(text)
	}
	for _, text := range g.host.hopsAway(opt.NextHops, opt.Inside) {
		g.log.Warn(text)
	}
	g.force.Store(g.forced(opt.Loaded))
	g.rules.Store(decide.New(opt.Program))
	g.exchanges.UpToDate.Store(true)
	features, err := kernelpath.Probe()
	if err != nil {
		return err
	}
	if err := g.report(features); err != nil {
		return err
	}
	state, err := openState(opt.StateDir)
	if err != nil {
		return err
	}
	defer state.Close()

	g.rulesFile = state.path("rules")
	if err := g.openFlows(state); err != nil {
		return err
	}
	defer g.flows.Close()

	sockets, err := listenDNS(ctx, g.host.inside)
	if err != nil {
		return err
	}
	defer sockets.close()
	var metrics listener
	if opt.Metrics != "" {
		if metrics, err = service.Listen(ctx, opt.Metrics); err != nil {
			return fmt.Errorf("--metrics: %w", err)
		}
		defer metrics.Close()
	}
	proxyListener, err := listenProxy(ctx, opt.ProxyPort)
	if err != nil {
		return fmt.Errorf("--proxy-port: %w", err)
	}
	defer proxyListener.Close()

	g.dns = resolver.New(resolver.Config{
		Rules: g.rules.Load, Resolve: func() program.Resolve { return g.force.Load().resolve }, Bind: g.bind, Record: g.records.Decide,
		IPv6: g.host.ipv6, Grace: opt.Grace, Now: opt.Now, Audit: opt.Audit, Log: g.log,
	})
	own := func() netset.Set { return g.force.Load().own }
	g.probes = echprobe.New(echprobe.Config{Published: g.dns.PublishesECH, Own: own, Now: opt.Now})
	defer g.probes.Close()
	proxy := proxypath.New(proxypath.Config{
		Rules: g.rules.Load, Lookup: g.dns.Lookup, Record: g.records.Decide, End: g.records.End,
		Own: own, Now: opt.Now, Audit: opt.Audit, ECH: g.probes.Wait,
	})
	cfg := kernelpath.Config{
		Inside: opt.Inside, Outside: opt.Outside, Marks: g.marks, FirstQueue: opt.FirstQueue,
		Queues: uint16(opt.Queues), LogGroup: opt.LogGroup, ProxyPort: opt.ProxyPort, Audit: opt.Audit,
		Sources: opt.Program.Visible(), Resolver: netset.OfAddrs(g.host.inside...), Masquerade: opt.Masquerade,
		Front: netset.OfAddrs(g.host.front...), Publish: opt.Program.Published,
	}
	engine, err := kernelpath.Open(cfg, &kernelpath.Judge{
		Rules: g.rules.Load, Names: g.names, Record: g.records.Decide, End: g.records.End, Now: opt.Now, ECH: g.probes.Ask,
		Sources: func() netset.Set { return g.force.Load().sources },
		Inbound: func(f flow.Flow) flow.Decision { return g.force.Load().Program.Inbound(f, netip.AddrPort{}) },
	})
	if err != nil {
		return err
	}
	g.path, g.engine = kernelpath.New(cfg), engine

	if err := g.start(state); err != nil {
		engine.Close()
		return err
	}
	defer g.journal.Close()
	return g.serve(ctx, parts{engine, proxy, proxyListener, sockets, metrics}, ready)
}

func (opt *Options) defaults() {
	if opt.MarkMask == 0 {
		opt.MarkMask = kernelpath.DefaultMask
	}
	if opt.FirstQueue == 0 {
		opt.FirstQueue = DefaultFirstQueue
	}
	if opt.LogGroup == 0 {
		opt.LogGroup = DefaultLogGroup
	}
	if opt.ProxyPort == 0 {
		opt.ProxyPort = DefaultProxyPort
	}
	if opt.Queues == 0 {
		opt.Queues = numQueues()
	}
	if opt.Grace == 0 {
		opt.Grace = DefaultGrace
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
}

// report logs what the kernel has, and fails when it lacks something.
func (g *Gateway) report(features []kernelpath.Feature) error {
	var missing []error
	for _, f := range features {
		if f.Err != nil {
			missing = append(missing, fmt.Errorf("the kernel lacks %s (%s): %w", f.Name, f.Config, f.Err))
			continue
		}
		g.log.Debug("kernel feature found", "feature", f.Name)
	}
	if len(missing) == 0 {
		g.log.Info("kernel has every feature needed", "features", len(features))
	}
	return errors.Join(missing...)
}

// start changes the host: first the table, then what is outside nftables. On an
// error it puts back what it changed, unless an earlier run's table is still in
// force: then closed stays closed.
func (g *Gateway) start(state *state) error {
	wasPresent, err := kernelpath.Present()
	if err != nil {
		return err
	}
	now := g.opt.Now()
	journal, unreadable, err := nametable.OpenJournal(state.path("bindings"), g.names, now)
	if err != nil {
		return fmt.Errorf("open bindings: %w", err)
	}
	g.journal = journal
	if unreadable > 0 {
		g.log.Warn("bindings left out, their lines cannot be read", "lines", unreadable)
	}
	// What another description let names lead to is not for this one.
	g.names.Drop(func(b nametable.Binding) bool { return g.dns.Refuses(b.Addr) != flow.NotDecided })
	g.bindAPIServer()
	// The table first: a host that forwards without it would let everything pass.
	undo := func(err error) error {
		if !wasPresent {
			err = errors.Join(err, kernelpath.Remove())
		}
		return errors.Join(err, journal.Close())
	}
	if err := g.apply(); err != nil {
		return undo(err)
	}
	_, notes, err := kernelpath.Prepare(state.path("host.json"), g.opt.Inside, g.opt.Outside, g.marks)
	if err != nil {
		return undo(err)
	}
	for _, n := range notes {
		g.log.Warn("host setting not made", "note", n)
	}
	// Nobody writes records yet: what is not known of a flow now never will be.
	if cut := g.cut(g.sameAsBefore(), 0); cut > 0 {
		g.log.Warn("flows of an earlier process cut: the rules of now do not allow them", "flows", cut)
	}
	g.remember()
	if g.opt.Audit {
		g.log.Warn("audit: nothing is refused; what would be is in the records, with enforced false")
	}
	p := g.force.Load().Program
	g.log.Info("rules in force", "rules", len(p.Rules), "bindings", g.names.Len(), "edition", p.Edition.ID)
	return nil
}

// openFlows finds the open flows of an earlier process again, and those of them
// that the kernel still knows.
func (g *Gateway) openFlows(state *state) error {
	flows, unreadable, err := flowlog.OpenFlows(state.path("flows"))
	if err != nil {
		return fmt.Errorf("open flows: %w", err)
	}
	if unreadable > 0 {
		g.log.Warn("flows left out, their lines cannot be read", "lines", unreadable)
	}
	running, err := kernelpath.Released(g.marks)
	if err == nil {
		tuples := make([]flowlog.Tuple, len(running))
		for i, r := range running {
			tuples[i] = r.Tuple
		}
		err = flows.Keep(tuples)
	}
	if err != nil {
		return errors.Join(err, flows.Close())
	}
	g.flows = flows
	g.records = flowlog.New(fmt.Sprintf("%x", g.opt.Now().UnixMilli()), func() *program.Program { return g.force.Load().Program }, flows)
	g.records.Audit = g.opt.Audit
	return nil
}

// apply loads the table with the rules that are live now.
func (g *Gateway) apply() error {
	now := g.opt.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.path.Apply(live(g.force.Load().Program, now), g.elements(g.names.All(), now))
}

// withdraw takes out of the kernel what rules that have ended had put there.
func (g *Gateway) withdraw() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.update()
}

// update makes the kernel hold what is in force. The caller holds the lock.
func (g *Gateway) update() error {
	f, now := g.force.Load(), g.opt.Now()
	return g.path.Update(live(f.Program, now), f.sources, f.Program.Published, g.elements(g.names.All(), now))
}

// parts is what serve runs.
type parts struct {
	engine  *kernelpath.Engine
	proxy   *proxypath.Proxy
	proxyL  listener
	sockets *dnsSockets
	metrics listener // nil: none
}

// serve runs every part until ctx ends or one fails.
func (g *Gateway) serve(ctx context.Context, p parts, ready func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	run := func(what string, part func(context.Context) error) {
		wg.Go(func() {
			defer cancel() // one part less is no firewall: stop, the rules stay closed
			if err := part(ctx); err != nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("%s: %w", what, err))
				mu.Unlock()
			}
		})
	}
	recordsDone := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		if err := g.records.Run(recordsDone, g.opt.Records); err != nil {
			g.log.Error("records are lost", "err", err)
		}
	})
	run("packet path", p.engine.Run)
	run("resolver", func(ctx context.Context) error { return g.dns.Serve(ctx, p.sockets.packets, p.sockets.listeners) })
	run("proxy", func(ctx context.Context) error { return p.proxy.Serve(ctx, p.proxyL) })
	run("refresh", func(ctx context.Context) error { g.dns.Refresh(ctx); return nil })
	run("sweep", func(ctx context.Context) error { return g.sweep(ctx, p.proxy) })
	if p.metrics != nil {
		run("metrics", func(ctx context.Context) error {
			return service.Serve(ctx, p.metrics, g.collector(p.engine), g.healthy)
		})
	}
	if g.opt.Load != nil {
		run("reload", func(ctx context.Context) error {
			service.Watch(ctx, g.opt.Watch, g.opt.Reload, func() { g.reload(p.proxy) })
			return nil
		})
	}
	wg.Go(func() {
		// Close records are a service to the reader: without them the firewall
		// is whole.
		if err := kernelpath.WatchCloses(ctx, g.marks, g.records.End); err != nil {
			g.log.Warn("no close records", "err", err)
		}
	})
	wg.Go(func() { g.resolveAPIServer(ctx) })
	wg.Go(func() {
		if a := Upstreams(ctx, g.force.Load().Program); a.But != "" && ctx.Err() == nil {
			g.log.Warn(a.But)
		}
	})
	if os.Getenv("GOGC") == "" {
		// What is remembered of open flows is the most, and lives long: half of it may
		// be garbage beside it, and not as much again.
		defer debug.SetGCPercent(debug.SetGCPercent(50))
	}
	if ready != nil {
		ready()
	}
	debug.FreeOSMemory() // what reading and compiling took
	wg.Wait()
	close(recordsDone)
	writer.Wait()
	if n := g.records.Dropped(); n > 0 {
		g.log.Warn("records dropped", "count", n)
	}
	g.log.Info("ended; the rules stay in the kernel: proved flows go on, new ones by name wait; sallyport gateway --off takes them away")
	return errors.Join(errs...)
}
