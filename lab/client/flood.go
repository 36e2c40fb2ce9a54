// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Flood is one source that takes what others need: connections that stay open
// behind what they have said, bare SYNs, or datagrams.
type Flood struct {
	Source netip.Addr       `json:"source"`
	To     []netip.AddrPort `json:"to"` // in turn
	Chunks [][]byte         `json:"chunks,omitempty"`
	UDP    bool             `json:"udp,omitempty"`
	Conns  int              `json:"conns,omitempty"` // each says all chunks: over TCP one segment each, over UDP one datagram each
	SYNs   int              `json:"syns,omitempty"`  // ahead of them, over IPv4
	Hold   time.Duration    `json:"hold,omitempty"`  // how long they stay open behind the last
}

// Flooded is what came of it.
type Flooded struct {
	Opened int      `json:"opened"`
	First  []Opened `json:"first,omitempty"` // a few
	Error  string   `json:"error,omitempty"` // of the last that failed
}

// Opened is the two ends of a connection.
type Opened struct {
	From netip.AddrPort `json:"from"`
	To   netip.AddrPort `json:"to"`
}

// atOnce is how many connections are being opened at a time, and firstFew how
// many are told.
const (
	atOnce   = 128
	firstFew = 8
)

// Run floods.
func (f Flood) Run(ctx context.Context) (out Flooded) {
	if err := f.sendSYNs(ctx); err != nil {
		out.Error = err.Error()
	}
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		conns []net.Conn
		room  = make(chan struct{}, atOnce)
	)
	for i := range f.Conns {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			c, o, err := f.open(ctx, f.To[i%len(f.To)])
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				out.Error = err.Error()
			}
			if c != nil {
				conns = append(conns, c)
				if out.Opened++; len(out.First) < firstFew {
					out.First = append(out.First, o)
				}
			}
		})
	}
	wg.Wait()
	select {
	case <-time.After(f.Hold):
	case <-ctx.Done():
	}
	for _, c := range conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
	return out
}

// open opens one connection and says the chunks on it.
func (f Flood) open(ctx context.Context, to netip.AddrPort) (net.Conn, Opened, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	kind := TCP
	if f.UDP {
		kind = UDP
	}
	c, from, err := dial(ctx, Target{Kind: kind, Source: f.Source}, to)
	if err != nil {
		return nil, Opened{}, err
	}
	for _, b := range f.Chunks {
		if _, err := c.Write(b); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
			return c, Opened{from, to}, err
		}
	}
	return c, Opened{from, to}, nil
}

// sendSYNs sends them past the node's own TCP, from every port in turn.
func (f Flood) sendSYNs(ctx context.Context) error {
	if f.SYNs == 0 {
		return nil
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }()
	for i := range f.SYNs {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s := Segment{
			From: netip.AddrPortFrom(f.Source, uint16(1024+i%64000)), To: f.To[i/64000%len(f.To)],
			Seq: rand.Uint32(), Flags: SYN,
		}
		if err := unix.Sendto(fd, s.packets()[0], 0, &unix.SockaddrInet4{Addr: s.To.Addr().As4()}); err != nil {
			return os.NewSyscallError("sendto", err)
		}
	}
	return nil
}
