// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package agent is the part of the lab that lives inside one network
// namespace. An agent is a process of its own, so no goroutine ever switches
// namespaces: it reads requests as JSON lines on its standard input, answers on
// its standard output and ends when its input does.
package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Request asks an agent for one operation. Op "cancel" ends the request whose
// ID it carries and gets no answer of its own.
type Request struct {
	ID   uint64          `json:"id"`
	Op   string          `json:"op"`
	Args json.RawMessage `json:"args,omitempty"`
}

// Cancel is the operation that ends another one.
const Cancel = "cancel"

// Reply is the answer to a request, or, without an ID, an event that nobody
// asked for.
type Reply struct {
	ID     uint64          `json:"id,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
	Event  json.RawMessage `json:"event,omitempty"`
}

// Handler carries out one operation.
type Handler func(ctx context.Context, args json.RawMessage) (any, error)

// Ops is what an agent can do, by name.
type Ops map[string]Handler

// Op makes a Handler of a function with typed arguments and result.
func Op[A, R any](f func(ctx context.Context, args A) (R, error)) Handler {
	return func(ctx context.Context, raw json.RawMessage) (any, error) {
		var args A
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &args); err != nil {
				return nil, fmt.Errorf("read arguments: %w", err)
			}
		}
		return f(ctx, args)
	}
}

// Line writes replies and events, one a line; it is safe for concurrent use.
type Line struct {
	mu  sync.Mutex
	out io.Writer
}

// NewLine returns a line that writes to out.
func NewLine(out io.Writer) *Line { return &Line{out: out} }

// Emit sends an event.
func (l *Line) Emit(event any) {
	raw, err := json.Marshal(event)
	if err == nil {
		l.send(Reply{Event: raw})
	}
}

func (l *Line) send(r Reply) {
	raw, err := json.Marshal(r)
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.out.Write(append(raw, '\n')) // whoever reads it is gone when this fails, and so are we soon
}

// Serve carries out the requests in in until it ends, each in a goroutine of
// its own, then cancels those under way and waits for them.
func Serve(ctx context.Context, in io.Reader, line *Line, ops Ops) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	var mu sync.Mutex
	running := make(map[uint64]context.CancelFunc)

	dec := json.NewDecoder(bufio.NewReaderSize(in, 1<<16))
	for {
		var req Request
		if err := dec.Decode(&req); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("read request: %w", err)
		}
		if req.Op == Cancel {
			mu.Lock()
			if stop := running[req.ID]; stop != nil {
				stop()
			}
			mu.Unlock()
			continue
		}
		own, stop := context.WithCancel(ctx)
		mu.Lock()
		running[req.ID] = stop
		mu.Unlock()
		wg.Go(func() {
			line.send(answer(own, req, ops))
			stop()
			mu.Lock()
			delete(running, req.ID)
			mu.Unlock()
		})
	}
}

func answer(ctx context.Context, req Request, ops Ops) Reply {
	do, known := ops[req.Op]
	if !known {
		return Reply{ID: req.ID, Error: fmt.Sprintf("agent knows no operation %q", req.Op)}
	}
	result, err := do(ctx, req.Args)
	if err != nil {
		return Reply{ID: req.ID, Error: err.Error()}
	}
	raw, err := json.Marshal(result)
	if err != nil {
		return Reply{ID: req.ID, Error: fmt.Sprintf("write result of %s: %v", req.Op, err)}
	}
	return Reply{ID: req.ID, Result: raw}
}
