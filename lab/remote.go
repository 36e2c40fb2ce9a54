// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"github.com/sallyport/sallyport/lab/agent"
)

// Cmd is a process to run inside a namespace, Result how it ended.
type (
	Cmd    = agent.Cmd
	Result = agent.Exit
)

// Agent is this program's end of an agent: a process inside a network and a
// mount namespace of its own. Its methods may be called from anywhere.
type Agent struct {
	Name string
	PID  int

	cmd    *exec.Cmd
	stdin  io.WriteCloser
	events func(json.RawMessage) // called by the reading goroutine, in order
	ended  chan struct{}         // closed when the agent is gone
	stderr bytes.Buffer          // valid once ended is closed

	mu      sync.Mutex // guards what follows, and writing to stdin
	last    uint64
	waiting map[uint64]chan agent.Reply
}

// startAgent starts this program again as an agent. events may be nil.
func startAgent(name string, events func(json.RawMessage)) (*Agent, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	a := &Agent{Name: name, events: events, ended: make(chan struct{}), waiting: make(map[uint64]chan agent.Reply)}
	a.cmd = exec.Command(self, roleArg, name)
	a.cmd.Stderr = &a.stderr
	a.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		Setpgid:    true, // a Ctrl-C is for us to act on
		Pdeathsig:  syscall.SIGKILL,
	}
	if a.stdin, err = a.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := a.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := a.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the lab's %s: %w", name, &NamespaceError{Err: err})
	}
	a.PID = a.cmd.Process.Pid
	go a.read(stdout)
	return a, nil
}

// read hands replies to those who wait for them until the agent is gone.
func (a *Agent) read(stdout io.Reader) {
	dec := json.NewDecoder(bufio.NewReaderSize(stdout, 1<<16))
	for {
		var r agent.Reply
		if dec.Decode(&r) != nil {
			break
		}
		if r.ID == 0 {
			if a.events != nil {
				a.events(r.Event)
			}
			continue
		}
		a.mu.Lock()
		c := a.waiting[r.ID]
		delete(a.waiting, r.ID)
		a.mu.Unlock()
		if c != nil {
			c <- r
		}
	}
	_ = a.cmd.Wait()
	close(a.ended)
}

// Call asks the agent for one operation. result may be nil.
func (a *Agent) Call(ctx context.Context, op string, args, result any) error {
	raw, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("%s: %s: write arguments: %w", a.Name, op, err)
	}
	reply := make(chan agent.Reply, 1)
	a.mu.Lock()
	a.last++
	id := a.last
	a.waiting[id] = reply
	err = a.write(agent.Request{ID: id, Op: op, Args: raw})
	a.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %s: %w", a.Name, op, err)
	}
	select {
	case r := <-reply:
		if r.Error != "" {
			return fmt.Errorf("%s: %s: %w", a.Name, op, errors.New(r.Error))
		}
		if result != nil {
			return json.Unmarshal(r.Result, result)
		}
		return nil
	case <-a.ended:
		return fmt.Errorf("%s: %s: the agent is gone: %s", a.Name, op, bytes.TrimSpace(a.stderr.Bytes()))
	case <-ctx.Done():
		a.mu.Lock()
		delete(a.waiting, id)
		_ = a.write(agent.Request{ID: id, Op: agent.Cancel})
		a.mu.Unlock()
		return fmt.Errorf("%s: %s: %w", a.Name, op, ctx.Err())
	}
}

// write sends one request; the caller holds a.mu.
func (a *Agent) write(r agent.Request) error {
	raw, err := json.Marshal(r)
	if err == nil {
		_, err = a.stdin.Write(append(raw, '\n'))
	}
	return err
}

// close ends the agent and everything it started.
func (a *Agent) close() {
	_ = a.stdin.Close()
	// Its processes die with it by PDEATHSIG, so it need not be asked nicely.
	_ = a.cmd.Process.Kill()
	<-a.ended
}

// Proc is a process that an agent started.
type Proc struct {
	PID int

	agent *Agent
	id    int
}

// Start runs c in the agent's namespaces.
func (a *Agent) Start(ctx context.Context, c Cmd) (*Proc, error) {
	var s agent.Started
	if err := a.Call(ctx, "start", c, &s); err != nil {
		return nil, err
	}
	return &Proc{PID: s.PID, agent: a, id: s.ID}, nil
}

// Run runs c in the agent's namespaces and waits for its end; when ctx ends
// first, c is killed.
func (a *Agent) Run(ctx context.Context, c Cmd) (Result, error) {
	var r Result
	err := a.Call(ctx, "run", c, &r)
	return r, err
}

// Wait returns how the process ended.
func (p *Proc) Wait(ctx context.Context) (Result, error) {
	var r Result
	err := p.agent.Call(ctx, "wait", p.id, &r)
	return r, err
}

// Signal sends a signal to the process and what it started; to one that has
// ended it is no error.
func (p *Proc) Signal(ctx context.Context, s syscall.Signal) error {
	return p.agent.Call(ctx, "signal", agent.Signal{ID: p.id, Signal: s}, nil)
}

// Kill ends the process at once, as kill -9 does, and waits until it is gone.
func (p *Proc) Kill(ctx context.Context) error {
	if err := p.Signal(ctx, syscall.SIGKILL); err != nil {
		return err
	}
	_, err := p.Wait(ctx)
	return err
}
