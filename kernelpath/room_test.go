// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/flow"
)

var neighbour = netip.MustParseAddr("10.240.0.5")

// flood queues the first byte of a hello of as many flows of one source.
func (s *stage) flood(from netip.Addr, flows int) {
	for i := range flows {
		s.packet(tcp(netip.AddrPortFrom(from, uint16(1+i)), serverEnd, first, 1, flagACK, []byte{22}))
	}
}

// TestOneSourceKeepsNoOtherOut states the law of B30: whatever a source holds, a
// lawful hello of another is judged, and what must leave is the first one's.
func TestOneSourceKeepsNoOtherOut(t *testing.T) {
	s := newStage(t)
	s.flood(neighbour, 3*undecidedRoom)
	if s.h.undecided.taken > undecidedRoom || len(s.h.flows) > undecidedRoom/2 {
		t.Errorf("%d places are taken by %d flows", s.h.undecided.taken, len(s.h.flows))
	}
	for _, e := range s.events {
		if e.Decision.Reason != flow.Overload || e.Flow.Src != neighbour {
			t.Fatalf("record %+v", e)
		}
	}
	if n := len(s.events); n == 0 || n > logRate {
		t.Errorf("%d records in one instant", n)
	}
	s.events = nil
	hello := helloFor("a.example")
	s.want(s.client(first, hello[:700]), held)
	s.flood(neighbour, 3*undecidedRoom)
	s.events = nil
	s.want(s.client(first+700, hello[700:]), pending)
	s.wantRecord(flow.RuleMatched)
	s.want(s.server(first+uint32(len(hello)), serverHello), released)
	s.events = nil
	s.pass(helloTime)
	s.wantEmpty()
	if s.h.undecided.taken != 0 || s.h.judged.taken != 0 || len(s.h.undecided.guests) != 0 {
		t.Errorf("places are taken by nobody: %+v, %+v", s.h.undecided, s.h.judged)
	}
}

// A packet that waits takes room in the kernel, and a segment far ahead of a hole
// takes memory: neither comes for the price of a flow.
func TestWhatAFlowTakesIsCounted(t *testing.T) {
	s := newStage(t)
	most, bytes := 0, 0
	for i := range undecidedRoom {
		at := netip.AddrPortFrom(neighbour, uint16(1+i))
		for k := range uint32(20) {
			s.packet(tcp(at, serverEnd, first+1+k*800, 1, flagACK, []byte{1}))
		}
		waiting, held := 0, 0
		if i%256 != 0 {
			continue
		}
		for _, f := range s.h.flows {
			waiting, held = waiting+len(f.ids), held+cap(f.buf)
		}
		most, bytes = max(most, waiting), max(bytes, held)
	}
	if most > undecidedRoom || bytes > undecidedRoom*placeBytes {
		t.Errorf("%d packets and %d bytes are held", most, bytes)
	}
}

// Hellos that were judged and that no server acknowledges have a room of their
// own: they cost no undecided flow its place.
func TestHellosOnTheirWayAreBounded(t *testing.T) {
	s := newStage(t)
	hello := helloFor("a.example")
	s.client(first, hello)
	for i := range 2 * pendingRoom {
		s.packet(tcp(netip.AddrPortFrom(neighbour, uint16(1+i)), serverEnd, first, 1, flagACK, hello))
	}
	if s.h.judged.taken > pendingRoom || len(s.h.flows) > pendingRoom {
		t.Errorf("%d flows are on their way", len(s.h.flows))
	}
	s.want(s.server(first+uint32(len(hello)), serverHello), released)
}

// A source that only opens connections takes no other's: without the answer to
// its SYN a flow would be refused.
func TestBeginningsOfOthersAreKept(t *testing.T) {
	s := newStage(t)
	s.h.tracked = true
	s.handshake(first)
	for port := range 60000 {
		for host := range byte(2) {
			server := netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, 0, 0, host}), 443)
			s.h.begun.answer(tcp(server, netip.AddrPortFrom(neighbour, uint16(1+port)), 0, first, flagSYN|flagACK, nil), s.h.now)
		}
	}
	if len(s.h.begun.by) > begunRoom {
		t.Errorf("%d beginnings are kept", len(s.h.begun.by))
	}
	s.want(s.client(first, helloFor("a.example")), pending)
	s.wantRecord(flow.RuleMatched)
}

// TestARoomAgreesWithItsTwin lets random guests come and go, and compares with a
// list that is searched.
func TestARoomAgreesWithItsTwin(t *testing.T) {
	w := rand.New(rand.NewPCG(7, 19))
	r := newRoom(100)
	type twin struct {
		s     *seat
		src   netip.Addr
		takes int
	}
	var all []twin // the oldest first
	for range 20_000 {
		i := 0
		if len(all) > 0 {
			i = w.IntN(len(all))
		}
		switch {
		case len(all) == 0 || w.IntN(3) == 0:
			src := netip.AddrFrom4([4]byte{10, 0, 0, byte(w.IntN(5))})
			in := twin{new(seat), src, 1 + w.IntN(5)}
			r.enter(in.s, flowKey{src: netip.AddrPortFrom(src, uint16(w.IntN(1<<16)))}, in.takes)
			all = append(all, in)
		case w.IntN(2) == 0:
			all[i].takes = w.IntN(9)
			r.resize(all[i].s, all[i].takes)
		default:
			r.leave(all[i].s)
			all = slices.Delete(all, i, i+1)
		}
		sums, sum := make(map[netip.Addr]int), 0
		for _, in := range all {
			sums[in.src] += in.takes
			sum += in.takes
		}
		if r.taken != sum || r.full() != (sum > 100) || len(r.guests) != len(sums) {
			t.Fatalf("%d places by %d guests, want %d by %d", r.taken, len(r.guests), sum, len(sums))
		}
		if len(all) == 0 {
			continue
		}
		most := slices.MaxFunc(all, func(a, b twin) int { return sums[a.src] - sums[b.src] })
		got := r.last().src.Addr()
		oldest := slices.IndexFunc(all, func(in twin) bool { return in.src == got })
		if sums[got] != sums[most.src] || all[oldest].s.key != r.last() {
			t.Fatalf("%s has to leave with %d places; the most are %d", r.last().src, sums[got], sums[most.src])
		}
	}
}

// However a flow that never says its whole hello goes on, it leaves one record
// with the reason, and what comes behind leaves none.
func TestAHelloThatIsNeverWholeLeavesOneRecord(t *testing.T) {
	hello := helloFor("evil.example")
	for about, then := range map[string]func(s *stage){
		"silence":       func(*stage) {},
		"a_reset":       func(s *stage) { s.packet(tcp(clientEnd, serverEnd, first+100, 1, flagRST, nil)) },
		"server_resets": func(s *stage) { s.packet(tcp(serverEnd, clientEnd, 1, 0, flagRST, nil)) },
		"another_connection_on_the_ports": func(s *stage) {
			s.handshake(0x1234)
		},
		"the_rest_too_late": func(s *stage) {
			s.pass(helloTime)
			s.want(s.client(first+100, hello[100:]), denied)
			s.want(s.client(first, hello[:100]), denied)
		},
		"the_gateway_ends": func(s *stage) { s.h.end() },
	} {
		t.Run(about, func(t *testing.T) {
			s := newStage(t)
			s.h.tracked = true
			s.handshake(first)
			s.want(s.client(first, hello[:100]), held)
			then(s)
			s.pass(helloTime)
			s.pass(time.Minute)
			s.wantRecord(flow.HelloTimeout)
			s.wantEmpty()
		})
	}
}
