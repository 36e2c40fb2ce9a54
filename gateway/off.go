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
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/kernelpath"
)

// ErrStarted is in the error of Off when it has done all, and the gateway was
// started again behind it.
var ErrStarted = errors.New("the gateway runs again")

// Off removes everything that a gateway with this state directory has put into
// the host, and stops it first when it runs.
func Off(ctx context.Context, stateDir string, log *slog.Logger) error {
	stopped, err := stopRunning(ctx, stateDir, log)
	if err != nil {
		return err
	}
	if _, err := kernelpath.Probe(); err != nil {
		return err
	}
	wasPresent, err := kernelpath.Present()
	if err != nil {
		return err
	}
	// The table last: a host that forwards without it would let everything pass.
	host, err := kernelpath.Saved(filepath.Join(stateDir, "host.json"))
	if err == nil && host != nil {
		err = host.Restore()
	}
	errs := []error{err, kernelpath.Remove()}
	for _, name := range stateFiles {
		if err := os.Remove(filepath.Join(stateDir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	_ = os.Remove(stateDir) // when it is empty
	if err := errors.Join(errs...); err != nil {
		return err
	}
	switch {
	case host == nil && !wasPresent:
		log.Info("there was no gateway to take away")
	case host == nil:
		log.Info("off: the table is gone")
	default:
		log.Info("off: the table is gone, and this host's settings are as they were")
	}
	if stopped {
		return startedAnew(ctx, stateDir)
	}
	return nil
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
