// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"container/heap"
	"net/netip"
)

// room is what a queue's thread has to give, in places, and who takes them. A
// newcomer always finds room: when it is full, the source that takes the most
// loses its oldest flow. So no source can keep another one out, whatever it
// does, and a source alone may have the whole room.
//
// A source is an address. Whoever has many addresses has many shares, and must
// have them honestly: a flow gets here behind a handshake, or with an answer.
type room struct {
	size, taken int
	guests      map[netip.Addr]*guest
	most        mostPlaces
	free        []*guest
}

// guest is a source with at least one seat.
type guest struct {
	addr           netip.Addr
	taken          int
	pos            int // in room.most
	oldest, newest *seat
}

// seat is what one flow takes of a room. It is embedded in what is remembered of
// the flow; its zero value takes nothing.
type seat struct {
	key          flowKey
	guest        *guest // nil: not in a room
	takes        int
	older, newer *seat
}

func newRoom(size int) *room { return &room{size: size, guests: make(map[netip.Addr]*guest)} }

// full reports whether somebody must leave.
func (r *room) full() bool { return r.taken > r.size }

// last returns the flow that must leave when the room is full: the oldest of the
// source that takes the most. The room is not empty.
func (r *room) last() flowKey { return r.most[0].oldest.key }

// enter gives a flow its first places, behind all others of its source.
func (r *room) enter(s *seat, key flowKey, takes int) {
	g := r.guests[key.src.Addr()]
	if g == nil {
		if n := len(r.free); n > 0 {
			g, r.free = r.free[n-1], r.free[:n-1]
		} else {
			g = new(guest)
		}
		*g = guest{addr: key.src.Addr()}
		r.guests[g.addr] = g
		heap.Push(&r.most, g)
	}
	*s = seat{key: key, guest: g, older: g.newest}
	if g.newest != nil {
		g.newest.newer = s
	} else {
		g.oldest = s
	}
	g.newest = s
	r.resize(s, takes)
}

// resize changes how many places a flow takes.
func (r *room) resize(s *seat, takes int) {
	by := takes - s.takes
	if by == 0 || s.guest == nil {
		return
	}
	s.takes = takes
	s.guest.taken += by
	r.taken += by
	heap.Fix(&r.most, s.guest.pos)
}

// leave takes a flow out of the room; one that is not in it is no error.
func (r *room) leave(s *seat) {
	g := s.guest
	if g == nil {
		return
	}
	r.resize(s, 0)
	if s.older != nil {
		s.older.newer = s.newer
	} else {
		g.oldest = s.newer
	}
	if s.newer != nil {
		s.newer.older = s.older
	} else {
		g.newest = s.older
	}
	*s = seat{}
	if g.oldest == nil {
		heap.Remove(&r.most, g.pos)
		delete(r.guests, g.addr)
		if len(r.free) < 64 {
			r.free = append(r.free, g)
		}
	}
}

// mostPlaces is a heap of guests with the one that takes the most on top.
type mostPlaces []*guest

func (m mostPlaces) Len() int           { return len(m) }
func (m mostPlaces) Less(i, j int) bool { return m[i].taken > m[j].taken }
func (m mostPlaces) Swap(i, j int) {
	m[i], m[j] = m[j], m[i]
	m[i].pos, m[j].pos = i, j
}

// Push adds a guest, for package heap.
func (m *mostPlaces) Push(x any) {
	g := x.(*guest)
	g.pos = len(*m)
	*m = append(*m, g)
}

// Pop removes the last one, for package heap.
func (m *mostPlaces) Pop() any {
	last := len(*m) - 1
	g := (*m)[last]
	(*m)[last] = nil
	*m = (*m)[:last]
	return g
}
