// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/tlshello"
)

// What happens to a flow between its hello's verdict and its release. The server's
// first bytes release it when they acknowledge the hello: what was judged is what the
// server got. But a server may ask for another hello, and serve the name in that one;
// so no handshake record of the client passes before the server's first bytes, and the
// hello behind such a question is judged as the first was.

// serverStream is what a server has said to a flow that is not released yet.
type serverStream struct {
	known   bool   // next is known
	next    uint32 // sequence number of the first byte that was not read
	replies tlshello.Replies
}

// read takes in a segment, and calls each for what it says. What comes ahead of
// its turn is left out: the server sends it again, or what follows it tells.
func (s *serverStream) read(p *packet, each func(tlshello.Reply)) {
	off := int(int32(s.next - p.seq))
	if off < 0 || off >= len(p.payload) {
		return
	}
	s.next = p.seq + uint32(len(p.payload))
	for rest := p.payload[off:]; len(rest) > 0; {
		var reply tlshello.Reply
		if rest, reply = s.replies.Read(rest); reply != tlshello.Undecided {
			each(reply)
		}
		if reply == tlshello.Final {
			return
		}
	}
}

// reply takes a packet of the server of a flow whose hello is on its way.
func (h *hold) reply(id, mark uint32, p *packet) {
	key := keyOfReply(p)
	begin, what, known := h.begun.of(key)
	held := h.current(key, begin, known)
	switch {
	case held == nil && !known && h.again(key, id, mark):
	case p.flags&flagRST != 0:
		// Over, and the client may open another connection on the same ports at once.
		h.pass(id, mark, h.marks.Unmarked())
		if held != nil && held.hasPassed() {
			h.discard(key, held)
		}
	case p.payloadBytes == 0:
		h.pass(id, mark, 0)
	case held == nil && what == forgotten:
		h.abort(key, p)
		h.late(key, id, mark, "the server answered too late")
	case held == nil && !known && h.tracked && !h.justReleased(key):
		// Its hello went out before this process began, or an answer to a SYN got lost.
		h.abort(key, p)
		h.begun.missed(key, h.now.Add(begunTime))
		h.ended(key)
		h.late(key, id, mark, detailForgotten)
	case held == nil || !held.pending && !held.second:
		h.drop(id, mark)
	case held.pending && int32(p.ack-held.base)-int32(held.hello) < 0:
		h.drop(id, mark) // it speaks before it has the hello: no TLS server
	default:
		h.answer(key, held, id, mark, p)
	}
}

// answer takes what a server says behind a hello.
func (h *hold) answer(key flowKey, held *heldFlow, id, mark uint32, p *packet) {
	if !held.server.known {
		held.server.known, held.server.next = true, p.seq
	}
	final := false
	held.server.read(p, func(reply tlshello.Reply) {
		switch {
		case reply == tlshello.Final:
			final = true
		case held.pending:
			h.another(key, held)
		}
	})
	if !final || !held.pending {
		h.pass(id, mark, 0)
		return
	}
	if h.judge.Rules() != held.rules && !h.stillAllowed(key, held) {
		if h.audit {
			h.pass(id, mark, h.marks.Released())
		} else {
			h.abort(key, p)
			h.drop(id, mark)
		}
		return
	}
	h.pass(id, mark, h.marks.Released())
	h.release(key, held)
}

// abort tells a client that its server is gone, in place of what that one says.
func (h *hold) abort(key flowKey, p *packet) {
	if !h.audit && h.inject != nil {
		h.inject(segment{src: key.dst, dst: key.src, seq: p.seq, flags: flagRST})
	}
}

// detailForgotten is the detail of a flow that is refused because of that.
const detailForgotten = "the gateway does not know any more what the server has of it"

// late refuses a flow that goes on when nobody knows any more what has passed of it:
// it had its time, or lost its place.
func (h *hold) late(key flowKey, id, mark uint32, detail string) {
	h.record(flowOfKey(key), key.src.Port(), flow.Decision{Reason: flow.HelloTimeout}, nil, detail)
	h.begun.refuse(key)
	h.pass(id, mark, h.denied())
}

// another makes a flow wait for the hello that its server has asked for.
func (h *hold) another(key flowKey, held *heldFlow) {
	h.judged.leave(&held.seat)
	held.asked(h.now.Add(helloTime))
	h.undecided.enter(&held.seat, key, held.takes())
	h.seat(held)
}

// repeat takes a segment of a flow whose hello is on its way. What it repeats must
// be what was let through. What it adds goes on with it as long as no handshake record
// begins there.
func (h *hold) repeat(key flowKey, held *heldFlow, id, mark uint32, p *packet) {
	off, passed := int(int32(p.seq-held.base)), held.passed
	if off > passed || off+len(p.payload) > tlshello.MaxStream || off+len(p.payload) <= 0 {
		h.drop(id, mark) // until what is ahead of it, or the server's answer, has come; or what the server had long ago
		return
	}
	reason := flow.OverlapMismatch
	if off >= 0 {
		if reason = held.insert(p.seq, p.payload); reason == flow.NotDecided {
			reason = tooEarly(held.prefix()[held.hello:])
		}
	}
	if reason != flow.NotDecided {
		held.wait(id, mark, p)
		h.deny(key, held, flow.Decision{Reason: reason}, nil, "")
		return
	}
	h.pass(id, mark, h.marks.Pending())
	if held.passed = len(held.prefix()); held.passed == passed {
		return
	}
	h.judged.resize(&held.seat, held.takes())
	if h.judged.full() {
		last := h.judged.last()
		h.give(last, h.flows[last])
	}
}

// current returns what is held of a flow, whose streams are known to begin at
// begin. When that is another connection on the same ports, nothing of the last
// one holds, and an undecided one has had its time. So it is when the beginning was
// known and is no more: nobody can tell then which connection a segment is of.
func (h *hold) current(key flowKey, begin firsts, known bool) *heldFlow {
	held := h.flows[key]
	if held == nil || !held.fixed || known && held.begin == begin {
		return held
	}
	if !held.pending {
		h.record(flowOfKey(key), key.src.Port(), flow.Decision{Reason: flow.HelloTimeout}, nil, "")
	}
	h.discard(key, held)
	return nil
}

// stillAllowed judges a flow again whose hello is on its way, by rules that have
// taken the place of those that let it through. A flow that they refuse is denied.
func (h *hold) stillAllowed(key flowKey, held *heldFlow) bool {
	hello, _, reason := h.read(held)
	f := flowOfKey(key)
	name := h.nameOf(hello)
	d := h.judge.hello(&f, hello, reason, name, h.now)
	if d.Verdict != flow.Allow {
		h.deny(key, held, d, name, "")
	}
	return d.Verdict == flow.Allow
}
