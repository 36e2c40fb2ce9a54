// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package load is the two ends of a benchmark: a server that reads a whole
// ClientHello and then answers, and clients that send one. Both speak no TLS
// behind the hello, so that what is measured is the way between them.
package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab/agent"
	"github.com/sallyport/sallyport/tlshello"
)

// Kinds of load. A bulk connection is answered with bytes as long as it takes
// them; a short one with two, and then it is reset by the client.
const (
	Bulk  = "bulk"
	Short = "short"
	Idle  = "idle" // of clients: each one connection, open until the end
)

// Server is where a server listens.
type Server struct {
	Addr netip.AddrPort `json:"addr"`
	Kind string         `json:"kind"`
}

// Load is what clients are to do.
type Load struct {
	Kind     string         `json:"kind"`
	To       netip.AddrPort `json:"to"`
	Name     string         `json:"name"`    // server name in the hello
	Clients  int            `json:"clients"` // connections at a time
	Duration time.Duration  `json:"duration"`
	Rate     int            `json:"rate,omitempty"` // connections a second, of all clients; 0: as many as they can
}

// Result is what clients did.
type Result struct {
	Bytes   int64           `json:"bytes"`
	Conns   int64           `json:"conns"` // answered
	Failed  int64           `json:"failed"`
	Elapsed time.Duration   `json:"elapsed"`
	First   []time.Duration `json:"first,omitempty"` // from the hello to the first byte, sorted; a sample
	Err     string          `json:"err,omitempty"`   // of one that failed
}

// Ops returns the operations for an agent.
func Ops() agent.Ops {
	return agent.Ops{"load-serve": agent.Op(serve), "load-run": agent.Op(run)}
}

// serve starts a server that lives as long as the agent.
func serve(_ context.Context, s Server) (struct{}, error) {
	l, err := net.Listen("tcp", s.Addr.String())
	if err != nil {
		return struct{}{}, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answer(c, s.Kind)
		}
	}()
	return struct{}{}, nil
}

var block = make([]byte, 256<<10)

func answer(c net.Conn, kind string) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if readHello(c) != nil {
		return
	}
	if kind == Short {
		_, _ = c.Write([]byte("ok"))
		_, _ = io.Copy(io.Discard, c) // until the client resets it
		return
	}
	for {
		if _, err := c.Write(block); err != nil {
			return
		}
	}
}

// readHello reads a whole ClientHello.
func readHello(c net.Conn) error {
	buf := make([]byte, 0, 4096)
	var scratch [tlshello.MaxBytes]byte
	for {
		if len(buf) == cap(buf) {
			return errors.New("hello too long")
		}
		n, err := c.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return err
		}
		buf = buf[:len(buf)+n]
		if _, more, reason := tlshello.Read(buf, scratch[:]); !more {
			if reason != flow.NotDecided {
				return errors.New(reason.Text())
			}
			return nil
		}
	}
}

// Hello returns the ClientHello that crypto/tls sends for name: a post-quantum
// one of 1.5 kB.
func Hello(name string) ([]byte, error) {
	var c capture
	err := tls.Client(&c, &tls.Config{ServerName: name}).Handshake()
	if len(c.sent) == 0 {
		return nil, fmt.Errorf("make a ClientHello: %w", err)
	}
	return c.sent, nil
}

// capture is a connection that keeps what is written first and answers nothing.
type capture struct {
	net.Conn
	sent []byte
}

func (c *capture) Write(b []byte) (int, error) {
	c.sent = append(c.sent, b...)
	return len(b), nil
}
func (c *capture) Read([]byte) (int, error)         { return 0, io.EOF }
func (c *capture) SetDeadline(time.Time) error      { return nil }
func (c *capture) SetReadDeadline(time.Time) error  { return nil }
func (c *capture) SetWriteDeadline(time.Time) error { return nil }
func (c *capture) Close() error                     { return nil }

// run is one measurement.
func run(ctx context.Context, l Load) (Result, error) {
	hello, err := Hello(l.Name)
	if err != nil {
		return Result{}, err
	}
	var r Result
	var mu sync.Mutex
	var bytes, conns, failed atomic.Int64
	begin := time.Now()
	end := begin.Add(l.Duration)
	var wg sync.WaitGroup
	for range l.Clients {
		wg.Go(func() {
			var first []time.Duration
			size := 256 << 10
			if l.Kind == Idle {
				size = 16
			}
			buf := make([]byte, size)
			next := time.Now()
			for time.Now().Before(end) && ctx.Err() == nil {
				if l.Rate > 0 {
					time.Sleep(time.Until(next))
					next = next.Add(time.Second * time.Duration(l.Clients) / time.Duration(l.Rate))
				}
				wait, n, err := once(l, hello, buf, end)
				bytes.Add(n)
				if err != nil {
					failed.Add(1)
					mu.Lock()
					r.Err = err.Error()
					mu.Unlock()
					continue
				}
				conns.Add(1)
				if len(first) < 2000 {
					first = append(first, wait)
				}
			}
			mu.Lock()
			r.First = append(r.First, first...)
			mu.Unlock()
		})
	}
	wg.Wait()
	slices.Sort(r.First)
	if len(r.First) > 4000 { // every so many, still sorted
		step := len(r.First) / 2000
		var some []time.Duration
		for i := 0; i < len(r.First); i += step {
			some = append(some, r.First[i])
		}
		r.First = some
	}
	r.Bytes, r.Conns, r.Failed, r.Elapsed = bytes.Load(), conns.Load(), failed.Load(), time.Since(begin)
	return r, nil
}

// once makes one connection and returns how long its first byte took behind the
// hello, and how many bytes came.
func once(l Load, hello, buf []byte, end time.Time) (first time.Duration, n int64, err error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	c, err := d.Dial("tcp", l.To.String())
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	_ = c.(*net.TCPConn).SetLinger(0) // reset, so that no port waits
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	sent := time.Now()
	if _, err := c.Write(hello); err != nil {
		return 0, 0, err
	}
	got, err := c.Read(buf)
	first = time.Since(sent)
	n = int64(got)
	if err == nil && l.Kind == Idle {
		time.Sleep(time.Until(end))
	}
	if err != nil || l.Kind != Bulk {
		return first, n, err
	}
	for time.Now().Before(end) {
		got, err := c.Read(buf)
		n += int64(got)
		if err != nil {
			return first, n, err
		}
	}
	return first, n, nil
}
