// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// begin is the sequence number of a stream's first byte, remembered for a time.
type begin struct {
	seat   seat
	seq    uint32
	server opening
	until  time.Time
	fate   fate
}

// fate is what has become of a flow whose beginning is known.
type fate uint8

const (
	open fate = iota // nothing of it has passed, or it is held
	// forgotten: something of it has passed, and nobody knows any more what. Whatever
	// came in its place would be judged with other bytes than the server has.
	forgotten
	// refused: what was on its way by then is nothing new, and gets neither a room nor
	// a record.
	refused
)

// begins says where streams begin, as their servers see it, of flows whose server
// has answered the SYN. Without it a client could have a hello judged that lies
// before its stream: the server throws such bytes away and acknowledges what it
// had, which looks as if it took them.
//
// The table logs each answer to a SYN before it lets it on. What a client sends
// because of an answer is queued behind that, so whoever reads the log after the
// queue knows the answer: nobody has to be woken for it, and the answer does not
// wait. All queues share one log.
type begins struct {
	mu    sync.Mutex
	by    map[flowKey]*begin
	room  *room
	free  []*begin
	swept time.Time

	sock *nlSocket // nil: nothing is known but what is noted
	in   *inbox
}

func newBegins() *begins {
	return &begins{by: make(map[flowKey]*begin), room: newRoom(begunRoom)}
}

// Sizes of the log of answers: what is logged of a packet, which has the headers
// in it, with the attributes around it, and what may wait to be read.
const (
	beginSize = 512
	beginRoom = 8 << 20
)

// open binds to the log group; close closes it.
func (b *begins) open(group uint16) (err error) {
	if b.sock, err = openLog(group, beginRoom, beginSize); err != nil {
		return fmt.Errorf("%w (the group behind that of the records)", err)
	}
	if err := b.sock.reportOverruns(); err != nil {
		b.sock.close()
		b.sock = nil
		return err
	}
	b.in = newInbox(2 * beginSize)
	return nil
}

func (b *begins) close() {
	if b.sock != nil {
		b.sock.close()
	}
}

// read takes in what has been logged.
func (b *begins) read(now time.Time) error {
	if b.sock == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	lost := false
	for {
		n, err := b.in.receive(b.sock.fd, unix.MSG_DONTWAIT)
		if err != nil {
			return fmt.Errorf("read the log of answers: %w", err)
		}
		for m := range b.in.messages(n) {
			b.message(m, now)
		}
		if b.in.overrun {
			// What still waits is older than what got lost.
			b.in.overrun, lost = false, true
			continue
		}
		if n < batch {
			break
		}
	}
	if lost {
		b.forgetAll()
	}
	return nil
}

// lose forgets where every stream begins: some answer got lost, and any of them may
// have been on the ports of one that is known.
func (b *begins) lose() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgetAll()
}

func (b *begins) forgetAll() {
	for key := range b.by {
		b.remove(key)
	}
}

// message takes in a message of the log. The caller has the lock, as with answer
// and note.
func (b *begins) message(m message, now time.Time) {
	if m.typ != nfulnlMsgPacket || len(m.data) < nfgenHdr {
		return
	}
	for typ, data := range attributes(m.data[nfgenHdr:]) {
		if typ == nfulaPayload {
			b.answer(data, now)
		}
	}
}

// answer takes in a packet if it is a server's answer to a SYN.
func (b *begins) answer(raw []byte, now time.Time) {
	if p, ok := readPacket(raw); ok && p.flags&(flagSYN|flagACK|flagRST) == flagSYN|flagACK {
		b.note(keyOfReply(&p), p.ack, openingOf(&p), now.Add(begunTime))
	}
}

// firsts are the sequence numbers of the first bytes of a connection, one of each end.
// Another connection on the same ports has others: the server's are its own choice.
type firsts struct{ client, server uint32 }

// of returns where the streams of a flow begin, if that is known, and what has become
// of it.
func (b *begins) of(key flowKey) (at firsts, what fate, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.by[key]
	if x == nil {
		return firsts{}, open, false
	}
	return firsts{x.seq, x.server.next}, x.fate, true
}

// server returns how the server of a flow answered its SYN.
func (b *begins) server(key flowKey) (o opening, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.by[key]
	if x == nil {
		return opening{}, false
	}
	return x.server, true
}

// refuse notes that a flow was denied.
func (b *begins) refuse(key flowKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if x := b.by[key]; x != nil {
		x.fate = refused
	}
}

// missed makes room for what becomes of a flow of which nobody knows where it begins.
func (b *begins) missed(key flowKey, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.by[key] == nil {
		b.note(key, 0, opening{}, until)
	}
}

// lost notes that it is forgotten what has passed of the connection that begins there.
func (b *begins) lost(key flowKey, at firsts) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if x := b.by[key]; x != nil && x.fate == open && at == (firsts{x.seq, x.server.next}) {
		x.fate = forgotten
	}
}

// note notes where the stream of a flow begins, and its server's, until when.
func (b *begins) note(key flowKey, seq uint32, server opening, until time.Time) {
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
			b.remove(b.room.last())
		}
	}
	if x.seq != seq || x.server.next != server.next {
		x.fate = open
	}
	x.seq, x.server, x.until = seq, server, until
}

// forget forgets where a stream begins, if that is known.
func (b *begins) forget(key flowKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remove(key)
}

func (b *begins) remove(key flowKey) {
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
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.swept) <= begunTime/10 {
		return
	}
	b.swept = now
	for key, x := range b.by {
		if !now.Before(x.until) {
			b.remove(key)
		}
	}
}
