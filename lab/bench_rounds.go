// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport/sallyport/lab/agent"
	"github.com/sallyport/sallyport/lab/load"
)

// benchRound is a measurement of every way, round by round.
type benchRound struct {
	id, name string
	load     load.Load
	at       byte // which of the servers
	port     uint16
	ways     []string // beside plain; none: all that carry connections
	cut      bool     // with every packet cut to 1,500 bytes
	figure   func(load.Result) float64
	target   BenchTarget
}

func throughput(r load.Result) float64 { return float64(r.Bytes) / r.Elapsed.Seconds() }
func perSecond(r load.Result) float64  { return float64(r.Conns) / r.Elapsed.Seconds() }

// benchRounds are the rows that are ratios to plain forwarding.
func benchRounds() []benchRound {
	bulk := BenchTarget{AtLeast: 0.97, OrAsPlain: true, OrAsRules: true, AbovePeers: true}
	conns := BenchTarget{AtLeast: 0.7, AbovePeers: true}
	of := func(kind string, clients int, d time.Duration) load.Load {
		return load.Load{Kind: kind, Clients: clients, Duration: d, Name: benchName}
	}
	web := of(load.Web, 1, 500*time.Millisecond)
	web.Name = benchWeb
	return []benchRound{
		{id: "bulk-1", name: "throughput, 1 connection", load: of(load.Bulk, 1, 500*time.Millisecond), at: atBulk, figure: throughput, target: bulk},
		{id: "bulk-8", name: "throughput, 8 connections", load: of(load.Bulk, 8, 400*time.Millisecond), at: atBulk, figure: throughput, target: bulk},
		{id: "cut-1", name: "throughput, 1,500-byte packets, 1 connection", load: of(load.Bulk, 1, 400*time.Millisecond), at: atBulk, cut: true, figure: throughput, target: bulk},
		{id: "cut-8", name: "throughput, 1,500-byte packets, 8 connections", load: of(load.Bulk, 8, 400*time.Millisecond), at: atBulk, cut: true, figure: throughput, target: bulk},
		{id: "http-1", name: "throughput of plain HTTP, strict path", load: web, at: atWeb, port: 80, ways: []string{wayGateway}, figure: throughput},
		{id: "conns-16", name: "new connections a second, 16 clients", load: of(load.Short, 16, 400*time.Millisecond), at: atShort, figure: perSecond, target: conns},
		{id: "conns-64", name: "new connections a second, 64 clients", load: of(load.Short, 64, 400*time.Millisecond), at: atShort, figure: perSecond, target: conns},
	}
}

// steps are all measurements, in the order of the table.
func (b *bencher) steps() []benchStep {
	var out []benchStep
	for _, r := range benchRounds() {
		ids := []string{r.id}
		switch r.load.Kind {
		case load.Bulk:
			ids = append(ids, "cpu-"+r.id)
		case load.Short:
			ids = append(ids, "cpu-"+r.id)
		}
		out = append(out, benchStep{ids, func(ctx context.Context) error { return b.rounds(ctx, r) }})
	}
	return append(out,
		benchStep{[]string{"first-p50", "first-p99"}, b.firstByte},
		benchStep{[]string{"idle-10k"}, b.idleTenThousand},
		benchStep{[]string{"idle-100k"}, b.idleHundredThousand},
		benchStep{[]string{"names"}, b.names},
		benchStep{[]string{"decide-100", "decide-10k", "decide-1m", "decide-1m-cold", "decide-allocs"}, b.decisions},
		benchStep{[]string{"lived-kill", "lost-kill"}, b.kills},
		benchStep{[]string{"reload", "lost-reload"}, b.reloads},
	)
}

// plainRules gives a router as many rules as the gateway has.
func (b *bencher) plainRules(ctx context.Context) error {
	if err := b.way(wayGateway).router.Call(ctx, "count-rules", struct{}{}, &b.out.Rules); err != nil {
		return err
	}
	return b.way(wayRules).router.Call(ctx, "plain", agent.Plain{On: true, Outside: OutsideLink, Rules: b.out.Rules}, nil)
}

// measured are the ways beside plain that a row is about.
func (b *bencher) measured(names []string) (out []*way) {
	for _, w := range b.ways {
		carries := w.peer == nil || !w.peer.resolver
		if w.name != wayPlain && carries && (len(names) == 0 || slices.Contains(names, w.name)) {
			out = append(out, w)
		}
	}
	return out
}

// once runs a load over a way; it is an error when nothing comes through.
func (b *bencher) once(ctx context.Context, l load.Load, w *way) (r load.Result, err error) {
	if err := b.node.Call(ctx, "load-run", l, &r); err != nil {
		return r, err
	}
	if r.Bytes == 0 {
		return r, fmt.Errorf("over %s nothing came through: %s", w.name, r.Err)
	}
	return r, nil
}

// rounds measures a row, and what the processes take meanwhile.
func (b *bencher) rounds(ctx context.Context, m benchRound) error {
	if m.cut {
		if err := b.offloads(ctx, false); err != nil {
			return err
		}
		defer func() { _ = b.offloads(ctx, true) }()
	}
	if m.load.Kind == load.Web {
		if err := b.bind(ctx, benchWeb); err != nil {
			return err
		}
	}
	l := m.load
	l.Duration = b.length(l.Duration)
	port := m.port
	if port == 0 {
		port = 443
	}
	plain, ways := b.way(wayPlain), b.measured(m.ways)
	var noise []float64
	ratios, costs := make(map[string][]float64), make(map[string][]float64)
	for i := range b.opt.Pairs {
		var ends [2]float64
		figures := make(map[string]float64)
		for k, w := range slices.Concat([]*way{plain}, ways, []*way{plain}) {
			l.To = netip.AddrPortFrom(w.at(m.at), port)
			began := w.cpu()
			r, err := b.once(ctx, l, w)
			if err != nil {
				return err
			}
			switch {
			case w == plain:
				ends[min(k, 1)] = m.figure(r)
			default:
				figures[w.name] = m.figure(r)
				costs[w.name] = append(costs[w.name], (w.cpu()-began)/benchWork(r, l.Kind))
			}
		}
		noise = append(noise, ends[1]/ends[0])
		for name, f := range figures {
			ratios[name] = append(ratios[name], 2*f/(ends[0]+ends[1]))
		}
		fmt.Fprintf(b.opt.Out, "%s: round %d of %d\n", m.name, i+1, b.opt.Pairs)
	}
	apart := MedianOf(noise)
	row := BenchRow{ID: m.id, Name: m.name, Unit: UnitRatio, Noise: &apart}
	cost := BenchRow{ID: "cpu-" + m.id, Name: "processor time, " + m.name, Unit: "CPU s per 10,000 connections", Target: &BenchTarget{AtMost: 0.6, HasMost: true}}
	if l.Kind == load.Bulk {
		cost.Unit, cost.Target = "CPU s per GiB", &BenchTarget{AtMost: noCPU, HasMost: true}
	}
	for _, w := range ways {
		row.Figures = append(row.Figures, BenchFigure{Way: w.name, Median: MedianOf(ratios[w.name])})
		if w.name != wayRules {
			cost.Figures = append(cost.Figures, BenchFigure{Way: w.name, Median: MedianOf(costs[w.name])})
		}
	}
	if m.target != (BenchTarget{}) {
		row.Target = &m.target
	}
	b.row(row)
	if l.Kind != load.Web {
		b.row(cost)
	}
	return nil
}

// noCPU is none, in seconds a GiB: each measurement begins with hellos, a process
// that has nothing to do wakes now and then, and the kernel's work on packets
// that interrupts it is counted as its own.
const noCPU = 0.02

// benchWork is how much of its unit a load has done.
func benchWork(r load.Result, kind string) float64 {
	if kind == load.Short {
		return float64(r.Conns) / 10_000
	}
	return float64(r.Bytes) / (1 << 30)
}

// bind asks the gateway's resolver for a name, as a client would, so that its
// addresses are known.
func (b *bencher) bind(ctx context.Context, name string) error {
	var r load.Result
	l := load.Load{Kind: load.Names, Name: name, To: netip.AddrPortFrom(b.way(wayGateway).inside(), 53), Clients: 1, Once: true, Duration: 3 * time.Second}
	if err := b.node.Call(ctx, "load-run", l, &r); err != nil {
		return err
	}
	if r.Conns == 0 {
		return fmt.Errorf("the gateway does not answer for %s: %s", name, r.Err)
	}
	return nil
}

// firstByte measures one connection at a time: how much later than over plain
// forwarding the first byte behind the hello comes.
func (b *bencher) firstByte(ctx context.Context) error {
	plain, ways := b.way(wayPlain), b.measured(nil)
	added := map[float64]map[string][]float64{0.5: {}, 0.99: {}}
	for i := range b.opt.Pairs {
		var ends []load.Result
		results := make(map[string]load.Result)
		for _, w := range slices.Concat([]*way{plain}, ways, []*way{plain}) {
			l := load.Load{Kind: load.Short, Clients: 1, Duration: b.length(150 * time.Millisecond), Name: benchName, To: w.tls(atShort)}
			r, err := b.once(ctx, l, w)
			if err != nil {
				return err
			}
			if w == plain {
				ends = append(ends, r)
			} else {
				results[w.name] = r
			}
		}
		for q, of := range added {
			base := (quantile(ends[0].First, q) + quantile(ends[1].First, q)) / 2
			for name, r := range results {
				of[name] = append(of[name], float64(quantile(r.First, q)-base)/float64(time.Microsecond))
			}
		}
		fmt.Fprintf(b.opt.Out, "first byte: round %d of %d\n", i+1, b.opt.Pairs)
	}
	for _, q := range []float64{0.5, 0.99} {
		row := BenchRow{ID: fmt.Sprintf("first-p%.0f", 100*q), Name: fmt.Sprintf("first byte behind the hello, added, p%.0f", 100*q), Unit: "µs"}
		if q == 0.5 {
			row.Target = &BenchTarget{AtMost: 120, HasMost: true}
		}
		for _, w := range ways {
			row.Figures = append(row.Figures, BenchFigure{Way: w.name, Median: MedianOf(added[q][w.name])})
		}
		b.row(row)
	}
	return nil
}
