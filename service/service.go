// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package service is what every process that enforces does beside enforcing,
// whatever its way: it takes files that have changed, tells its numbers and its
// health, and says why it cannot have a port.
package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// WatchEvery is how often it is looked whether a file has changed.
const WatchEvery = time.Second

// Watch calls load whenever somebody asks, or one of the files has changed, until
// ctx ends. Files are looked at by name, so that one that is replaced or led to
// elsewhere by a link, as in a Kubernetes volume, is seen.
func Watch(ctx context.Context, files []string, asked <-chan os.Signal, load func()) {
	ticker := time.NewTicker(WatchEvery)
	defer ticker.Stop()
	seen, tried := fingerprint(files), ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-asked:
			seen = fingerprint(files)
			load()
		case <-ticker.C:
			// A file that is being written is read when it has been still once.
			switch now := fingerprint(files); {
			case now == seen:
				tried = ""
			case now != tried:
				tried = now
			default:
				seen, tried = now, ""
				load()
			}
		}
	}
}

// fingerprint changes when one of the files does.
func fingerprint(files []string) string {
	out := ""
	for _, f := range files {
		if st, err := os.Stat(f); err != nil {
			out += f + " " + err.Error() + "\n"
		} else {
			out += fmt.Sprintf("%s %d %d\n", f, st.Size(), st.ModTime().UnixNano())
		}
	}
	return out
}

// Taken says in words why nobody can listen at an address and a port.
func Taken(at, network string, err error) error {
	_, port, _ := net.SplitHostPort(at)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s/%s is taken: another program listens there; see which with: ss -lnp 'sport = :%s'", at, network, port)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("cannot listen on %s/%s: this host has no such address; see which it has with: ip addr", at, network)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Errorf("no permission to listen on %s/%s: run as root, or with CAP_NET_BIND_SERVICE", at, network)
	}
	return fmt.Errorf("listen on %s/%s: %w", at, network, err)
}

// Nearest returns what of a path is there already: itself or the nearest folder
// above, and an error when that is a file in a folder's place or cannot be written.
// Nothing is changed.
func Nearest(path string) (at string, err error) {
	_, err = os.Stat(path)
	for at = path; errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR); {
		at = filepath.Dir(at)
		var info fs.FileInfo
		if info, err = os.Stat(at); err == nil && !info.IsDir() {
			return at, syscall.ENOTDIR
		}
	}
	if err == nil {
		err = unix.Access(at, unix.W_OK)
	}
	return at, err
}

// CanListen fails as Listen would.
func CanListen(ctx context.Context, at string) error {
	l, err := Listen(ctx, at)
	if err != nil {
		return err
	}
	return l.Close()
}

// Listen is net.Listen that fails with Taken.
func Listen(ctx context.Context, at string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", at)
	if err != nil {
		return nil, Taken(at, "tcp", err)
	}
	return l, nil
}
