// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/lab/internet"
)

// Internet is the agent with the servers, and everything they have seen.
type Internet struct {
	*Agent

	mu    sync.Mutex
	seen  []internet.Event
	flows map[flowKey][]byte // payload that arrived, by flow
	more  chan struct{}      // closed and replaced when something is seen
}

type flowKey struct {
	proto    string
	from, to netip.AddrPort
}

func startInternet() (*Internet, error) {
	w := &Internet{more: make(chan struct{}), flows: make(map[flowKey][]byte)}
	a, err := startAgent("internet", w.note)
	w.Agent = a
	if err != nil {
		return nil, err
	}
	return w, nil
}

func (w *Internet) note(raw json.RawMessage) {
	var e internet.Event
	if json.Unmarshal(raw, &e) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Kind == internet.Payload {
		k := flowKey{e.Proto, e.Remote, e.Local}
		w.flows[k] = append(w.flows[k], e.Data...)
	}
	w.seen = append(w.seen, e)
	close(w.more)
	w.more = make(chan struct{})
}

// Saw returns the first request with that nonce that a server has understood.
func (w *Internet) Saw(nonce string) (internet.Event, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.saw(nonce)
}

func (w *Internet) saw(nonce string) (e internet.Event, ok bool) {
	i := slices.IndexFunc(w.seen, func(e internet.Event) bool { return e.Kind == internet.Served && e.Nonce == nonce })
	if i < 0 {
		return e, false
	}
	return w.seen[i], true
}

// Await is Saw for a request that may still be on its way here.
func (w *Internet) Await(ctx context.Context, nonce string, within time.Duration) (e internet.Event, ok bool) {
	ok = w.until(ctx, within, func() (found bool) {
		e, found = w.saw(nonce)
		return found
	})
	return e, ok
}

// until calls f, with the lock held, after everything seen until it returns true
// or the time is over.
func (w *Internet) until(ctx context.Context, within time.Duration, f func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		w.mu.Lock()
		more, ok := w.more, f()
		w.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-more:
		case <-ctx.Done():
			return false
		}
	}
}

// Arrived reports whether these bytes reach any server within the time given, in
// the payload of one flow, understood or not, and where.
func (w *Internet) Arrived(ctx context.Context, data []byte, within time.Duration) (to netip.AddrPort, ok bool) {
	ok = w.until(ctx, within, func() bool {
		for k, got := range w.flows {
			if bytes.Contains(got, data) {
				to = k.to
				return true
			}
		}
		return false
	})
	return to, ok
}

// Stream returns the payload that arrived on the flow of a request, as far as the
// witness tells of it.
func (w *Internet) Stream(e internet.Event) []byte {
	proto := "tcp"
	if e.Proto == "udp" || e.Proto == "ntp" {
		proto = "udp"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.flows[flowKey{proto, e.Remote, e.Local}])
}

// HeardOf reports whether any payload of a flow to that address arrived from that
// time on. Masquerade keeps the client's port, so this finds a flow without
// knowing what it says.
func (w *Internet) HeardOf(t time.Time, proto string, port uint16, to netip.AddrPort) bool {
	return slices.ContainsFunc(w.Since(t), func(e internet.Event) bool {
		return e.Kind == internet.Payload && e.Proto == proto && e.Remote.Port() == port && e.Local == to
	})
}

// Since returns what was seen from that time on.
func (w *Internet) Since(t time.Time) []internet.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []internet.Event
	for _, e := range w.seen {
		if !e.Time.Before(t) {
			out = append(out, e)
		}
	}
	return out
}

// PayloadAt returns how many bytes of payload arrived at any of the addresses
// from that time on.
func (w *Internet) PayloadAt(t time.Time, addrs ...netip.Addr) (n int) {
	for _, e := range w.Since(t) {
		if e.Kind == internet.Payload && slices.Contains(addrs, e.Local.Addr()) {
			n += e.Bytes
		}
	}
	return n
}

// SetRecords replaces the DNS records of the owners given, each "TYPE DATA"; an
// empty list removes an owner.
func (w *Internet) SetRecords(ctx context.Context, records map[string][]string) error {
	return w.Call(ctx, "records", records, nil)
}

// SetUnasked makes answers about the owners given carry records nobody asked for,
// each a line of a zone file; an empty list ends that.
func (w *Internet) SetUnasked(ctx context.Context, unasked map[string][]string) error {
	return w.Call(ctx, "unasked", unasked, nil)
}

// SetSites makes hosts serve a directory of this machine, or pass requests on to
// an http:// address inside the internet's namespace.
func (w *Internet) SetSites(ctx context.Context, sites map[string]string) error {
	return w.Call(ctx, "sites", sites, nil)
}
