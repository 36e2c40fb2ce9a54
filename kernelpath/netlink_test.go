// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/nametable"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
)

// queued is a message about a packet as the kernel sends it.
func queued(id, mark uint32, payload []byte) []byte {
	b := make([]byte, nlmsgHdr+nfgenHdr)
	hdr := binary.BigEndian.AppendUint32(nil, id)
	b = appendAttr(b, nfqaPacketHdr, append(hdr, 0, 0, 0))
	b = appendAttr(b, nfqaMark, binary.BigEndian.AppendUint32(nil, mark))
	b = appendAttr(b, nfqaPayload, payload)
	putHeader(b, nfqnlMsgPacket, 0, 0, 0)
	return b
}

// FuzzMessages: whatever comes in on the queue's and the log's sockets is read
// without a fault, each packet gets at most one verdict, and nothing is let
// through that names nothing.
func FuzzMessages(f *testing.F) {
	client, server := netip.MustParseAddrPort("10.240.0.4:1000"), netip.MustParseAddrPort("20.0.0.1:443")
	f.Add(queued(1, 2, tcp(client, server, 1, 1, flagACK, []byte("hello"))))
	f.Add(append(queued(1, 2, udp(client, server, []byte("x"))), queued(2, 0, nil)...))
	f.Add(queued(1, 2, nil)[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		m, _ := NewMarks(DefaultMask)
		rules := decide.New(&program.Program{})
		h := newHold(&Judge{
			Rules: func() *decide.Snapshot { return rules }, Names: nametable.New(), Record: func(*flowlog.Event) {},
			Sources: func() netset.Set { return cluster },
		}, m)
		h.now = time.Unix(1, 0)
		q := &queue{hold: h}
		asked := 0
		for msg := range messages(b) {
			if msg.typ == nfqnlMsgPacket && len(msg.data) >= nfgenHdr {
				asked++
				q.packet(msg.data[nfgenHdr:])
			}
		}
		if len(h.verdicts) > asked {
			t.Errorf("%d verdicts about %d packets", len(h.verdicts), asked)
		}
		for _, v := range h.verdicts {
			if v.code == verdictAccept && v.mark&(m.Released()|m.Pending()) != 0 {
				t.Errorf("a packet is let through that no rule allows: %+v", v)
			}
		}
		l := &kernelLog{judge: h.judge}
		for msg := range messages(b) {
			if len(msg.data) >= nfgenHdr {
				l.message(msg.data[nfgenHdr:], h.now)
				h.begun.message(msg, h.now)
				closed(msg, new(keepTime))
			}
		}
	})
}

func TestAMessageOfTheQueueIsRead(t *testing.T) {
	s := newStage(t)
	q := &queue{hold: s.h}
	raw := queued(7, foreign, udp(netip.MustParseAddrPort("10.240.0.4:1000"), netip.MustParseAddrPort("20.0.0.1:123"), []byte("x")))
	for msg := range messages(raw) {
		q.packet(msg.data[nfgenHdr:])
	}
	if got := s.outcomes()[7]; got != released {
		t.Errorf("packet 7 is %q", got)
	}
	if len(s.events) != 1 || s.events[0].Decision.Reason != flow.RuleMatched {
		t.Errorf("records %+v", s.events)
	}
}
