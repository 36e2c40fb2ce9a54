// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/tlshello"
)

// Limits of what is held of one flow, and of all.
const (
	maxSegments = 64
	helloTime   = 3 * time.Second
	// reorderTime is how long a first segment that is no hello may wait for an
	// earlier one that the network has delayed.
	reorderTime = 100 * time.Millisecond
	// pendingTime is how long a server may take to acknowledge a hello.
	pendingTime = 30 * time.Second
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
	judge   *Judge
	marks   Marks
	sources netset.Set
	reset   func(flowKey, uint32) // tells the server; may be nil

	now     time.Time
	flows   map[flowKey]*heldFlow
	free    []*heldFlow
	waiting int // flows whose deadline is a reorderTime
	// undecided has the flows whose segments wait, and judged those that are
	// pending: none of the latter has a segment here.
	undecided, judged *room
	// begun says where streams begin, as their servers see it, of flows whose
	// server has answered the SYN. Without it a client could have a hello judged
	// that lies before its stream: the server throws such bytes away and
	// acknowledges what it had, which looks as if it took them. When tracked is
	// true the table sends us these answers, and a flow without one is refused.
	begun      map[flowKey]*begin
	freeBegun  []*begin
	begins     *room
	begunSwept time.Time
	tracked    bool
	verdicts   []verdict

	// told counts the records of flows without room since then.
	told      int
	toldSince time.Time

	// Packets of a flow that were queued before it was released arrive behind
	// the verdict that released it. They go through the table once more, which
	// knows the flow by now. fresh are the flows released in this batch, recent
	// those of earlier ones, until the queue has been seen empty.
	recent, fresh map[flowKey]struct{}
	stats         *Stats
	scratch       [tlshello.MaxBytes]byte
	name          [dnsname.MaxName]byte
	event         flowlog.Event
}

// flowKey is a TCP flow from the client's side.
type flowKey struct{ src, dst netip.AddrPort }

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
	fixed    bool // base is where the server's stream begins

	pending bool             // judged and let through; waits for the server's acknowledgement
	rules   *decide.Snapshot // that judged it
	end     uint32           // sequence number behind what was let through
}

// begin is the sequence number of a stream's first byte, remembered for a time.
type begin struct {
	seat  seat
	seq   uint32
	until time.Time
	// refused says that the flow was denied: what was on its way by then is
	// nothing new, and gets neither a room nor a record.
	refused bool
}

// span is buf[lo:hi].
type span struct{ lo, hi int }

func newHold(j *Judge, m Marks, sources netset.Set) *hold {
	return &hold{
		judge: j, marks: m, sources: sources, flows: make(map[flowKey]*heldFlow), now: time.Now(),
		stats: new(Stats), recent: make(map[flowKey]struct{}), fresh: make(map[flowKey]struct{}), begun: make(map[flowKey]*begin),
		undecided: newRoom(undecidedRoom), judged: newRoom(pendingRoom), begins: newRoom(begunRoom),
	}
}

// packet judges one queued packet, or holds it. Every packet gets a verdict,
// now or when its flow is judged or expires.
func (h *hold) packet(id, mark uint32, raw []byte) {
	p, ok := readPacket(raw)
	if !ok || p.truncated {
		h.drop(id)
		return
	}
	switch p.transport {
	case flow.UDP:
		h.datagram(id, mark, &p)
	case flow.TCP:
		switch {
		case mark&h.marks.Denied() != 0:
			h.revoked(id, mark, &p)
		case !h.fromCluster(p.src):
			h.reply(id, mark, &p)
		case p.flags&(flagSYN|flagACK|flagRST) == flagSYN:
			h.connect(id, mark, &p)
		default:
			h.segment(id, mark, &p)
		}
	default:
		h.drop(id)
	}
}

// fromCluster reports whether a packet with this source is on its way out.
func (h *hold) fromCluster(src netip.Addr) bool {
	if h.judge.Sources != nil {
		return h.judge.Sources().Contains(src)
	}
	return h.sources.Contains(src)
}

func (h *hold) drop(id uint32) { h.verdicts = append(h.verdicts, verdict{id: id, code: verdictDrop}) }

// pass lets a packet on with the given bits of ours in its mark.
func (h *hold) pass(id, mark, ours uint32) {
	h.verdicts = append(h.verdicts, verdict{id, verdictAccept, mark&^h.marks.Mask() | ours})
}

// again sends a packet through the table once more when its flow was released
// while it waited; it reports whether it was.
func (h *hold) again(key flowKey, id, mark uint32) bool {
	_, recent := h.recent[key]
	_, fresh := h.fresh[key]
	if recent || fresh {
		h.verdicts = append(h.verdicts, verdict{id, verdictRepeat, mark &^ h.marks.Mask()})
	}
	return recent || fresh
}

// endBatch is called when the verdicts of a batch have reached the kernel; empty
// says that nothing more was queued when the batch was read.
func (h *hold) endBatch(empty bool) {
	h.stats.held.Store(int64(len(h.flows)))
	if empty {
		clear(h.recent)
	}
	if len(h.fresh) > 0 {
		for key := range h.fresh {
			h.recent[key] = struct{}{}
		}
		clear(h.fresh)
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
	h.record(f, p.srcPort, d, nil)
	if d.Verdict == flow.Allow {
		h.pass(id, mark, h.marks.Released())
	} else {
		h.pass(id, mark, h.marks.Denied())
	}
}

// connect judges the first segment of a TCP flow to an address that some name
// leads to without any first bytes to read.
func (h *hold) connect(id, mark uint32, p *packet) {
	f := flowOf(p)
	d, _ := h.judge.binding(&f, h.now)
	switch {
	case d.Verdict == flow.Allow:
		h.record(f, p.srcPort, d, nil)
		h.pass(id, mark, h.marks.Released())
	case h.judge.awaitsHello(f, h.now):
		h.pass(id, mark, 0)
	default:
		h.record(f, p.srcPort, d, nil)
		h.pass(id, mark, h.marks.Denied())
	}
}

// segment takes a client's segment with payload.
func (h *hold) segment(id, mark uint32, p *packet) {
	key := flowKey{netip.AddrPortFrom(p.src, p.srcPort), netip.AddrPortFrom(p.dst, p.dstPort)}
	held := h.flows[key]
	switch {
	case len(p.payload) == 0:
		h.pass(id, mark, 0)
		return
	case held == nil && h.again(key, id, mark):
		return
	case held == nil:
		b := h.begun[key]
		if b != nil && b.refused {
			h.pass(id, mark, h.marks.Denied())
			return
		}
		held = h.take(key, p.seq)
		if b != nil {
			held.base, held.fixed = b.seq, true
		} else if h.tracked {
			held.wait(id, mark, p)
			h.deny(key, held, p, flow.Decision{Reason: flow.OutOfState}, nil)
			return
		}
	case held.pending:
		h.repeat(key, held, id, mark, p)
		return
	}
	held.segments++
	held.wait(id, mark, p)
	reason := held.insert(p.seq, p.payload)
	if p.flags&flagURG != 0 {
		reason = flow.MalformedHello // the server reads the stream without the urgent byte
	}
	if reason != flow.NotDecided {
		h.deny(key, held, p, flow.Decision{Reason: reason}, nil)
		return
	}
	hello, more, reason := tlshello.Read(held.prefix(), h.scratch[:])
	switch {
	case more && held.segments >= maxSegments:
		h.deny(key, held, p, flow.Decision{Reason: flow.HelloTooLong}, nil)
		return
	case more:
		h.unstray(held)
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
	f, name, rules := flowOf(p), h.nameOf(hello), h.judge.Rules()
	d := h.judge.hello(&f, hello, reason, name, h.now)
	if d.Verdict != flow.Allow {
		h.deny(key, held, p, d, name)
		return
	}
	h.record(f, p.srcPort, d, name)
	h.stats.heard(h.now.Sub(held.deadline.Add(-helloTime)))
	held.pending, held.rules = true, rules
	held.end = held.base + uint32(len(held.prefix()))
	held.deadline = h.now.Add(pendingTime)
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

// wait notes a segment that waits for the verdict about its flow.
func (held *heldFlow) wait(id, mark uint32, p *packet) {
	held.ids, held.marks = append(held.ids, id), append(held.marks, mark)
	held.places += 1 + len(p.payload)/placeBytes
}

// takes returns how many places the flow takes.
func (held *heldFlow) takes() int { return 1 + cap(held.buf)/placeBytes + held.places }

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
		h.record(flowOfKey(key), key.src.Port(), flow.Decision{Reason: flow.Overload}, nil)
	}
	for _, id := range held.ids {
		h.drop(id)
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

// repeat takes a segment of a flow whose hello is on its way. What it repeats
// must be what was judged; what it adds goes on with it.
func (h *hold) repeat(key flowKey, held *heldFlow, id, mark uint32, p *packet) {
	off := int(int32(p.seq - held.base))
	end := int(int32(held.end - held.base))
	if off < 0 || off < end && !bytes.Equal(p.payload[:min(len(p.payload), end-off)], held.buf[off:min(off+len(p.payload), end)]) {
		held.ids = append(held.ids, id)
		held.marks = append(held.marks, mark)
		h.deny(key, held, p, flow.Decision{Reason: flow.OverlapMismatch}, nil)
		return
	}
	h.pass(id, mark, h.marks.Pending())
}

// reply takes a packet of the server of a flow whose hello is on its way. When
// it acknowledges the whole hello, the flow is released: what was judged is what
// the server got.
func (h *hold) reply(id, mark uint32, p *packet) {
	key := flowKey{netip.AddrPortFrom(p.dst, p.dstPort), netip.AddrPortFrom(p.src, p.srcPort)}
	held := h.flows[key]
	switch {
	case p.flags&(flagSYN|flagACK|flagRST) == flagSYN|flagACK:
		b := h.begun[key]
		if held != nil && (b == nil || b.seq != p.ack) {
			// Another connection on the same ports: nothing of the last one holds,
			// and an undecided one has had its time.
			if !held.pending {
				h.record(flowOfKey(key), key.src.Port(), flow.Decision{Reason: flow.HelloTimeout}, nil)
			}
			for _, id := range held.ids {
				h.drop(id)
			}
			h.give(key, held)
		}
		h.beginsAt(key, b, p.ack)
		h.pass(id, mark, 0)
	case held == nil && h.again(key, id, mark):
	case p.flags&flagRST != 0:
		h.pass(id, mark, 0)
		if held != nil && held.pending {
			h.give(key, held)
		}
	case held != nil && held.pending && p.flags&flagACK != 0 && int32(p.ack-held.end) >= 0:
		if h.judge.Rules() != held.rules && !h.stillAllowed(key, held) {
			h.drop(id)
			return
		}
		h.pass(id, mark, h.marks.Released())
		h.fresh[key] = struct{}{}
		h.forgetBegin(h.begun[key])
		h.give(key, held)
	case p.payloadBytes == 0:
		h.pass(id, mark, 0)
	default:
		h.drop(id)
	}
}

// beginsAt notes where the stream of a flow begins; b is what was noted of it
// before, or nil.
func (h *hold) beginsAt(key flowKey, b *begin, seq uint32) {
	if b == nil {
		if n := len(h.freeBegun); n > 0 {
			b, h.freeBegun = h.freeBegun[n-1], h.freeBegun[:n-1]
		} else {
			b = new(begin)
		}
		h.begun[key] = b
		h.begins.enter(&b.seat, key, 1)
		if h.begins.full() {
			h.forgetBegin(h.begun[h.begins.last()])
		}
	}
	if b.seq != seq {
		b.refused = false
	}
	b.seq, b.until = seq, h.now.Add(begunTime)
}

// forgetBegin forgets where a stream begins; nil is nothing to forget.
func (h *hold) forgetBegin(b *begin) {
	if b == nil {
		return
	}
	delete(h.begun, b.seat.key)
	h.begins.leave(&b.seat)
	*b = begin{}
	if len(h.freeBegun) < 1024 {
		h.freeBegun = append(h.freeBegun, b)
	}
}

// revoked ends a connection that the rules of now do not allow: the kernel resets
// it where this packet comes from, and this resets it where the packet goes.
func (h *hold) revoked(id, mark uint32, p *packet) {
	if h.reset != nil && p.flags&flagRST == 0 {
		h.reset(flowKey{netip.AddrPortFrom(p.src, p.srcPort), netip.AddrPortFrom(p.dst, p.dstPort)}, p.seq)
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

// stillAllowed judges a flow again whose hello is on its way, by rules that have
// taken the place of those that let it through. A flow that they refuse is denied.
func (h *hold) stillAllowed(key flowKey, held *heldFlow) bool {
	hello, _, reason := tlshello.Read(held.prefix(), h.scratch[:])
	f := flowOfKey(key)
	name := h.nameOf(hello)
	d := h.judge.hello(&f, hello, reason, name, h.now)
	if d.Verdict != flow.Allow {
		h.deny(key, held, nil, d, name)
	}
	return d.Verdict == flow.Allow
}

// deny refuses a flow: its segments are dropped but for the last, which the
// kernel answers with a reset, and the server gets one too.
func (h *hold) deny(key flowKey, held *heldFlow, p *packet, d flow.Decision, name []byte) {
	f := flowOfKey(key)
	if d.Reason == flow.NotTLS {
		f.App = flow.Raw
	}
	h.record(f, key.src.Port(), d, name)
	if b := h.begun[key]; b != nil {
		b.refused = true
	}
	for i, id := range held.ids {
		if i < len(held.ids)-1 {
			h.drop(id)
		} else {
			h.pass(id, held.marks[i], h.marks.Denied())
		}
	}
	if h.reset != nil {
		h.reset(key, held.base)
		if held.pending {
			h.reset(key, held.end)
		}
	}
	h.give(key, held)
}

// expire refuses the flows whose time is over.
func (h *hold) expire() {
	if h.now.Sub(h.begunSwept) > begunTime/10 {
		h.begunSwept = h.now
		for _, b := range h.begun {
			if !h.now.Before(b.until) {
				h.forgetBegin(b)
			}
		}
	}
	for key, held := range h.flows {
		if h.now.Before(held.deadline) {
			continue
		}
		switch {
		case held.pending:
			h.give(key, held)
		case held.stray:
			h.deny(key, held, nil, flow.Decision{Reason: flow.NotTLS}, nil)
		default:
			h.deny(key, held, nil, flow.Decision{Reason: flow.HelloTimeout}, nil)
		}
	}
}

// end refuses every undecided flow: the queue ends, and with it what it holds.
func (h *hold) end() {
	for key, held := range h.flows {
		if !held.pending {
			h.deny(key, held, nil, flow.Decision{Reason: flow.HelloTimeout}, nil)
		}
	}
}

// soon reports whether some flow's time is over before the next tick.
func (h *hold) soon() bool { return h.waiting > 0 }

func (h *hold) record(f flow.Flow, srcPort uint16, d flow.Decision, name []byte) {
	e := &h.event
	e.At, e.Flow, e.SrcPort, e.Decision, e.Path, e.NameLen = h.now, f, srcPort, d, "hello", 0
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
	if held.stray {
		h.waiting--
	}
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

// prefix returns the bytes from base on that have arrived without a hole.
func (held *heldFlow) prefix() []byte {
	if len(held.have) == 0 || held.have[0].lo != 0 {
		return nil
	}
	return held.buf[:held.have[0].hi]
}
