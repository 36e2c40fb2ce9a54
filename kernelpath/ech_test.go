// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"net/netip"
	"testing"
	"time"

	"github.com/sallyport/sallyport/echprobe"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab/client"
)

// hiding returns a hello for name with an ECH extension.
func hiding(t *testing.T, name string) []byte {
	t.Helper()
	hello, err := client.WithGREASE(helloFor(name))
	if err != nil {
		t.Fatal(err)
	}
	return hello
}

// askedStage is a stage whose server has the answer that the test gives; asked
// counts the questions.
func askedStage(t *testing.T, answer *echprobe.Answer) (s *stage, asked *int) {
	s, asked = newStage(t), new(int)
	s.h.judge.ECH = func(source netip.Addr, to netip.AddrPort, name []byte) (echprobe.Answer, string) {
		if *asked++; source != clientEnd.Addr() || to != serverEnd || string(name) != "a.example" {
			t.Errorf("asked about %s at %s for %s", name, to, source)
		}
		return *answer, "as the test says"
	}
	return s, asked
}

func TestAnECHExtensionPassesToAServerWithoutECH(t *testing.T) {
	answer := echprobe.Ignored
	s, _ := askedStage(t, &answer)
	hello := hiding(t, "a.example")
	s.want(s.client(first, hello), pending)
	s.wantRecord(flow.RuleMatched)
	s.want(s.server(first+uint32(len(hello)), serverHello), released)
	s.wantEmpty()
}

func TestAnECHExtensionToAServerThatKnowsItIsDenied(t *testing.T) {
	answer := echprobe.Known
	s, _ := askedStage(t, &answer)
	s.want(s.client(first, hiding(t, "A.example")), denied)
	s.wantRecord(flow.EncryptedHello)
	if d := s.events[0].Detail; d != "as the test says" {
		t.Errorf("the record does not say why: %q", d)
	}
	s.wantEmpty()

	s = newStage(t) // nobody asks
	s.want(s.client(first, hiding(t, "a.example")), denied)
	s.wantRecord(flow.EncryptedHello)
	s.wantEmpty()

	answer = echprobe.Ignored // to what the RFC says, and nobody asked for drafts
	s, asked := askedStage(t, &answer)
	draft, err := client.WithExtension(helloFor("a.example"), 0xfe09, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	s.want(s.client(first, draft), denied)
	s.wantRecord(flow.EncryptedHello)
	if *asked != 0 {
		t.Error("a server was asked about a draft")
	}
}

func TestServersAreAskedAboutWhatIsAllowedAlone(t *testing.T) {
	answer := echprobe.Ignored
	s, asked := askedStage(t, &answer)
	s.want(s.client(first, hiding(t, "evil.example")), denied)
	s.wantRecord(flow.NameNotAllowed)
	s.want(s.client(first, helloFor("a.example")), pending)
	if *asked != 0 {
		t.Errorf("asked %d times", *asked)
	}
}

func TestAFlowWaitsWhileItsServerIsAsked(t *testing.T) {
	for about, tt := range map[string]struct {
		answer echprobe.Answer
		want   string
		reason flow.Reason
	}{
		"and it has no keys": {echprobe.Ignored, pending, flow.RuleMatched},
		"and it has keys":    {echprobe.Known, denied, flow.EncryptedHello},
	} {
		t.Run(about, func(t *testing.T) {
			answer := echprobe.Asking
			s, _ := askedStage(t, &answer)
			hello := hiding(t, "a.example")
			s.want(s.client(first, hello[:900]), held)
			s.want(s.client(first+900, hello[900:]), held)
			if !s.h.soon() {
				t.Error("nobody looks soon")
			}
			if got := s.pass(shortTick); len(got) != 0 || len(s.events) != 0 {
				t.Errorf("decided before the answer: %v, %+v", got, s.events)
			}
			s.want(s.client(first, hello[:900]), held) // sent again, since nobody acknowledges it
			answer = tt.answer
			got := s.pass(shortTick)
			s.wantRecord(tt.reason)
			if len(got) != 3 || got[3] != tt.want {
				t.Errorf("got %v, want three, the last %s", got, tt.want)
			}
			if tt.want == pending {
				s.want(s.server(first+uint32(len(hello)), serverHello), released)
			}
			s.wantEmpty()
		})
	}
}

func TestASegmentMayBringTheAnswer(t *testing.T) {
	answer := echprobe.Asking
	s, _ := askedStage(t, &answer)
	hello := hiding(t, "a.example")
	s.want(s.client(first, hello), held)
	answer = echprobe.Ignored
	this, others := s.packet(tcp(clientEnd, serverEnd, first, 1, flagACK, hello))
	s.want(this, pending)
	if len(others) != 1 || others[1] != pending {
		t.Errorf("the first became %v", others)
	}
	s.want(s.server(first+uint32(len(hello)), serverHello), released)
	s.wantEmpty()
}

func TestAServerThatIsAskedForTooLongIsOneThatKnows(t *testing.T) {
	answer := echprobe.Asking
	s, _ := askedStage(t, &answer)
	hello := hiding(t, "a.example")
	s.want(s.client(first, hello), held)
	if got := s.pass(helloTime - time.Millisecond); len(got) != 0 {
		t.Errorf("told too early: %v", got)
	}
	if got := s.pass(time.Millisecond); len(got) != 1 || got[1] != denied {
		t.Errorf("got %v", got)
	}
	s.wantRecord(flow.EncryptedHello)
	s.wantEmpty()

	// Neither do segments without end stay held.
	s.events = nil
	s.want(s.client(first, hello), held)
	last := held
	for i := 1; i < maxSegments && last == held; i++ {
		last = s.client(first, hello)
	}
	s.want(last, denied)
	s.wantRecord(flow.EncryptedHello)
	s.wantEmpty()
}

func TestAFlowWhoseServerIsAskedMayLoseItsPlace(t *testing.T) {
	answer := echprobe.Asking
	s, _ := askedStage(t, &answer)
	s.h.undecided = newRoom(2)
	s.want(s.client(first, hiding(t, "a.example")), held)
	this, others := s.packet(tcp(netip.AddrPortFrom(clientEnd.Addr(), 40001), serverEnd, first, 1, flagACK, helloFor("a.example")[:100]))
	s.want(this, held)
	if len(others) != 1 || others[1] != dropped {
		t.Errorf("the first became %v", others)
	}
	if s.h.waiting != 0 {
		t.Errorf("%d wait", s.h.waiting)
	}
}

// A flood of hellos whose servers do not answer takes no more of a tick than this.
func TestATickJudgesSoManyAgain(t *testing.T) {
	answer := echprobe.Asking
	s, asked := askedStage(t, &answer)
	hello := hiding(t, "a.example")
	for i := range 2 * rejudged {
		s.packet(tcp(netip.AddrPortFrom(clientEnd.Addr(), uint16(1000+i)), serverEnd, first, 1, flagACK, hello))
	}
	*asked = 0
	s.pass(shortTick)
	if *asked != rejudged {
		t.Errorf("%d were judged again", *asked)
	}
}

func TestAuditWaitsForTheAnswerToo(t *testing.T) {
	answer := echprobe.Asking
	s, _ := askedStage(t, &answer)
	s.h.audit = true
	s.want(s.client(first, hiding(t, "a.example")), held)
	answer = echprobe.Known
	if got := s.pass(shortTick); len(got) != 1 || got[1] != released {
		t.Errorf("got %v", got)
	}
	s.wantRecord(flow.EncryptedHello)
	s.wantEmpty()
}
