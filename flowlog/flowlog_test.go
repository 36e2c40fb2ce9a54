// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package flowlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
)

var at = time.Date(2026, 7, 1, 12, 0, 0, 0, time.FixedZone("elsewhere", 3600))

func aProgram() *program.Program {
	return &program.Program{Groups: []program.Group{{Name: "nodes", Set: netset.Of(netip.MustParsePrefix("10.240.0.0/24")), Visible: true}}}
}

func event(verdict flow.Verdict, reason flow.Reason, srcPort uint16) *Event {
	return &Event{
		At: at, SrcPort: srcPort, Path: "hello", Decision: flow.Decision{Verdict: verdict, Reason: reason, Rule: "a"},
		Flow: flow.Flow{
			Src: netip.MustParseAddr("10.240.0.4"), Dst: netip.MustParseAddr("20.0.0.1"), Port: 443,
			Transport: flow.TCP, App: flow.TLS, Proof: flow.BySNI, Name: dnsname.MustParse("a.example"),
		},
	}
}

func end(srcPort uint16) Closed {
	return Closed{
		At: at.Add(90 * time.Second), Counted: true, BytesOut: 10, BytesIn: 20, PktsOut: 1, PktsIn: 2,
		Tuple: Tuple{flow.TCP, netip.AddrPortFrom(netip.MustParseAddr("10.240.0.4"), srcPort), netip.MustParseAddrPort("20.0.0.1:443")},
	}
}

// write runs the log over what was reported and returns its lines.
func write(t *testing.T, l *Log) (records []map[string]any) {
	t.Helper()
	done := make(chan struct{})
	close(done)
	var out bytes.Buffer
	if err := l.Run(done, &out); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		records = append(records, r)
	}
	return records
}

// A denial that has passed says so, and no other record says anything about it.
func TestAuditMarksWhatHasPassed(t *testing.T) {
	for _, audit := range []bool{false, true} {
		l := New("run1", aProgram, NewFlows())
		l.Audit = audit
		l.Decide(event(flow.Allow, flow.RuleMatched, 1000))
		l.Decide(event(flow.Deny, flow.NameNotAllowed, 1001))
		refused := event(flow.Deny, flow.OutOfState, 1002)
		refused.Refused = true
		l.Decide(refused)
		for i, r := range write(t, l) {
			got, said := r["enforced"]
			if want := audit && i == 1; said != want || said && got != false {
				t.Errorf("audit %t: record %d says %v", audit, i, got)
			}
		}
	}
}

func TestADecisionAndItsCloseAreJoined(t *testing.T) {
	l := New("run1", aProgram, NewFlows())
	l.Decide(event(flow.Allow, flow.RuleMatched, 1000))
	l.Decide(event(flow.Allow, flow.RuleMatched, 1001))
	l.End(end(1001))
	l.End(end(1001)) // known no more
	l.End(end(1000))
	l.End(end(4711)) // never known
	got := write(t, l)
	if len(got) != 4 {
		t.Fatalf("%d records: %v", len(got), got)
	}
	for i, want := range map[int]map[string]any{
		0: {"schema": "sallyport.decision/1", "flow": "run1-1", "verdict": "allow", "reason": "rule-matched", "rule": "a", "name": "a.example",
			"proof": "sni+bound", "source": "10.240.0.4:1000", "destination": "20.0.0.1:443", "protocol": "https", "path": "hello", "time": "2026-07-01T11:00:00Z"},
		2: {"schema": "sallyport.close/1", "flow": "run1-2", "rule": "a", "bytesOut": 10.0, "bytesIn": 20.0, "packetsOut": 1.0, "packetsIn": 2.0,
			"counted": true, "seconds": 90.0, "source": "10.240.0.4:1001", "time": "2026-07-01T11:01:30Z"},
		3: {"schema": "sallyport.close/1", "flow": "run1-1"},
	} {
		for key, v := range want {
			if got[i][key] != v {
				t.Errorf("record %d: %s is %v, want %v", i, key, got[i][key], v)
			}
		}
	}
	if got[0]["wouldAllow"] != nil {
		t.Errorf("an allowed flow has a suggestion: %v", got[0])
	}
}

func TestADenialSaysWhatWouldHaveAllowedIt(t *testing.T) {
	l := New("x", aProgram, NewFlows())
	l.Decide(event(flow.Deny, flow.NameNotAllowed, 1000))
	l.Decide(event(flow.Deny, flow.EncryptedHello, 1000))
	l.End(end(1000)) // a denied flow has no end
	got := write(t, l)
	if len(got) != 2 || got[0]["wouldAllowYAML"] != "- {name: a.example, ports: [https/443], sources: [nodes], reason: why}" {
		t.Fatalf("got %v", got)
	}
	if got[0]["text"] != "no rule knows this name" || got[1]["wouldAllow"] != nil {
		t.Errorf("got %v", got)
	}
}

func TestNamesAsTheyWereSeen(t *testing.T) {
	for sent, want := range map[string]string{
		"b.example":              "b.example",
		"B.Example.":             "b.example",
		"not a name":             `"not a name"`,
		"\x00\xff<script>\n":     `"\x00\xff<script>\n"`,
		strings.Repeat("a", 400): `"` + strings.Repeat("a", 255) + `"`,
	} {
		l := New("x", func() *program.Program { return nil }, NewFlows())
		e := event(flow.Deny, flow.InvalidName, 1)
		e.SetName([]byte(sent))
		l.Decide(e)
		if got := write(t, l)[0]["name"]; got != want {
			t.Errorf("%q: %q, want %q", sent, got, want)
		}
	}
}

func TestAFullQueueDropsAndDoesNotBlock(t *testing.T) {
	l := New("x", aProgram, NewFlows())
	e := event(flow.Deny, flow.NameNotAllowed, 1)
	begin := time.Now()
	for range queueLen + 100 {
		l.Decide(e)
	}
	l.End(end(1))
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if l.Dropped() != 101 {
		t.Errorf("%d dropped, want 101", l.Dropped())
	}
	if got := write(t, l); len(got) != queueLen {
		t.Errorf("%d written", len(got))
	}
}

// An end that is never reported must not cost a later flow its close record.
func TestForgottenEndsMakeRoom(t *testing.T) {
	l := New("x", aProgram, NewFlows())
	for i := range maxOpen + 10 {
		e := event(flow.Allow, flow.RuleMatched, uint16(i))
		e.Flow.Src = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		l.record(&Event{At: e.At, Flow: e.Flow, SrcPort: e.SrcPort, Decision: e.Decision})
	}
	if l.flows.Len() != maxOpen {
		t.Errorf("%d open", l.flows.Len())
	}
	l.Decide(event(flow.Allow, flow.RuleMatched, 1000))
	l.End(end(1000))
	if got := write(t, l); len(got) != 2 {
		t.Errorf("got %v", got)
	}
}

// tightDisk takes so many bytes, then none, until it is emptied.
type tightDisk struct {
	bytes.Buffer
	room int
}

func (d *tightDisk) Write(b []byte) (int, error) {
	n := min(len(b), d.room)
	d.room -= n
	d.Buffer.Write(b[:n])
	if n < len(b) {
		d.room = 1 << 20 // somebody makes room
		return n, errors.New("disk full")
	}
	return n, nil
}

// A full disk costs the records it has no room for and no others.
func TestAFullDiskIsReportedOnceAndStopsNothing(t *testing.T) {
	for _, room := range []int{0, 1, 100} {
		l := New("x", aProgram, NewFlows())
		for range 3 {
			l.Decide(event(flow.Deny, flow.NameNotAllowed, 1))
		}
		done := make(chan struct{})
		close(done)
		d := &tightDisk{room: room}
		if err := l.Run(done, d); err == nil || err.Error() != "disk full" || l.Dropped() != 1 {
			t.Errorf("got %v, %d lost", err, l.Dropped())
		}
		whole := 0
		for line := range strings.Lines(d.String()) {
			if json.Valid([]byte(line)) && len(line) > 1 {
				whole++
			}
		}
		if whole != 2 {
			t.Errorf("with room for %d bytes: %d whole lines of %q", room, whole, d.String())
		}
	}
}

func TestNoAllocs(t *testing.T) {
	l := New("x", aProgram, NewFlows())
	e := event(flow.Deny, flow.NameNotAllowed, 1)
	l.Decide(e)
	if n := testing.AllocsPerRun(100, func() {
		l.Decide(e)
		c := (<-l.in).(*Event)
		l.pool.Put(c)
	}); n != 0 {
		t.Errorf("Decide allocates %v times", n)
	}
}
