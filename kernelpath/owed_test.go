// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/flow"
)

// withOptions puts options, of a multiple of four bytes, into a TCP segment in an
// IPv4 packet.
func withOptions(raw, options []byte) []byte {
	raw = slices.Insert(bytes.Clone(raw), 40, options...)
	binary.BigEndian.PutUint16(raw[2:], uint16(len(raw)))
	raw[32] += byte(len(options)/4) << 4
	return raw
}

func stampOption(own, echo uint32) []byte {
	b := []byte{optNop, optNop, optStamps, 10}
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, own), echo)
}

// answered is a stage whose server has answered the SYN: its window is 64,000
// bytes, which later segments count in 128.
func answered(t *testing.T) *stage {
	s := newStage(t)
	answer := withOptions(tcp(serverEnd, clientEnd, 0, first, flagSYN|flagACK, nil),
		append(stampOption(7000, 50), 2, 4, 5, 0xb4, optScale, 3, 7, optNop))
	binary.BigEndian.PutUint16(answer[34:], 64_000)
	s.h.begun.answer(answer, s.h.now)
	return s
}

// stamped queues a segment of the client with a timestamp.
func (s *stage) stamped(seq uint32, stamp uint32, payload []byte) string {
	raw := withOptions(tcp(clientEnd, serverEnd, seq, 1, flagACK, nil), stampOption(stamp, 7000))
	raw = append(raw, payload...)
	binary.BigEndian.PutUint16(raw[2:], uint16(len(raw)))
	binary.BigEndian.PutUint16(raw[34:], 501)
	this, _ := s.packet(raw)
	return this
}

func TestAClientWithManySegmentsIsToldThatTheyHaveArrived(t *testing.T) {
	s := answered(t)
	hello := helloFor("a.example")
	for i := range 12 {
		s.want(s.stamped(first+uint32(i), uint32(100+i), hello[i:i+1]), held)
	}
	if len(s.said) != 5 {
		t.Fatalf("said %+v", s.said)
	}
	got := s.said[0]
	if got.src != serverEnd || got.dst != clientEnd || got.flags != flagACK || got.seq != 1 || got.ack != first+8 || got.window != (64_000-8)>>7 ||
		len(got.payload) != 0 || got.stamps == nil || *got.stamps != (stamps{7000, 107}) {
		t.Errorf("said %+v with stamps %+v", got, got.stamps)
	}
	if got := s.said[4]; got.ack != first+12 {
		t.Errorf("said %+v", got)
	}
}

func TestAClientThatRepeatsItselfIsToldThatItHasArrived(t *testing.T) {
	s := answered(t)
	hello := helloFor("a.example")
	s.want(s.stamped(first, 100, hello[:50]), held)
	if len(s.said) != 0 {
		t.Fatalf("said %+v", s.said)
	}
	s.want(s.stamped(first, 300, hello[:50]), held)
	if len(s.said) != 1 || s.said[0].ack != first+50 {
		t.Fatalf("said %+v", s.said)
	}
	// It has a window of one segment, and more to say.
	s.want(s.stamped(first+50, 301, hello[50:60]), held)
	if len(s.said) != 2 || s.said[1].ack != first+60 {
		t.Fatalf("said %+v", s.said)
	}
}

// TestAClientThatWaitsIsToldWhatHasArrived has a client with a window of one
// segment, as behind a lost SYN, and patience before it repeats anything.
func TestAClientThatWaitsIsToldWhatHasArrived(t *testing.T) {
	s := answered(t)
	hello := helloFor("a.example")
	s.want(s.stamped(first, 100, hello[:50]), held)
	s.pass(ackTime - time.Millisecond)
	if len(s.said) != 0 {
		t.Fatalf("said %+v", s.said)
	}
	s.pass(time.Millisecond)
	s.pass(time.Second)
	if len(s.said) != 1 || s.said[0].ack != first+50 {
		t.Fatalf("said %+v", s.said)
	}
}

// TestWhatTheClientWasToldIsOwedToTheServer plays a network that loses the hello
// behind us: the client does not send it again, and so we do.
func TestWhatTheClientWasToldIsOwedToTheServer(t *testing.T) {
	s := answered(t)
	hello := helloFor("a.example")
	if len(hello) <= resendSize {
		t.Fatalf("a hello of %d bytes is one segment", len(hello))
	}
	s.want(s.stamped(first, 100, hello[:50]), held)
	s.want(s.stamped(first, 300, hello[:50]), held)
	s.want(s.stamped(first+50, 301, hello[50:]), pending)
	s.said = nil
	for i, wait := range []time.Duration{resendTime, 2 * resendTime, 4 * resendTime} {
		s.pass(wait - time.Millisecond)
		if len(s.said) != 0 {
			t.Fatalf("before time %d: said %+v", i, s.said)
		}
		s.pass(time.Millisecond)
		var stream []byte
		for _, g := range s.said {
			if g.src != clientEnd || g.dst != serverEnd || g.seq != first+uint32(len(stream)) || g.ack != 1 || g.window != 501 ||
				g.stamps == nil || *g.stamps != (stamps{300, 7000}) || len(g.payload) > resendSize {
				t.Fatalf("time %d: said %+v", i, g)
			}
			stream = append(stream, g.payload...)
		}
		if !bytes.Equal(stream, hello) {
			t.Fatalf("time %d: said %d bytes that are not the hello", i, len(stream))
		}
		s.said = nil
	}
	s.want(s.server(first+uint32(len(hello)), serverHello), released)
	s.pass(time.Minute)
	if len(s.said) != 0 {
		t.Errorf("behind the release: said %+v", s.said)
	}
	s.wantEmpty()
}

func TestNothingIsOwedThatTheClientStillHas(t *testing.T) {
	s := answered(t)
	hello := helloFor("a.example")
	s.want(s.client(first, hello[:700]), held)
	s.want(s.client(first+700, hello[700:]), pending)
	s.pass(10 * time.Second)
	if len(s.said) != 0 {
		t.Errorf("said %+v", s.said)
	}
}

func TestARefusedHelloIsNotOwed(t *testing.T) {
	s := answered(t)
	hello := helloFor("b.example")
	s.want(s.client(first, hello[:50]), held)
	s.want(s.client(first, hello[:50]), held)
	s.said = nil
	s.want(s.client(first+50, hello[50:]), denied)
	s.pass(10 * time.Second)
	if len(s.said) != 0 || len(s.resets) != 1 || s.resets[0] != first {
		t.Errorf("said %+v, resets %v", s.said, s.resets)
	}
	s.wantRecord(flow.NameNotAllowed)
}

func TestOptionsThatAreNone(t *testing.T) {
	for about, options := range map[string][]byte{
		"none": nil, "end first": append([]byte{optEnd}, stampOption(1, 2)...), "no length": {optStamps}, "length 0": {optStamps, 0, 0, 0},
		"length 1": {optStamps, 1, 0, 0}, "past the end": {optStamps, 10, 0, 0}, "too short": {optStamps, 4, 0, 0},
	} {
		if stamp, _, ok := stampsOf(options); ok {
			t.Errorf("%s: got %d", about, stamp)
		}
	}
	if own, echo, ok := stampsOf(append([]byte{2, 4, 5, 0xb4}, stampOption(1, 2)...)); !ok || own != 1 || echo != 2 {
		t.Errorf("got %d, %d, %t", own, echo, ok)
	}
}
