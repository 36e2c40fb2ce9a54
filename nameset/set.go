// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nameset

import (
	"encoding/binary"
	"slices"

	"github.com/sallyport/sallyport/dnsname"
)

// Set is a set of names. The zero Set is empty. Sets are immutable.
type Set struct {
	states []state // 0 is the start; empty for the empty set
}

// state is one state of the automaton. none leads nowhere.
type state struct {
	next    [symbols]int32
	accepts bool
}

const none = -1

// All is the set of every name.
func All() Set { return Of(Everything()) }

// Of returns the union of globs. It takes time proportional to their length
// together, as long as few of them have stars in the middle.
func Of(globs ...Glob) Set {
	b := &builder{globs: globs, index: make(map[string]int32)}
	var start []int64
	for g := range globs {
		if len(globs[g].elements) > 0 {
			start = append(start, position(g, 0))
		}
	}
	b.add(start, atEnd)
	for i := 0; i < len(b.todo); i++ {
		b.expand(i)
	}
	return Set{b.states}.trim()
}

// position is a place in a glob: what is before it has been read.
func position(glob, at int) int64 { return int64(glob)<<16 | int64(at) }

// whatever is the position in which all that is left is taken.
const whatever int64 = -1

type builder struct {
	globs  []Glob
	states []state
	index  map[string]int32 // key of positions and validity
	todo   []work
}

type work struct {
	positions []int64
	valid     valid
}

// add returns the state for positions, making it when it is new. Positions are
// closed over stars that match nothing, sorted, and unique. A state in which
// some glob takes whatever is left stands for the universe, whatever else is in
// it.
func (b *builder) add(positions []int64, v valid) int32 {
	if len(positions) == 0 || v == invalid {
		return none
	}
	var closed []int64
	rest := false
	for _, p := range positions {
		if p == whatever {
			rest = true
			break
		}
		g, at := int(p>>16), int(p&0xffff)
		elements := b.globs[g].elements
		closed = append(closed, p)
		for at < len(elements) && elements[at].kind != literal {
			if elements[at].kind == anything && at == len(elements)-1 {
				rest = true
			}
			at++
			closed = append(closed, position(g, at))
		}
	}
	if rest {
		closed = []int64{whatever}
	} else {
		slices.Sort(closed)
		closed = slices.Compact(closed)
	}
	key := make([]byte, 1, 1+8*len(closed))
	key[0] = byte(v)
	for _, p := range closed {
		key = binary.BigEndian.AppendUint64(key, uint64(p))
	}
	if s, ok := b.index[string(key)]; ok {
		return s
	}
	s := int32(len(b.states))
	b.index[string(key)] = s
	b.states = append(b.states, state{accepts: v.accepts() && b.ended(closed)})
	b.todo = append(b.todo, work{closed, v})
	return s
}

// ended reports whether some glob has been read to its end.
func (b *builder) ended(closed []int64) bool {
	for _, p := range closed {
		if p == whatever || int(p&0xffff) == len(b.globs[p>>16].elements) {
			return true
		}
	}
	return false
}

// expand fills in where a state leads.
func (b *builder) expand(i int) {
	w := b.todo[i]
	b.todo[i].positions = nil
	var to [symbols][]int64
	for _, p := range w.positions {
		if p == whatever {
			for c := range symbols {
				to[c] = append(to[c], whatever)
			}
			continue
		}
		g, at := int(p>>16), int(p&0xffff)
		elements := b.globs[g].elements
		if at == len(elements) {
			continue
		}
		switch e := elements[at]; e.kind {
		case literal:
			to[e.symbol] = append(to[e.symbol], position(g, at+1))
		default:
			for c := range symbols {
				if c != dot || e.kind == anything {
					to[c] = append(to[c], p)
				}
			}
		}
	}
	for c := range symbols {
		s := b.add(to[c], w.valid.next(c))
		b.states[i].next[c] = s // add may have moved the states
	}
}

// trim drops states from which no name can be reached any more.
func (s Set) trim() Set {
	if len(s.states) == 0 {
		return Set{}
	}
	// Walk backwards from the accepting states.
	back := make([][]int32, len(s.states))
	for i := range s.states {
		for _, n := range s.states[i].next {
			if n != none {
				back[n] = append(back[n], int32(i))
			}
		}
	}
	alive := make([]bool, len(s.states))
	var queue []int32
	for i := range s.states {
		if s.states[i].accepts {
			alive[i] = true
			queue = append(queue, int32(i))
		}
	}
	for len(queue) > 0 {
		n := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for _, p := range back[n] {
			if !alive[p] {
				alive[p] = true
				queue = append(queue, p)
			}
		}
	}
	if !alive[0] {
		return Set{}
	}
	number := make([]int32, len(s.states))
	kept := int32(0)
	for i := range s.states {
		number[i] = none
		if alive[i] {
			number[i] = kept
			kept++
		}
	}
	if int(kept) == len(s.states) {
		return s
	}
	out := make([]state, 0, kept)
	for i := range s.states {
		if !alive[i] {
			continue
		}
		st := s.states[i]
		for c, n := range st.next {
			if n != none {
				st.next[c] = number[n]
			}
		}
		out = append(out, st)
	}
	return Set{out}
}

// IsEmpty reports whether s holds no name.
func (s Set) IsEmpty() bool { return len(s.states) == 0 }

// Contains reports whether n is in s.
func (s Set) Contains(n dnsname.Name) bool {
	text := n.String()
	if len(s.states) == 0 || text == "" {
		return false
	}
	at := int32(0)
	for i := len(text) - 1; i >= 0; i-- {
		c := symbolOf[text[i]]
		if c < 0 {
			return false
		}
		if at = s.states[at].next[c]; at == none {
			return false
		}
	}
	return s.states[at].accepts
}

// Union returns the names of either.
func (s Set) Union(t Set) Set {
	switch {
	case s.IsEmpty():
		return t
	case t.IsEmpty():
		return s
	}
	// From each state of one of them a name is reached, and so from each of both:
	// there is nothing to trim.
	return product(s, t, func(a, b bool) bool { return a || b })
}

// UnionOf returns the names of any of sets. Many small ones cost about as much as
// their states together.
func UnionOf(sets ...Set) Set {
	for len(sets) > 1 {
		var next []Set
		for i := 0; i < len(sets); i += 2 {
			if i+1 < len(sets) {
				next = append(next, sets[i].Union(sets[i+1]))
			} else {
				next = append(next, sets[i])
			}
		}
		sets = next
	}
	if len(sets) == 0 {
		return Set{}
	}
	return sets[0]
}

// Ending returns the text that every name of s ends in, as far as it goes
// without a choice; "" for the empty set.
func (s Set) Ending() string {
	if len(s.states) == 0 {
		return ""
	}
	var out []byte
	for at := int32(0); !s.states[at].accepts && len(out) <= dnsname.MaxName; {
		only, to := -1, int32(none)
		for c, n := range s.states[at].next {
			if n != none {
				if only >= 0 {
					only = -2
					break
				}
				only, to = c, n
			}
		}
		if only < 0 {
			break
		}
		out = append(out, alphabet[only])
		at = to
	}
	slices.Reverse(out)
	return string(out)
}

// Intersect returns the names of both.
func (s Set) Intersect(t Set) Set {
	return product(s, t, func(a, b bool) bool { return a && b }).trim()
}

// Minus returns the names of s that t does not hold.
func (s Set) Minus(t Set) Set { return product(s, t, func(a, b bool) bool { return a && !b }).trim() }

// Covers reports whether s holds every name of t.
func (s Set) Covers(t Set) bool { return t.Minus(s).IsEmpty() }

// Equal reports whether s and t hold the same names.
func (s Set) Equal(t Set) bool {
	if len(s.states) == 0 || len(t.states) == 0 {
		return len(s.states) == len(t.states)
	}
	// From every state that trim left a name can be reached, so one that only one
	// of them has ends the walk.
	type pair struct{ a, b int32 }
	seen := map[pair]bool{{0, 0}: true}
	todo := []pair{{0, 0}}
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		x, y := s.states[at.a], t.states[at.b]
		if x.accepts != y.accepts {
			return false
		}
		for c := range symbols {
			next := pair{x.next[c], y.next[c]}
			if (next.a == none) != (next.b == none) {
				return false
			}
			if next.a != none && !seen[next] {
				seen[next] = true
				todo = append(todo, next)
			}
		}
	}
	return true
}

// product walks both automata at once and keeps what keep says. States may be left
// from which no name is reached.
func product(s, t Set, keep func(a, b bool) bool) Set {
	type pair struct{ a, b int32 }
	begin := pair{none, none}
	if len(s.states) > 0 {
		begin.a = 0
	}
	if len(t.states) > 0 {
		begin.b = 0
	}
	accepts := func(x Set, n int32) bool { return n != none && x.states[n].accepts }
	step := func(x Set, n int32, c int) int32 {
		if n == none {
			return none
		}
		return x.states[n].next[c]
	}
	// Where nothing can be kept any more the walk stops.
	dead := func(p pair) bool {
		return p.a == none && p.b == none || p.a == none && !keep(false, true) || p.b == none && !keep(true, false)
	}
	if dead(begin) {
		return Set{}
	}
	// Where only one of the two goes on, a slice is enough of an index; the map
	// holds what both read.
	index := make(map[pair]int32)
	onlyA, onlyB := make([]int32, len(s.states)), make([]int32, len(t.states))
	var todo []pair
	number := func(p pair) int32 {
		slot := (*int32)(nil)
		switch {
		case p.b == none:
			slot = &onlyA[p.a]
		case p.a == none:
			slot = &onlyB[p.b]
		default:
			n, ok := index[p]
			if !ok {
				n = int32(len(todo))
				index[p] = n
				todo = append(todo, p)
			}
			return n
		}
		if *slot == 0 {
			todo = append(todo, p)
			*slot = int32(len(todo)) // one more than its number: 0 is none yet
		}
		return *slot - 1
	}
	number(begin)
	var out []state
	for i := 0; i < len(todo); i++ {
		p := todo[i]
		st := state{accepts: keep(accepts(s, p.a), accepts(t, p.b))}
		for c := range symbols {
			q := pair{step(s, p.a, c), step(t, p.b, c)}
			if dead(q) {
				st.next[c] = none
				continue
			}
			st.next[c] = number(q)
		}
		out = append(out, st)
	}
	return Set{slices.Clone(out)} // sets are kept, and their room to grow is not
}

// Only returns the one name of s; ok is false when it has none, or several.
func (s Set) Only() (n dnsname.Name, ok bool) {
	var text []byte // from its end
	for at := int32(0); len(s.states) > 0 && len(text) <= dnsname.MaxName; {
		// From every state some name is reached, so two ways on are two names.
		next := int32(none)
		for c, to := range s.states[at].next {
			switch {
			case to == none:
				continue
			case next != none || s.states[at].accepts:
				return dnsname.Name{}, false
			}
			next = to
			text = append(text, alphabet[c])
		}
		if next == none {
			slices.Reverse(text)
			n, err := dnsname.Parse(string(text))
			return n, err == nil
		}
		at = next
	}
	return dnsname.Name{}, false
}

// Witness returns a shortest name of s, of several the first in the order of
// letters, digits, hyphen; ok is false when s is empty.
func (s Set) Witness() (n dnsname.Name, ok bool) {
	if len(s.states) == 0 {
		return dnsname.Name{}, false
	}
	type step struct {
		from int32
		c    int
	}
	came := make(map[int32]step)
	queue := []int32{0}
	seen := make([]bool, len(s.states))
	seen[0] = true
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if s.states[at].accepts {
			var text []byte
			for at != 0 {
				st := came[at]
				text = append(text, alphabet[st.c])
				at = st.from
			}
			name, err := dnsname.Parse(string(text))
			return name, err == nil
		}
		for c, to := range s.states[at].next {
			if to != none && !seen[to] {
				seen[to] = true
				came[to] = step{at, c}
				queue = append(queue, to)
			}
		}
	}
	return dnsname.Name{}, false
}
