// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package flowlog

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/internal/linefile"
)

// Open is a flow that was allowed and has not ended, with what allowed it: so
// much that other rules can be asked about it.
type Open struct {
	ID    string // of its records
	Rule  flow.RuleID
	At    time.Time
	App   flow.App
	Name  dnsname.Name // zero when the address decided
	Proof flow.Proof
}

// Flow returns the flow as a judge sees it.
func (o Open) Flow(t Tuple) flow.Flow {
	return flow.Flow{
		Src: t.Src.Addr(), Dst: t.Dst.Addr(), Port: t.Dst.Port(), Transport: t.Transport,
		App: o.App, Name: o.Name, Proof: o.Proof,
	}
}

// Flows remembers open flows, in a file too when it has one, so that a process
// that was killed knows whose flows still run. It is safe for concurrent use.
type Flows struct {
	mu    sync.Mutex
	open  map[Tuple]Open
	older map[Tuple]*older // what open had before, whose end is still to be told
	file  *linefile.File   // nil: none
	buf   []byte           // lines that are not in the file yet
	lines int              // in the file
	// expireAt is how many there may be in older before they are looked through.
	expireAt int
	err      error // the first of the file since it was last asked for
}

// older is a flow in whose place another one was allowed: its ports were used again.
type older struct {
	open Open
	at   time.Time // when
	next *older    // allowed behind it
}

// endTime is how long the end of a flow may be on its way behind the decision about
// the next one on its ports. Behind the end of that one the kernel waits for longer,
// as by nf_conntrack_tcp_timeout_close.
const endTime = 2 * time.Second

// maxOpen bounds how many open flows are remembered; beyond it one of the
// others, whichever, is forgotten: it closes without a record, and does not
// outlive a change of the rules. An end that was never reported must not keep a
// place for good.
const maxOpen = 200_000

// rewriteAt is how many lines beyond those that are needed a file may have.
const rewriteAt = 50_000

// NewFlows returns an empty table without a file.
func NewFlows() *Flows { return &Flows{open: make(map[Tuple]Open), older: make(map[Tuple]*older)} }

// OpenFlows reads the flows of path and opens it for more. A file that does not
// exist is an empty one. Lines that cannot be read are left out and counted.
func OpenFlows(path string) (f *Flows, unreadable int, err error) {
	f = NewFlows()
	f.file, unreadable, err = linefile.Open(path, func(line []byte) bool {
		t, o, ended, ok := parseLine(string(line))
		switch {
		case !ok:
		case ended:
			delete(f.open, t)
		case len(f.open) < maxOpen:
			f.open[t] = o
		}
		return ok
	})
	if err != nil {
		return nil, 0, err
	}
	return f, unreadable, f.rewrite()
}

// Find returns what allowed a flow.
func (f *Flows) Find(t Tuple) (Open, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o, ok := f.open[t]
	return o, ok
}

// Len returns how many flows are open.
func (f *Flows) Len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.open)
}

// Keep forgets every flow that is not one of those given: the kernel knows which
// have ended while nobody listened.
func (f *Flows) Keep(running []Tuple) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := make(map[Tuple]Open, len(running))
	for _, t := range running {
		if o, ok := f.open[t]; ok {
			kept[t] = o
		}
	}
	f.open = kept
	clear(f.older)
	return f.rewrite()
}

// add and end note a flow; what the file has of it waits for flush.
func (f *Flows) add(t Tuple, o Open) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, known := f.open[t]
	switch {
	case known:
		f.replace(t, before)
	case len(f.open) >= maxOpen:
		for other := range f.open {
			f.forget(other)
			break
		}
	}
	f.open[t] = o
	if f.file != nil {
		f.buf = appendLine(f.buf, t, o)
	}
}

// replace notes that the end of o is still to be told, since its ports have another
// flow by now.
func (f *Flows) replace(t Tuple, o Open) {
	if len(f.older) >= maxOpen {
		clear(f.older)
	}
	last := &older{open: o, at: time.Now()}
	if first := f.ending(t); first == nil {
		f.older[t] = last
	} else {
		for ; first.next != nil; first = first.next {
		}
		first.next = last
	}
}

// ending returns the first of the flows that were replaced on these ports a moment
// ago, nil when there is none.
func (f *Flows) ending(t Tuple) *older {
	x := f.older[t]
	for x != nil && time.Since(x.at) > endTime {
		x = x.next
	}
	f.endsNext(t, x)
	return x
}

func (f *Flows) endsNext(t Tuple, x *older) {
	if x == nil {
		delete(f.older, t)
	} else {
		f.older[t] = x
	}
}

// end takes out the flow whose end the kernel tells: of those on the same ports the
// one that was allowed first.
func (f *Flows) end(t Tuple) (Open, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if x := f.ending(t); x != nil {
		f.endsNext(t, x.next)
		return x.open, true
	}
	o, ok := f.open[t]
	if ok {
		f.forget(t)
	}
	return o, ok
}

func (f *Flows) forget(t Tuple) {
	delete(f.open, t)
	if f.file != nil {
		f.buf = append(appendTuple(append(f.buf, '-', ' '), t), '\n')
	}
}

// flush writes what waits, with one system call.
func (f *Flows) flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.expire()
	if f.file == nil || len(f.buf) == 0 {
		return
	}
	f.lines += bytes.Count(f.buf, []byte{'\n'})
	err := f.file.Append(f.buf)
	f.buf = f.buf[:0]
	if err == nil && f.lines > len(f.open)+rewriteAt {
		err = f.rewrite()
	}
	if err != nil && f.err == nil {
		f.err = err
	}
}

// expire forgets those that were replaced and whose end nobody has told, when there
// are many.
func (f *Flows) expire() {
	if len(f.older) < f.expireAt {
		return
	}
	for t := range f.older {
		f.ending(t)
	}
	f.expireAt = max(1024, 2*len(f.older))
}

// Err returns the first error of the file since the last call.
func (f *Flows) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.err
	f.err = nil
	return err
}

// rewrite replaces the file by what is open, in one step.
func (f *Flows) rewrite() error {
	if f.file == nil {
		return nil
	}
	var lines []byte
	for t, o := range f.open {
		lines = appendLine(lines, t, o)
	}
	if err := f.file.Replace(lines); err != nil {
		return err
	}
	f.lines, f.buf = len(f.open), f.buf[:0]
	return nil
}

// Close closes the file.
func (f *Flows) Close() error {
	f.flush()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// A line is "+ tcp src dst app proof name rule milliseconds id", or "- tcp src dst".
func appendLine(b []byte, t Tuple, o Open) []byte {
	b = appendTuple(append(b, '+', ' '), t)
	name := "-"
	if !o.Name.IsZero() {
		name = o.Name.String()
	}
	b = append(b, ' ')
	b = strconv.AppendUint(b, uint64(o.App), 10)
	b = append(b, ' ')
	b = strconv.AppendUint(b, uint64(o.Proof), 10)
	b = append(append(b, ' '), name...)
	b = append(b, ' ')
	b = strconv.AppendQuoteToASCII(b, string(o.Rule))
	b = append(b, ' ')
	b = strconv.AppendInt(b, o.At.UnixMilli(), 10)
	return append(append(append(b, ' '), o.ID...), '\n')
}

func appendTuple(b []byte, t Tuple) []byte {
	b = strconv.AppendUint(b, uint64(t.Transport), 10)
	b = t.Src.AppendTo(append(b, ' '))
	return t.Dst.AppendTo(append(b, ' '))
}

func parseLine(line string) (t Tuple, o Open, ended, ok bool) {
	fields := strings.Split(line, " ")
	if len(fields) < 4 {
		return t, o, false, false
	}
	number := func(s string) uint8 {
		n, err := strconv.ParseUint(s, 10, 8)
		ok = ok && err == nil
		return uint8(n)
	}
	ok = true
	t.Transport = flow.Transport(number(fields[1]))
	var err1, err2 error
	t.Src, err1 = netip.ParseAddrPort(fields[2])
	t.Dst, err2 = netip.ParseAddrPort(fields[3])
	ok = ok && err1 == nil && err2 == nil
	switch {
	case fields[0] == "-" && len(fields) == 4:
		return t, o, true, ok
	case fields[0] != "+" || len(fields) != 10:
		return t, o, false, false
	}
	o.App, o.Proof = flow.App(number(fields[4])), flow.Proof(number(fields[5]))
	if fields[6] != "-" {
		o.Name, err1 = dnsname.Parse(fields[6])
		ok = ok && err1 == nil
	}
	rule, err := strconv.Unquote(fields[7])
	ms, err2 := strconv.ParseInt(fields[8], 10, 64)
	o.Rule, o.At, o.ID = flow.RuleID(rule), time.UnixMilli(ms).UTC(), fields[9]
	return t, o, false, ok && err == nil && err2 == nil
}
