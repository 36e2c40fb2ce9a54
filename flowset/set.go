// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package flowset

import (
	"net"
	"strconv"

	"github.com/sallyport/sallyport/nameset"
)

// Set is a set of flows. The zero Set is empty. Sets are immutable.
type Set struct{ boxes []Box }

// Of returns the union of boxes.
func Of(boxes ...Box) Set { return Set{}.with(boxes) }

// All is the set of every flow.
func All() Set { return Of(Everything()) }

// with adds boxes, and joins those that differ only in names, ports or
// addresses, so that thousands of rules of one shape become few boxes.
func (s Set) with(boxes []Box) Set {
	out := append([]Box(nil), s.boxes...)
	for _, b := range boxes {
		out = append(out, b.normal()...)
	}
	return Set{join(grouped(out))}
}

// grouped joins boxes that differ in names alone, all at once.
func grouped(boxes []Box) []Box {
	if len(boxes) < 8 {
		return boxes
	}
	type group struct {
		box   Box
		names []nameset.Set
	}
	var order []string
	groups := make(map[string]*group)
	for _, b := range boxes {
		key := string(b.Ports.AppendKey(b.Dst.AppendKey(b.Src.AppendKey([]byte{byte(b.Class)}))))
		g := groups[key]
		if g == nil {
			g = &group{box: b}
			groups[key] = g
			order = append(order, key)
		}
		g.names = append(g.names, b.Names)
		g.box.Nameless = g.box.Nameless || b.Nameless
	}
	out := make([]Box, 0, len(order))
	for _, key := range order {
		g := groups[key]
		g.box.Names = nameset.UnionOf(g.names...)
		out = append(out, g.box)
	}
	return out
}

// join joins boxes that differ in one part, until none do. Beyond a few hundred
// boxes of different shapes it stops: more joining costs more than it saves.
func join(boxes []Box) []Box {
	for changed := true; changed; {
		changed = false
		var out []Box
		for _, b := range boxes {
			joined := false
			for i := range out {
				if j, ok := out[i].joined(b); ok {
					out[i], joined, changed = j, true, true
					break
				}
			}
			if !joined {
				out = append(out, b)
			}
		}
		boxes = out
		if len(boxes) > 400 {
			return boxes
		}
	}
	return boxes
}

// joined returns b and o as one box, when they differ in one part at most.
func (b Box) joined(o Box) (Box, bool) {
	src, dst, ports := b.Src.Equal(o.Src), b.Dst.Equal(o.Dst), b.Ports.Equal(o.Ports)
	class := b.Class == o.Class
	different := 0
	for _, same := range []bool{src, dst, ports, class} {
		if !same {
			different++
		}
	}
	if different > 1 {
		return Box{}, false
	}
	names := b.Nameless == o.Nameless && b.Names.Equal(o.Names)
	switch {
	case different == 1 && !names:
		return Box{}, false
	case different == 0:
		b.Names, b.Nameless = b.Names.Union(o.Names), b.Nameless || o.Nameless
	case !src:
		b.Src = b.Src.Union(o.Src)
	case !dst:
		b.Dst = b.Dst.Union(o.Dst)
	case !class:
		// Ports mean nothing to traffic without them, so this is exact too.
		b.Class |= o.Class
	case !ports:
		if b.Class&^(TCP|UDP) != 0 && (b.Ports.IsEmpty() || o.Ports.IsEmpty()) {
			return Box{}, false
		}
		b.Ports = b.Ports.Union(o.Ports)
	}
	return b, true
}

// Boxes returns the boxes that make the set up. They may overlap.
func (s Set) Boxes() []Box { return append([]Box(nil), s.boxes...) }

// IsEmpty reports whether s holds no flow.
func (s Set) IsEmpty() bool { return len(s.boxes) == 0 }

// Union returns the flows of either.
func (s Set) Union(t Set) Set { return s.with(t.boxes) }

// Intersect returns the flows of both.
func (s Set) Intersect(t Set) Set {
	var out []Box
	for _, a := range s.boxes {
		for _, b := range t.boxes {
			out = append(out, a.intersect(b).normal()...)
		}
	}
	return Set{join(out)}
}

// Minus returns the flows of s that t does not hold.
func (s Set) Minus(t Set) Set {
	left := s.boxes
	for _, b := range t.boxes {
		var next []Box
		for _, a := range left {
			next = append(next, a.minus(b)...)
		}
		left = next
		if len(left) == 0 {
			break
		}
	}
	return Set{join(append([]Box(nil), left...))}
}

// Covers reports whether s holds every flow of t.
func (s Set) Covers(t Set) bool { return t.Minus(s).IsEmpty() }

// Overlaps reports whether s and t share a flow.
func (s Set) Overlaps(t Set) bool { return !s.Intersect(t).IsEmpty() }

// Equal reports whether s and t hold the same flows.
func (s Set) Equal(t Set) bool { return s.Covers(t) && t.Covers(s) }

// Contains reports whether f lies in s.
func (s Set) Contains(f Flow) bool {
	for _, b := range s.boxes {
		if b.Contains(f) {
			return true
		}
	}
	return false
}

// Contains reports whether f lies in b.
func (b Box) Contains(f Flow) bool {
	name := b.Nameless
	if !f.Name.IsZero() {
		name = b.Names.Contains(f.Name)
	}
	return name && b.Class&f.Class != 0 && b.Src.Contains(f.Src) && b.Dst.Contains(f.Dst) &&
		(!f.Class.hasPorts() || b.Ports.Contains(f.Port))
}

// Witness returns a flow of s; ok is false when s is empty.
func (s Set) Witness() (f Flow, ok bool) {
	for _, b := range s.boxes {
		if f, ok = b.witness(); ok {
			return f, true
		}
	}
	return Flow{}, false
}

func joinPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}
