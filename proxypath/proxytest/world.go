// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package proxytest is the world around a proxy under test: servers on loopback
// that stand for addresses anywhere, real clients, and what the proxy reports.
package proxytest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/flowlog"
)

// World is what one proxy sees. Mu guards the fields behind it and whatever a
// test adds to them.
type World struct {
	T    *testing.T
	Addr string // of the proxy
	Stop context.CancelFunc
	// Ended has what Serve returned; whoever takes it puts it back.
	Ended chan error

	Mu      sync.Mutex
	Events  []flowlog.Event
	Closed  []flowlog.Closed
	Servers map[netip.Addr]string // where an address leads
	Dialled []netip.AddrPort
}

// New returns a world without servers.
func New(t *testing.T) *World {
	return &World{T: t, Servers: make(map[netip.Addr]string), Ended: make(chan error, 1)}
}

// Set changes the world while the proxy looks at it.
func (w *World) Set(change func()) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	change()
}

// Record and End are what the proxy reports to.
func (w *World) Record(e *flowlog.Event) { w.Set(func() { w.Events = append(w.Events, *e) }) }

// End notes the end of a request.
func (w *World) End(c flowlog.Closed) { w.Set(func() { w.Closed = append(w.Closed, c) }) }

// DialServer connects to the server that stands for addr.
func (w *World) DialServer(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	var to string
	w.Set(func() {
		w.Dialled = append(w.Dialled, addr)
		to = w.Servers[addr.Addr()]
	})
	if to == "" {
		return nil, errors.New("connection refused")
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", to)
}

// Serve runs the proxy on a listener of its own, as serve does it, until the test
// ends, and fails it when the proxy does not end then.
func (w *World) Serve(serve func(context.Context, net.Listener) error) {
	w.T.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.T.Fatal(err)
	}
	w.Addr = l.Addr().String()
	ctx, cancel := context.WithCancel(w.T.Context())
	w.Stop = cancel
	go func() { w.Ended <- serve(ctx, l) }()
	w.T.Cleanup(func() {
		cancel()
		select {
		case err := <-w.Ended:
			if err != nil {
				w.T.Errorf("Serve: %v", err)
			}
		case <-time.After(5 * time.Second):
			w.T.Error("Serve does not end")
		}
	})
}

// ServeRaw plays a server at addr: each connection is given to handle.
func (w *World) ServeRaw(addr netip.Addr, handle func(net.Conn, *bufio.Reader)) {
	w.T.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.T.Fatal(err)
	}
	var wg sync.WaitGroup
	w.T.Cleanup(func() {
		_ = l.Close()
		w.Stop()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				handle(c, bufio.NewReader(c))
			})
		}
	})
	w.Set(func() { w.Servers[addr] = l.Addr().String() })
}

// ServeHTTP plays an HTTP server at addr.
func (w *World) ServeHTTP(addr netip.Addr, handler http.HandlerFunc) {
	w.T.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.T.Fatal(err)
	}
	srv := &http.Server{Handler: handler}
	go func() { _ = srv.Serve(l) }()
	w.T.Cleanup(func() { _ = srv.Close() })
	w.Set(func() { w.Servers[addr] = l.Addr().String() })
}

// Dial connects to the proxy as a client.
func (w *World) Dial() (*net.TCPConn, *bufio.Reader) {
	w.T.Helper()
	c, err := net.Dial("tcp", w.Addr)
	if err != nil {
		w.T.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(15 * time.Second))
	w.T.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn), bufio.NewReader(c)
}

// Send writes s whole.
func (w *World) Send(c net.Conn, s string) {
	w.T.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		w.T.Fatal(err)
	}
}

// Read reads one response with its body.
func (w *World) Read(br *bufio.Reader, method string) (res *http.Response, body string) {
	w.T.Helper()
	res, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		w.T.Fatalf("read the answer: %v", err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.T.Fatalf("read the body of the answer: %v after %d bytes", err, len(b))
	}
	return res, string(b)
}

// Recorded waits for n records and returns them.
func (w *World) Recorded(n int) []flowlog.Event {
	w.T.Helper()
	return await(w, "records", n, &w.Events)
}

// WantClosed waits for n close records and returns them.
func (w *World) WantClosed(n int) []flowlog.Closed {
	w.T.Helper()
	return await(w, "close records", n, &w.Closed)
}

func await[E any](w *World, what string, n int, list *[]E) (got []E) {
	w.T.Helper()
	for range 300 {
		w.Set(func() { got = slices.Clone(*list) })
		if len(got) >= n {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if len(got) != n {
		w.T.Fatalf("%d %s, want %d: %+v", len(got), what, n, got)
	}
	return got
}

// WantReset checks that the client is told by a reset and got nothing else.
func (w *World) WantReset(r io.Reader) {
	w.T.Helper()
	b, err := io.ReadAll(r)
	if err == nil || !strings.Contains(err.Error(), "reset") || len(b) > 0 {
		w.T.Errorf("read %q, %v, want a reset", b, err)
	}
}
