// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/lab/load"
)

// countedFlows is how many flows carry numbers while something happens.
const countedFlows = 8

// besideTime is how long they do.
func (b *bencher) besideTime() time.Duration {
	if b.opt.Short {
		return 1500 * time.Millisecond
	}
	return 3 * time.Second
}

// beside runs proved flows with numbers over a way while do does something to
// it, and returns what came of them.
func (b *bencher) beside(ctx context.Context, w *way, do func() error) (r load.Result, err error) {
	d := b.besideTime()
	l := load.Load{Kind: load.Count, Clients: countedFlows, Duration: d, Name: benchName, To: w.tls(atShort)}
	done := make(chan error, 1)
	go func() { done <- b.node.Call(ctx, "load-run", l, &r) }()
	time.Sleep(d / 8)
	err = do()
	return r, errors.Join(err, <-done)
}

// kills ends the process of each way with kill -9 and starts it again, and counts
// what lives on.
func (b *bencher) kills(ctx context.Context) error {
	lived := BenchRow{ID: "lived-kill", Name: fmt.Sprintf("proved flows that live over kill -9 and restart, of %d", countedFlows), Unit: "flows",
		Target: &BenchTarget{AtLeast: countedFlows, AbovePeers: true}}
	lost := BenchRow{ID: "lost-kill", Name: "packets they lose", Unit: "packets", Target: &BenchTarget{HasMost: true}}
	for _, w := range b.measured(nil) {
		if w.name == wayRules {
			continue
		}
		var lives, losses []float64
		for i := range min(b.opt.Pairs, 6) {
			if w.peer != nil && i == 2 {
				break // it is clear by then
			}
			fmt.Fprintf(b.opt.Out, "kill -9 of %s\n", w.name)
			r, err := b.beside(ctx, w, func() error {
				w.killAll()
				time.Sleep(b.length(500 * time.Millisecond))
				if w.peer != nil {
					return b.startPeer(ctx, w)
				}
				return b.startGateway(ctx)
			})
			if err != nil {
				return err
			}
			lives, losses = append(lives, float64(r.Conns)), append(losses, float64(r.Lost))
		}
		lived.Figures = append(lived.Figures, BenchFigure{Way: w.name, Median: MedianOf(lives)})
		if w.name == wayGateway { // a flow that is cut has no end to count at
			lost.Figures = append(lost.Figures, BenchFigure{Way: w.name, Median: MedianOf(losses)})
		}
	}
	b.row(lived)
	b.row(lost)
	return nil
}

// benchRules is a description with n rules, one of which carries a number, so
// that two of them differ in it alone.
func benchRules(n, round int) string {
	var s strings.Builder
	s.WriteString(benchCluster + benchAllow)
	for i := range n * 9 / 10 {
		fmt.Fprintf(&s, "- {name: n%d.customers.example.net, ports: https, reason: one of many}\n", i)
	}
	for i := range n - n*9/10 - 1 {
		fmt.Fprintf(&s, "- {cidr: 20.7.%d.%d/32, ports: tcp/%d, reason: one of many}\n", i/250, i%250, 9000+i)
	}
	fmt.Fprintf(&s, "- {name: round%d.customers.example.net, ports: https, reason: the one that changes}\n", round)
	return s.String()
}

var tookTime = regexp.MustCompile(`msg="new rules in force".* took=(\S+)`)

// reloads exchanges one of 10,000 rules, again and again.
func (b *bencher) reloads(ctx context.Context) error {
	w := b.way(wayGateway)
	exchange := func(round int) (time.Duration, error) {
		said, _ := os.ReadFile(b.gatewayLog())
		before := len(tookTime.FindAllSubmatch(said, -1))
		if err := b.writeCluster(benchRules(b.fewer(10_000), round)); err != nil {
			return 0, err
		}
		if err := w.proc.Signal(ctx, syscall.SIGHUP); err != nil {
			return 0, err
		}
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			said, _ := os.ReadFile(b.gatewayLog())
			if m := tookTime.FindAllSubmatch(said, -1); len(m) > before {
				return time.ParseDuration(string(m[len(m)-1][1]))
			}
		}
		return 0, errors.New("the gateway does not take new rules")
	}
	if _, err := exchange(0); err != nil {
		return err
	}
	var times, losses []float64
	for i := range min(b.opt.Pairs, 6) {
		fmt.Fprintf(b.opt.Out, "reload %d\n", i+1)
		var took time.Duration
		r, err := b.beside(ctx, w, func() (err error) {
			took, err = exchange(i + 1)
			return err
		})
		if err != nil {
			return err
		}
		if r.Failed > 0 {
			return fmt.Errorf("%d proved flows were cut: %s", r.Failed, r.Err)
		}
		times, losses = append(times, float64(took.Milliseconds())), append(losses, float64(r.Lost))
	}
	b.row(BenchRow{ID: "reload", Name: "reload of 10,000 rules", Unit: "ms", Target: &BenchTarget{AtMost: 1000, HasMost: true},
		Figures: []BenchFigure{{Way: wayGateway, Median: MedianOf(times)}}})
	b.row(BenchRow{ID: "lost-reload", Name: "packets that proved flows lose meanwhile", Unit: "packets", Target: &BenchTarget{HasMost: true},
		Figures: []BenchFigure{{Way: wayGateway, Median: MedianOf(losses)}}})
	return nil
}
