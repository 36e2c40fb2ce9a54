// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package proxypath enforces a program on plain HTTP with a transparent proxy:
// it reads every request head, decides about it, resolves the host itself, dials
// what that gives and forwards the bytes as they came. It trusts nothing that
// two readers could read differently (httphead), caches nothing, and changes no
// byte of what it lets through. How connections reach it is up to kernelpath, or
// to clients that know of it: then connect, which serves their tunnels, uses the
// same sessions for requests in absolute form.
package proxypath

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/echprobe"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/netset"
)

// Config is what a Proxy works with. Rules, Lookup, Record and Own are required.
type Config struct {
	Rules func() *decide.Snapshot
	// Lookup returns the addresses that an allowed name leads to, bound, in the
	// order in which they are to be tried. An error with a method Reason() may
	// say why there is none.
	Lookup func(ctx context.Context, name dnsname.Name) ([]netip.Addr, error)
	Record func(*flowlog.Event)                                             // must neither block nor keep the event
	End    func(flowlog.Closed)                                             // told of the end of each request that was allowed; nil: nobody is
	Own    func() netset.Set                                                // the gateway's addresses: never dialled, and no destination (a loop)
	Now    func() time.Time                                                 // for rules and records; time.Now when nil
	Dial   func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) // a net.Dialer when nil
	// ECH says whether a server knows what to do with an encrypted hello, which is
	// denied then; waits until it is known, or ctx ends. Nil: each may.
	ECH    func(ctx context.Context, source netip.Addr, to netip.AddrPort, name dnsname.Name) (a echprobe.Answer, why string)
	Limits Limits
	Audit  bool // what is denied is recorded, and passes to where the client wanted to go (audit.go)

	// Tunnel serves CONNECT. Where it is set, clients know of the proxy and say
	// where they want to go (RFC 9110 section 7.3.2); where it is nil, they do not,
	// and the local address of a connection is where they want to go.
	Tunnel func(ctx context.Context, t *Tunnel)
	Path   string // what records call this proxy; "proxy" when ""
}

// Limits bounds what clients and servers can make the proxy hold. A field that
// is zero has its default.
type Limits struct {
	Connections int           // from clients, at once; 4096
	PerSource   int           // of those, from one address; 1024, since a node hides many pods
	Head        time.Duration // for a whole request head; 10 s
	Hello       time.Duration // for a whole ClientHello; 3 s
	Idle        time.Duration // between two requests; 60 s
	Stall       time.Duration // while a request or a tunnel is under way and no byte moves; 5 min
	Dial        time.Duration // for one address of a name; 5 s
	Linger      time.Duration // for a client to read a refusal and close; 2 s
}

func (l Limits) withDefaults() Limits {
	set := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	if l.Connections <= 0 {
		l.Connections = 4096
	}
	if l.PerSource <= 0 {
		l.PerSource = 1024
	}
	set(&l.Head, 10*time.Second)
	set(&l.Hello, 3*time.Second)
	set(&l.Idle, 60*time.Second)
	set(&l.Stall, 5*time.Minute)
	set(&l.Dial, 5*time.Second)
	set(&l.Linger, 2*time.Second)
	return l
}

// Proxy serves connections. It is safe for concurrent use.
type Proxy struct {
	cfg Config

	mu       sync.Mutex
	sessions map[*session]struct{}
	bySource map[netip.Addr]*list.List // of *session, the oldest first
	ended    int                       // connections that Serve's end cut
}

// New returns a proxy for cfg.
func New(cfg Config) *Proxy {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.End == nil {
		cfg.End = func(flowlog.Closed) {}
	}
	if cfg.Dial == nil {
		var d net.Dialer
		cfg.Dial = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", addr.String())
		}
	}
	if cfg.Path == "" {
		cfg.Path = "proxy"
	}
	cfg.Limits = cfg.Limits.withDefaults()
	return &Proxy{cfg: cfg, sessions: make(map[*session]struct{}), bySource: make(map[netip.Addr]*list.List)}
}

// Serve serves the connections of l until ctx ends or l fails. It closes l, cuts
// what is under way and waits for all it started.
func (p *Proxy) Serve(ctx context.Context, l net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer func() {
		stop()
		_ = l.Close()
	}()
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				(&stream{conn: conn}).reset()
			}
			return nil
		case err != nil && errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept connections for the proxy: %w", err)
		case err != nil:
			// Out of files or memory, or a client that went away: neither ends the
			// listener, and neither may spin.
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
			continue
		}
		own, cancelOwn := context.WithCancel(ctx)
		s, ok := p.open(conn, cancelOwn)
		if !ok {
			cancelOwn()
			continue
		}
		wg.Go(func() {
			defer func() { p.close(s, ctx.Err() != nil) }()
			defer cancelOwn()
			defer context.AfterFunc(own, s.cut)()
			s.run(own)
		})
	}
}

// open counts a connection in; ok is false when there is no room for it, and
// then it is gone. In audit mode there always is, and it passes without being read.
func (p *Proxy) open(conn net.Conn, cancel context.CancelFunc) (s *session, ok bool) {
	s = newSession(p, conn, cancel)
	p.mu.Lock()
	own := p.bySource[s.src.Addr()]
	ok = own == nil || own.Len() < p.cfg.Limits.PerSource
	var out *session
	if ok && len(p.sessions) >= p.cfg.Limits.Connections {
		if !p.cfg.Audit {
			out = p.crowdOut(s.src.Addr())
		}
		ok = out != nil
	}
	s.crowded = !ok && p.cfg.Audit
	if ok || s.crowded {
		p.sessions[s] = struct{}{}
		if own = p.bySource[s.src.Addr()]; own == nil {
			own = list.New()
			p.bySource[s.src.Addr()] = own
		}
		s.place = own.PushBack(s)
	}
	p.mu.Unlock()
	if out != nil {
		out.record(out.wanted(), flow.Decision{Reason: flow.Overload}, nil, "made room for another source's connection to the proxy")
		out.cancel()
	}
	if !ok {
		s.record(s.wanted(), flow.Decision{Reason: flow.Overload}, nil, "too many connections to the proxy")
	}
	if !ok && !s.crowded {
		s.client.reset()
	}
	return s, ok || s.crowded
}

// close counts a connection out; ended is whether Serve's end cut it.
func (p *Proxy) close(s *session, ended bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ended {
		p.ended++
	}
	p.leave(s)
}

// leave gives a connection's place back. The caller has the lock, as with crowdOut.
func (p *Proxy) leave(s *session) {
	if s.place == nil {
		return
	}
	delete(p.sessions, s)
	own := p.bySource[s.src.Addr()]
	own.Remove(s.place)
	s.place = nil
	if own.Len() == 0 {
		delete(p.bySource, s.src.Addr())
	}
}

// crowdOut takes a connection's place for one from a source. It is one on which nothing
// is under way: the oldest of the source with the most connections that has one. Where
// there is none, it is the oldest of the source with the most, if that has more than
// the newcomer's would. It returns nil when it has not.
func (p *Proxy) crowdOut(newcomer netip.Addr) *session {
	sources := slices.SortedFunc(maps.Keys(p.bySource), func(a, b netip.Addr) int {
		return cmp.Compare(p.bySource[b].Len(), p.bySource[a].Len())
	})
	for _, source := range sources {
		for x := p.bySource[source].Front(); x != nil; x = x.Next() {
			if s := x.Value.(*session); !s.busy() {
				p.leave(s)
				return s
			}
		}
	}
	most, own := p.bySource[sources[0]], 1
	if l := p.bySource[newcomer]; l != nil {
		own = l.Len() + 1
	}
	if most.Len() <= own {
		return nil
	}
	s := most.Front().Value.(*session)
	p.leave(s)
	return s
}

// Ended returns how many connections were open when Serve ended, and were cut.
func (p *Proxy) Ended() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// Sweep cuts the requests under way that the rules of now no longer allow, and
// returns how many there were. It is for the moment after a reload and for the
// end of a rule; requests that begin later are decided anyway.
func (p *Proxy) Sweep() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	cut := 0
	rules, now := p.cfg.Rules(), p.cfg.Now()
	for s := range p.sessions {
		f, ok := s.current()
		if !ok {
			continue
		}
		if d := rules.Decide(f, now); d.Verdict != flow.Allow {
			s.record(f, d, nil, "cut while under way: the rules have changed")
			s.cancel()
			cut++
		}
	}
	return cut
}
