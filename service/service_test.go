// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A file is read again when it is written, replaced, or led to elsewhere by a link
// as in a Kubernetes volume, and when somebody asks; not while nothing changes.
func TestWatchSeesEveryChange(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "cluster.yaml")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to string) {
		t.Helper()
		next := filepath.Join(dir, "next")
		if err := os.Symlink(to, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, file); err != nil {
			t.Fatal(err)
		}
	}
	write("v1", "1")
	link("v1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked, loaded, ended := make(chan os.Signal), make(chan struct{}), make(chan struct{})
	go func() {
		Watch(ctx, []string{file}, asked, func() { loaded <- struct{}{} })
		close(ended)
	}()
	time.Sleep(50 * time.Millisecond) // it has seen v1
	await := func(what string, within time.Duration) {
		t.Helper()
		select {
		case <-loaded:
		case <-time.After(within):
			t.Errorf("%s: nothing is read", what)
		}
	}
	write("v1", "changed")
	await("written", 4*WatchEvery)
	write("v2", "2")
	link("v2")
	await("led elsewhere", 4*WatchEvery)
	asked <- os.Interrupt
	await("asked", WatchEvery/2)
	select {
	case <-loaded:
		t.Error("read although nothing has changed")
	case <-time.After(3 * WatchEvery):
	}
	cancel()
	<-ended
}

func TestAPortThatCannotBeHad(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	_, port, _ := net.SplitHostPort(taken)
	for at, want := range map[string]string{
		taken:          taken + "/tcp is taken: another program listens there; see which with: ss -lnp 'sport = :" + port + "'",
		"192.0.2.77:9": "cannot listen on 192.0.2.77:9/tcp: this host has no such address; see which it has with: ip addr",
	} {
		if l, err := Listen(t.Context(), at); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", at, l, err)
		}
	}
}
