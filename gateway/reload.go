// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/kernelpath"
	"github.com/sallyport/sallyport/nametable"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/proxypath"
)

// Loaded is what a gateway enforces and may exchange while it runs.
type Loaded struct {
	Program *program.Program
	// APIServer holds the API server's addresses as the owner has written them;
	// its name is bound to them from the start.
	APIServer []netip.Addr
	// NextHops are the addresses that the cluster's routes lead to, as the owner has
	// written them; those that are not valid do not count.
	NextHops []netip.Addr
}

// inForce is what is enforced now, with what follows from it.
type inForce struct {
	Loaded
	own     netset.Set      // addresses that no name may lead to
	resolve program.Resolve // with own in it
	sources netset.Set
	digest  string // of the rules, and whether they are enforced
}

func (g *Gateway) forced(l Loaded) *inForce {
	own := l.Program.Resolve.Own.Union(netset.OfAddrs(g.host.own...))
	resolve := l.Program.Resolve
	resolve.Own = own
	in := &inForce{Loaded: l, own: own, resolve: resolve, sources: l.Program.Visible(), digest: l.Program.Digest()}
	if g.opt.Audit {
		in.digest += " audit" // what passed in this mode proved nothing
	}
	return in
}

// reload exchanges the rules. Rules that cannot be loaded, or that the kernel
// does not take, change nothing.
func (g *Gateway) reload(proxy *proxypath.Proxy) {
	begin := time.Now()
	refused := func(err error) {
		g.exchanges.Refused.Add(1)
		g.exchanges.UpToDate.Store(false)
		g.log.Error("new rules refused, the old ones stay in force", "err", err)
	}
	l, err := g.opt.Load()
	if err == nil {
		err = g.host.fits(l, g.opt.Inside, g.opt.Outside)
	}
	if err != nil {
		refused(err)
		return
	}
	old, next := g.force.Load(), g.forced(l)
	if next.digest == old.digest && slices.Equal(l.APIServer, old.APIServer) {
		g.exchanges.UpToDate.Store(true)
		g.log.Info("rules unchanged", "rules", len(l.Program.Rules))
		return
	}
	if err := g.exchange(old, next); err != nil {
		refused(err)
		return
	}
	flows, requests := g.sweepFlows(proxy)
	g.exchanges.Taken.Add(1)
	g.exchanges.UpToDate.Store(true)
	g.log.Info("new rules in force", "rules", len(l.Program.Rules), "edition", l.Program.Edition.ID,
		"took", time.Since(begin).Round(time.Millisecond), "flowsCut", flows, "requestsCut", requests)
	debug.FreeOSMemory() // what the old ones and reading the new ones took
}

// exchange puts next into force in the judges and in the kernel. The judges come
// first: what is opened by a rule that goes must not be opened again behind the
// sweep.
func (g *Gateway) exchange(old, next *inForce) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.force.Store(next)
	g.rules.Store(decide.New(next.Program))
	gone := g.names.Drop(func(b nametable.Binding) bool {
		return g.dns.Refuses(b.Addr) != flow.NotDecided || !next.keeps(b, old)
	})
	g.bindAPIServer()
	if err := g.update(); err != nil {
		g.force.Store(old)
		g.rules.Store(decide.New(old.Program))
		for _, b := range gone {
			g.names.Bind(b)
		}
		return err
	}
	g.dns.Forget()
	g.remember()
	return nil
}

// gives reports whether a binding is one of those that the owner has written down for
// the API server.
func (f *inForce) gives(b nametable.Binding) bool {
	return b.Name == f.Program.Cluster.APIName && slices.Contains(f.APIServer, b.Addr)
}

// keeps reports whether a binding holds on behind old. One that both give holds all the
// while: a hello that is judged in the moment of the exchange must find it.
func (f *inForce) keeps(b nametable.Binding, old *inForce) bool { return !old.gives(b) || f.gives(b) }

// live returns the rules that have not ended.
func live(p *program.Program, now time.Time) []program.Rule {
	var out []program.Rule
	for _, r := range p.Rules {
		if r.LiveAt(now) {
			out = append(out, r)
		}
	}
	return out
}

// recordTime is how long the record of a decision may be on its way to where
// flows are remembered, on a machine that is busy. It is looked every recordTick.
const (
	recordTime = time.Second
	recordTick = 50 * time.Millisecond
)

// sweepFlows cuts what the rules of now do not allow.
func (g *Gateway) sweepFlows(proxy *proxypath.Proxy) (flows, requests int) {
	if g.opt.Audit {
		return 0, 0
	}
	requests = proxy.Sweep()
	return g.cut(false, recordTime), requests
}

// cut takes the release from every flow that the rules of now do not allow, and
// returns how many of them were not over yet. Of flows that nobody remembers it is not known
// what they proved: they are kept when the rules are those that they were
// released by, and only then. A flow's record may still be on its way, for wait.
// In audit mode nothing is cut.
func (g *Gateway) cut(keepUnknown bool, wait time.Duration) int {
	if g.opt.Audit {
		return 0
	}
	running, err := kernelpath.Released(g.marks)
	if err != nil {
		g.log.Error("flows not looked at", "err", err)
		return 0
	}
	var out, unknown, ended []kernelpath.Running
	for _, t := range running {
		switch allowed, known := g.stillAllowed(t); {
		case allowed:
		case t.Ended: // nobody's any more, but the kernel would forward what comes on it
			ended = append(ended, t)
		case known:
			out = append(out, t)
		case !keepUnknown:
			unknown = append(unknown, t)
		}
	}
	// Those released a moment ago are remembered a moment later.
	for until := time.Now().Add(wait); len(unknown) > 0 && time.Now().Before(until); {
		time.Sleep(recordTick)
		unknown = slices.DeleteFunc(unknown, func(t kernelpath.Running) bool {
			allowed, known := g.stillAllowed(t)
			if known && !allowed {
				out = append(out, t)
			}
			return known
		})
	}
	out = append(out, unknown...)
	if len(out)+len(ended) > 0 {
		// Meanwhile other connections may have begun on the same ports, with entries of
		// their own.
		if running, err = kernelpath.Released(g.marks); err != nil {
			g.log.Error("flows not looked at again", "err", err) // cut what was found
		} else {
			still := make(map[flowlog.Tuple]uint32, len(running))
			for _, t := range running {
				still[t.Tuple] = t.Entry
			}
			gone := func(t kernelpath.Running) bool {
				entry, running := still[t.Tuple]
				return !running || entry != t.Entry
			}
			out, ended = slices.DeleteFunc(out, gone), slices.DeleteFunc(ended, gone)
		}
	}
	now, rules := g.opt.Now(), g.rules.Load()
	for _, t := range out {
		known, _ := g.flows.Find(t.Tuple)
		f := known.Flow(t.Tuple)
		d := rules.Decide(f, now)
		if g.published(t) {
			d = g.force.Load().Program.Inbound(f, t.To())
		}
		g.records.Decide(&flowlog.Event{
			At: now, Flow: f, SrcPort: t.Src.Port(), Decision: d, Path: "sweep",
			Detail: "cut while under way: the rules have changed",
		})
	}
	g.exchanges.FlowsCut.Add(uint64(len(out)))
	g.engine.Revoking(out)
	if err := kernelpath.Revoke(g.marks, slices.Concat(out, ended)); err != nil {
		g.log.Error("flows not cut", "err", err)
	}
	return len(out)
}

// stillAllowed reports whether the rules of now allow a flow, by its address or
// by what it has proved, and whether that is known.
func (g *Gateway) stillAllowed(t kernelpath.Running) (allowed, known bool) {
	rules, now := g.rules.Load(), g.opt.Now()
	var none flowlog.Open
	if g.published(t) {
		return g.force.Load().Program.Inbound(none.Flow(t.Tuple), t.To()).Verdict == flow.Allow, true
	}
	if rules.Decide(none.Flow(t.Tuple), now).Verdict == flow.Allow {
		return true, true
	}
	o, known := g.flows.Find(t.Tuple)
	return known && rules.Decide(o.Flow(t.Tuple), now).Verdict == flow.Allow, known
}

// remember notes which rules are in force, for the next process.
func (g *Gateway) remember() {
	if err := os.WriteFile(g.rulesFile, []byte(g.force.Load().digest+"\n"), 0o600); err != nil {
		g.log.Error("rules in force not noted", "err", err)
	}
}

// sameAsBefore reports whether the rules are those of the last process.
func (g *Gateway) sameAsBefore() bool {
	b, err := os.ReadFile(g.rulesFile)
	return err == nil && string(b) == g.force.Load().digest+"\n"
}
