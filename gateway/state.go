// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

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
