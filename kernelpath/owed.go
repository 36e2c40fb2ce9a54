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
	// resendTime is how long a server may take to answer what we owe, at first;
	// each time that it does not, it is twice as long (RFC 6298 section 5.5).
	resendTime = 300 * time.Millisecond
	// resendSize is what fits into every path: the least MTU of IPv6 without headers.
	resendSize = 1280 - 40 - 32
)

// owed is what we have acknowledged of a hello.
type owed struct {
	any bool
	// due is when we are to speak next: to the client until the hello is judged, and
	// to the server from then on. Zero: not before something arrives.
	due    time.Time
	after  time.Duration // from one time that the server is sent the hello to the next
	server opening
	// As the client says them: its window, what it expects of the server next, its
	// clock, and what it last heard of the server's.
	window      uint16
	ack         uint32
	stamp, echo uint32
}

// isDue reports whether it is time to speak.
func (o *owed) isDue(now time.Time) bool { return !o.due.IsZero() && !now.Before(o.due) }

// judged notes that the hello is on its way to the server.
func (o *owed) judged(now time.Time) {
	o.due = time.Time{}
	if o.any {
		o.after, o.due = resendTime, now.Add(resendTime)
	}
}

// partial takes note of a segment that does not make the hello whole. before is how
// much of it there was before.
func (h *hold) partial(key flowKey, held *heldFlow, before int, p *packet) {
	o := &held.owed
	o.window, o.ack = p.window, p.ack
	o.stamp, o.echo, _ = stampsOf(p.options)
	if o.any || held.segments >= ackFrom || len(held.prefix()) == before {
		h.acknowledge(key, held)
	} else {
		o.due = h.now.Add(ackTime)
	}
}

// speak says what is due.
func (h *hold) speak(key flowKey, held *heldFlow) {
	if held.pending {
		h.resend(key, held)
	} else {
		h.acknowledge(key, held)
	}
}

// acknowledge tells a client what has arrived of its hello.
func (h *hold) acknowledge(key flowKey, held *heldFlow) {
	o, n := &held.owed, len(held.prefix())
	o.due = time.Time{}
	server, known := h.begun.server(key)
	if !known || !held.fixed || n == 0 || h.inject == nil {
		return
	}
	o.any, o.server = true, server
	h.inject(segment{
		src: key.dst, dst: key.src, seq: o.ack, ack: held.base + uint32(n), flags: flagACK,
		window: uint16((server.window - min(uint32(n), server.window)) >> server.scale),
		stamps: server.stamps(o.echo, o.stamp),
	})
}

// resend sends a judged hello again that the server has not answered and the
// client believes to be there.
func (h *hold) resend(key flowKey, held *heldFlow) {
	o := &held.owed
	o.after *= 2
	o.due = h.now.Add(o.after)
	hello := held.prefix()[:held.passed]
	for at := 0; at < len(hello); at += resendSize {
		h.inject(segment{
			src: key.src, dst: key.dst, seq: held.base + uint32(at), ack: o.ack, flags: flagACK | flagPSH,
			window: o.window, payload: hello[at:min(at+resendSize, len(hello))],
			stamps: o.server.stamps(o.stamp, o.echo),
		})
	}
}

// reset tells the server of a flow that the client is gone, which it believes when
// it expects seq next: it must not wait for a hello that never comes.
func (h *hold) reset(key flowKey, seq uint32) {
	if h.inject != nil {
		h.inject(segment{src: key.src, dst: key.dst, seq: seq, flags: flagRST})
	}
}
