// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// Limits of one source. What is in the cache is answered to everybody as often as
// they ask; a question that upstreams must answer takes one of their slots, binds
// addresses for an hour, and pushes another out of the cache.
const (
	newRate  = 100  // questions a second that are not in the cache
	newBurst = 1000 // of them at once, as behind a restart of the cluster's cache
	maxConns = 64   // connections over TCP at a time

	maxSources = 4096
)

// shares is what each source may still ask, refilled with time.
type shares struct {
	mu sync.Mutex
	of map[netip.Addr]share
}

type share struct {
	left float64
	at   time.Time // when that was left
}

func (s share) now(now time.Time) float64 {
	return min(s.left+now.Sub(s.at).Seconds()*newRate, newBurst)
}

// take reports whether src may ask once more.
func (s *shares) take(src netip.Addr, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	mine, known := s.of[src]
	if !known {
		s.makeRoom(now)
		mine = share{newBurst, now}
	}
	left := mine.now(now)
	if left < 1 {
		s.of[src] = share{left, now}
		return false
	}
	s.of[src] = share{left - 1, now}
	return true
}

// makeRoom forgets the sources that have their whole share again, which is as if
// they had never asked, and when that is none, all of them.
func (s *shares) makeRoom(now time.Time) {
	if len(s.of) < maxSources {
		return
	}
	for src, x := range s.of {
		if x.now(now) >= newBurst {
			delete(s.of, src)
		}
	}
	if len(s.of) >= maxSources {
		clear(s.of)
	}
}

// perSource is a listener that keeps no more than maxConns connections of one
// source open, and closes what comes beyond.
type perSource struct {
	net.Listener

	mu   sync.Mutex
	open map[netip.Addr]int
}

func limited(l net.Listener) *perSource {
	return &perSource{Listener: l, open: make(map[netip.Addr]int)}
}

// Accept waits for a connection of a source that may have one more.
func (l *perSource) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		src := addrOf(c.RemoteAddr())
		l.mu.Lock()
		room := l.open[src] < maxConns
		if room {
			l.open[src]++
		}
		l.mu.Unlock()
		if room {
			return &countedConn{Conn: c, end: func() { l.end(src) }}, nil
		}
		_ = c.Close()
	}
}

func (l *perSource) end(src netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[src]--; l.open[src] == 0 {
		delete(l.open, src)
	}
}

// countedConn is a connection that is counted until it is closed.
type countedConn struct {
	net.Conn
	end  func()
	once sync.Once
}

// Close closes it, once.
func (c *countedConn) Close() error {
	c.once.Do(c.end)
	return c.Conn.Close()
}
