// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/lab/load"
)

// warmNames is how many names a resolver's cache has, and benchAskers how many
// clients ask, each from an address of its own: the gateway answers no source
// more than 20,000 questions a second.
const (
	warmNames   = 10_000
	benchAskers = 32
)

// names measures answers from a warm cache against unbound's, both with the same
// upstream.
func (b *bencher) names(ctx context.Context) error {
	other := b.way(wayUnbound)
	if other == nil {
		return nil // the result says that it is not there
	}
	l := load.Load{Kind: load.Names, Name: benchZone, Clients: benchAskers, Names: b.fewer(warmNames), Sources: sources(benchAskers)}
	run := func(w *way, l load.Load) (load.Result, error) {
		l.To = netip.AddrPortFrom(w.inside(), 53)
		return b.once(ctx, l, w)
	}
	for _, w := range []*way{other, b.way(wayGateway)} {
		warm := l
		warm.Once, warm.Duration = true, 30*time.Second
		r, err := run(w, warm)
		if err != nil {
			return err
		}
		if r.Conns < int64(l.Names) {
			return fmt.Errorf("%s answers for %d of %d names: %s", w.name, r.Conns, l.Names, r.Err)
		}
	}
	l.Duration = b.length(500 * time.Millisecond)
	var noise, ratios []float64
	for i := range b.opt.Pairs {
		var figures [3]float64
		for k, w := range []*way{other, b.way(wayGateway), other} {
			r, err := run(w, l)
			if err != nil {
				return err
			}
			figures[k] = perSecond(r)
		}
		noise = append(noise, figures[2]/figures[0])
		ratios = append(ratios, 2*figures[1]/(figures[0]+figures[2]))
		fmt.Fprintf(b.opt.Out, "DNS: round %d of %d: %.0f answers a second\n", i+1, b.opt.Pairs, figures[1])
	}
	apart := MedianOf(noise)
	b.row(BenchRow{
		ID: "names", Name: "DNS answers a second from the cache, to unbound's", Unit: UnitRatio, Noise: &apart,
		Figures: []BenchFigure{{Way: wayGateway, Median: MedianOf(ratios)}},
	})
	return nil
}
