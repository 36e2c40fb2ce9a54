// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"slices"
	"testing"

	"github.com/sallyport/sallyport/flow"
)

// says queues a segment of the server at a place in its stream.
func (s *stage) says(at int, ack uint32, payload []byte) string {
	this, _ := s.packet(tcp(serverEnd, clientEnd, 1+uint32(at), ack, flagACK, payload))
	return this
}

// askedAgain is a stage whose server has asked for another hello, and where that one
// begins.
func askedAgain(t *testing.T, behind ...byte) (s *stage, second uint32) {
	s = newStage(t)
	s.h.tracked = true
	s.handshake(first)
	hello := append(helloFor("a.example"), behind...)
	s.want(s.client(first, hello), pending)
	second = first + uint32(len(hello))
	s.want(s.says(0, second, helloRetry), passed)
	s.wantRecord(flow.RuleMatched)
	s.events = nil
	return s, second
}

func TestAnotherHelloIsJudgedAsTheFirstWas(t *testing.T) {
	behindRetry := len(helloRetry)
	for _, row := range []struct {
		name    string
		early   []byte // what the client sends behind its first hello
		then    []byte
		want    string
		reason  flow.Reason
		release bool
	}{
		{name: "the name of the first", then: helloFor("a.example"), want: pending, reason: flow.RuleMatched, release: true},
		{name: "behind a change of the cipher", then: slices.Concat(changeCipher, helloFor("a.example")), want: pending, reason: flow.RuleMatched, release: true},
		{name: "behind early data", early: earlyData, then: helloFor("a.example"), want: pending, reason: flow.RuleMatched, release: true},
		{name: "another name", then: helloFor("b.example"), want: denied, reason: flow.NameNotAllowed},
		{name: "another name behind early data", early: earlyData, then: slices.Concat(changeCipher, helloFor("b.example")), want: denied, reason: flow.NameNotAllowed},
		{name: "no hello", then: []byte("GET / HTTP/1.1\r\n"), want: denied, reason: flow.MalformedHello},
		{name: "two at once", then: slices.Concat(helloFor("a.example"), helloFor("b.example")), want: denied, reason: flow.MalformedHello},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, second := askedAgain(t, row.early...)
			half := len(row.then) / 2
			if row.reason != flow.MalformedHello {
				s.want(s.client(second, row.then[:half]), held)
				s.want(s.client(second+uint32(half), row.then[half:]), row.want)
			} else {
				s.want(s.client(second, row.then), row.want)
			}
			s.wantRecord(row.reason)
			if !row.release {
				if len(s.resets) == 0 || s.resets[len(s.resets)-1] != second {
					t.Errorf("resets %v, the server expects %d", s.resets, second)
				}
				s.wantEmpty()
				return
			}
			end := second + uint32(len(row.then))
			s.want(s.says(behindRetry, end, serverHello), released)
			s.wantEmpty()
		})
	}
}

// A client could have its second hello on the way before it is asked for it.
func TestNoHandshakePassesBeforeTheServerHasAnswered(t *testing.T) {
	hello, other := helloFor("a.example"), helloFor("b.example")
	t.Run("in the same segment", func(t *testing.T) {
		s := newStage(t)
		s.want(s.client(first, slices.Concat(hello, changeCipher, other)), denied)
		s.wantRecord(flow.MalformedHello)
		s.wantEmpty()
	})
	t.Run("behind it", func(t *testing.T) {
		s := newStage(t)
		s.want(s.client(first, hello), pending)
		end := first + uint32(len(hello))
		s.want(s.client(end, changeCipher), pending)
		s.events = nil
		s.want(s.client(end+6, other), denied)
		s.wantRecord(flow.MalformedHello)
		s.wantEmpty()
	})
	t.Run("its first byte", func(t *testing.T) {
		s := newStage(t)
		s.want(s.client(first, hello), pending)
		s.want(s.client(first+uint32(len(hello)), []byte{22}), denied)
		s.wantEmpty()
	})
	t.Run("with a hole ahead of it, until that is filled", func(t *testing.T) {
		s := newStage(t)
		s.want(s.client(first, hello), pending)
		end := first + uint32(len(hello))
		s.want(s.client(end+6, other), dropped)
		s.want(s.server(end, helloRetry), passed)
		s.want(s.client(end+6, other), held)
		s.want(s.client(end, changeCipher), denied)
		s.wantEmpty()
	})
	t.Run("with a hole ahead of it, ahead of the verdict", func(t *testing.T) {
		for about, asked := range map[string]bool{"the server has asked": true, "it has not": false} {
			t.Run(about, func(t *testing.T) {
				s := newStage(t)
				s.h.tracked = true
				s.handshake(first)
				end := first + uint32(len(hello))
				s.want(s.client(end+6, other), held)
				this, others := s.packet(tcp(clientEnd, serverEnd, first, 1, flagACK, hello))
				s.want(this, pending)
				if len(others) != 1 || others[1] != pending {
					t.Fatalf("got %v", others)
				}
				if asked {
					s.want(s.says(0, end, helloRetry), passed)
					s.want(s.client(end+6, hello), denied) // the server has another one there already
				} else {
					s.want(s.client(end, changeCipher), denied)
				}
				s.wantEmpty()
			})
		}
	})
	t.Run("within early data that ends where it says", func(t *testing.T) {
		s := newStage(t)
		s.want(s.client(first, slices.Concat(hello, earlyData[:20])), pending)
		s.want(s.client(first+uint32(len(hello))+20, slices.Concat(earlyData[20:], other[:1])), denied)
		s.wantEmpty()
	})
}

func TestAServerThatAsksInPieces(t *testing.T) {
	s := newStage(t)
	s.handshake(first)
	hello := helloFor("a.example")
	s.want(s.client(first, hello), pending)
	end := first + uint32(len(hello))
	s.want(s.says(40, end, helloRetry[40:]), passed) // ahead of its turn
	for i := range 43 {
		s.want(s.says(i, end, helloRetry[i:i+1]), passed)
	}
	s.want(s.says(0, end, helloRetry[:43]), passed) // again
	s.want(s.client(end, helloFor("b.example")), denied)
	s.wantEmpty()
}

// The server's stream goes on behind its question with what no one has to wait for.
func TestARepliesPlaceSurvivesTheQuestion(t *testing.T) {
	s, second := askedAgain(t)
	s.want(s.says(0, second, helloRetry), passed) // got lost behind us
	hello := helloFor("a.example")
	s.want(s.client(second, hello), pending)
	end := second + uint32(len(hello))
	s.want(s.says(len(helloRetry)-6, second, changeCipher), dropped) // of what it said before
	s.want(s.says(len(helloRetry), end, serverHello), released)
	s.wantEmpty()
}

func TestAClientThatDoesNotGoOnHasItsTime(t *testing.T) {
	s, _ := askedAgain(t)
	s.pass(helloTime)
	s.wantRecord(flow.HelloTimeout)
	s.wantEmpty()
}

func TestAServerThatAnswersTooLateHasARecord(t *testing.T) {
	s, hello := onItsWay(t)
	s.pass(pendingTime)
	s.events = nil
	s.want(s.server(first+uint32(len(hello)), serverHello), denied)
	s.want(s.server(first+uint32(len(hello)), serverHello), dropped)
	s.wantRecord(flow.HelloTimeout)
}

// The flows whose hello was on its way when another process was killed have a client
// that waits and a server that answers.
func TestWhatWasOnItsWayWhenAnotherProcessEndedIsReset(t *testing.T) {
	s := newStage(t)
	s.h.tracked = true
	end := first + uint32(len(helloFor("a.example")))
	s.want(s.says(0, end, serverHello), denied)
	if !slices.Equal(s.resets, []uint32{1}) {
		t.Errorf("resets %v, the client expects 1", s.resets)
	}
	s.wantRecord(flow.HelloTimeout)
	s.want(s.says(len(serverHello), end, serverHello), dropped) // was queued with it
	if len(s.events) != 1 {
		t.Errorf("%d records of one flow", len(s.events))
	}
	s.want(s.client(end, helloFor("a.example")), denied)
	s.handshake(first + 9) // another connection
	s.want(s.client(first+9, helloFor("a.example")), pending)

	t.Run("and what waited while its flow was released is not", func(t *testing.T) {
		s, hello := onItsWay(t)
		s.h.tracked = true
		end := first + uint32(len(hello))
		s.want(s.says(0, end, serverHello), released)
		for range maxAgain {
			s.want(s.says(len(serverHello), end, serverHello), repeated)
		}
		s.want(s.says(len(serverHello), end, serverHello), dropped)
	})
}

// What has passed of a flow and is forgotten must not be judged again with other bytes
// in its place: the server may have some of the first and take the rest.
func TestAFlowOfWhichSomethingHasPassedIsNotJudgedAnew(t *testing.T) {
	for about, forget := range map[string]func(s *stage, end uint32){
		"it had its time":      func(s *stage, _ uint32) { s.pass(pendingTime) },
		"it lost its place":    func(s *stage, _ uint32) { s.h.give(s.h.judged.last(), s.h.flows[s.h.judged.last()]) },
		"the server resets it": func(s *stage, end uint32) { s.packet(tcp(serverEnd, clientEnd, 1, end, flagRST, nil)) },
		"the server had asked for another hello, and there was no room": func(s *stage, end uint32) {
			s.want(s.says(0, end, helloRetry), passed)
			key := s.h.undecided.last()
			s.h.crowdOut(key, s.h.flows[key])
		},
	} {
		t.Run(about, func(t *testing.T) {
			s, hello := onItsWay(t)
			end := first + uint32(len(hello))
			forget(s, end)
			s.events = nil
			s.want(s.client(first, helloFor("a.example")), denied)
			s.wantRecord(flow.HelloTimeout)
			s.want(s.server(end, serverHello), dropped)
			s.wantEmpty()

			s.handshake(first + 9) // another connection
			s.want(s.client(first+9, hello), pending)
		})
	}
}
