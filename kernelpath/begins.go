// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import "time"

// begin is the sequence number of a stream's first byte, remembered for a time.
type begin struct {
	seat  seat
	seq   uint32
	until time.Time
	// refused says that the flow was denied: what was on its way by then is
	// nothing new, and gets neither a room nor a record.
	refused bool
}

// begins says where streams begin, as their servers see it, of flows whose server
// has answered the SYN. Without it a client could have a hello judged that lies
// before its stream: the server throws such bytes away and acknowledges what it
// had, which looks as if it took them.
type begins struct {
	by    map[flowKey]*begin
	room  *room
	free  []*begin
	swept time.Time
}

func newBegins() *begins {
	return &begins{by: make(map[flowKey]*begin), room: newRoom(begunRoom)}
}

// note notes where the stream of a flow begins, until when.
func (b *begins) note(key flowKey, seq uint32, until time.Time) {
	x := b.by[key]
	if x == nil {
		if n := len(b.free); n > 0 {
			x, b.free = b.free[n-1], b.free[:n-1]
		} else {
			x = new(begin)
		}
		b.by[key] = x
		b.room.enter(&x.seat, key, 1)
		if b.room.full() {
			b.forget(b.room.last())
		}
	}
	if x.seq != seq {
		x.refused = false
	}
	x.seq, x.until = seq, until
}

// forget forgets where a stream begins, if that is known.
func (b *begins) forget(key flowKey) {
	x := b.by[key]
	if x == nil {
		return
	}
	delete(b.by, key)
	b.room.leave(&x.seat)
	*x = begin{}
	if len(b.free) < 1024 {
		b.free = append(b.free, x)
	}
}

// expire forgets those whose time is over, every now and then.
func (b *begins) expire(now time.Time) {
	if now.Sub(b.swept) <= begunTime/10 {
		return
	}
	b.swept = now
	for key, x := range b.by {
		if !now.Before(x.until) {
			b.forget(key)
		}
	}
}
