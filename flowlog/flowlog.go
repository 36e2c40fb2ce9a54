// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package flowlog writes what happened to flows as JSON lines: a decision when
// a flow is judged and a close when it ends. Writing never blocks whoever
// reports: events pass through a bounded queue, and what finds no room is
// counted.
package flowlog

import (
	"bytes"
	"encoding/json"
	"io"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/program"
)

// Schemas of the two records.
const (
	DecisionSchema = "sallyport.decision/1"
	CloseSchema    = "sallyport.close/1"
)

// Event is a decision as the packet path reports it. It holds its name by value
// so that reporting does not allocate.
type Event struct {
	At       time.Time
	Flow     flow.Flow // Name is not looked at when NameLen is set
	SrcPort  uint16
	Decision flow.Decision
	Path     string // what decided: "kernel", "hello", "proxy", "resolver"
	Detail   string // one short line for people, or ""
	Refused  bool   // what is denied did not pass, although the log is of audit mode

	NameBytes [dnsname.MaxName + 2]byte
	NameLen   uint8
}

// SetName notes the name as it was seen on the wire, cut to what a name can be.
func (e *Event) SetName(b []byte) { e.NameLen = uint8(copy(e.NameBytes[:], b)) }

// Decision is the record of a decision.
type Decision struct {
	Schema   string          `json:"schema"`
	Time     time.Time       `json:"time"`
	Flow     string          `json:"flow"` // joins the close record to this one
	Verdict  flow.Verdict    `json:"verdict"`
	Enforced *bool           `json:"enforced,omitempty"` // false where what is denied passed all the same, in audit mode; else absent
	Reason   flow.Reason     `json:"reason"`
	Text     string          `json:"text"` // the reason as a clause
	Rule     flow.RuleID     `json:"rule,omitempty"`
	Name     string          `json:"name,omitempty"`
	Proof    flow.Proof      `json:"proof"`
	Source   string          `json:"source,omitempty"`      // address:port
	Dest     string          `json:"destination,omitempty"` // address:port
	Protocol string          `json:"protocol"`
	Path     string          `json:"path"`
	Detail   string          `json:"detail,omitempty"`
	Allow    *program.Change `json:"wouldAllow,omitempty"` // the smallest rule that would have allowed it
	AllowYML string          `json:"wouldAllowYAML,omitempty"`
}

// Close is the record of the end of a flow that was allowed.
type Close struct {
	Schema   string      `json:"schema"`
	Time     time.Time   `json:"time"`
	Flow     string      `json:"flow"`
	Rule     flow.RuleID `json:"rule,omitempty"`
	Source   string      `json:"source"`
	Dest     string      `json:"destination"`
	Protocol string      `json:"protocol"`
	// Counted reports whether the kernel counted bytes and packets of this flow;
	// without it they are 0.
	Counted   bool    `json:"counted"`
	BytesOut  uint64  `json:"bytesOut"`
	BytesIn   uint64  `json:"bytesIn"`
	PacketOut uint64  `json:"packetsOut"`
	PacketIn  uint64  `json:"packetsIn"`
	Seconds   float64 `json:"seconds"` // from the decision to the last packet, as far as the kernel tells
}

// Tuple names a flow on the wire, from the client's side.
type Tuple struct {
	Transport flow.Transport
	Src, Dst  netip.AddrPort
}

// Closed is the end of a flow as conntrack reports it.
type Closed struct {
	At       time.Time
	Still    time.Duration // how long nothing had moved on it by then
	Tuple    Tuple
	Counted  bool
	BytesOut uint64
	BytesIn  uint64
	PktsOut  uint64
	PktsIn   uint64
}

// Log writes records. Decide and End may be called from anywhere; Run writes.
type Log struct {
	Audit bool // what is denied passes, but for events that say otherwise; set before the first event

	rules   func() *program.Program // current rules, for what would have allowed a flow
	prefix  string                  // makes flow ids unique across restarts
	in      chan any                // Event by pointer from the pool, Closed by value
	pool    sync.Pool
	dropped atomic.Uint64
	counts  counts

	flows *Flows // that are open

	// Only Run touches these.
	seq   uint64
	names map[string]dnsname.Name // seen lately, so that flows share them
}

// queueLen is how many events may wait to be written.
const queueLen = 16384

// New returns a log whose flow ids begin with the given prefix, and which keeps
// the flows that are open in flows.
func New(prefix string, rules func() *program.Program, flows *Flows) *Log {
	return &Log{
		rules: rules, prefix: prefix, in: make(chan any, queueLen), flows: flows,
		names: make(map[string]dnsname.Name),
		pool:  sync.Pool{New: func() any { return new(Event) }},
	}
}

// Decide reports a decision. It does not block, and keeps nothing of e.
func (l *Log) Decide(e *Event) {
	c := l.pool.Get().(*Event)
	*c = *e
	select {
	case l.in <- c:
	default:
		l.pool.Put(c)
		l.dropped.Add(1)
	}
}

// End reports that a flow has ended. It does not block.
func (l *Log) End(c Closed) {
	select {
	case l.in <- c:
	default:
		l.dropped.Add(1)
	}
}

// Dropped returns how many records were lost: there was no room, or they could
// not be written.
func (l *Log) Dropped() uint64 { return l.dropped.Load() }

// How records are gathered: what comes within gatherTime of the first one is
// written with one system call, as long as it is no more than gatherBytes.
const (
	gatherTime  = 5 * time.Millisecond
	gatherBytes = 64 << 10
)

// Run writes records to w until done is closed, then what still waits. A record
// that w does not take is lost and counted, and the flows go on; the first error
// of w is returned at the end.
func (l *Log) Run(done <-chan struct{}, w io.Writer) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf) // not w itself: it would never write again after an error
	enc.SetEscapeHTML(false)
	out := lines{w: w, lost: &l.dropped}
	add := func(e any) {
		if r := l.record(e); r != nil {
			if err := enc.Encode(r); err != nil {
				l.dropped.Add(1)
			}
		}
		if buf.Len() >= gatherBytes {
			out.write(buf.Bytes())
			buf.Reset()
		}
	}
	for running := true; running; {
		select {
		case e := <-l.in:
			add(e)
			select {
			case <-time.After(gatherTime):
			case <-done:
			}
		case <-done:
			running = false
		}
		for waits := true; waits; {
			select {
			case e := <-l.in:
				add(e)
			default:
				waits = false
			}
		}
		out.write(buf.Bytes())
		buf.Reset()
		l.flows.flush()
	}
	return out.err
}

// lines writes lines. One that is not taken is lost, and the next ones are
// tried.
type lines struct {
	w    io.Writer
	lost *atomic.Uint64
	cut  bool // the last line has no end
	err  error
}

func (o *lines) write(b []byte) {
	for len(b) > 0 {
		if o.cut {
			b = append([]byte{'\n'}, b...)
		}
		n, err := o.w.Write(b)
		if err == nil {
			o.cut = false
			return
		}
		if o.err == nil {
			o.err = err
		}
		o.lost.Add(1)
		switch {
		case n > 0:
			begin := bytes.LastIndexByte(b[:n], '\n') + 1 // of the line that was cut
			o.cut = n > begin
			b = b[begin:]
		case o.cut:
			b = b[1:]
		}
		b = b[bytes.IndexByte(b, '\n')+1:]
	}
}

// record turns what was reported into what is written, nil for nothing.
func (l *Log) record(in any) any {
	switch e := in.(type) {
	case *Event:
		r := l.decision(e)
		l.pool.Put(e)
		return r
	case Closed:
		return l.closed(e)
	}
	return nil
}

func (l *Log) decision(e *Event) Decision {
	l.seq++
	l.counts.add(Kind{e.Decision.Verdict, e.Decision.Reason, e.Decision.Rule, e.Path})
	f := e.Flow
	if e.NameLen > 0 {
		f.Name = l.name(e.NameBytes[:e.NameLen])
	}
	r := Decision{
		Schema: DecisionSchema, Time: e.At.UTC(), Flow: l.prefix + "-" + strconv.FormatUint(l.seq, 36),
		Verdict: e.Decision.Verdict, Reason: e.Decision.Reason, Text: e.Decision.Explain(f.Proof), Rule: e.Decision.Rule,
		Name: f.Name.String(), Proof: f.Proof, Protocol: f.Protocol().String(), Path: e.Path, Detail: e.Detail,
	}
	if r.Name == "" && e.NameLen > 0 {
		r.Name = strconv.QuoteToASCII(string(e.NameBytes[:e.NameLen]))
	}
	if e.Path == "resolver" {
		r.Protocol = "dns" // f has what it would most likely have become
	}
	if f.Src.IsValid() {
		r.Source = addrPort(f.Src, e.SrcPort)
	}
	if f.Dst.IsValid() {
		r.Dest = addrPort(f.Dst, f.Port)
	}
	if e.Decision.Verdict == flow.Deny {
		if l.Audit && !e.Refused {
			r.Enforced = new(bool)
		}
		if p := l.rules(); p != nil {
			if c, ok := p.Suggest(f, e.Decision); ok {
				r.Allow, r.AllowYML = &c, c.YAML()
			}
		}
	} else if f.Src.IsValid() && f.Dst.IsValid() {
		t := Tuple{f.Transport, netip.AddrPortFrom(f.Src, e.SrcPort), netip.AddrPortFrom(f.Dst, f.Port)}
		l.flows.add(t, Open{r.Flow, r.Rule, e.At, f.App, f.Name, f.Proof})
	}
	return r
}

// maxNames bounds how many names are kept to be shared.
const maxNames = 4096

// name reads a name as it was seen, zero when it is none.
func (l *Log) name(b []byte) dnsname.Name {
	if n, known := l.names[string(b)]; known {
		return n
	}
	n, _ := dnsname.Parse(string(b))
	if len(l.names) >= maxNames {
		clear(l.names)
	}
	l.names[string(b)] = n
	return n
}

// addrPort writes address and port, or the address alone when there is no port.
func addrPort(a netip.Addr, port uint16) string {
	if port == 0 {
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}

func (l *Log) closed(c Closed) any {
	o, ok := l.flows.end(c.Tuple)
	if !ok {
		return nil
	}
	return Close{
		Schema: CloseSchema, Time: c.At.UTC(), Flow: o.ID, Rule: o.Rule,
		Source: c.Tuple.Src.String(), Dest: c.Tuple.Dst.String(), Protocol: c.Tuple.Transport.String(),
		Counted: c.Counted, BytesOut: c.BytesOut, BytesIn: c.BytesIn, PacketOut: c.PktsOut, PacketIn: c.PktsIn,
		Seconds: max(0, c.At.Add(-c.Still).Sub(o.At).Seconds()),
	}
}
