// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// BenchOptions is what a benchmark is to measure.
type BenchOptions struct {
	Pairs int       // interleaved rounds of each measurement
	Only  []string  // IDs of rows, or beginnings of them; none: all
	Short bool      // prove that it runs, and measure next to nothing
	Out   io.Writer // progress, a line each; io.Discard for none
}

// BenchSchema is the version of BenchResult as JSON.
const BenchSchema = "sallyport.bench/2"

// BenchResult is the outcome of a benchmark.
type BenchResult struct {
	Schema string      `json:"schema"`
	Day    string      `json:"day"` // of the run, as 2006-01-02
	Pairs  int         `json:"pairs"`
	Host   BenchHost   `json:"host"`
	Rules  int         `json:"rules"` // that the gateway's table has, and plain forwarding in the column for that
	Peers  []BenchPeer `json:"peers"`
	Rows   []BenchRow  `json:"rows"`
}

// BenchHost says where it was measured.
type BenchHost struct {
	Kernel    string `json:"kernel"`
	CPUs      int    `json:"cpus"`
	Processor string `json:"processor,omitempty"`
}

// BenchPeer is what was measured beside the gateway, or why it was not.
type BenchPeer struct {
	Name    string `json:"name"`
	Title   string `json:"title"`
	Version string `json:"version,omitempty"`
	Missing string `json:"missing,omitempty"` // why it was not measured
}

// BenchRow is one measurement of several ways.
type BenchRow struct {
	ID      string        `json:"id"`
	Name    string        `json:"name"`
	Unit    string        `json:"unit"`            // ratio, or what a figure counts
	Noise   *Median       `json:"noise,omitempty"` // of ratios: plain against plain
	Figures []BenchFigure `json:"figures"`
	Target  *BenchTarget  `json:"target,omitempty"`
	Answer  string        `json:"answer,omitempty"` // whether the target is reached: yes, no, inconclusive
}

// UnitRatio is the unit of figures that are ratios, to plain forwarding or to
// another resolver.
const UnitRatio = "ratio"

// BenchFigure is what one way reached.
type BenchFigure struct {
	Way string `json:"way"`
	Median
	Note string `json:"note,omitempty"`
}

// Figure returns what a way reached.
func (r BenchRow) Figure(way string) (BenchFigure, bool) {
	i := slices.IndexFunc(r.Figures, func(f BenchFigure) bool { return f.Way == way })
	if i < 0 {
		return BenchFigure{}, false
	}
	return r.Figures[i], true
}

// bencher is a benchmark under way.
type bencher struct {
	*bench
	opt BenchOptions
	out *BenchResult
}

// Bench measures what a gateway costs. Rounds of plain, gateway, each peer and
// plain again are interleaved, so that what drifts on the machine drifts in all
// of them.
func Bench(ctx context.Context, opt BenchOptions) (out BenchResult, err error) {
	out = BenchResult{Schema: BenchSchema, Day: time.Now().Format(time.DateOnly), Pairs: opt.Pairs, Host: thisHost()}
	b := &bencher{bench: &bench{}, opt: opt, out: &out}
	defer b.close()
	var found []*peer
	for _, p := range peers() {
		said := BenchPeer{Name: p.name, Title: p.title}
		if said.Version, err = p.installed(); err != nil {
			said.Missing = err.Error()
		} else {
			found = append(found, p)
		}
		out.Peers = append(out.Peers, said)
	}
	if err := b.start(ctx, found); err != nil {
		return out, err
	}
	steps := b.steps()
	if len(opt.Only) > 0 {
		steps = slices.DeleteFunc(steps, func(s benchStep) bool { return !s.wanted(opt.Only) })
		if len(steps) == 0 {
			return out, fmt.Errorf("--only %s: there is no such row; there are: %s", strings.Join(opt.Only, ","), strings.Join(b.ids(), ", "))
		}
	}
	for _, s := range steps {
		fmt.Fprintf(opt.Out, "%s\n", s.ids[0])
		if err := s.measure(ctx); err != nil {
			return out, fmt.Errorf("measure %s: %w", s.ids[0], err)
		}
	}
	// A step may measure more than was asked for.
	if len(opt.Only) > 0 {
		out.Rows = slices.DeleteFunc(out.Rows, func(r BenchRow) bool { return !(benchStep{ids: []string{r.ID}}).wanted(opt.Only) })
	}
	return out, nil
}

// start builds the rig with the gateway and the peers; a peer that cannot be
// brought up is left out, and the result says why.
func (b *bencher) start(ctx context.Context, found []*peer) error {
	if err := b.build(ctx, found...); err != nil {
		return err
	}
	if err := errors.Join(b.writeCluster(benchCluster+benchAllow), b.startGateway(ctx)); err != nil {
		return err
	}
	if err := b.plainRules(ctx); err != nil {
		return err
	}
	for _, w := range slices.Clone(b.ways) {
		if w.peer == nil {
			continue
		}
		fmt.Fprintf(b.opt.Out, "starting %s\n", w.name)
		if err := b.set(ctx, w); err != nil {
			if ctx.Err() != nil {
				return err
			}
			i := slices.IndexFunc(b.out.Peers, func(p BenchPeer) bool { return p.Name == w.name })
			b.out.Peers[i].Missing = "not measured: " + err.Error()
			b.leaveOut(w)
		}
	}
	return nil
}

// benchStep measures one row, or several at once.
type benchStep struct {
	ids     []string
	measure func(context.Context) error
}

func (s benchStep) wanted(only []string) bool {
	return slices.ContainsFunc(s.ids, func(id string) bool {
		return slices.ContainsFunc(only, func(o string) bool { return strings.HasPrefix(id, o) })
	})
}

func (b *bencher) ids() []string {
	var out []string
	for _, s := range b.steps() {
		out = append(out, s.ids...)
	}
	return out
}

// row adds a row, and judges it.
func (b *bencher) row(r BenchRow) {
	if r.Target != nil {
		r.Answer = r.Target.judge(r)
	}
	b.out.Rows = append(b.out.Rows, r)
}

// length is how long a measurement takes, next to nothing in a short run.
func (b *bencher) length(d time.Duration) time.Duration {
	if b.opt.Short {
		return min(d, 100*time.Millisecond)
	}
	return d
}

func thisHost() BenchHost {
	var u unix.Utsname
	_ = unix.Uname(&u)
	h := BenchHost{Kernel: unix.ByteSliceToString(u.Release[:]), CPUs: runtime.NumCPU()}
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			h.Processor = strings.TrimSpace(value)
			break
		}
	}
	return h
}
