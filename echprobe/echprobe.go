// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package echprobe finds out what an encrypted_client_hello means to a server.
// By its bytes GREASE is like the real thing (RFC 9849 section 6.2); but to a
// server without keys for it every such extension is without effect, and a server
// that has keys says so to whoever does not (section 7.1). So the server is asked,
// with a connection of our own. It keeps answers for a while, and decides nothing.
package echprobe

import (
	"container/list"
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/netset"
)

// Answer is what is known of a server, at an address and a port and by a name.
type Answer uint8

// Answers. The zero value is the one that lets least through.
const (
	Known   Answer = iota // it has keys, or nobody can tell: a hello may hide another name from us
	Asking                // not found out yet
	Ignored               // it has none: no hello hides anything
)

// Limits.
const (
	maxAnswers   = 4096
	answerTime   = 10 * time.Minute
	failedTime   = 5 * time.Second // how long it is not tried again when nobody could tell
	maxProbes    = 16              // under way
	maxPerSource = 2               // of those, because of one source's hellos
	probeTime    = 2 * time.Second
)

// Config is what a Prober works with.
type Config struct {
	// Published asks whether the name's own HTTPS record has keys: some servers
	// are made not to tell theirs to whoever has none.
	Published func(ctx context.Context, name dnsname.Name) (bool, error)
	Own       func() netset.Set                                                // never dialled
	Dial      func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) // a net.Dialer when nil
	Now       func() time.Time                                                 // time.Now when nil
}

// Counts are how many probes have ended, by what they found.
type Counts struct{ Ignored, Known, Failed uint64 }

// Prober asks servers, and remembers what they said. It is safe for concurrent
// use.
type Prober struct {
	cfg    Config
	begin  func() (context.Context, context.CancelFunc) // of one probe
	cancel context.CancelFunc                           // of all
	wg     sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	answers  map[server]*finding
	byAge    list.List // of the servers in answers that are not being asked, oldest first
	bySource map[netip.Addr]int
	probes   int           // under way
	ended    chan struct{} // closed, and replaced, when a probe ends
	counts   Counts
}

// server is whom an answer is about: who is asked by another name may be another
// one behind the same address.
type server struct {
	at   netip.AddrPort
	name string
}

// finding is an answer until it expires, or a probe under way.
type finding struct {
	answer  Answer
	why     string
	expires time.Time
	age     *list.Element // in byAge, nil while it is asked
}

// New returns a prober for cfg.
func New(cfg Config) *Prober {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Dial == nil {
		var d net.Dialer
		cfg.Dial = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", addr.String())
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Prober{
		cfg: cfg, cancel: cancel,
		begin:   func() (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, probeTime) },
		answers: make(map[server]*finding), bySource: make(map[netip.Addr]int), ended: make(chan struct{}),
	}
}

// Close ends the probes under way and waits for them. Afterwards nobody is asked
// any more.
func (p *Prober) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.wg.Wait()
}

// Counts returns them.
func (p *Prober) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts
}

// Why a hello is denied that was not asked about.
const (
	NotInTime = "its server could not be asked in time whether it has keys for what is hidden"
	Draft     = "its extension is of a draft (ESNI), and no server can be asked about it"
)

// Ask says what is known of a server, whose name is in canonical form, and when
// that is nothing, has it asked on behalf of source. It never blocks, and does not
// keep name. Where there is no room for one more probe the answer is Asking, too:
// who asks again, as long as there is time, is served when there is. With Known
// stands why, in words for whoever is denied.
func (p *Prober) Ask(source netip.Addr, to netip.AddrPort, name []byte) (a Answer, why string) {
	a, why, _ = p.ask(source, to, name)
	return a, why
}

// Wait is Ask that waits for the answer. When ctx ends first, it is Known.
func (p *Prober) Wait(ctx context.Context, source netip.Addr, to netip.AddrPort, name dnsname.Name) (a Answer, why string) {
	for {
		a, why, ended := p.ask(source, to, []byte(name.String()))
		if a != Asking {
			return a, why
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return Known, NotInTime
		}
	}
}

// ask is Ask; what it returns beside Asking is closed when it is worth asking again.
func (p *Prober) ask(source netip.Addr, to netip.AddrPort, name []byte) (a Answer, why string, again <-chan struct{}) {
	now := p.cfg.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.answers[server{to, string(name)}]
	switch {
	case f != nil && f.age == nil:
		return Asking, "", p.ended
	case f != nil && now.Before(f.expires):
		return f.answer, f.why, nil
	case p.closed:
		return Known, NotInTime, nil
	case p.probes >= maxProbes || p.bySource[source] >= maxPerSource:
		return Asking, "", p.ended
	}
	parsed, err := dnsname.Parse(string(name))
	if err != nil || p.cfg.Own().Contains(to.Addr()) {
		return Known, "its server is one that the gateway does not ask", nil
	}
	s := server{to, parsed.String()}
	if f == nil {
		p.makeRoom()
		f = new(finding)
		p.answers[s] = f
	} else {
		p.byAge.Remove(f.age)
		f.age = nil
	}
	p.probes++
	p.bySource[source]++
	p.wg.Go(func() {
		found, why := p.probe(to, parsed)
		p.end(source, s, f, found, why)
	})
	return Asking, "", p.ended
}

// makeRoom forgets the oldest answer when there are too many. The caller holds the
// lock.
func (p *Prober) makeRoom() {
	if oldest := p.byAge.Front(); oldest != nil && len(p.answers) >= maxAnswers {
		delete(p.answers, p.byAge.Remove(oldest).(server))
	}
}

// end keeps what a probe has found and tells those who wait.
func (p *Prober) end(source netip.Addr, s server, f *finding, found result, why string) {
	now := p.cfg.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	f.age = p.byAge.PushBack(s)
	f.answer, f.why, f.expires = Known, why, now.Add(answerTime)
	switch found {
	case ignored:
		f.answer = Ignored
		p.counts.Ignored++
	case known:
		p.counts.Known++
	default:
		f.expires = now.Add(failedTime)
		p.counts.Failed++
	}
	p.probes--
	if p.bySource[source]--; p.bySource[source] == 0 {
		delete(p.bySource, source)
	}
	close(p.ended)
	p.ended = make(chan struct{})
}
