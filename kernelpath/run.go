// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
)

// Engine serves the queues and the log of one table.
type Engine struct {
	cfg    Config
	queues []*queue
	log    *kernelLog
	begun  *begins
	inject *injector
	stats  []*Stats
}

// Open binds the queues and the log. It fails, and leaves nothing behind, when
// one of them belongs to another process.
func Open(cfg Config, j *Judge) (*Engine, error) {
	e := &Engine{cfg: cfg, begun: newBegins()}
	var err error
	if e.inject, err = openInjector(); err != nil {
		return nil, err
	}
	for i := range cfg.Queues {
		h := newHold(j, cfg.Marks)
		h.inject, h.begun, h.tracked, h.audit = e.inject.send, e.begun, true, cfg.Audit
		e.stats = append(e.stats, h.stats)
		q, err := openQueue(cfg.FirstQueue+i, h)
		if err != nil {
			e.Close()
			return nil, err
		}
		e.queues = append(e.queues, q)
	}
	if err := e.begun.open(cfg.LogGroup + 1); err != nil {
		e.Close()
		return nil, err
	}
	if e.log, err = openKernelLog(cfg.LogGroup, j); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// Close closes what Open opened and Run did not take over.
func (e *Engine) Close() {
	for _, q := range e.queues {
		q.sock.close()
	}
	if e.log != nil {
		e.log.sock.close()
	}
	e.begun.close()
	e.inject.close()
}

// Run serves until ctx ends or a part fails; then it stops the others and
// returns what failed.
func (e *Engine) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A queue's thread keeps a processor while packets come; the others still have
	// as many as there are.
	procs := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(procs + len(e.queues))
	defer runtime.GOMAXPROCS(procs)
	defer e.inject.close()
	defer e.begun.close()
	var wg sync.WaitGroup
	errs := make([]error, len(e.queues)+1)
	part := func(i int, what string, run func(context.Context) error) {
		wg.Go(func() {
			defer cancel()
			if err := run(ctx); err != nil {
				errs[i] = fmt.Errorf("%s: %w", what, err)
			}
		})
	}
	for i, q := range e.queues {
		part(i, "serve packet queue", q.run)
	}
	part(len(e.queues), "serve packet log", e.log.run)
	wg.Wait()
	return errors.Join(errs...)
}
