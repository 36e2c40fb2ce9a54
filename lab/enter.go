// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/lab/agent"
	"github.com/sallyport/sallyport/lab/client"
	"github.com/sallyport/sallyport/lab/internet"
	"github.com/sallyport/sallyport/lab/load"
)

const (
	// roleArg is the hidden first argument of a process that is part of a lab.
	roleArg = "lab-role"
	// loadRole is the argument behind it of a process that serves or makes
	// connections, in the namespaces of the agent that started it.
	loadRole = "--load"
	// insideEnv tells a process that it is the one inside, so that it does not
	// enter again.
	insideEnv = "SALLYPORT_LAB_INSIDE"
)

// Main runs the part of a lab that args ask for; handled is false when they ask
// for none. Every binary that makes labs calls it before anything else, since
// the lab's processes are that binary again.
func Main(args []string) (handled bool, code int) {
	if len(args) < 2 || args[1] != roleArg {
		return false, 0
	}
	part := runAgent
	if len(args) > 2 && args[2] == loadRole {
		part = func(ctx context.Context) error { return load.Process(ctx, os.Stdin, os.Stdout) }
	}
	if err := part(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "lab agent:", err)
		return true, 1
	}
	return true, 0
}

// runAgent serves requests in this process's namespaces. Its standard output
// speaks the wire format, so nothing else may write there.
func runAgent(ctx context.Context) error {
	if err := privateMounts(); err != nil {
		return err
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	line := agent.NewLine(os.Stdout)
	ops := agent.Ops{
		"configure":   agent.Op(agent.Configure),
		"plain":       agent.Op(agent.SetPlain),
		"divert":      agent.Op(agent.SetDivert),
		"offloads":    agent.Op(agent.SetOffloads),
		"count-rules": agent.Op(agent.CountRules),
	}
	world := internet.New(func(e internet.Event) { line.Emit(e) })
	defer world.Close()
	for _, more := range []agent.Ops{new(agent.Procs).Ops(), client.Ops(), world.Ops(), load.Ops()} {
		for name, do := range more {
			ops[name] = do
		}
	}
	return agent.Serve(ctx, os.Stdin, line, ops)
}

// Enter brings this program into namespaces of its own, where a lab can be made
// without touching the host's: it runs the same program with the same arguments
// again, inside new network and mount namespaces, and for an ordinary user
// inside a new user namespace too. done reports that this has happened and that
// the program is to exit with code; it is false in the process inside, which
// goes on.
func Enter() (done bool, code int, err error) {
	if os.Getenv(insideEnv) != "" {
		return false, 0, errors.Join(privateMounts(), loopbackUp())
	}
	self, err := os.Executable()
	if err != nil {
		return false, 0, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	// A Ctrl-C reaches the process inside by itself; this one must outlive it.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return false, 0, &NamespaceError{Err: err}
	}
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				if s == syscall.SIGTERM {
					_ = cmd.Process.Signal(s)
				}
			case <-ended:
				return
			}
		}
	}()
	err = cmd.Wait()
	close(ended)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return true, 128 + int(ws.Signal()), nil
		}
		return true, exit.ExitCode(), nil
	}
	return err == nil, 0, err
}

// NamespaceError says that this user may not make namespaces here.
type NamespaceError struct{ Err error }

func (e *NamespaceError) Error() string {
	return fmt.Sprintf("make namespaces for the lab: %v; run as root, or allow user namespaces "+
		"(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone or kernel.apparmor_restrict_unprivileged_userns)", e.Err)
}

func (e *NamespaceError) Unwrap() error { return e.Err }

// privateMounts keeps what is mounted from here on out of every other mount
// namespace.
func privateMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return nil
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}
