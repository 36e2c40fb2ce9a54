// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/nametable"
	"github.com/sallyport/sallyport/program"
)

// refusals are packets of flows that are refused, each with what else happens.
var refusals = map[string]struct {
	packets func(hello []byte) [][]byte
	tracked bool          // the answer to the SYN is needed, and not there
	wait    time.Duration // until the refusal
	reason  flow.Reason
}{
	"another name on the address": {packets: func([]byte) [][]byte {
		return [][]byte{tcp(clientEnd, serverEnd, first, 1, flagACK, helloFor("evil.example"))}
	}, reason: flow.NameNotAllowed},
	"an allowed name bound elsewhere": {packets: func([]byte) [][]byte {
		return [][]byte{tcp(clientEnd, serverEnd, first, 1, flagACK, helloFor("far.example"))}
	}, reason: flow.NameAddressMismatch},
	"no TLS": {packets: func([]byte) [][]byte {
		return [][]byte{tcp(clientEnd, serverEnd, first, 1, flagACK, []byte("SSH-2.0-x\r\n"))}
	}, wait: reorderTime, reason: flow.NotTLS},
	"half a hello": {packets: func(hello []byte) [][]byte {
		return [][]byte{tcp(clientEnd, serverEnd, first, 1, flagACK, hello[:300]), tcp(clientEnd, serverEnd, first+300, 1, flagACK, hello[300:400])}
	}, wait: helloTime, reason: flow.HelloTimeout},
	"other bytes in their place": {packets: func(hello []byte) [][]byte {
		other := bytes.Clone(hello[100:400])
		other[50]++
		return [][]byte{tcp(clientEnd, serverEnd, first, 1, flagACK, hello[:300]), tcp(clientEnd, serverEnd, first+100, 1, flagACK, other)}
	}, reason: flow.OverlapMismatch},
	"no answer to the SYN": {packets: func(hello []byte) [][]byte {
		return [][]byte{tcp(clientEnd, serverEnd, first, 1, flagACK, hello)}
	}, tracked: true, reason: flow.OutOfState},
	"urgent data": {packets: func(hello []byte) [][]byte {
		return [][]byte{tcp(clientEnd, serverEnd, first, 1, flagACK|flagURG, hello)}
	}, reason: flow.MalformedHello},
	"UDP to another port": {packets: func([]byte) [][]byte {
		return [][]byte{udp(clientEnd, netip.MustParseAddrPort("20.0.0.1:124"), []byte("x"))}
	}, reason: flow.PortNotAllowed},
	"a SYN to an unbound address": {packets: func([]byte) [][]byte {
		return [][]byte{tcp(clientEnd, netip.MustParseAddrPort("20.9.9.9:22"), first, 0, flagSYN, nil)}
	}, reason: flow.UnboundAddress},
}

func TestAuditRecordsEveryRefusalAndLetsItPass(t *testing.T) {
	hello := helloFor("a.example")
	for about, tt := range refusals {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			packets := tt.packets(hello)
			for _, audit := range []bool{false, true} {
				s := newStage(t)
				s.h.audit, s.h.tracked = audit, tt.tracked
				all := make(map[uint32]string)
				note := func(more map[uint32]string) {
					for id, o := range more {
						all[id] = o
					}
				}
				for _, raw := range packets {
					s.nextID++
					s.h.packet(s.nextID, foreign, raw)
					note(s.outcomes())
				}
				note(s.pass(tt.wait))
				s.wantRecord(tt.reason)
				s.wantEmpty()
				last := s.nextID
				if len(all) != len(packets) {
					t.Fatalf("audit %t: %d verdicts about %d packets", audit, len(all), len(packets))
				}
				if !audit {
					s.want(all[last], denied)
					continue
				}
				for id, o := range all {
					if o != released {
						t.Errorf("packet %d is %s", id, o)
					}
				}
				if len(s.resets) != 0 {
					t.Errorf("resets at %v", s.resets)
				}
			}
		})
	}
}

// What was queued behind the packet that let a flow go finds it in the table.
func TestAuditSendsWhatIsBehindThroughTheTableAgain(t *testing.T) {
	s := newStage(t)
	s.h.audit = true
	s.want(s.client(first, helloFor("evil.example")), released)
	s.want(s.client(first+2000, []byte("more")), repeated)
	s.want(s.server(first+2000, []byte("answer")), repeated)
	if len(s.events) != 1 {
		t.Errorf("records %+v", s.events)
	}
}

func TestAuditLetsAHelloPassThatNewRulesRefuse(t *testing.T) {
	s := newStage(t)
	s.h.audit = true
	hello := helloFor("a.example")
	s.want(s.client(first, hello), pending)
	s.want(s.server(first, []byte("early")), passed) // a server that does not wait
	next := decide.New(&program.Program{})
	s.h.judge.Rules = func() *decide.Snapshot { return next }
	s.want(s.server(first+uint32(len(hello)), serverHello), released)
	s.want(s.client(first+uint32(len(hello)), []byte("more")), repeated)
	if len(s.events) != 2 || s.events[1].Decision.Reason != flow.NameNotAllowed || len(s.resets) != 0 {
		t.Errorf("records %+v, resets %v", s.events, s.resets)
	}
	s.wantEmpty()
}

func TestAuditLetsAFlowWithoutRoomPass(t *testing.T) {
	s := newStage(t)
	s.h.audit, s.h.undecided = true, newRoom(4)
	hello := helloFor("a.example")
	for i := range uint32(8) {
		this, others := s.packet(tcp(clientEnd, serverEnd, first+i, 1, flagACK, hello[i:i+1]))
		if this == held && len(others) == 0 {
			continue
		}
		s.wantRecord(flow.Overload)
		s.want(this, released)
		for _, o := range others {
			s.want(o, released)
		}
		return
	}
	t.Error("nothing was crowded out")
}

// No packet of the cluster that can be read is dropped in audit mode, whatever
// comes, and what is refused first is what enforcement would refuse first.
func TestAuditDropsNothing(t *testing.T) {
	w := rand.New(rand.NewPCG(7, 8))
	allowed, evil := helloFor("a.example"), helloFor("evil.example")
	for range 2000 {
		seed := w.Uint64()
		stages := []*stage{newStage(t), newStage(t)}
		stages[1].h.audit = true
		for i, s := range stages {
			w := rand.New(rand.NewPCG(seed, 1))
			for range 12 {
				payload := [][]byte{allowed, evil, []byte("noise"), nil}[w.IntN(4)]
				from := 0
				if len(payload) > 0 {
					from = w.IntN(len(payload))
				}
				seq := first + uint32(from)
				raw := tcp(clientEnd, serverEnd, seq, 1, flagACK, payload[from:])
				if w.IntN(3) == 0 {
					raw = tcp(serverEnd, clientEnd, 1, seq, flagACK, payload[from:])
				}
				s.nextID++
				s.h.packet(s.nextID, foreign, raw)
				for id, o := range s.outcomes() {
					if i == 1 && (o == dropped || o == denied) {
						t.Fatalf("packet %d is %s", id, o)
					}
				}
				for id, o := range s.pass(time.Duration(w.IntN(200)) * time.Millisecond) {
					if i == 1 && (o == dropped || o == denied) {
						t.Fatalf("packet %d is %s", id, o)
					}
				}
			}
			s.pass(helloTime)
		}
		var reasons [2]flow.Reason
		for i, s := range stages {
			for _, e := range s.events {
				if e.Decision.Verdict == flow.Deny {
					reasons[i] = e.Decision.Reason
					break
				}
			}
		}
		if reasons[0] != reasons[1] {
			t.Fatalf("first refused for %v, in audit mode for %v", reasons[0], reasons[1])
		}
	}
}

// A name without a rule that leads to the address is the one to suggest, for what
// the port stands for; without audit such a name has no address.
func TestAuditNamesAConnectionToANameWithoutARule(t *testing.T) {
	s := newStage(t)
	addr := netip.MustParseAddr("20.0.0.77")
	s.h.judge.Names.Bind(nametable.Binding{Name: dnsname.MustParse("new.example"), Addr: addr, Until: s.h.now.Add(time.Hour)})
	for port, app := range map[uint16]flow.App{443: flow.TLS, 80: flow.HTTP, 22: flow.Raw} {
		f := flow.Flow{Src: clientEnd.Addr(), Dst: addr, Port: port, Transport: flow.TCP}
		d, _ := (&kernelLog{judge: s.h.judge}).decision(logUnbound, &f, s.h.now)
		if d.Reason != flow.NameNotAllowed || f.Name.String() != "new.example" || f.App != app {
			t.Errorf("port %d: %v %+v", port, d.Reason, f)
		}
	}
}
