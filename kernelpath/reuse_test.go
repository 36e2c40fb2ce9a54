// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"net/netip"
	"testing"

	"github.com/sallyport/sallyport/flow"
)

// TestAConnectionOnTheSamePortsInheritsNothing lets a judged hello get lost on
// its way, and opens another connection in its place.
func TestAConnectionOnTheSamePortsInheritsNothing(t *testing.T) {
	s, _ := onItsWay(t)

	const again = 0x1234
	s.handshake(again)
	s.want(s.client(again, []byte("EVIL BYTES, NOT TLS AT ALL")), denied)
	s.wantRecord(flow.NotTLS)
	s.wantEmpty()
}

// A client may begin where it began before; the server does not, and what it says is
// not read as what the first one would have said.
func TestAConnectionThatBeginsAtTheSameNumberInheritsNothing(t *testing.T) {
	s, _ := onItsWay(t)
	s.h.begun.answer(tcp(serverEnd, clientEnd, 5000, first, flagSYN|flagACK, nil), s.h.now)
	s.want(s.client(first, helloFor("b.example")), denied)
	s.wantRecord(flow.NameNotAllowed)
	s.wantEmpty()
}

func TestTheAnswerToASynAgainChangesNothing(t *testing.T) {
	s, hello := onItsWay(t)
	s.handshake(first)
	s.want(s.server(first+uint32(len(hello)), serverHello), released)
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

// B09: a connection on the same ports whose beginning is not known, since there was
// no room for it or the log of it was lost, is no continuation of the last one: its
// hello would pass as what follows the hello that was judged.
func TestAConnectionWithoutABeginningInheritsNothing(t *testing.T) {
	for about, forget := range map[string]func(*stage){
		"no room": func(s *stage) {
			for port := range 60000 {
				for host := range byte(2) {
					server := netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, 0, 0, host}), 443)
					client := netip.AddrPortFrom(clientEnd.Addr(), uint16(1+port))
					if client != clientEnd || server != serverEnd {
						s.h.begun.answer(tcp(server, client, 0, first, flagSYN|flagACK, nil), s.h.now)
					}
				}
			}
		},
		"lost": func(s *stage) { s.h.begun.lose() },
	} {
		t.Run(about, func(t *testing.T) {
			s, hello := onItsWay(t) // the server never sees it

			again := first + uint32(len(hello))
			if about == "no room" {
				s.handshake(again)
			}
			forget(s)
			s.want(s.client(again, helloFor("evil.example")), denied)
			s.wantRecord(flow.OutOfState)
			if got := s.server(again+1000, nil); got == released {
				t.Error("the server's acknowledgement releases it")
			}
			s.wantEmpty()
		})
	}
}
