// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package echprobe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/netset"
)

var (
	source   = netip.MustParseAddr("10.240.0.4")
	neighbor = netip.MustParseAddr("10.240.0.5")
	server1  = netip.MustParseAddrPort("20.0.0.1:443")
	own      = netip.MustParseAddr("10.1.0.4")
	name     = []byte("a.example")
	parsed   = dnsname.MustParse("a.example")
)

// noECH is what upstreams say of most names.
func noECH(context.Context, dnsname.Name) (bool, error) { return false, nil }

func noOwn() netset.Set { return netset.OfAddrs(own) }

// proberAt returns a prober whose connections all lead to a real server.
func proberAt(t *testing.T, s *served, published func(context.Context, dnsname.Name) (bool, error)) *Prober {
	t.Helper()
	p := New(Config{Published: published, Own: noOwn, Dial: s.dial})
	t.Cleanup(p.Close)
	return p
}

// hanging returns a prober whose connections never come about, and how many were
// tried.
func hanging(t *testing.T) (*Prober, *atomic.Int64) {
	t.Helper()
	dialled := new(atomic.Int64)
	p := New(Config{Published: noECH, Own: noOwn, Dial: func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
		dialled.Add(1)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	t.Cleanup(p.Close)
	return p, dialled
}

func TestServersSayWhetherTheyKnowECH(t *testing.T) {
	for about, tt := range map[string]struct {
		server    *served
		published func(context.Context, dnsname.Name) (bool, error)
		want      Answer
		why       string // part of what is said of it
	}{
		"without keys":                                       {server: &served{}, want: Ignored},
		"without keys, asks for a certificate":               {server: &served{askCert: true}, want: Ignored},
		"without keys, answers with another group":           {server: &served{otherGroup: true}, want: Ignored},
		"with keys that it tells":                            {server: &served{keys: true, retry: true}, want: Known, why: "its server has keys"},
		"with keys that the record tells":                    {server: &served{keys: true}, published: func(context.Context, dnsname.Name) (bool, error) { return true, nil }, want: Known, why: "the HTTPS record of its name has keys"},
		"with keys that nobody tells, in breach of RFC 9849": {server: &served{keys: true}, want: Ignored},
		"without keys, and no record to be had": {server: &served{}, published: func(context.Context, dnsname.Name) (bool, error) {
			return false, errors.New("upstream 10.0.0.1:53: down\nagain")
		}, want: Known, why: "HTTPS record has keys for what is hidden: upstream 10.0.0.1:53: down; again"},
		"TLS 1.2 alone":            {server: &served{only12: true}, want: Ignored},
		"TLS 1.2 from before 1.3":  {server: &served{only12: true, resets13: true}, want: Ignored},
		"resets every hello":       {server: &served{resets: true}, want: Known, why: "20.0.0.1:443, does not tell"},
		"answers something else":   {server: &served{says: "HTTP/1.1 400 Bad Request\r\n\r\n"}, want: Known, why: "first record does not look like a TLS handshake"},
		"knows the name by itself": {server: &served{refuses: true}, want: Known, why: "does not tell"},
	} {
		t.Run(about, func(t *testing.T) {
			if tt.published == nil {
				tt.published = noECH
			}
			tt.server.start(t)
			p := proberAt(t, tt.server, tt.published)
			if got, _ := p.Ask(source, server1, name); got != Asking {
				t.Errorf("the first answer is %v", got)
			}
			got, why := p.Wait(t.Context(), source, server1, parsed)
			if got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if tt.why == "" && why != "" || !strings.Contains(why, tt.why) || strings.Contains(why, "\n") {
				t.Errorf("it says %q, want something with %q", why, tt.why)
			}
			if c := p.Counts(); c.Ignored+c.Known+c.Failed != 1 || (c.Ignored == 1) != (tt.want == Ignored) {
				t.Errorf("counts %+v", c)
			}
		})
	}
}

func TestAServerThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, dialled := hanging(t)
		begin := time.Now()
		if got, _ := p.Wait(t.Context(), source, server1, parsed); got != Known || time.Since(begin) != probeTime {
			t.Errorf("got %v after %v", got, time.Since(begin))
		}
		// Not again at once, and then once more.
		time.Sleep(failedTime - time.Millisecond)
		if got, _ := p.Ask(source, server1, name); got != Known {
			t.Errorf("got %v", got)
		}
		n := dialled.Load()
		time.Sleep(time.Millisecond)
		if got, _ := p.Ask(source, server1, name); got != Asking {
			t.Errorf("got %v", got)
		}
		synctest.Wait()
		if dialled.Load() == n {
			t.Error("nobody was asked again")
		}
		p.Close()
	})
}

func TestWhoWaitsIsToldWhenTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := hanging(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got, _ := p.Wait(ctx, source, server1, parsed); got != Known {
			t.Errorf("got %v", got)
		}
		p.Close()
	})
}

// No source takes all the probes, and whoever finds no room is served when there is.
func TestProbesAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, dialled := hanging(t)
		at := func(i int) netip.AddrPort { return netip.AddrPortFrom(server1.Addr(), uint16(1000+i)) }
		for i := range 10 {
			if got, _ := p.Ask(source, at(i), name); got != Asking {
				t.Errorf("got %v", got)
			}
		}
		synctest.Wait()
		if n := dialled.Load(); n != maxPerSource {
			t.Errorf("%d servers are asked for one source", n)
		}
		for i, a := 0, neighbor; i < 40; i, a = i+1, a.Next() {
			p.Ask(a, at(100+i), name)
		}
		synctest.Wait()
		if n := dialled.Load(); n != maxProbes {
			t.Errorf("%d servers are asked at once", n)
		}
		if got, _ := p.Wait(t.Context(), source, at(9), parsed); got != Known {
			t.Errorf("got %v", got)
		}
		p.Close()
		if len(p.bySource) != 0 || p.probes != 0 {
			t.Errorf("left: %v, %d", p.bySource, p.probes)
		}
	})
}

func TestAnswersAreKeptForAWhileAndNotTooMany(t *testing.T) {
	s := &served{}
	s.start(t)
	p := proberAt(t, s, noECH)
	now := time.Unix(1_800_000_000, 0)
	p.cfg.Now = func() time.Time { return now }
	if got, _ := p.Wait(t.Context(), source, server1, parsed); got != Ignored {
		t.Fatalf("got %v", got)
	}
	for about, tt := range map[string]struct {
		to   netip.AddrPort
		name string
	}{
		"another port":    {netip.AddrPortFrom(server1.Addr(), 444), "a.example"},
		"another address": {netip.MustParseAddrPort("20.0.0.2:443"), "a.example"},
		"another name":    {server1, "b.example"},
	} {
		if got, _ := p.Ask(neighbor, tt.to, []byte(tt.name)); got != Asking {
			t.Errorf("%s: got %v", about, got)
		}
		p.Wait(t.Context(), source, tt.to, dnsname.MustParse(tt.name))
	}
	now = now.Add(answerTime - time.Second)
	if got, _ := p.Ask(source, server1, name); got != Ignored {
		t.Errorf("before its time is over: %v", got)
	}
	now = now.Add(time.Second)
	if got, _ := p.Ask(source, server1, name); got != Asking {
		t.Errorf("when its time is over: %v", got)
	}
	p.Wait(t.Context(), source, server1, parsed)

	p.mu.Lock()
	for i := range maxAnswers { // as if as many had been asked since
		n := server{server1, fmt.Sprintf("x%d.example", i)}
		p.makeRoom()
		p.answers[n] = &finding{answer: Ignored, expires: now.Add(time.Hour), age: p.byAge.PushBack(n)}
	}
	n := len(p.answers)
	p.mu.Unlock()
	if n > maxAnswers {
		t.Errorf("%d answers are kept", n)
	}
	if got, _ := p.Ask(source, server1, name); got != Asking {
		t.Errorf("the oldest is still there: %v", got)
	}
}

func TestNobodyIsAskedInVain(t *testing.T) {
	p, dialled := hanging(t)
	for about, tt := range map[string]struct {
		to   netip.AddrPort
		name string
	}{
		"the gateway itself": {netip.AddrPortFrom(own, 443), "a.example"},
		"no name":            {server1, ""},
		"no host name":       {server1, "a b"},
	} {
		if got, _ := p.Ask(source, tt.to, []byte(tt.name)); got != Known {
			t.Errorf("%s: got %v", about, got)
		}
	}
	p.Close()
	if got, _ := p.Ask(source, server1, name); got != Known {
		t.Errorf("when it is closed: %v", got)
	}
	if n := dialled.Load(); n != 0 {
		t.Errorf("%d were asked", n)
	}
}

func TestNoAllocsForWhatIsKnown(t *testing.T) {
	s := &served{}
	s.start(t)
	p := proberAt(t, s, noECH)
	p.Wait(t.Context(), source, server1, parsed)
	if n := testing.AllocsPerRun(100, func() {
		if got, _ := p.Ask(source, server1, name); got != Ignored {
			t.Error("not known")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
