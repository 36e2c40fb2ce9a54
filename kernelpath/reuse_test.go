// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"testing"

	"github.com/sallyport/sallyport/flow"
)

// TestAConnectionOnTheSamePortsInheritsNothing lets a judged hello get lost on
// its way, and opens another connection in its place.
func TestAConnectionOnTheSamePortsInheritsNothing(t *testing.T) {
	s := newStage(t)
	s.h.tracked = true
	s.handshake(first)
	hello := helloFor("a.example")
	s.want(s.client(first, hello), pending)
	s.wantRecord(flow.RuleMatched)
	s.events = nil

	const again = 0x1234
	s.handshake(again)
	s.want(s.client(again, []byte("EVIL BYTES, NOT TLS AT ALL")), denied)
	s.wantRecord(flow.NotTLS)
	s.wantEmpty()
}

func TestTheAnswerToASynAgainChangesNothing(t *testing.T) {
	s := newStage(t)
	s.h.tracked = true
	s.handshake(first)
	hello := helloFor("a.example")
	s.want(s.client(first, hello), pending)
	s.handshake(first)
	s.want(s.server(first+uint32(len(hello)), nil), released)
}

// TestUrgentDataIsNoPartOfAHello: the server would read the stream without it.
func TestUrgentDataIsNoPartOfAHello(t *testing.T) {
	s := newStage(t)
	hello := helloFor("a.example")
	got, _ := s.packet(tcp(clientEnd, serverEnd, first, 1, flagACK|flagURG, hello))
	s.want(got, denied)
	s.wantRecord(flow.MalformedHello)
	s.wantEmpty()
}
