// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/lab/load"
)

// peerIdle is how many idle connections a peer gets, which needs two descriptors
// for each and may have peerConns of them.
const peerIdle = 9_400

// idleSources is how many addresses the clients of a process have: the kernel
// looks at each connection of a source when it counts them.
const idleSources = benchSecond / idleServers

// askedIdle is what is asked of the process with all of them, in MiB.
var askedIdle = BenchTarget{AtMost: 64, HasMost: true}

// idleTenThousand measures what the processes of each way hold while
// connections stand still.
func (b *bencher) idleTenThousand(ctx context.Context) error {
	row := BenchRow{ID: "idle-10k", Name: "memory, 10,000 idle flows", Unit: "MiB", Target: &askedIdle}
	for _, w := range b.measured(nil) {
		if w.name == wayRules {
			continue // it has no process
		}
		n := 10_000
		if w.peer != nil {
			n = peerIdle
		}
		f, err := b.idle(ctx, w, b.fewer(n), 1)
		if err != nil {
			return err
		}
		row.Figures = append(row.Figures, f)
	}
	b.row(row)
	return nil
}

// idleHundredThousand measures the gateway alone: the others would need more
// descriptors than a process may have.
func (b *bencher) idleHundredThousand(ctx context.Context) error {
	f, err := b.idle(ctx, b.way(wayGateway), b.fewer(100_000), idleServers)
	if err != nil {
		return err
	}
	b.row(BenchRow{ID: "idle-100k", Name: "memory, 100,000 idle flows", Unit: "MiB", Figures: []BenchFigure{f}, Target: &askedIdle})
	return nil
}

func (b *bencher) fewer(n int) int {
	if b.opt.Short {
		return n / 100
	}
	return n
}

// idle makes n connections over a way and looks at the memory of what runs
// there. Each of several processes has its own server and source address, since
// a process may have only so many descriptors, a server so many connections from
// one address, and a source so many places in the gateway's table.
func (b *bencher) idle(ctx context.Context, w *way, n, processes int) (f BenchFigure, err error) {
	var ends []*Proc
	defer func() {
		for _, p := range ends {
			err = errors.Join(err, p.Kill(ctx))
		}
	}()
	begin := func(a *Agent, name string, j load.Job) (string, error) {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		in, err := json.Marshal(j)
		if err != nil {
			return "", err
		}
		said := filepath.Join(b.dir, name)
		_ = os.Remove(said)
		p, err := a.Start(ctx, Cmd{Argv: []string{self, roleArg, loadRole}, Stdin: in, Stdout: said, Stderr: said})
		if err == nil {
			ends = append(ends, p)
		}
		return said, err
	}
	var said []string
	for i := range processes {
		to := w.tls(atShort) // where a peer's connections may go
		if w.peer == nil {
			to = w.tls(atIdle + byte(i))
			up, err := begin(b.server, fmt.Sprint("idle-server-", i), load.Job{Serve: []load.Server{{Addr: to, Kind: load.Idle}}})
			if err != nil {
				return f, err
			}
			if _, err := awaitJob(ctx, up, 5*time.Second); err != nil {
				return f, err
			}
		}
		l := load.Load{
			Kind: load.Idle, Clients: n / processes, Duration: time.Minute, Name: benchName, To: to,
			Sources: sources(benchSecond)[i*idleSources:][:idleSources],
		}
		file, err := begin(b.node, fmt.Sprint("idle-clients-", i), load.Job{Run: &l})
		if err != nil {
			return f, err
		}
		said = append(said, file)
	}
	held := 0
	for _, file := range said {
		r, err := awaitJob(ctx, file, 90*time.Second)
		if err != nil {
			return f, err
		}
		held += int(r.Conns)
	}
	fmt.Fprintf(b.opt.Out, "idle flows over %s: %d\n", w.name, held)
	time.Sleep(b.length(2 * time.Second))
	var samples []float64
	for range 6 {
		samples = append(samples, w.memory())
		time.Sleep(b.length(200 * time.Millisecond))
	}
	f = BenchFigure{Way: w.name, Median: MedianOf(samples)}
	if held != n || w.peer != nil {
		f.Note = fmt.Sprintf("(%d flows)", held)
	}
	return f, nil
}

// awaitJob waits until a process has done its job, and returns what came of it.
func awaitJob(ctx context.Context, file string, patience time.Duration) (r load.Result, err error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		data, _ := os.ReadFile(file) // there may be no file yet
		if bytes.HasSuffix(data, []byte("\n")) {
			if err := json.Unmarshal(data, &r); err != nil {
				return r, fmt.Errorf("%s: %s", filepath.Base(file), bytes.TrimSpace(data))
			}
			return r, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return r, errors.Join(ctx.Err(), fmt.Errorf("%s has not ended after %s", filepath.Base(file), patience))
		}
	}
}
