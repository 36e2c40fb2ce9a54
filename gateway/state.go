// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// stateFiles are the files of a state directory that are ours to remove.
var stateFiles = []string{"bindings", "flows", "rules", "host.json", "ready", "lock"}

// state is the directory of one gateway, locked while it runs.
type state struct {
	dir  string
	lock *os.File
}

// openState makes the directory when it is missing and locks it. The lock ends
// with the process, however it ends.
func openState(dir string) (*state, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		pid, _ := readPID(lock)
		_ = lock.Close()
		return nil, fmt.Errorf("a gateway with state directory %s runs already, as process %d: a host has one; stop that one first, or change its description, which it takes by itself", dir, pid)
	}
	if err := errors.Join(lock.Truncate(0), writeAt(lock, strconv.Itoa(os.Getpid()))); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("write state: %w", err)
	}
	return &state{dir, lock}, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

func (s *state) path(name string) string { return filepath.Join(s.dir, name) }

// Close gives the lock back.
func (s *state) Close() error { return s.lock.Close() }

func readPID(f *os.File) (int, error) {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	return strconv.Atoi(strings.TrimSpace(string(b[:n])))
}

// stopRunning ends the gateway that holds the state directory, and waits until
// it has; stopped says whether there was one.
func stopRunning(ctx context.Context, dir string, log *slog.Logger) (stopped bool, err error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open state: %w", err)
	}
	defer lock.Close()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			return stopped, nil
		}
		pid, err := readPID(lock)
		if err != nil || pid <= 1 {
			return stopped, fmt.Errorf("a gateway holds %s, but the file does not say which process it is", lock.Name())
		}
		if !stopped {
			stopped = true
			log.Info("stopping the gateway", "pid", pid)
			if err := unix.Kill(pid, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
				return stopped, fmt.Errorf("stop gateway process %d: %w", pid, err)
			}
		}
		if time.Now().After(deadline) {
			return stopped, fmt.Errorf("gateway process %d does not stop", pid)
		}
		select {
		case <-ctx.Done():
			return stopped, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// comesBack is how long a service manager has to start a gateway that was stopped
// anew: the unit in deploy/ waits for 1 s, and asks the name servers first.
const comesBack = 4 * time.Second

// startedAnew looks for that long whether somebody starts the gateway again. It
// takes no lock, which would be in that one's way.
func startedAnew(ctx context.Context, dir string) error {
	for deadline := time.Now().Add(comesBack); time.Now().Before(deadline); {
		if lock, err := os.Open(filepath.Join(dir, "lock")); err == nil {
			pid, err := readPID(lock)
			_ = lock.Close()
			if err == nil && unix.Kill(pid, 0) == nil {
				return fmt.Errorf("%w, as process %d: it was off, and something has started it anew, most likely a service manager; end it there first: "+
					"systemctl disable --now sallyport-gateway && sallyport gateway --off", ErrStarted, pid)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}
