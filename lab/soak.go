// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/cluster"
	"github.com/sallyport/sallyport/compile"
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab/load"
	"github.com/sallyport/sallyport/program"
)

// SoakOptions is how long a gateway is to be under load, and under how much.
type SoakOptions struct {
	For    time.Duration
	Rate   int           // connections a second
	Reload time.Duration // between two changes of the rules
	Out    io.Writer     // a line for each sample
}

// SoakResult is what came of it.
type SoakResult struct {
	Schema    string        `json:"schema"`
	For       time.Duration `json:"for"`
	Conns     int64         `json:"connections"` // answered
	Failed    int64         `json:"failed"`      // of allowed ones
	LetOut    int64         `json:"letOut"`      // of refused ones
	Decisions int           `json:"decisions"`   // records that were judged again
	Differ    []string      `json:"differ,omitempty"`
	Reloads   int           `json:"reloads"`
	MemoryMiB [2]float64    `json:"memoryMiB"` // medians of the first and of the last fifth behind the warm-up
	Log       []string      `json:"-"`
}

// Flat reports whether the process holds as much memory at the end as in the
// beginning, within so much.
func (r SoakResult) Flat(within float64) bool {
	return r.MemoryMiB[0] > 0 && r.MemoryMiB[1] <= r.MemoryMiB[0]*(1+within)
}

// soakRefused is a name that no rule allows, at the address of one that is.
const soakRefused = "refused.example"

// Soak keeps a gateway under load, allowed and refused, changes its rules again
// and again, and judges every decision that it records once more.
func Soak(ctx context.Context, opt SoakOptions) (out SoakResult, err error) {
	out = SoakResult{Schema: "sallyport.soak/1", For: opt.For}
	b := &bench{}
	defer b.close()
	if b.dir, err = os.MkdirTemp("", "sallyport-soak-"); err != nil {
		return out, err
	}
	judge := &soakJudge{}
	if err := judge.read(benchCluster); err != nil {
		return out, err
	}
	// The records of an hour are gigabytes, and read as they come.
	if err := unix.Mkfifo(filepath.Join(b.dir, "records"), 0o600); err != nil {
		return out, fmt.Errorf("make a pipe for the records: %w", err)
	}
	pipe, err := os.OpenFile(filepath.Join(b.dir, "records"), os.O_RDWR, 0)
	if err != nil {
		return out, err
	}
	var wg sync.WaitGroup
	wg.Go(func() { judge.follow(pipe) })
	defer wg.Wait()
	defer pipe.Close()
	if err := errors.Join(b.writeCluster(benchCluster), b.build(ctx)); err != nil {
		return out, err
	}
	if err := b.startGateway(ctx); err != nil {
		return out, err
	}
	samples, err := b.soak(ctx, opt, &out)
	if err != nil {
		return out, err
	}
	time.Sleep(500 * time.Millisecond) // the last records
	var denied []string
	out.Decisions, out.Differ, denied = judge.result()
	out.Log = append(out.Log, denied...)
	fifth := max(1, len(samples)/6)
	if len(samples) > 2*fifth {
		out.MemoryMiB = [2]float64{middle(samples[fifth : 2*fifth]), middle(samples[len(samples)-fifth:])}
	}
	return out, nil
}

func middle(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}

// soak runs the load in rounds of one reload each, and returns what the process
// held in each second.
func (b *bench) soak(ctx context.Context, opt SoakOptions, out *SoakResult) (samples []float64, err error) {
	end := time.Now().Add(opt.For)
	for round := 0; time.Now().Before(end); round++ {
		length := min(opt.Reload, time.Until(end))
		text := benchCluster
		if round%2 == 1 {
			text += "allow:\n- {name: sometimes.example.net, ports: https, reason: soak}\n"
		}
		if err := b.writeCluster(text); err != nil {
			return samples, err
		}
		out.Reloads += round & 1
		var wg sync.WaitGroup
		var good, bad load.Result
		var errs [2]error
		to := b.way(wayGateway).tls(atShort)
		wg.Go(func() {
			errs[0] = b.node.Call(ctx, "load-run", load.Load{Kind: load.Short, Name: benchName, To: to, Clients: 16, Duration: length, Rate: opt.Rate}, &good)
		})
		wg.Go(func() {
			errs[1] = b.node.Call(ctx, "load-run", load.Load{Kind: load.Short, Name: soakRefused, To: to, Clients: 2, Duration: length, Rate: max(1, opt.Rate/20)}, &bad)
		})
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		for waiting := true; waiting; {
			select {
			case <-done:
				waiting = false
			case <-time.After(time.Second):
				m, err := residentMiB(b.way(wayGateway).proc.PID)
				if err != nil {
					return samples, fmt.Errorf("the gateway has ended: %w", err)
				}
				samples = append(samples, m)
			}
		}
		if err := errors.Join(errs[:]...); err != nil {
			return samples, err
		}
		out.Conns += good.Conns
		out.Failed += good.Failed
		out.LetOut += bad.Conns
		if good.Failed > 0 {
			out.Log = append(out.Log, fmt.Sprintf("round %d: %d connections failed: %s", round, good.Failed, good.Err))
		}
		line := fmt.Sprintf("round %d: %d answered, %d failed, %d of %d refused ones let out", round, good.Conns, good.Failed, bad.Conns, bad.Conns+bad.Failed)
		if n := len(samples); n > 0 {
			line += fmt.Sprintf(", %.1f MiB", samples[n-1])
		}
		fmt.Fprintln(opt.Out, line)
	}
	return samples, nil
}

// residentMiB returns how much memory a process holds.
func residentMiB(pid int) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("the process has no memory")
}

// soakJudge judges what the gateway records again, by the slow judge.
type soakJudge struct {
	p *program.Program

	mu     sync.Mutex
	judged int
	differ []string
	denied []string // what was refused though nobody has asked for a name without a rule
}

func (j *soakJudge) read(text string) error {
	c, err := cluster.Parse("cluster.yaml", []byte(text))
	if err != nil {
		return err
	}
	j.p, err = compile.Compile(c, catalog.Default(), nil)
	return err
}

func (j *soakJudge) follow(r io.Reader) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 64<<10), 1<<20)
	for s.Scan() {
		var rec Record
		if err := json.Unmarshal(s.Bytes(), &rec); err != nil || rec.Schema != "sallyport.decision/1" {
			continue
		}
		if rec.Verdict == "deny" && rec.Name != soakRefused {
			j.note(rec)
		}
		if rec.Path == "hello" {
			j.judge(rec)
		}
	}
}

// note keeps what may be the reason of a failure.
func (j *soakJudge) note(rec Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.denied) < 20 {
		j.denied = append(j.denied, fmt.Sprintf("%s %s: %s denied (%s, %s)", rec.Time.UTC().Format(time.StampMilli), rec.Path, rec.Source, rec.Reason, rec.Detail))
	}
}

func (j *soakJudge) judge(rec Record) {
	src, err := netip.ParseAddrPort(rec.Source)
	dst, err2 := netip.ParseAddrPort(rec.Dest)
	name, err3 := dnsname.Parse(rec.Name)
	if errors.Join(err, err2, err3) != nil {
		return
	}
	f := flow.Flow{Src: src.Addr(), Dst: dst.Addr(), Port: dst.Port(), Transport: flow.TCP, App: flow.TLS, Name: name}
	if rec.Proof == flow.BySNI.String() {
		f.Proof = flow.BySNI
	}
	want := j.p.Eval(f, time.Now())
	j.mu.Lock()
	defer j.mu.Unlock()
	j.judged++
	if want.Verdict.String() != rec.Verdict && len(j.differ) < 20 {
		j.differ = append(j.differ, fmt.Sprintf("%s: the gateway says %s (%s), the judge %s (%s)", f, rec.Verdict, rec.Reason, want.Verdict, want.Reason))
	}
}

func (j *soakJudge) result() (judged int, differ, denied []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.judged, j.differ, j.denied
}
