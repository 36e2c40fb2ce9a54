// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/echprobe"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/tlshello"
)

// Limits of what is held of one flow, and of all.
const (
	maxSegments = 64
	helloTime   = 3 * time.Second
	// reorderTime is how long a first segment that is no hello may wait for an
	// earlier one that the network has delayed.
	reorderTime = 100 * time.Millisecond
	// pendingTime is how long a server may take to answer a hello.
	pendingTime = 2 * time.Minute
	// rejudged is how many flows whose server is being asked are judged again at
	// one tick: the others have their turn at the next ones.
	rejudged = 256
	// begunTime is how long a client may take for its first byte.
	begunTime = 5 * time.Minute
)

// Rooms of one queue, in places: a flow takes one, each of its segments that
// waits another, and both one more for every placeBytes behind the first ones.
// So undecided flows hold at most 8,192 packets in the kernel, of 32 MiB, and as
// much memory here; the queue has room for as many again (queueLen).
const (
	undecidedRoom = 8192
	pendingRoom   = 8192
	begunRoom     = 65536
	placeBytes    = 4096
)

// hold keeps the first bytes of flows until they can be judged. It belongs to
// one queue and is used by its thread alone.
type hold struct {
	judge  *Judge
	marks  Marks
	inject func(segment) // sends what one end is told in the other's name; may be nil
	audit  bool          // what is denied is recorded, and passes

	now     time.Time
	flows   map[flowKey]*heldFlow
	free    []*heldFlow
	waiting int // flows that are stray or asking: there is something to do soon
	// undecided has the flows whose segments wait, and judged those that are
	// pending: none of the latter has a segment here.
	undecided, judged *room
	// begun says where streams begin. When tracked is true the table logs the
	// answers to SYNs, and a flow without one is refused.
	begun    *begins
	tracked  bool
	verdicts []verdict

	// told counts the records of flows without room since then.
	told      int
	toldSince time.Time

	// Packets of a flow that were queued before it was released arrive behind
	// the verdict that released it. They go through the table once more, which
	// knows the flow by now. fresh are the flows released since turned, recent
	// those of the time before, with how many packets of each have gone.
	recent, fresh map[flowKey]uint8
	turned        time.Time
	stats         *Stats
	scratch       [tlshello.MaxBytes]byte
	name          [dnsname.MaxName]byte
	event         flowlog.Event
}

// flowKey is a TCP flow from the client's side.
type flowKey struct{ src, dst netip.AddrPort }

func newHold(j *Judge, m Marks) *hold {
	return &hold{
		judge: j, marks: m, flows: make(map[flowKey]*heldFlow), now: time.Now(),
		stats: new(Stats), recent: make(map[flowKey]uint8), fresh: make(map[flowKey]uint8), begun: newBegins(),
		undecided: newRoom(undecidedRoom), judged: newRoom(pendingRoom),
	}
}

// packet judges one queued packet, or holds it. Every packet gets a verdict,
// now or when its flow is judged or expires.
func (h *hold) packet(id, mark uint32, raw []byte) {
	p, ok := readPacket(raw)
	if !ok {
		h.drop(id, mark)
		return
	}
	switch p.transport {
	case flow.UDP:
		h.datagram(id, mark, &p)
	case flow.TCP:
		switch {
		case mark&h.marks.Denied() != 0:
			h.revoked(id, mark, &p)
		case !h.judge.Sources().Contains(p.src):
			h.reply(id, mark, &p)
		case p.truncated:
			h.drop(id, mark)
		case p.flags&(flagSYN|flagACK|flagRST) == flagSYN:
			h.connect(id, mark, &p)
		default:
			h.segment(id, mark, &p)
		}
	default:
		h.drop(id, mark)
	}
}

func flowOfKey(key flowKey) flow.Flow {
	return flow.Flow{Src: key.src.Addr(), Dst: key.dst.Addr(), Port: key.dst.Port(), Transport: flow.TCP, App: flow.TLS}
}

func flowOf(p *packet) flow.Flow {
	return flow.Flow{Src: p.src, Dst: p.dst, Port: p.dstPort, Transport: p.transport}
}

// datagram judges the first datagram of a UDP flow by the binding.
func (h *hold) datagram(id, mark uint32, p *packet) {
	f := flowOf(p)
	d, _ := h.judge.binding(&f, h.now)
	h.record(f, p.srcPort, d, nil, "")
	if d.Verdict == flow.Allow {
		h.pass(id, mark, h.marks.Released())
	} else {
		h.pass(id, mark, h.denied())
	}
}

// connect judges the first segment of a TCP flow to an address that some name
// leads to without any first bytes to read.
func (h *hold) connect(id, mark uint32, p *packet) {
	f := flowOf(p)
	d, _ := h.judge.binding(&f, h.now)
	switch {
	case d.Verdict == flow.Allow:
		h.record(f, p.srcPort, d, nil, "")
		h.pass(id, mark, h.marks.Released())
	case h.judge.awaitsHello(f, h.now):
		h.pass(id, mark, 0)
	default:
		h.record(f, p.srcPort, d, nil, "")
		h.pass(id, mark, h.denied())
	}
}

// segment takes a client's segment with payload.
func (h *hold) segment(id, mark uint32, p *packet) {
	key := keyOf(p)
	if len(p.payload) == 0 {
		h.pass(id, mark, 0)
		return
	}
	begin, what, known := h.begun.of(key)
	held := h.current(key, begin, known)
	switch {
	case held == nil && !known && h.again(key, id, mark):
		return
	case held == nil && what == refused:
		h.pass(id, mark, h.denied())
		return
	case held == nil && what == forgotten:
		h.late(key, id, mark, detailForgotten)
		return
	case held == nil:
		held = h.take(key, p.seq)
		if known {
			held.base, held.begin, held.fixed = begin.client, begin, true
			held.server = serverStream{known: true, next: begin.server}
		} else if h.tracked {
			held.wait(id, mark, p)
			h.deny(key, held, flow.Decision{Reason: flow.OutOfState}, nil, "")
			return
		}
	case held.pending:
		h.repeat(key, held, id, mark, p)
		return
	}
	held.segments++
	held.wait(id, mark, p)
	before := len(held.prefix())
	reason := held.insert(p.seq, p.payload)
	if p.flags&flagURG != 0 {
		reason = flow.MalformedHello // the server reads the stream without the urgent byte
	}
	if reason != flow.NotDecided {
		h.deny(key, held, flow.Decision{Reason: reason}, nil, "")
		return
	}
	hello, more, reason := h.read(held)
	switch {
	case more && held.segments >= maxSegments:
		h.deny(key, held, flow.Decision{Reason: flow.HelloTooLong}, nil, "")
		return
	case more:
		h.unstray(held)
		h.partial(key, held, before, p)
		h.seat(held)
		return
	case reason == flow.NotTLS && held.stray && held.segments < maxSegments:
		h.seat(held)
		return
	case reason == flow.NotTLS && held.segments == 1 && !held.fixed:
		held.stray = true
		held.deadline = h.now.Add(reorderTime)
		h.waiting++
		h.seat(held)
		return
	}
	h.unstray(held)
	h.judgeHello(key, held, hello, reason)
}

// read reads the hello of a flow as far as it has arrived. Its end is in hello.Len,
// which counts from the flow's base.
func (h *hold) read(held *heldFlow) (hello tlshello.Hello, more bool, reason flow.Reason) {
	stream, read := held.prefix(), tlshello.Read
	if held.second {
		read = tlshello.ReadNext
	}
	hello, more, reason = read(stream, h.scratch[:])
	if !more && reason == flow.NotDecided {
		reason = tooEarly(stream[hello.Len:])
	}
	return hello, more, reason
}

// tooEarly says what is wrong with what stands behind a hello that the server has not
// answered: no client goes on with the handshake there.
func tooEarly(behind []byte) flow.Reason {
	if _, found, reason := tlshello.Next(behind); found || reason != flow.NotDecided {
		return flow.MalformedHello
	}
	return flow.NotDecided
}

// judgeHello judges a flow by its whole hello. While its server is being asked
// what the hello means to it, the flow stays as it is, and is judged again with its
// next segment or at a tick.
func (h *hold) judgeHello(key flowKey, held *heldFlow, hello tlshello.Hello, reason flow.Reason) {
	f, name, rules := flowOfKey(key), h.nameOf(hello), h.judge.Rules()
	d, why := h.judge.hello(&f, hello, reason, name, h.now), ""
	if d.Reason == flow.EncryptedHello {
		why = echprobe.Draft
	}
	if d.Verdict == flow.Allow {
		hides, because := h.judge.hides(key, hello, name)
		if hides == echprobe.Asking {
			because = echprobe.NotInTime
		}
		switch {
		case hides == echprobe.Asking && h.now.Before(held.deadline) && held.segments < maxSegments:
			h.ask(held)
			h.seat(held)
			return
		case hides != echprobe.Ignored:
			d, why = flow.Decision{Reason: flow.EncryptedHello}, because
		}
	}
	h.unask(held)
	if d.Verdict != flow.Allow {
		h.deny(key, held, d, name, why)
		return
	}
	if held.second {
		why = tlshello.Asked
	}
	h.record(f, key.src.Port(), d, name, why)
	h.stats.heard(h.now.Sub(held.deadline.Add(-helloTime)))
	held.pending, held.rules = true, rules
	held.hello, held.passed = hello.Len, len(held.prefix())
	held.deadline = h.now.Add(pendingTime)
	held.owed.judged(h.now)
	for i, id := range held.ids {
		h.pass(id, held.marks[i], h.marks.Pending())
	}
	held.ids, held.marks, held.places = held.ids[:0], held.marks[:0], 0
	h.undecided.leave(&held.seat)
	h.judged.enter(&held.seat, key, held.takes())
	if h.judged.full() {
		last := h.judged.last()
		h.give(last, h.flows[last])
	}
}

// ask notes that a flow's server is being asked, and unask that it is no longer.
func (h *hold) ask(held *heldFlow) {
	if !held.asking {
		held.asking = true
		h.waiting++
	}
}

func (h *hold) unask(held *heldFlow) {
	if held.asking {
		held.asking = false
		h.waiting--
	}
}

// seat notes what an undecided flow takes by now. When that is more than there
// is, some flow loses its place, this one or another: its segments are dropped,
// and its client sends them again when there may be room.
func (h *hold) seat(held *heldFlow) {
	h.undecided.resize(&held.seat, held.takes())
	for h.undecided.full() {
		key := h.undecided.last()
		h.crowdOut(key, h.flows[key])
	}
}

// crowdOut drops what is held of an undecided flow.
func (h *hold) crowdOut(key flowKey, held *heldFlow) {
	h.stats.crowdedOut.Add(1)
	if h.mayTell() {
		h.record(flowOfKey(key), key.src.Port(), flow.Decision{Reason: flow.Overload}, nil, "")
	}
	if h.audit {
		h.letGo(key, held)
		return
	}
	h.discard(key, held)
}

// discard drops what is held of a flow, and forgets it.
func (h *hold) discard(key flowKey, held *heldFlow) {
	for i, id := range held.ids {
		h.drop(id, held.marks[i])
	}
	h.give(key, held)
}

// mayTell reports whether one more record of a flow without room is to be
// written: of as many a second as the kernel may write for one rule.
func (h *hold) mayTell() bool {
	if h.now.Sub(h.toldSince) >= time.Second {
		h.toldSince, h.told = h.now, 0
	}
	h.told++
	return h.told <= logRate
}

// unstray gives a flow whose first segment was no hello the whole time, now that
// an earlier one has come.
func (h *hold) unstray(held *heldFlow) {
	if held.stray {
		held.stray = false
		held.deadline = h.now.Add(helloTime)
		h.waiting--
	}
}

// keyOf names the flow that a client's packet belongs to, and keyOfReply that of a
// server's.
func keyOf(p *packet) flowKey {
	return flowKey{netip.AddrPortFrom(p.src, p.srcPort), netip.AddrPortFrom(p.dst, p.dstPort)}
}

func keyOfReply(p *packet) flowKey {
	return flowKey{netip.AddrPortFrom(p.dst, p.dstPort), netip.AddrPortFrom(p.src, p.srcPort)}
}

// revoked ends a connection that the rules of now do not allow: the kernel resets
// it where this packet comes from, and this resets it where the packet goes.
func (h *hold) revoked(id, mark uint32, p *packet) {
	if p.flags&flagRST == 0 {
		h.reset(keyOf(p), p.seq)
	}
	h.pass(id, mark, h.marks.Denied())
}

// nameOf returns the server name as names are compared, or as it was sent when
// it is none. It is valid until the next call.
func (h *hold) nameOf(hello tlshello.Hello) []byte {
	name, err := dnsname.AppendCanonical(h.name[:0], hello.Name)
	if err != nil {
		return hello.Name
	}
	return name
}

// deny refuses a flow: its segments are dropped but for the last, which the
// kernel answers with a reset, and the server gets one too.
func (h *hold) deny(key flowKey, held *heldFlow, d flow.Decision, name []byte, detail string) {
	f := flowOfKey(key)
	if d.Reason == flow.NotTLS {
		f.App = flow.Raw
	}
	h.record(f, key.src.Port(), d, name, detail)
	if h.audit {
		h.letGo(key, held)
		return
	}
	h.begun.refuse(key)
	for i, id := range held.ids {
		if i < len(held.ids)-1 {
			h.drop(id, held.marks[i])
		} else {
			h.pass(id, held.marks[i], h.marks.Denied())
		}
	}
	h.reset(key, held.base)
	if held.hasPassed() {
		h.reset(key, held.base+uint32(held.passed))
	}
	h.give(key, held)
}

// letGo releases a flow that audit mode does not refuse, with all that is held of
// it; where that is nothing, the caller lets the packet pass that does it.
func (h *hold) letGo(key flowKey, held *heldFlow) {
	for i, id := range held.ids {
		h.pass(id, held.marks[i], h.marks.Released())
	}
	h.release(key, held)
}

// release forgets a flow that was released: it is the kernel's.
func (h *hold) release(key flowKey, held *heldFlow) {
	h.fresh[key] = 0
	h.begun.forget(key)
	held.done = true
	h.give(key, held)
}

// ended tells that an allowed flow goes no further: the kernel tells the end of those
// that were released.
func (h *hold) ended(key flowKey) {
	if h.judge.End != nil {
		h.judge.End(flowlog.Closed{At: h.now, Tuple: flowlog.Tuple{Transport: flow.TCP, Src: key.src, Dst: key.dst}})
	}
}

// expire refuses the flows whose time is over, judges those again whose server is
// being asked, and says what is due to clients and servers.
func (h *hold) expire() {
	h.begun.expire(h.now)
	again := 0
	for key, held := range h.flows {
		switch {
		case !h.now.Before(held.deadline):
		case held.owed.isDue(h.now):
			h.speak(key, held)
			continue
		case held.asking && again < rejudged:
			again++
		default:
			continue
		}
		begin, _, known := h.begun.of(key)
		switch {
		case h.current(key, begin, known) == nil:
		case held.asking:
			hello, _, reason := h.read(held)
			h.judgeHello(key, held, hello, reason)
		case held.pending:
			h.give(key, held)
		case held.stray:
			h.deny(key, held, flow.Decision{Reason: flow.NotTLS}, nil, "")
		default:
			h.deny(key, held, flow.Decision{Reason: flow.HelloTimeout}, nil, "")
		}
	}
}

// end refuses every undecided flow: the queue ends, and with it what it holds.
func (h *hold) end() {
	for key, held := range h.flows {
		if !held.pending {
			h.deny(key, held, flow.Decision{Reason: flow.HelloTimeout}, nil, "")
		}
	}
}

// soon reports whether there is something to do before the next tick.
func (h *hold) soon() bool { return h.waiting > 0 }

// record hands on what was decided; detail is one of a few texts, or "".
func (h *hold) record(f flow.Flow, srcPort uint16, d flow.Decision, name []byte, detail string) {
	e := &h.event
	e.At, e.Flow, e.SrcPort, e.Decision, e.Path, e.Detail, e.NameLen = h.now, f, srcPort, d, "hello", detail, 0
	if name != nil {
		e.SetName(name)
	}
	h.judge.Record(e)
}

// take returns an empty held flow whose stream begins at seq, with a place.
func (h *hold) take(key flowKey, seq uint32) *heldFlow {
	var held *heldFlow
	if n := len(h.free); n > 0 {
		held, h.free = h.free[n-1], h.free[:n-1]
	} else {
		held = &heldFlow{buf: make([]byte, 0, 2048)}
	}
	*held = heldFlow{
		base: seq, deadline: h.now.Add(helloTime),
		buf: held.buf[:0], have: held.have[:0], ids: held.ids[:0], marks: held.marks[:0],
	}
	h.flows[key] = held
	h.undecided.enter(&held.seat, key, 1)
	return held
}

// give forgets a flow and keeps its buffers for the next one.
func (h *hold) give(key flowKey, held *heldFlow) {
	if held.hasPassed() && !held.done {
		h.begun.lost(key, held.begin)
		h.ended(key)
	}
	if held.stray {
		h.waiting--
	}
	h.unask(held)
	if held.pending {
		h.judged.leave(&held.seat)
	} else {
		h.undecided.leave(&held.seat)
	}
	delete(h.flows, key)
	if cap(held.buf) <= 4096 && len(h.free) < 1024 {
		h.free = append(h.free, held)
	}
}
