// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/cluster"
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/lab/client"
	"github.com/sallyport/sallyport/program"
)

// RunOptions is what a run is about.
type RunOptions struct {
	Cluster     *cluster.Cluster
	ClusterFile string // where Cluster was read from: the gateway reads it again
	Program     *program.Program
	// Gateway is the program and arguments that start a gateway, to which the
	// cluster file and the lab's interfaces are added; nil for this program's own
	// verb.
	Gateway     []string
	GatewayArgs []string // after those
	Single      bool     // the gateway has one interface
	Ways        []Way    // nil for Ways

	Out      io.Writer
	JSON     bool // one document at the end in place of the table
	Terminal bool // lines may be rewritten and coloured
	Width    int  // of the terminal; 0 when not known
	Keep     bool // leave everything running until ctx ends
}

// atOnce is how many destinations are reached at a time.
const atOnce = 8

// Run builds a lab, boots a node in it, reaches everything that the program
// allows and tries every way out. The summary says what came of it; the error is
// for what kept it from being found out.
func Run(ctx context.Context, opt RunOptions) (Summary, error) {
	ways := opt.Ways
	if ways == nil {
		ways = Ways
	}
	if opt.Gateway == nil {
		self, err := os.Executable()
		if err != nil {
			return Summary{}, err
		}
		opt.Gateway = []string{self, "gateway"}
	}
	start := time.Now()
	s := newSummary(opt, start)
	b := newBoard(opt)
	defer b.end()

	l, err := New(ctx, Options{Cluster: opt.Cluster, Program: opt.Program, Single: opt.Single})
	if err != nil {
		return s, err
	}
	defer l.Close()
	ways, left := possible(ways, &l.Plan)
	e := &Env{Lab: l, Cluster: opt.Cluster, Program: opt.Program, Source: l.Plan.Sources[0], Began: start}
	b.intro(opt, l.Plan)

	if err := l.Plain(ctx, true); err != nil {
		return s, err
	}
	b.section(fmt.Sprintf("Ways out with the gateway off: each must lead out, or it would prove nothing (%d)", len(ways)), len(ways))
	for _, why := range left {
		b.line("  not tried here: %s", why)
	}
	s.LeftOut = left
	open := make([]attempt, len(ways))
	for i, w := range ways {
		open[i] = e.attempt(ctx, w)
		b.step(w.ID + " " + w.Title)
	}
	if err := l.Plain(ctx, false); err != nil {
		return s, err
	}

	fw := l.Firewall(append(append(opt.Gateway, "--cluster", opt.ClusterFile), opt.GatewayArgs...)...)
	if err := fw.Start(ctx); err != nil {
		return s, err
	}
	e.Firewall = fw

	steps := bootSteps(opt.Program, opt.Cluster, l.Plan)
	b.section("A node boots, in the order a node does it", len(steps))
	for _, step := range steps {
		s.add(b, timed(func() Row { return step.run(ctx, e) }))
	}
	b.section(fmt.Sprintf("Every pair of the program is reached with the protocol it is for (%d)", len(l.Plan.Reaches)), len(l.Plan.Reaches))
	reachAll(ctx, l, func(r Row) { s.add(b, r) })

	b.section(fmt.Sprintf("Ways out with the gateway on: none may lead out (%d)", len(ways)), len(ways))
	for i, w := range ways {
		s.add(b, timed(func() Row { return e.judge(ctx, w, open[i]) }))
	}
	if err := ctx.Err(); err != nil {
		return s, fmt.Errorf("stopped before the end: %w", err)
	}
	s.finish(start)
	b.summary(s)
	if opt.Keep {
		b.keep(l)
		<-ctx.Done()
	}
	return s, nil
}

func timed(f func() Row) Row {
	start := time.Now()
	r := f()
	r.Seconds = time.Since(start).Seconds()
	return r
}

// reachAll tries every pair, some at a time, and hands over each row as it is
// done, one after another.
func reachAll(ctx context.Context, l *Lab, done func(Row)) {
	rows := make(chan Row)
	room := make(chan struct{}, atOnce)
	go func() {
		var wg sync.WaitGroup
		for _, r := range l.Plan.Reaches {
			room <- struct{}{}
			wg.Go(func() {
				rows <- timed(func() Row { return r.try(ctx, l) })
				<-room
			})
		}
		wg.Wait()
		close(rows)
	}()
	for r := range rows {
		done(r)
	}
}

// ReachAll tries every pair of the lab's program and returns the rows in no
// order.
func (l *Lab) ReachAll(ctx context.Context) (rows []Row) {
	reachAll(ctx, l, func(r Row) { rows = append(rows, r) })
	return rows
}

// try reaches r and asks the server whether it did.
func (r Reach) try(ctx context.Context, l *Lab) Row {
	row := Row{
		Section: SectionReach, ID: fmt.Sprintf("%s:%d", r.Pair.Rule.ID, r.Port), Title: r.Pair.Rule.Destination(),
		Rule: r.Pair.Rule.ID, Destination: strings.TrimPrefix(r.String(), fmt.Sprintf("%s/%d ", r.Pair.Rule.Protocol, r.Port)),
		Protocol: fmt.Sprintf("%s/%d", r.Pair.Rule.Protocol, r.Port), Source: r.Source,
	}
	t, got := l.Reach(ctx, r.Target())
	row.Nonce, row.Remote = t.Nonce, got.Remote
	if !got.OK {
		row.Outcome, row.Detail = "failed", got.Error
		return row
	}
	if err := r.Witnessed(ctx, l.Internet, t, got); err != nil {
		row.Outcome, row.Detail = "failed", err.Error()
		return row
	}
	row.OK, row.Outcome = true, "reached"
	return row
}

// possible returns the ways that a lab can try, and for each other one why not.
func possible(ways []Way, p *Plan) (can []Way, left []string) {
	for _, w := range ways {
		if w.Needs != nil {
			if err := w.Needs(p); err != nil {
				left = append(left, fmt.Sprintf("%s %s: %v", w.ID, w.Title, err))
				continue
			}
		}
		can = append(can, w)
	}
	return can, left
}

// attempt is how trying a way went.
type attempt struct {
	leaked  bool   // past the gateway: any form of it; without one: every form
	detail  string // of the form that decided it, or of the last
	nonce   string
	reasons []string // recorded for its forms, each once
	err     error
}

// attempt tries every form of w at once, each with a nonce of its own. What it returns is
// about the first that came out as it must not, or about all.
func (e *Env) attempt(ctx context.Context, w Way) (a attempt) {
	if e.Lab.opt.Single {
		w.Tries = slices.DeleteFunc(slices.Clone(w.Tries), func(t Try) bool { return t.TwoSides })
	}
	all := make([]attempt, len(w.Tries))
	var wg sync.WaitGroup
	for i, t := range w.Tries {
		wg.Go(func() {
			all[i] = e.try(ctx, t)
			if !e.Held() && !all[i].leaked { // a packet may get lost on a busy machine; what matters is that it can lead out
				all[i] = e.try(ctx, t)
			}
		})
	}
	wg.Wait()
	for i, t := range w.Tries {
		one := all[i]
		for _, r := range one.reasons {
			if !slices.Contains(a.reasons, r) {
				a.reasons = append(a.reasons, r)
			}
		}
		one.reasons = a.reasons
		a = one
		if one.err == nil && one.leaked != e.Held() {
			continue
		}
		if e.Held() {
			a.err = errors.Join(a.err, e.Firewall.Ended())
		}
		if t.What == "" {
			return a
		}
		if a.detail = t.What + ": " + a.detail; a.err != nil {
			a.err = fmt.Errorf("%s: %w", t.What, a.err)
		}
		return a
	}
	if n := len(w.Tries); n > 1 {
		a.detail = fmt.Sprintf("%d forms", n)
	}
	return a
}

// try tries one form, and past the gateway looks for the record of it.
func (e *Env) try(ctx context.Context, t Try) (a attempt) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	own := *e
	own.Nonce, own.Began = client.NewNonce(), time.Now()
	a.nonce = own.Nonce
	a.leaked, a.detail, a.err = t.Do(ctx, &own)
	want := t.Want
	if e.Lab.opt.Single && t.Single != nil {
		want = t.Single
	}
	if a.err != nil || a.leaked || !e.Held() || len(want) == 0 {
		return a
	}
	r, err := e.Firewall.denied(ctx, own.Began, own.about, want)
	if err != nil {
		a.err = fmt.Errorf("%s, but %w", a.detail, err)
		return a
	}
	a.reasons = []string{r.Reason}
	return a
}

// judge tries w past the gateway and compares it with how it went without.
func (e *Env) judge(ctx context.Context, w Way, open attempt) Row {
	row := Row{Section: SectionWay, ID: w.ID, Title: w.Title, Outcome: "failed"}
	if open.err != nil || !open.leaked {
		row.Detail = fmt.Sprintf("with the gateway off it did not lead out, so it proves nothing: %s", said(open))
		return row
	}
	a := e.attempt(ctx, w)
	row.Nonce, row.Reason = a.nonce, strings.Join(a.reasons, ", ")
	switch {
	case a.err != nil:
		row.Detail = a.err.Error()
		return row
	case a.leaked:
		row.Outcome, row.Detail = "leaked", a.detail
		return row
	}
	// What is lawful goes on beside it.
	if name, err := e.Allowed(); err == nil {
		t := client.Target{Kind: client.HTTPS, Name: name, Port: 443, Source: e.Source}
		if w.Beside != nil {
			w.Beside(&t)
		}
		t, got := e.Lab.Reach(ctx, t)
		if _, seen := e.Lab.Internet.Await(ctx, t.Nonce, soon); !got.OK || !seen {
			row.Detail = fmt.Sprintf("held, but then %s was not reached: %s", name, got.Error)
			return row
		}
	}
	row.OK, row.Outcome, row.Detail = true, "held", a.detail
	return row
}

func said(a attempt) string {
	if a.err != nil {
		return a.err.Error()
	}
	return a.detail
}

func mustName(s string) dnsname.Name { return dnsname.MustParse(s) }
