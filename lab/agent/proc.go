// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// Cmd is a process to run in an agent's namespaces.
type Cmd struct {
	Argv   []string `json:"argv"`
	Env    []string `json:"env,omitempty"` // beside the agent's own
	Dir    string   `json:"dir,omitempty"`
	Stdin  []byte   `json:"stdin,omitempty"`
	Stdout string   `json:"stdout,omitempty"` // file to append to; "" keeps it for Exit
	Stderr string   `json:"stderr,omitempty"`
}

// Started names a process that runs.
type Started struct {
	ID  int `json:"id"`
	PID int `json:"pid"`
}

// Exit is how a process ended.
type Exit struct {
	Code   int    `json:"code"` // 128 and the signal's number when a signal ended it
	Stdout []byte `json:"stdout,omitempty"`
	Stderr []byte `json:"stderr,omitempty"`
}

// Signal is a signal for a process.
type Signal struct {
	ID     int            `json:"id"`
	Signal syscall.Signal `json:"signal"`
}

// maxKept bounds what is kept of a process's output.
const maxKept = 16 << 20

// Procs are the processes an agent has started.
type Procs struct {
	mu   sync.Mutex
	last int
	all  map[int]*proc
}

type proc struct {
	cmd      *exec.Cmd
	out, err limited
	done     chan struct{}
	exit     Exit
}

// Ops returns the operations start, wait, signal and run.
func (p *Procs) Ops() Ops {
	return Ops{
		"start":  Op(p.start),
		"wait":   Op(p.wait),
		"signal": Op(p.signal),
		"run":    Op(p.run),
	}
}

func (p *Procs) start(_ context.Context, c Cmd) (Started, error) {
	if len(c.Argv) == 0 {
		return Started{}, errors.New("start: no command given")
	}
	pr := &proc{done: make(chan struct{})}
	cmd := exec.Command(c.Argv[0], c.Argv[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdin = append(os.Environ(), c.Env...), c.Dir, bytes.NewReader(c.Stdin)
	// A group of its own: a signal reaches what it started too, and a Ctrl-C on
	// the terminal reaches only the controller.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var files []io.Closer
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	target := func(path string, kept *limited) (io.Writer, error) {
		if path == "" {
			return kept, nil
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err == nil {
			files = append(files, f)
		}
		return f, err
	}
	var err error
	if cmd.Stdout, err = target(c.Stdout, &pr.out); err != nil {
		return Started{}, err
	}
	if cmd.Stderr, err = target(c.Stderr, &pr.err); err != nil {
		return Started{}, err
	}
	if err := cmd.Start(); err != nil {
		return Started{}, fmt.Errorf("start %s: %w", c.Argv[0], err)
	}
	pr.cmd = cmd
	p.mu.Lock()
	if p.all == nil {
		p.all = make(map[int]*proc)
	}
	p.last++
	id := p.last
	p.all[id] = pr
	p.mu.Unlock()
	go func() {
		_ = cmd.Wait()
		pr.exit = Exit{Code: cmd.ProcessState.ExitCode(), Stdout: pr.out.bytes(), Stderr: pr.err.bytes()}
		if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			pr.exit.Code = 128 + int(ws.Signal())
		}
		close(pr.done)
	}()
	return Started{id, cmd.Process.Pid}, nil
}

func (p *Procs) find(id int) (*proc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pr := p.all[id]; pr != nil {
		return pr, nil
	}
	return nil, fmt.Errorf("there is no process %d", id)
}

func (p *Procs) wait(ctx context.Context, id int) (Exit, error) {
	pr, err := p.find(id)
	if err != nil {
		return Exit{}, err
	}
	select {
	case <-pr.done:
		return pr.exit, nil
	case <-ctx.Done():
		return Exit{}, ctx.Err()
	}
}

func (p *Procs) signal(_ context.Context, s Signal) (struct{}, error) {
	pr, err := p.find(s.ID)
	if err != nil {
		return struct{}{}, err
	}
	select {
	case <-pr.done:
		return struct{}{}, nil
	default:
	}
	return struct{}{}, syscall.Kill(-pr.cmd.Process.Pid, s.Signal)
}

// run starts, waits, and kills what it started when it is cancelled.
func (p *Procs) run(ctx context.Context, c Cmd) (Exit, error) {
	s, err := p.start(ctx, c)
	if err != nil {
		return Exit{}, err
	}
	e, err := p.wait(ctx, s.ID)
	if err != nil {
		_ = syscall.Kill(-s.PID, syscall.SIGKILL)
	}
	return e, err
}

// limited keeps the first maxKept bytes written to it.
type limited struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *limited) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(b[:min(len(b), maxKept-l.buf.Len())])
	return len(b), nil
}

func (l *limited) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.buf.Bytes())
}
