// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import "time"

// A client sends no more than ten segments, and behind a time-out none that is
// new, before the first is acknowledged (RFC 6928 section 2, RFC 5681 section
// 3.1). The server does not see a hello before it is whole, so one in more
// segments would never be. We acknowledge what we hold of such a hello in the
// server's name. The client forgets it then, and so we owe it to the server: when
// the network loses it on the way, we send it again.

const (
	// ackFrom is which segment of a hello is acknowledged at once, as each from then
	// on. A client that has fewer on the way, as behind a lost SYN, repeats one, or
	// waits longer than ackTime.
	ackFrom = 8
	ackTime = 200 * time.Millisecond
	// resendTime is how long a server may take to acknowledge what we owe, at first;
	// each time that it does not, it is twice as long (RFC 6298 section 5.5).
	resendTime = 300 * time.Millisecond
	// resendSize is what fits into every path: the least MTU of IPv6 without headers.
	resendSize = 1280 - 40 - 32
)

// owed is what we have acknowledged of a hello.
type owed struct {
	any    bool
	ack    time.Time     // when what has arrived is to be acknowledged; zero: not before more has
	again  time.Time     // when it is to be sent once more
	after  time.Duration // how long that is behind the last time
	server opening
	window uint16 // the client's, as it says it
	stamp  uint32 // of the client's clock
}

// partial takes note of a segment that does not make the hello whole. before is how
// much of it there was before.
func (h *hold) partial(key flowKey, held *heldFlow, before int, p *packet) {
	o := &held.owed
	o.window = p.window
	o.stamp, _ = stampOf(p.options)
	if o.any || held.segments >= ackFrom || len(held.prefix()) == before {
		h.acknowledge(key, held)
	} else {
		o.ack = h.now.Add(ackTime)
	}
}

// acknowledge tells a client what has arrived of its hello.
func (h *hold) acknowledge(key flowKey, held *heldFlow) {
	o, n := &held.owed, len(held.prefix())
	o.ack = time.Time{}
	server, known := h.begun.server(key)
	if !known || !held.fixed || n == 0 || h.inject == nil {
		return
	}
	o.any, o.after, o.server = true, resendTime, server
	s := segment{
		src: key.dst, dst: key.src, seq: server.next, ack: held.base + uint32(n), flags: flagACK,
		window: uint16((server.window - min(uint32(n), server.window)) >> server.scale),
	}
	if server.stamped {
		s.stamps = &stamps{own: server.stamp, echo: o.stamp}
	}
	h.inject(s)
}

// ackDue reports whether what has arrived is to be acknowledged now.
func (h *hold) ackDue(held *heldFlow) bool {
	at := held.owed.ack
	return !at.IsZero() && !h.now.Before(at)
}

// resend sends a judged hello again that the server has not acknowledged and the
// client believes to be there.
func (h *hold) resend(key flowKey, held *heldFlow) {
	o := &held.owed
	if !o.any || h.now.Before(o.again) {
		return
	}
	o.after *= 2
	o.again = h.now.Add(o.after)
	hello := held.prefix()
	for at := 0; at < len(hello); at += resendSize {
		s := segment{
			src: key.src, dst: key.dst, seq: held.base + uint32(at), ack: o.server.next, flags: flagACK | flagPSH,
			window: o.window, payload: hello[at:min(at+resendSize, len(hello))],
		}
		if o.server.stamped {
			s.stamps = &stamps{own: o.stamp, echo: o.server.stamp}
		}
		h.inject(s)
	}
}

// reset tells the server of a flow that the client is gone, which it believes when
// it expects seq next: it must not wait for a hello that never comes.
func (h *hold) reset(key flowKey, seq uint32) {
	if h.inject != nil {
		h.inject(segment{src: key.src, dst: key.dst, seq: seq, flags: flagRST})
	}
}
