// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
)

// decisions measures how long one decision takes, and whether it allocates. What
// a cluster asks for are some hundreds of names, however many it may ask for; the
// last row asks for names all over the table, whose rules are in no cache of the
// processor.
func (b *bencher) decisions(context.Context) error {
	rows := []struct {
		id, what string
		names    int
		asked    int // different ones
		target   *BenchTarget
	}{
		{"decide-100", "100 names", 100, namesInUse, nil},
		{"decide-10k", "10,000 names", 10_000, namesInUse, nil},
		{"decide-1m", "1,000,000 names", 1_000_000, namesInUse, &BenchTarget{AtMost: 150, HasMost: true}},
		{"decide-1m-cold", "1,000,000 names, each asked for once", 1_000_000, 1 << 18, nil},
	}
	var s *decide.Snapshot
	made, allocs := 0, 0.0
	for _, r := range rows {
		fmt.Fprintf(b.opt.Out, "decisions among %s\n", r.what)
		if n := b.fewer(r.names); n != made {
			s, made = decide.New(manyNames(n)), n
		}
		f, names := namedFlow(), askedNames(b.fewer(r.names), r.asked)
		now := time.Now()
		var samples []float64
		for range b.opt.Pairs {
			n, begin := 0, time.Now()
			for time.Since(begin) < b.length(50*time.Millisecond) {
				for range 1000 {
					s.DecideBytes(f, names[n%len(names)], now)
					n++
				}
			}
			samples = append(samples, float64(time.Since(begin).Nanoseconds())/float64(n))
		}
		i := 0
		allocs = max(allocs, testing.AllocsPerRun(10_000, func() {
			s.DecideBytes(f, names[i%len(names)], now)
			i++
		}))
		b.row(BenchRow{
			ID: r.id, Name: "decision among " + r.what, Unit: "ns", Target: r.target,
			Figures: []BenchFigure{{Way: wayGateway, Median: MedianOf(samples)}},
		})
	}
	b.row(BenchRow{
		ID: "decide-allocs", Name: "allocations of a decision", Unit: "allocations", Target: &BenchTarget{HasMost: true},
		Figures: []BenchFigure{{Way: wayGateway, Median: MedianOf([]float64{allocs})}},
	})
	return nil
}

func benchHost(i int) string { return fmt.Sprintf("host%d.zone%d.example", i, i%1000) }

// manyNames is a program with n names, a tenth of them wildcards.
func manyNames(n int) *program.Program {
	p := &program.Program{Rules: make([]program.Rule, 0, n)}
	nodes := netset.Of(netip.MustParsePrefix("10.240.0.0/16"))
	for i := range n {
		text := benchHost(i)
		if i%10 == 9 {
			text = "*." + text
		}
		p.Rules = append(p.Rules, program.Rule{
			ID: flow.RuleID(fmt.Sprint(i)), Pattern: dnsname.MustParsePattern(text), Protocol: flow.ProtoHTTPS,
			Ports: portset.Of(443), Sources: nodes,
		})
	}
	return p
}

// namesInUse is how many different names are asked for.
const namesInUse = 500

// askedNames are different names to decide about: of ten, eight that a rule names, one
// below a wildcard and one that is denied.
func askedNames(n, asked int) [][]byte {
	random := rand.New(rand.NewPCG(1, 2)) // the same ones in each run
	out := make([][]byte, asked)
	for k := range out {
		tens := 10 * random.IntN(max(1, n/10))
		switch k % 10 {
		case 0:
			out[k] = []byte("a." + benchHost(tens+9))
		case 1:
			out[k] = []byte("evil." + benchHost(tens))
		default:
			out[k] = []byte(benchHost(tens + random.IntN(9)))
		}
	}
	return out
}

func namedFlow() flow.Flow {
	return flow.Flow{
		Src: benchNode, Dst: netip.MustParseAddr("20.0.0.1"), Port: 443, Transport: flow.TCP, App: flow.TLS, Proof: flow.BySNI,
	}
}
