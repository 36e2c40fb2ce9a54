// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"bytes"
	"time"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/tlshello"
)

// heldFlow is the beginning of a client's stream.
type heldFlow struct {
	seat     seat
	base     uint32 // sequence number of buf[0]
	buf      []byte // bytes from base on; valid where have says
	have     []span // received parts of buf, sorted and disjoint
	ids      []uint32
	marks    []uint32
	segments int
	places   int // that the segments in ids take
	deadline time.Time
	stray    bool // the first segment was no hello; waits for an earlier one
	asking   bool // the hello is whole, and the server is being asked what it means to it
	fixed    bool // begin is known
	second   bool // the server has asked for another hello, which comes behind what passed

	begin   firsts
	passed  int              // bytes of buf that were let through
	pending bool             // judged and let through; waits for the server's answer
	done    bool             // released
	rules   *decide.Snapshot // that judged it
	hello   int              // bytes of buf up to the hello's end
	server  serverStream
	owed    owed
}

// span is buf[lo:hi].
type span struct{ lo, hi int }

// wait notes a segment that waits for the verdict about its flow.
func (held *heldFlow) wait(id, mark uint32, p *packet) {
	held.ids, held.marks = append(held.ids, id), append(held.marks, mark)
	held.places += 1 + len(p.payload)/placeBytes
}

// takes returns how many places the flow takes.
func (held *heldFlow) takes() int { return 1 + cap(held.buf)/placeBytes + held.places }

// insert adds the bytes of a segment. The first copy of a byte is the one that
// counts; another that differs is an overlap mismatch. A segment from before
// base moves base, unless the server is known to begin there: then it does not
// look at what comes before, such as a hello that is none of its own, and
// neither do we.
func (held *heldFlow) insert(seq uint32, payload []byte) flow.Reason {
	off := int(int32(seq - held.base))
	if off < 0 && held.fixed {
		payload = payload[min(-off, len(payload)):]
		off = 0
		if len(payload) == 0 {
			return flow.NotDecided
		}
	}
	if off < 0 {
		if -off > tlshello.MaxStream {
			return flow.HelloTooLong
		}
		held.shift(-off)
		held.base, off = seq, 0
	}
	if off > tlshello.MaxStream {
		return flow.HelloTooLong
	}
	end := off + len(payload)
	if end > len(held.buf) {
		held.buf = append(held.buf, make([]byte, end-len(held.buf))...)
	}
	for _, s := range held.have {
		lo, hi := max(s.lo, off), min(s.hi, end)
		if lo < hi && !bytes.Equal(held.buf[lo:hi], payload[lo-off:hi-off]) {
			return flow.OverlapMismatch
		}
	}
	copy(held.buf[off:], payload) // what was there is equal
	held.add(span{off, end})
	return flow.NotDecided
}

// shift makes room for n bytes before base.
func (held *heldFlow) shift(n int) {
	held.buf = append(held.buf, make([]byte, n)...)
	copy(held.buf[n:], held.buf[:len(held.buf)-n])
	for i := range held.have {
		held.have[i].lo += n
		held.have[i].hi += n
	}
}

// add joins s with the spans it touches.
func (held *heldFlow) add(s span) {
	i := 0
	for i < len(held.have) && held.have[i].hi < s.lo {
		i++
	}
	k := i
	for k < len(held.have) && held.have[k].lo <= s.hi {
		s.lo, s.hi = min(s.lo, held.have[k].lo), max(s.hi, held.have[k].hi)
		k++
	}
	if i == k {
		held.have = append(held.have, span{})
		copy(held.have[i+1:], held.have[i:])
	} else {
		held.have = append(held.have[:i+1], held.have[k:]...)
	}
	held.have[i] = s
}

// asked begins again behind the hello, where the one is to come that the server has
// asked for. What has passed with the hello stays, also what is behind a hole: the
// server has it, and it counts when the hole is filled.
func (held *heldFlow) asked(deadline time.Time) {
	n := held.hello
	held.buf = held.buf[:copy(held.buf, held.buf[n:])]
	held.have[0].lo = n // of the first one, which has the hello
	for i := range held.have {
		held.have[i].lo -= n
		held.have[i].hi -= n
	}
	if held.have[0].hi == 0 {
		held.have = append(held.have[:0], held.have[1:]...)
	}
	held.base, held.passed, held.hello = held.base+uint32(n), held.passed-n, 0
	held.second, held.pending, held.segments, held.deadline, held.owed = true, false, 0, deadline, owed{}
}

// hasPassed reports whether the server may have something of the stream.
func (held *heldFlow) hasPassed() bool { return held.passed > 0 || held.second }

// prefix returns the bytes from base on that have arrived without a hole.
func (held *heldFlow) prefix() []byte {
	if len(held.have) == 0 || held.have[0].lo != 0 {
		return nil
	}
	return held.buf[:held.have[0].hi]
}
