// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/lab/agent"
	"github.com/sallyport/sallyport/lab/load"
)

// peer is another way to look at a server name on the way, or another resolver,
// which is measured beside the gateway when it is installed.
type peer struct {
	name    string   // of the way
	title   string   // what it is, for readers
	command string   // the program
	version []string // arguments that make it say which it is
	// files are its configuration by file name; the first argument of argv and
	// check is where they are.
	files    func(peerSite) map[string]string
	argv     func(peerSite) []string
	check    func(peerSite) []string // says whether the files are as they should be
	divert   func(peerSite) agent.Divert
	resolver bool // answers questions and carries no connections
}

// peerSite is where a peer is to work.
type peerSite struct {
	dir         string // for its files, and its working directory
	inside      netip.Addr
	short, bulk netip.Addr // the servers of its way, both of the one name
	upstream    netip.Addr // name server
	threads     int
}

// peers in the order of the table. Each is set up for its best performance: what
// that takes stands at each.
func peers() []*peer { return []*peer{haproxy(), nginx(), squid(), sniproxy(), unbound()} }

// The ports on which peers listen, for the server of short connections, or for
// all, and for the other one.
const (
	peerPort      = 3129
	peerOtherPort = 3130
)

// path returns where the peer's program is.
func (p *peer) path() (string, error) {
	if path, err := exec.LookPath(p.command); err == nil {
		return path, nil
	}
	path := filepath.Join("/usr/sbin", p.command) // where ordinary users do not look
	if _, err := os.Stat(path); err != nil {
		return "", errors.New("not installed")
	}
	return path, nil
}

var number = regexp.MustCompile(`\d+(\.\d+)+`)

// installed returns the version of the peer that is there.
func (p *peer) installed() (string, error) {
	path, err := p.path()
	if err != nil {
		return "", err
	}
	out, err := exec.Command(path, p.version...).CombinedOutput() // some end with an error
	if v := number.FindString(string(out)); v != "" {
		return v, nil
	}
	return "", fmt.Errorf("it does not tell its version: %w", err)
}

// site returns the place of a peer on its way.
func (b *bench) site(w *way) peerSite {
	return peerSite{
		dir: filepath.Join(b.dir, w.name), inside: w.inside(), short: w.at(atShort), bulk: w.at(atBulk),
		upstream: w.at(atNames), threads: runtime.NumCPU(),
	}
}

// write writes the peer's files.
func (p *peer) write(s peerSite) error {
	if err := os.MkdirAll(s.dir, 0o777); err != nil {
		return err
	}
	// Some give up root before they write.
	if err := os.Chmod(s.dir, 0o777); err != nil {
		return err
	}
	for name, text := range p.files(s) {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// set sets the peer of a way up, starts it, and makes sure that it lets the one
// name through and no other.
func (b *bench) set(ctx context.Context, w *way) error {
	s := b.site(w)
	if err := w.peer.write(s); err != nil {
		return err
	}
	if w.peer.divert != nil {
		if err := w.router.Call(ctx, "divert", w.peer.divert(s), nil); err != nil {
			return err
		}
	}
	if err := b.startPeer(ctx, w); err != nil || w.peer.resolver {
		return err
	}
	var r load.Result
	l := load.Load{Kind: load.Short, Name: soakRefused, To: w.tls(atShort), Clients: 1, Duration: 50 * time.Millisecond}
	if err := b.node.Call(ctx, "load-run", l, &r); err != nil {
		return err
	}
	if r.Conns > 0 {
		return errors.New("it lets every name through")
	}
	return nil
}

// startPeer starts it and waits until it serves.
func (b *bench) startPeer(ctx context.Context, w *way) error {
	s := b.site(w)
	path, err := w.peer.path()
	if err != nil {
		return err
	}
	log := filepath.Join(s.dir, "log")
	w.proc, err = w.router.Start(ctx, Cmd{Argv: append([]string{path}, w.peer.argv(s)...), Dir: s.dir, Stdout: log, Stderr: log})
	if err != nil {
		return err
	}
	l := load.Load{Kind: load.Short, Name: benchName, To: w.tls(atShort), Clients: 1, Duration: 10 * time.Millisecond}
	if w.peer.resolver {
		l = load.Load{Kind: load.Names, Name: benchZone, To: netip.AddrPortFrom(w.inside(), 53), Clients: 1, Names: 1, Once: true, Duration: time.Second}
	}
	for deadline := time.Now().Add(startup / 2); ; time.Sleep(50 * time.Millisecond) {
		var r load.Result
		if err := b.node.Call(ctx, "load-run", l, &r); err != nil {
			return err
		}
		if r.Conns > 0 {
			return nil
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log)
			lines := strings.Split(strings.TrimSpace(string(said)), "\n")
			return fmt.Errorf("it does not serve (%s); it says: %s", r.Err, strings.Join(lines[max(0, len(lines)-3):], "; "))
		}
	}
}

// pids returns the processes that run on a way's router.
func (w *way) pids() []int {
	own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", w.router.PID))
	if err != nil {
		return nil
	}
	all, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	var out []int
	for _, link := range all {
		if to, err := os.Readlink(link); err != nil || to != own {
			continue
		}
		if pid, _ := strconv.Atoi(strings.Split(link, "/")[2]); pid != w.router.PID {
			out = append(out, pid)
		}
	}
	return out
}

// killAll ends every process on a way's router, as kill -9 does.
func (w *way) killAll() {
	for _, pid := range w.pids() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// cpu returns the processor seconds that a way's processes have taken: the
// kernel's own work on packets is in none of them.
func (w *way) cpu() (sum float64) {
	for _, pid := range w.pids() {
		sum += cpuSeconds(pid)
	}
	return sum
}

// memory returns the memory of a way's processes in MiB, with what several have
// in common counted once.
func (w *way) memory() (sum float64) {
	for _, pid := range w.pids() {
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		for line := range strings.Lines(string(data)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
				kib, _ := strconv.ParseFloat(f[1], 64)
				sum += kib / 1024
			}
		}
	}
	return sum
}

// cpuSeconds returns the processor time that a process's threads have taken, 0
// when it is gone (Documentation/scheduler/sched-stats.rst: the first number is
// in nanoseconds, where the ones of stat are in hundredths of a second).
func cpuSeconds(pid int) (sum float64) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, file := range files {
		data, _ := os.ReadFile(file)
		if f := strings.Fields(string(data)); len(f) > 0 {
			ns, _ := strconv.ParseFloat(f[0], 64)
			sum += ns / 1e9
		}
	}
	return sum
}
