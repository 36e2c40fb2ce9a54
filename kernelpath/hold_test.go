// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/nametable"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
)

// Ends of the tests' flows.
var (
	clientEnd = netip.MustParseAddrPort("10.240.0.4:40000")
	serverEnd = netip.MustParseAddrPort("20.0.0.1:443") // a.example, b.example and ntp.example
	foreign   = uint32(0x00c0ffee)                      // mark bits of somebody else
)

// stage is a hold with the kernel played by the test.
type stage struct {
	t      *testing.T
	h      *hold
	m      Marks
	nextID uint32
	events []flowlog.Event
	resets []uint32
	said   []segment // in the name of one end, but for resets
	ends   []flowlog.Closed
	rules  *program.Program
}

func newStage(t testing.TB) *stage {
	m, err := NewMarks(DefaultMask)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{m: m}
	s.t, _ = t.(*testing.T)
	rule := func(id, pattern string, proto flow.Protocol, port uint16) program.Rule {
		return program.Rule{ID: flow.RuleID(id), Pattern: dnsname.MustParsePattern(pattern), Protocol: proto, Ports: portset.Of(port),
			Sources: netset.Of(netip.MustParsePrefix("10.240.0.0/24"))}
	}
	s.rules = &program.Program{Rules: []program.Rule{
		rule("a", "a.example", flow.ProtoHTTPS, 443), rule("ntp", "ntp.example", flow.ProtoUDP, 123),
		rule("ssh", "ssh.example", flow.ProtoTCP, 22), rule("far", "far.example", flow.ProtoHTTPS, 443),
	}}
	rules := decide.New(s.rules)
	names := nametable.New()
	now := time.Unix(1_800_000_000, 0)
	for name, addr := range map[string]string{
		"a.example": "20.0.0.1", "b.example": "20.0.0.1", "ntp.example": "20.0.0.1", "ssh.example": "20.0.0.2", "far.example": "20.0.0.3",
	} {
		names.Bind(nametable.Binding{Name: dnsname.MustParse(name), Addr: netip.MustParseAddr(addr), Until: now.Add(time.Hour)})
	}
	s.h = newHold(&Judge{
		Rules: func() *decide.Snapshot { return rules }, Names: names,
		Sources: func() netset.Set { return cluster },
		Record:  func(e *flowlog.Event) { s.events = append(s.events, *e) },
		End:     func(c flowlog.Closed) { s.ends = append(s.ends, c) },
	}, m)
	s.h.inject = func(g segment) {
		if g.flags == flagRST {
			s.resets = append(s.resets, g.seq)
			return
		}
		s.said = append(s.said, g)
	}
	s.h.now = now
	return s
}

// ip4 writes an IPv4 packet.
func ip4(proto byte, src, dst netip.Addr, body []byte) []byte {
	b := make([]byte, 20, 20+len(body))
	b[0], b[8], b[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(body)))
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	return append(b, body...)
}

// tcp writes a TCP segment in an IPv4 packet.
func tcp(src, dst netip.AddrPort, seq, ack uint32, flags byte, payload []byte) []byte {
	b := make([]byte, 20, 20+len(payload))
	binary.BigEndian.PutUint16(b, src.Port())
	binary.BigEndian.PutUint16(b[2:], dst.Port())
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint32(b[8:], ack)
	b[12], b[13] = 5<<4, flags
	return ip4(unix.IPPROTO_TCP, src.Addr(), dst.Addr(), append(b, payload...))
}

func udp(src, dst netip.AddrPort, payload []byte) []byte {
	b := make([]byte, 8, 8+len(payload))
	binary.BigEndian.PutUint16(b, src.Port())
	binary.BigEndian.PutUint16(b[2:], dst.Port())
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(payload)))
	return ip4(unix.IPPROTO_UDP, src.Addr(), dst.Addr(), append(b, payload...))
}

// Outcomes of a packet, as the table acts on them.
const (
	held     = "held"
	dropped  = "dropped"
	passed   = "passed"
	pending  = "pending"
	released = "released"
	denied   = "denied"
	repeated = "repeated"
	unmarked = "unmarked"
)

// outcomes takes the verdicts since the last call, by packet id.
func (s *stage) outcomes() map[uint32]string {
	out := make(map[uint32]string)
	for _, v := range s.h.verdicts {
		if _, twice := out[v.id]; twice {
			s.t.Errorf("packet %d has two verdicts", v.id)
		}
		what := passed
		switch ours := v.mark & s.m.Mask(); {
		case v.code == verdictDrop:
			what = dropped
		case v.code == verdictRepeat:
			what = repeated
		case ours == s.m.Pending():
			what = pending
		case ours == s.m.Released():
			what = released
		case ours == s.m.Denied():
			what = denied
		case ours == s.m.Unmarked():
			what = unmarked
		case ours != 0:
			what = fmt.Sprintf("mark %#x", ours)
		}
		if v.code != verdictDrop && v.mark&^s.m.Mask() != foreign&^s.m.Mask() {
			s.t.Errorf("packet %d: foreign bits of the mark became %#x", v.id, v.mark)
		}
		out[v.id] = what
	}
	s.h.verdicts = s.h.verdicts[:0]
	return out
}

// packet queues one packet and returns what became of it, and of those held
// before that were decided with it.
func (s *stage) packet(raw []byte) (this string, others map[uint32]string) {
	s.nextID++
	s.h.packet(s.nextID, foreign, raw)
	others = s.outcomes()
	this, ok := others[s.nextID]
	if !ok {
		return held, others
	}
	delete(others, s.nextID)
	return this, others
}

// client queues a segment of the client, server one of the server.
func (s *stage) client(seq uint32, payload []byte) string {
	this, _ := s.packet(tcp(clientEnd, serverEnd, seq, 1, flagACK, payload))
	return this
}

func (s *stage) server(ack uint32, payload []byte) string {
	this, _ := s.packet(tcp(serverEnd, clientEnd, 1, ack, flagACK, payload))
	return this
}

// handshake logs the server's answer to the client's SYN.
func (s *stage) handshake(ack uint32) {
	s.h.begun.answer(tcp(serverEnd, clientEnd, 0, ack, flagSYN|flagACK, nil), s.h.now)
}

// onItsWay is a stage with a hello that was judged and is on its way to the server, and
// no records.
func onItsWay(t *testing.T) (s *stage, hello []byte) {
	t.Helper()
	s, hello = newStage(t), helloFor("a.example")
	s.h.tracked = true
	s.handshake(first)
	s.want(s.client(first, hello), pending)
	s.wantRecord(flow.RuleMatched)
	s.events = nil
	return s, hello
}

func (s *stage) pass(d time.Duration) map[uint32]string {
	s.h.now = s.h.now.Add(d)
	s.h.expire()
	return s.outcomes()
}

func (s *stage) want(got, want string) {
	s.t.Helper()
	if got != want {
		s.t.Errorf("got %s, want %s", got, want)
	}
}

// wantRecord checks the one record there is.
func (s *stage) wantRecord(reason flow.Reason) {
	s.t.Helper()
	if len(s.events) != 1 || s.events[0].Decision.Reason != reason || s.events[0].Path != "hello" || s.events[0].SrcPort != clientEnd.Port() {
		s.t.Fatalf("records %+v, want one of %v", s.events, reason)
	}
}

// wantEmpty checks that nothing is kept of any flow.
func (s *stage) wantEmpty() {
	s.t.Helper()
	if len(s.h.flows) != 0 || s.h.waiting != 0 {
		s.t.Errorf("%d flows are held, %d wait", len(s.h.flows), s.h.waiting)
	}
}

// helloFor returns the ClientHello that Go sends: 1.5 kB, post-quantum.
func helloFor(name string) []byte {
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		defer far.Close()
		_ = far.SetReadDeadline(time.Now().Add(5 * time.Second))
		_ = tls.Client(far, &tls.Config{ServerName: name, InsecureSkipVerify: name == ""}).Handshake() // #nosec: nothing is sent
	}()
	_ = near.SetReadDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, 20000)
	n, _ := near.Read(b)
	return b[:n]
}

// cluster is where the tests' clients are.
var cluster = netset.Of(netip.MustParsePrefix("10.240.0.0/16"))

// serverHello is what a server says that is content with the client's hello, at first;
// helloRetry asks for another one.
var (
	serverHello = append([]byte{22, 3, 3, 0, 122, 2, 0, 0, 118, 3, 3}, bytes.Repeat([]byte{7}, 100)...)
	retryRandom = sha256.Sum256([]byte("HelloRetryRequest"))
	helloRetry  = slices.Concat([]byte{22, 3, 3, 0, 88, 2, 0, 0, 84, 3, 3}, retryRandom[:], make([]byte, 50), changeCipher)

	changeCipher = []byte{20, 3, 3, 0, 1, 1}
	earlyData    = slices.Concat(changeCipher, []byte{23, 3, 3, 0, 40}, bytes.Repeat([]byte{9}, 40))
)

var first = uint32(0xfffffe00) // sequence numbers wrap within the hello

func TestAWholeHelloIsReleasedWhenTheServerHasIt(t *testing.T) {
	s := newStage(t)
	hello := helloFor("a.example")
	s.want(s.client(first, hello), pending)
	s.wantRecord(flow.RuleMatched)
	if e := s.events[0]; string(e.NameBytes[:e.NameLen]) != "a.example" || e.Flow.Proof != flow.BySNI || e.Decision.Rule != "a" || e.Flow.App != flow.TLS {
		t.Errorf("record %+v", e)
	}
	end := first + uint32(len(hello))
	s.want(s.server(first, nil), passed)          // acknowledges nothing of it
	s.want(s.server(end, nil), passed)            // all, and asks for another one, or not
	s.want(s.server(end-1, []byte("x")), dropped) // speaks ahead of it: no TLS server
	s.want(s.server(end, serverHello), released)
	s.wantEmpty()
	if len(s.events) != 1 || len(s.resets) != 0 {
		t.Errorf("%d records, resets %v", len(s.events), s.resets)
	}
}

func TestPacketsQueuedBehindTheReleaseGoThroughTheTableAgain(t *testing.T) {
	s := newStage(t)
	hello := helloFor("a.example")
	s.client(first, hello)
	end := first + uint32(len(hello))
	s.want(s.server(end, serverHello), released)
	s.want(s.client(end, []byte("more")), repeated)
	s.want(s.server(end, []byte("server hello")), repeated)
	s.h.endBatch()
	s.want(s.client(end+4, []byte("more")), repeated)
	for range 2 {
		s.pass(lateTime)
		s.h.endBatch()
	}
	s.want(s.client(end+8, []byte("no hello")), held) // by now it would be a flow of its own
}

// A client that clears what the table knows of its released flow, with a SYN, must
// not make each packet go round until it is forgotten that it was released.
func TestPacketsGoThroughTheTableAgainASetNumberOfTimes(t *testing.T) {
	s := newStage(t)
	hello := helloFor("a.example")
	s.client(first, hello)
	end := first + uint32(len(hello))
	s.want(s.server(end, serverHello), released)
	s.h.tracked = true
	for range maxAgain {
		s.want(s.client(end, []byte("more")), repeated)
	}
	s.want(s.client(end, []byte("more")), denied)
	s.wantEmpty()
}

// However the hello is cut and in whatever order the pieces come, the verdict is
// the same, and every piece gets one.
func TestHellosInPieces(t *testing.T) {
	w := rand.New(rand.NewPCG(1, 2))
	for _, name := range []string{"a.example", "evil.example"} {
		hello := helloFor(name)
		for range 200 {
			cuts := []int{0, len(hello)}
			for range w.IntN(12) {
				cuts = append(cuts, w.IntN(len(hello)))
			}
			slices.Sort(cuts)
			cuts = slices.Compact(cuts)
			order := w.Perm(len(cuts) - 1)
			known := w.IntN(2) == 0
			s := newStage(t)
			if known {
				s.handshake(first)
			}
			all := make(map[uint32]string)
			for _, i := range order {
				this, others := s.packet(tcp(clientEnd, serverEnd, first+uint32(cuts[i]), 1, flagACK, hello[cuts[i]:cuts[i+1]]))
				if this != held {
					all[s.nextID] = this
				}
				for id, o := range others {
					all[id] = o
				}
				for id, o := range s.pass(time.Millisecond) {
					all[id] = o
				}
			}
			if name == "a.example" {
				s.wantRecord(flow.RuleMatched)
				if len(all) != len(order) {
					t.Fatalf("%d verdicts for %d pieces", len(all), len(order))
				}
				for id, o := range all {
					if o != pending {
						t.Fatalf("piece %d is %s; cut at %v in order %v", id, o, cuts, order)
					}
				}
				s.want(s.server(first+uint32(len(hello)), serverHello), released)
			} else {
				s.wantRecord(flow.NameNotAllowed)
				last := 0
				for _, o := range all {
					if o == denied {
						last++
					} else if o != dropped {
						t.Fatalf("a piece of a denied hello is %s", o)
					}
				}
				if last != 1 || len(all) != len(order) || len(s.resets) != 1 {
					t.Fatalf("%d pieces of %d are answered, %d resets", last, len(all), len(s.resets))
				}
			}
			s.wantEmpty()
			if t.Failed() {
				t.Fatalf("cut at %v in order %v, handshake seen %t", cuts, order, known)
			}
		}
	}
}

func TestOneByteSegmentsEndAt64(t *testing.T) {
	s := newStage(t)
	hello := helloFor("a.example")
	for i := range maxSegments - 1 {
		s.want(s.client(first+uint32(i), hello[i:i+1]), held)
	}
	this, others := s.packet(tcp(clientEnd, serverEnd, first+maxSegments-1, 1, flagACK, hello[maxSegments-1:maxSegments]))
	s.want(this, denied)
	if len(others) != maxSegments-1 {
		t.Errorf("%d others have a verdict", len(others))
	}
	s.wantRecord(flow.HelloTooLong)
	s.wantEmpty()
}

func TestAHelloThatIsNoneOrNotAllowed(t *testing.T) {
	hello := helloFor("a.example")
	for about, tt := range map[string]struct {
		payload []byte
		reason  flow.Reason
	}{
		"another name on the address (B02)":     {helloFor("evil.example"), flow.NameNotAllowed},
		"a bound name without a rule":           {helloFor("b.example"), flow.NameNotAllowed},
		"an allowed name bound elsewhere (B01)": {helloFor("far.example"), flow.NameAddressMismatch},
		"a name for another protocol":           {helloFor("ntp.example"), flow.PortNotAllowed},
		"no name (B04)":                         {helloFor(""), flow.NoName},
		"a hello whose length lies":             {append(append([]byte(nil), hello[:6]...), 0xff, 0xff, 0xff), flow.HelloTooLong},
		"a hello with noise inside":             {append(append([]byte(nil), hello[:45]...), bytes.Repeat([]byte{0xff}, len(hello)-45)...), flow.MalformedHello},
	} {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			s := newStage(t)
			s.want(s.client(first, tt.payload), denied)
			s.wantRecord(tt.reason)
			s.wantEmpty()
			if len(s.resets) != 1 || s.resets[0] != first {
				t.Errorf("resets at %v", s.resets)
			}
		})
	}
}

// A first segment that is no hello waits a tenth of a second for one before it;
// when the server's answer to the SYN was seen, it need not.
func TestWhatIsNotTLSIsToldSoon(t *testing.T) {
	s := newStage(t)
	s.want(s.client(first, []byte("SSH-2.0-x\r\n")), held)
	if !s.h.soon() {
		t.Error("nobody looks soon")
	}
	if got := s.pass(99 * time.Millisecond); len(got) != 0 {
		t.Errorf("told too early: %v", got)
	}
	if got := s.pass(time.Millisecond); len(got) != 1 || got[1] != denied {
		t.Errorf("got %v", got)
	}
	s.wantRecord(flow.NotTLS)
	if s.events[0].Flow.App != flow.Raw {
		t.Errorf("the record says %v", s.events[0].Flow.App)
	}
	s.wantEmpty()

	s = newStage(t)
	s.handshake(first)
	s.want(s.client(first, []byte("SSH-2.0-x\r\n")), denied)
	s.wantRecord(flow.NotTLS)
	s.wantEmpty()
}

// Noise that goes on does not buy more time or space.
func TestNoiseInManySegmentsIsBounded(t *testing.T) {
	s := newStage(t)
	for i := range maxSegments + 1 {
		if s.client(first+uint32(i), []byte("x")) == denied {
			break
		}
	}
	s.wantRecord(flow.NotTLS)
	s.wantEmpty()
}

func TestHalfAHelloEndsInTime(t *testing.T) {
	s := newStage(t)
	hello := helloFor("a.example")
	s.want(s.client(first, hello[:700]), held)
	if got := s.pass(helloTime - time.Millisecond); len(got) != 0 {
		t.Errorf("told too early: %v", got)
	}
	s.want(s.client(first+700, hello[700:800]), held) // does not buy time
	if got := s.pass(time.Millisecond); len(got) != 2 || got[1] != dropped || got[2] != denied {
		t.Errorf("got %v", got)
	}
	s.wantRecord(flow.HelloTimeout)
	s.wantEmpty()
}

func TestOverlapsAreCompared(t *testing.T) {
	hello := helloFor("a.example")
	t.Run("equal-bytes-are-a-retransmission", func(t *testing.T) {
		s := newStage(t)
		s.want(s.client(first, hello[:700]), held)
		s.want(s.client(first, hello[:700]), held)
		s.want(s.client(first+300, hello[300:900]), held)
		s.want(s.client(first+500, hello[500:]), pending)
		s.wantRecord(flow.RuleMatched)
	})
	t.Run("other-bytes-are-not-(B08)", func(t *testing.T) {
		s := newStage(t)
		s.want(s.client(first, hello[:700]), held)
		other := bytes.Clone(hello[600:])
		other[50]++
		s.want(s.client(first+600, other), denied)
		s.wantRecord(flow.OverlapMismatch)
		s.wantEmpty()
	})
	t.Run("also-in-a-hole", func(t *testing.T) {
		s := newStage(t)
		s.want(s.client(first, hello[:100]), held)
		s.want(s.client(first+800, hello[800:900]), held)
		other := bytes.Clone(hello[100:900])
		other[750]++
		s.want(s.client(first+100, other), denied)
		s.wantRecord(flow.OverlapMismatch)
	})
	t.Run("a-retransmission-of-what-is-on-its-way", func(t *testing.T) {
		s := newStage(t)
		s.want(s.client(first, hello), pending)
		s.want(s.client(first, hello), pending)
		s.want(s.client(first+10, hello[10:]), pending)
		s.want(s.client(first+10, slices.Concat(hello[10:], earlyData)), pending)
		s.wantRecord(flow.RuleMatched)
	})
	t.Run("another-hello-in-its-place-(B09)", func(t *testing.T) {
		s := newStage(t)
		s.want(s.client(first, hello), pending) // the server never sees it: low TTL
		s.want(s.client(first, helloFor("evil.example")), denied)
		if len(s.events) != 2 || s.events[1].Decision.Reason != flow.OverlapMismatch || len(s.resets) != 2 {
			t.Errorf("records %+v, resets %v", s.events, s.resets)
		}
		s.wantEmpty()
	})
	t.Run("one-byte-of-it-is-enough", func(t *testing.T) {
		s := newStage(t)
		s.client(first, hello)
		s.want(s.client(first+uint32(len(hello))-1, []byte{hello[len(hello)-1] + 1, 'x'}), denied)
	})
	t.Run("bytes-before-it", func(t *testing.T) {
		s := newStage(t)
		s.client(first, hello)
		s.want(s.client(first-10, append([]byte("0123456789"), hello...)), denied)
	})
}

// B09: a hello that lies before the server's stream is thrown away by the
// server, which acknowledges what it has: exactly what an acknowledgement of the
// decoy would look like.
func TestADecoyBelowTheStreamIsNotJudged(t *testing.T) {
	decoy, real := helloFor("a.example"), helloFor("evil.example")
	below := first - uint32(len(decoy))
	t.Run("alone", func(t *testing.T) {
		s := newStage(t)
		s.handshake(first)
		s.want(s.client(below, decoy), held)
		s.want(s.server(first, nil), passed)
		s.want(s.client(first, real), denied)
		s.wantRecord(flow.NameNotAllowed)
		s.wantEmpty()
	})
	t.Run("behind-half-of-the-real-one", func(t *testing.T) {
		s := newStage(t)
		s.handshake(first)
		s.want(s.client(first, real[:100]), held)
		s.want(s.client(below, decoy), held)
		s.want(s.client(first+100, real[100:]), denied)
		s.wantRecord(flow.NameNotAllowed)
	})
	t.Run("joined-to-the-real-one", func(t *testing.T) {
		s := newStage(t)
		s.handshake(first)
		s.want(s.client(below, append(bytes.Clone(decoy), real...)), denied)
		s.wantRecord(flow.NameNotAllowed)
	})
	t.Run("a-lawful-hello-behind-an-old-byte", func(t *testing.T) {
		s := newStage(t)
		s.handshake(first)
		s.want(s.client(first-1, append([]byte{0}, decoy...)), pending)
		s.want(s.server(first+uint32(len(decoy)), serverHello), released)
		if len(s.h.begun.by) != 0 {
			t.Errorf("%d beginnings are kept", len(s.h.begun.by))
		}
	})
	t.Run("without-the-answer-to-the-SYN-nothing-is-judged", func(t *testing.T) {
		s := newStage(t)
		s.h.tracked = true
		s.want(s.client(below, decoy), denied)
		s.wantRecord(flow.OutOfState)
		s.wantEmpty()
	})
	t.Run("beginnings-are-forgotten-in-time", func(t *testing.T) {
		s := newStage(t)
		s.handshake(first)
		s.pass(begunTime - time.Second)
		if len(s.h.begun.by) != 1 {
			t.Error("forgotten too early")
		}
		s.pass(begunTime)
		if len(s.h.begun.by) != 0 {
			t.Error("not forgotten")
		}
	})
}

func TestAServerThatNeverAnswers(t *testing.T) {
	s := newStage(t)
	s.client(first, helloFor("a.example"))
	s.pass(pendingTime - time.Millisecond)
	if len(s.h.flows) != 1 {
		t.Error("forgotten too early")
	}
	s.pass(time.Millisecond)
	s.wantEmpty()
	s.wantRecord(flow.RuleMatched)
}

func TestAServerThatResets(t *testing.T) {
	s := newStage(t)
	s.client(first, helloFor("a.example"))
	this, _ := s.packet(tcp(serverEnd, clientEnd, 1, 0, flagRST, nil))
	s.want(this, unmarked)
	s.wantEmpty()
	s.handshake(first + 70000)
	s.want(s.client(first+70000, helloFor("a.example")), pending) // on the same ports at once
}

// The kernel tells the end of a flow that was released; of others nobody else would.
func TestTheEndOfAnAllowedFlowIsToldOnce(t *testing.T) {
	of := flowlog.Tuple{Transport: flow.TCP, Src: clientEnd, Dst: serverEnd}
	for about, tt := range map[string]struct {
		then func(s *stage, end uint32)
		told int
	}{
		"the server answers":               {func(s *stage, end uint32) { s.server(end, serverHello) }, 0},
		"the server resets it":             {func(s *stage, _ uint32) { s.packet(tcp(serverEnd, clientEnd, 1, 0, flagRST, nil)) }, 1},
		"the server never answers":         {func(s *stage, _ uint32) { s.pass(pendingTime) }, 1},
		"the client says what it must not": {func(s *stage, end uint32) { s.client(end, helloFor("b.example")) }, 1},
	} {
		t.Run(about, func(t *testing.T) {
			s, hello := onItsWay(t)
			tt.then(s, first+uint32(len(hello)))
			s.pass(2 * pendingTime)
			s.wantEmpty()
			if len(s.ends) != tt.told || tt.told == 1 && s.ends[0].Tuple != of {
				t.Errorf("told %+v, want %d", s.ends, tt.told)
			}
		})
	}
}

func TestServersThatSpeakUnasked(t *testing.T) {
	s := newStage(t)
	s.want(s.server(first, []byte("220 hello")), dropped)
	s.want(s.server(first, nil), passed)
}

func TestSegmentsWithoutPayloadPass(t *testing.T) {
	s := newStage(t)
	s.want(s.client(first, nil), passed)
	s.wantEmpty()
}

// Raw TCP and UDP are judged by the binding alone, at their first packet.
func TestBindingsDecideRawFlows(t *testing.T) {
	at := func(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
	for about, tt := range map[string]struct {
		raw    []byte
		want   string
		reason flow.Reason // NotDecided: no record yet
	}{
		"UDP to a bound name":                     {udp(clientEnd, at("20.0.0.1:123"), []byte("ntp")), released, flow.RuleMatched},
		"UDP to another port":                     {udp(clientEnd, at("20.0.0.1:124"), []byte("ntp")), denied, flow.PortNotAllowed},
		"UDP to an unbound address":               {udp(clientEnd, at("20.9.9.9:123"), []byte("ntp")), denied, flow.UnboundAddress},
		"UDP from another source":                 {udp(at("10.240.9.9:40000"), at("20.0.0.1:123"), []byte("ntp")), denied, flow.SourceNotAllowed},
		"a SYN to a bound name":                   {tcp(clientEnd, at("20.0.0.2:22"), first, 0, flagSYN, nil), released, flow.RuleMatched},
		"a SYN to another port":                   {tcp(clientEnd, at("20.0.0.2:23"), first, 0, flagSYN, nil), denied, flow.PortNotAllowed},
		"a SYN to an unbound address":             {tcp(clientEnd, at("20.9.9.9:22"), first, 0, flagSYN, nil), denied, flow.UnboundAddress},
		"a SYN to an address that awaits a hello": {tcp(clientEnd, serverEnd, first, 0, flagSYN, nil), passed, flow.NotDecided},
	} {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			s := newStage(t)
			this, _ := s.packet(tt.raw)
			s.want(this, tt.want)
			switch {
			case tt.reason == flow.NotDecided && len(s.events) != 0:
				t.Errorf("records %+v", s.events)
			case tt.reason != flow.NotDecided:
				s.events[0].SrcPort = clientEnd.Port()
				s.wantRecord(tt.reason)
				if s.events[0].Decision.Verdict == flow.Allow && s.events[0].Flow.Proof != flow.ByDNS {
					t.Errorf("proof %v", s.events[0].Flow.Proof)
				}
			}
		})
	}
}

func TestWhatIsNoPacketIsDropped(t *testing.T) {
	s := newStage(t)
	whole := tcp(clientEnd, serverEnd, first, 1, flagACK, []byte("hello"))
	fragment := bytes.Clone(whole)
	fragment[6] = 0x20
	for about, raw := range map[string][]byte{
		"nothing": nil, "one byte": {0x45}, "half a packet": whole[:len(whole)-2], "half a header": whole[:30], "a fragment": fragment,
		"another transport": ip4(47, clientEnd.Addr(), serverEnd.Addr(), make([]byte, 40)), "version 5": append([]byte{0x55}, whole[1:]...),
	} {
		if this, _ := s.packet(raw); this != dropped {
			t.Errorf("%s: %s", about, this)
		}
	}
	s.wantEmpty()
}

// The way of a lawful flow in one segment costs no memory.
func TestNoAllocs(t *testing.T) {
	s := newStage(t)
	s.h.judge.Record = func(*flowlog.Event) {}
	hello := helloFor("a.example")
	out := tcp(clientEnd, serverEnd, first, 1, flagACK, hello)
	syn := tcp(serverEnd, clientEnd, 0, first, flagSYN|flagACK, nil)
	back := tcp(serverEnd, clientEnd, 1, first+uint32(len(hello)), flagACK, serverHello)
	way := func() {
		s.h.begun.answer(syn, s.h.now)
		s.h.packet(1, foreign, out)
		s.h.packet(2, foreign, back)
		if len(s.h.verdicts) != 2 || s.h.verdicts[1].mark&s.m.Released() == 0 {
			t.Fatalf("verdicts %+v", s.h.verdicts)
		}
		s.h.verdicts = s.h.verdicts[:0]
		s.h.endBatch()
		s.h.endBatch()
	}
	way()
	if n := testing.AllocsPerRun(200, way); n != 0 && countAllocs {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHello(b *testing.B) {
	s := newStage(b)
	s.h.judge.Record = func(*flowlog.Event) {}
	hello := helloFor("a.example")
	out := tcp(clientEnd, serverEnd, first, 1, flagACK, hello)
	back := tcp(serverEnd, clientEnd, 1, first+uint32(len(hello)), flagACK, serverHello)
	b.ReportAllocs()
	for b.Loop() {
		s.h.packet(1, foreign, out)
		s.h.packet(2, foreign, back)
		s.h.verdicts = s.h.verdicts[:0]
		s.h.endBatch()
	}
}

// FuzzHold states: no packet makes the hold panic, each has at most one verdict,
// all have one when time is over, and nothing is released that was not judged.
func FuzzHold(f *testing.F) {
	hello := helloFor("a.example")
	f.Add(tcp(clientEnd, serverEnd, first, 1, flagACK, hello), tcp(serverEnd, clientEnd, 1, first+uint32(len(hello)), flagACK, nil), tcp(clientEnd, serverEnd, first+5, 1, flagACK, hello))
	f.Add(tcp(clientEnd, serverEnd, first+9, 1, flagACK, hello[9:]), tcp(clientEnd, serverEnd, first, 1, flagACK, hello[:20]), udp(clientEnd, serverEnd, hello))
	f.Add(tcp(clientEnd, serverEnd, first, 1, flagACK, hello), tcp(serverEnd, clientEnd, 1, first+uint32(len(hello)), flagACK, helloRetry),
		tcp(clientEnd, serverEnd, first+uint32(len(hello)), 1, flagACK, slices.Concat(changeCipher, hello)))
	f.Add(tcp(serverEnd, clientEnd, 0, first, flagSYN|flagACK, nil), tcp(clientEnd, serverEnd, first-9, 1, flagACK, hello), tcp(clientEnd, serverEnd, first, 1, flagACK, hello))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		s := newStage(t)
		verdicts := make(map[uint32]bool)
		for i, raw := range [][]byte{a, b, c, a, c, b} {
			s.h.begun.answer(raw, s.h.now) // no other packet is one
			s.h.packet(uint32(i), foreign, raw)
		}
		s.h.now = s.h.now.Add(helloTime)
		s.h.expire()
		for _, v := range s.h.verdicts {
			if verdicts[v.id] {
				t.Fatalf("packet %d has two verdicts", v.id)
			}
			verdicts[v.id] = true
		}
		if len(verdicts) != 6 {
			t.Fatalf("%d packets of 6 have a verdict", len(verdicts))
		}
		for key, held := range s.h.flows {
			if !held.pending {
				t.Fatalf("%v is still held", key)
			}
		}
	})
}
