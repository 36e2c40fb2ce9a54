// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"
)

// Firewall is Sallyport's gateway, running as a process on the lab's gateway
// host.
type Firewall struct {
	Records string // file with its decision records
	Log     string // file with what it says
	State   string // its state directory

	lab  *Lab
	argv []string
	proc *Proc
}

// startup is how long a gateway may take until it is ready.
const startup = 20 * time.Second

// Firewall returns the gateway that argv starts, not yet running; argv is the
// program and what makes it a gateway for the lab's cluster, such as
// "sallyport gateway --cluster FILE". The interfaces and files of the lab are
// added to it.
func (l *Lab) Firewall(argv ...string) *Firewall {
	f := &Firewall{lab: l, Records: l.path("records.jsonl"), Log: l.path("gateway.log"), State: l.path("state")}
	f.argv = append(append([]string{}, argv...),
		"--inside", l.InsideLink(), "--outside", l.OutsideLink(), "--state", f.State, "--records", f.Records)
	return f
}

// Start starts the gateway, waits until it says that it is ready, and points the
// node's resolver at it.
func (f *Firewall) Start(ctx context.Context) (err error) {
	ready := f.State + "/ready"
	if err := errors.Join(os.MkdirAll(f.State, 0o755), os.RemoveAll(ready)); err != nil {
		return err
	}
	f.proc, err = f.lab.Gateway.Start(ctx, Cmd{Argv: f.argv, Stdout: f.Log, Stderr: f.Log})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	waiting, stop := context.WithTimeout(ctx, startup)
	defer stop()
	go func() {
		r, err := f.proc.Wait(waiting)
		if err == nil {
			err = fmt.Errorf("it ended with code %d", r.Code)
		}
		ended <- err
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(ready); err == nil {
			return f.lab.UseResolver(netip.AddrPortFrom(f.lab.Plan.Gateway, 53))
		}
		select {
		case err := <-ended:
			return fmt.Errorf("start the gateway: %w; it said:\n%s", err, f.said())
		case <-tick.C:
		}
	}
}

// said returns the end of the gateway's log.
func (f *Firewall) said() string {
	b, err := os.ReadFile(f.Log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// Ended says how the gateway has ended when it has by itself, with the end of its
// log.
func (f *Firewall) Ended() error {
	if err := syscall.Kill(f.proc.PID, 0); !errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return fmt.Errorf("the gateway has ended; it said:\n%s", f.said())
}

// PID returns the gateway's process.
func (f *Firewall) PID() int { return f.proc.PID }

// Kill ends the gateway as kill -9 does; its rules stay.
func (f *Firewall) Kill(ctx context.Context) error { return f.proc.Kill(ctx) }

// Stop ends the gateway as a service manager does; its rules stay.
func (f *Firewall) Stop(ctx context.Context) error {
	if err := f.proc.Signal(ctx, syscall.SIGTERM); err != nil {
		return err
	}
	_, err := f.proc.Wait(ctx)
	return err
}

// Signal sends it a signal, such as SIGHUP for a reload.
func (f *Firewall) Signal(ctx context.Context, s syscall.Signal) error { return f.proc.Signal(ctx, s) }

// Off takes away everything that the gateway has set up on its host, as its verb
// says. The process is stopped before.
func (f *Firewall) Off(ctx context.Context) error {
	r, err := f.lab.Gateway.Run(ctx, Cmd{Argv: append(append([]string{}, f.argv...), "--off")})
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("take the gateway away: code %d: %s", r.Code, r.Stderr)
	}
	return err
}
