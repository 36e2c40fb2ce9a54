// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// run is one measurement.
func run(ctx context.Context, l Load) (Result, error) {
	if l.Kind == Names {
		return ask(ctx, l)
	}
	hello, err := Hello(l.Name)
	if l.Kind == Web {
		hello, err = fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: %s\r\nAccept: */*\r\n\r\n", l.Name), nil
	}
	if err != nil {
		return Result{}, err
	}
	switch l.Kind {
	case Idle:
		return standStill(ctx, l, hello), nil
	case Count:
		return count(ctx, l, hello), nil
	}
	return again(ctx, l, hello), nil
}

// tally is what clients at work add to.
type tally struct {
	bytes, conns, failed atomic.Int64

	mu    sync.Mutex
	first []time.Duration
	err   string
}

func (t *tally) failure(err error) {
	t.failed.Add(1)
	t.mu.Lock()
	t.err = time.Now().UTC().Format(time.StampMilli) + " " + err.Error()
	t.mu.Unlock()
}

func (t *tally) result(begin time.Time) Result {
	slices.Sort(t.first)
	first := t.first
	if len(first) > 4000 { // every so many, still sorted
		step := len(first) / 2000
		first = nil
		for i := 0; i < len(t.first); i += step {
			first = append(first, t.first[i])
		}
	}
	return Result{
		Bytes: t.bytes.Load(), Conns: t.conns.Load(), Failed: t.failed.Load(), Elapsed: time.Since(begin), First: first, Err: t.err,
	}
}

// again makes one connection after the other until the time is over.
func again(ctx context.Context, l Load, hello []byte) Result {
	var t tally
	begin := time.Now()
	end := begin.Add(l.Duration)
	var wg sync.WaitGroup
	for i := range l.Clients {
		wg.Go(func() {
			var first []time.Duration
			buf := make([]byte, 256<<10)
			next := time.Now()
			for time.Now().Before(end) && ctx.Err() == nil {
				if l.Rate > 0 {
					time.Sleep(time.Until(next))
					next = next.Add(time.Second * time.Duration(l.Clients) / time.Duration(l.Rate))
				}
				wait, n, err := once(l, i, hello, buf, end)
				t.bytes.Add(n)
				if err != nil {
					t.failure(err)
					continue
				}
				t.conns.Add(1)
				if len(first) < 2000 {
					first = append(first, wait)
				}
			}
			t.mu.Lock()
			t.first = append(t.first, first...)
			t.mu.Unlock()
		})
	}
	wg.Wait()
	return t.result(begin)
}

// dial connects client i. The connection is reset when it is closed, so that no
// port waits.
func (l Load) dial(i int) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	if len(l.Sources) > 0 {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(l.Sources[i%len(l.Sources)], 0))
	}
	c, err := d.Dial("tcp", l.To.String())
	if err != nil {
		return nil, err
	}
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	return c, nil
}

// errNotOurs is for an answer that is none of the server's: an alert of a
// middlebox.
var errNotOurs = errors.New("answered by something on the way")

// once makes one connection and returns how long its first byte took behind the
// hello, and how many bytes came.
func once(l Load, i int, hello, buf []byte, end time.Time) (first time.Duration, n int64, err error) {
	c, err := l.dial(i)
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	sent := time.Now()
	if _, err := c.Write(hello); err != nil {
		return 0, 0, err
	}
	got, err := c.Read(buf)
	first = time.Since(sent)
	n = int64(got)
	if err == nil && l.Kind == Short && string(buf[:got]) != "ok" {
		err = errNotOurs
	}
	if err != nil || l.Kind == Short {
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
