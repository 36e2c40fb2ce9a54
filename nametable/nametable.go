// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package nametable remembers which names lead to which addresses, and for how
// long: the bindings that the resolver makes and the packet path asks for. It
// does not judge; a binding says nothing about who may use it.
package nametable

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/dnsname"
)

// Binding is one name that leads to one address until a point in time.
type Binding struct {
	Name  dnsname.Name
	Addr  netip.Addr
	Until time.Time // exclusive
}

// Table holds bindings. It is safe for concurrent use; lookups share a lock and
// do not allocate.
type Table struct {
	mu     sync.RWMutex
	byAddr map[netip.Addr][]entry
	byName map[dnsname.Name][]netip.Addr
}

type entry struct {
	name  dnsname.Name
	until time.Time
}

// New returns an empty table.
func New() *Table {
	return &Table{byAddr: make(map[netip.Addr][]entry), byName: make(map[dnsname.Name][]netip.Addr)}
}

// Bind adds b, or moves its end when the pair is known and b ends later. It
// reports whether the pair is new.
func (t *Table) Bind(b Binding) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	entries := t.byAddr[b.Addr]
	for i := range entries {
		if entries[i].name == b.Name {
			if b.Until.After(entries[i].until) {
				entries[i].until = b.Until
			}
			return false
		}
	}
	t.byAddr[b.Addr] = append(entries, entry{b.Name, b.Until})
	t.byName[b.Name] = append(t.byName[b.Name], b.Addr)
	return true
}

// Bound reports whether the canonical name in the given bytes leads to addr.
func (t *Table) Bound(name []byte, addr netip.Addr, at time.Time) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, e := range t.byAddr[addr] {
		if e.name.String() == string(name) {
			return at.Before(e.until)
		}
	}
	return false
}

// Each calls f with every name that leads to addr until f returns false.
func (t *Table) Each(addr netip.Addr, at time.Time, f func(dnsname.Name) bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, e := range t.byAddr[addr] {
		if at.Before(e.until) && !f(e.name) {
			return
		}
	}
}

// Names returns the names that lead to addr, in order.
func (t *Table) Names(addr netip.Addr, at time.Time) []dnsname.Name {
	var out []dnsname.Name
	t.Each(addr, at, func(n dnsname.Name) bool {
		out = append(out, n)
		return true
	})
	slices.SortFunc(out, dnsname.Name.Compare)
	return out
}

// Addrs returns the addresses that name leads to, in the order they were bound.
func (t *Table) Addrs(name dnsname.Name, at time.Time) []netip.Addr {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var out []netip.Addr
	for _, a := range t.byName[name] {
		for _, e := range t.byAddr[a] {
			if e.name == name && at.Before(e.until) {
				out = append(out, a)
			}
		}
	}
	return out
}

// Sweep takes out the bindings that have ended and returns them.
func (t *Table) Sweep(at time.Time) []Binding {
	return t.Drop(func(b Binding) bool { return !at.Before(b.Until) })
}

// Drop takes out the bindings for which f says so and returns them.
func (t *Table) Drop(f func(Binding) bool) []Binding {
	t.mu.Lock()
	defer t.mu.Unlock()
	var gone []Binding
	for addr, entries := range t.byAddr {
		kept := entries[:0]
		for _, e := range entries {
			b := Binding{e.name, addr, e.until}
			if !f(b) {
				kept = append(kept, e)
				continue
			}
			gone = append(gone, b)
			addrs := slices.DeleteFunc(t.byName[e.name], func(a netip.Addr) bool { return a == addr })
			if len(addrs) == 0 {
				delete(t.byName, e.name)
			} else {
				t.byName[e.name] = addrs
			}
		}
		if len(kept) == 0 {
			delete(t.byAddr, addr)
		} else {
			clear(entries[len(kept):])
			t.byAddr[addr] = kept
		}
	}
	return gone
}

// All returns every binding.
func (t *Table) All() []Binding {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var out []Binding
	for addr, entries := range t.byAddr {
		for _, e := range entries {
			out = append(out, Binding{e.name, addr, e.until})
		}
	}
	slices.SortFunc(out, func(a, b Binding) int {
		if c := a.Name.Compare(b.Name); c != 0 {
			return c
		}
		return a.Addr.Compare(b.Addr)
	})
	return out
}

// Len returns the number of bindings.
func (t *Table) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n := 0
	for _, entries := range t.byAddr {
		n += len(entries)
	}
	return n
}
