// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxypath

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
)

// reasonOf returns the reason of err, flow.UpstreamFailed when it has none.
func reasonOf(err error) flow.Reason {
	if r, ok := errors.AsType[reasonedError](err); ok {
		return r.Reason()
	}
	return flow.UpstreamFailed
}

// reasonedError is an error that knows its reason, as the resolver's do.
type reasonedError interface {
	error
	Reason() flow.Reason
}

// errUnreached says that a name was resolved, and no address of it answered.
var errUnreached = errors.New("no address answers")

// loopError says that a place is nothing but the gateway itself.
type loopError struct{ place string }

func (e loopError) Error() string     { return e.place + " leads to the gateway itself" }
func (loopError) Reason() flow.Reason { return flow.SpecialAddress }

// placeOf returns where f goes, in the words of its client.
func placeOf(f flow.Flow) string {
	if f.Name.IsZero() && f.Dst.IsValid() {
		return f.Dst.String()
	}
	return f.Name.String()
}

// connect makes s.server a connection to f's name, or to its address when it has
// no name: the one at hand when it is for that and still open, or a new one.
// Whether it was at hand matters, since then the server may be about to close it.
func (s *session) connect(ctx context.Context, f flow.Flow) (reused bool, err error) {
	if s.serves(f) && !s.p.cfg.Own().Contains(s.addr.Addr()) && s.server.quiet() {
		return true, nil
	}
	s.drop()
	addrs := []netip.Addr{f.Dst}
	if !f.Name.IsZero() {
		if addrs, err = s.p.cfg.Lookup(ctx, f.Name); err != nil {
			return false, fmt.Errorf("look up %s: %w", f.Name, err)
		}
	}
	own := s.p.cfg.Own()
	usable := make([]netip.Addr, 0, len(addrs))
	for _, a := range addrs {
		if a = a.Unmap(); !own.Contains(a) {
			usable = append(usable, a)
		}
	}
	if len(usable) == 0 && len(addrs) > 0 {
		return false, loopError{placeOf(f)}
	}
	// The address that the client chose comes first: it may have reasons.
	if i := slices.Index(usable, s.dst.Addr()); i > 0 {
		usable = slices.Insert(slices.Delete(usable, i, i+1), 0, s.dst.Addr())
	}
	var errs []error
	for _, a := range usable {
		to := netip.AddrPortFrom(a, f.Port)
		conn, err := s.dial(ctx, to)
		if err == nil {
			return false, s.adopt(conn, f.Name, to)
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return false, fmt.Errorf("reach %s: %w", placeOf(f), errors.Join(append(errs, errUnreached)...))
}

// connectWanted makes s.server a connection to the address that the client wanted.
func (s *session) connectWanted(ctx context.Context) error {
	conn, err := s.dial(ctx, s.dst)
	if err != nil {
		return err
	}
	return s.adopt(conn, dnsname.Name{}, s.dst)
}

// serves reports whether the server side at hand is for what f asks.
func (s *session) serves(f flow.Flow) bool {
	return s.server != nil && s.name == f.Name && s.addr.Port() == f.Port && (!f.Name.IsZero() || s.addr.Addr() == f.Dst)
}

func (s *session) dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.p.cfg.Limits.Dial)
	defer cancel()
	return s.p.cfg.Dial(ctx, addr)
}

// adopt makes conn the server side, unless the session was cut meanwhile.
func (s *session) adopt(conn net.Conn, name dnsname.Name, addr netip.AddrPort) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		_ = conn.Close()
		return context.Canceled
	}
	s.upstream = conn
	s.server, s.name, s.addr = s.stream(conn), name, addr
	return nil
}

// drop closes the server side.
func (s *session) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.upstream != nil {
		_ = s.upstream.Close()
	}
	s.upstream, s.server = nil, nil
}
