// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"
)

// NameOf is the name that the questions of a load ask for, of those below apex.
func NameOf(i int, apex string) string { return fmt.Sprintf("n%d.%s", i, apex) }

// serveNames starts a name server that knows every name.
func serveNames(s Server) error {
	c, err := net.ListenPacket("udp", s.Addr.String())
	if err != nil {
		return err
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		if len(q.Question) == 1 && q.Question[0].Qtype == dns.TypeA {
			for _, a := range s.leadsTo(q.Question[0].Name) {
				m.Answer = append(m.Answer, &dns.A{
					Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 86400}, A: a.AsSlice(),
				})
			}
		}
		_ = w.WriteMsg(m)
	})
	go func() { _ = (&dns.Server{PacketConn: c, Handler: handler}).ActivateAndServe() }()
	return nil
}

// leadsTo makes up an address for each numbered name.
func (s Server) leadsTo(fqdn string) []netip.Addr {
	if addrs, ok := s.Names[fqdn[:len(fqdn)-1]]; ok {
		return addrs
	}
	i := 0
	_, _ = fmt.Sscanf(fqdn, "n%d.", &i)
	return []netip.Addr{netip.AddrFrom4([4]byte{20, byte(50 + i>>16&7), byte(i >> 8), byte(i)})}
}

// window is how many questions a client has under way.
const window = 16

// ask is a measurement of a resolver.
func ask(ctx context.Context, l Load) (Result, error) {
	var t tally
	begin := time.Now()
	var wg sync.WaitGroup
	for i := range l.Clients {
		wg.Go(func() {
			if err := l.asker(ctx, i, &t, begin.Add(l.Duration)); err != nil {
				t.failure(err)
			}
		})
	}
	wg.Wait()
	r := t.result(begin)
	r.Bytes = max(r.Bytes, r.Conns)
	return r, nil
}

// asker asks for every so manyth name, a window of them at a time.
func (l Load) asker(ctx context.Context, i int, t *tally, end time.Time) error {
	d := net.Dialer{}
	if len(l.Sources) > 0 {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(l.Sources[i%len(l.Sources)], 0))
	}
	c, err := d.Dial("udp", l.To.String())
	if err != nil {
		return err
	}
	defer c.Close()
	var questions [][]byte
	for n := i; n < l.Names; n += l.Clients {
		q, err := new(dns.Msg).SetQuestion(NameOf(n, l.Name)+".", dns.TypeA).Pack()
		if err != nil {
			return err
		}
		questions = append(questions, q)
	}
	if l.Names == 0 { // the one name
		q, err := new(dns.Msg).SetQuestion(l.Name+".", dns.TypeA).Pack()
		if err != nil {
			return err
		}
		questions = [][]byte{q}
	}
	if len(questions) == 0 {
		return errors.New("more clients than names")
	}
	p := ipv4.NewPacketConn(c.(*net.UDPConn))
	out, in := make([]ipv4.Message, window), make([]ipv4.Message, window)
	for k := range in {
		in[k].Buffers = [][]byte{make([]byte, 1500)}
		out[k].Buffers = make([][]byte, 1)
	}
	missing := questions // of those that are asked once
	for at := 0; time.Now().Before(end) && ctx.Err() == nil; {
		var asked [window][]byte
		n := 0
		for ; n < window; n++ {
			if l.Once && n == len(missing) {
				break
			}
			q := questions[at%len(questions)]
			if l.Once {
				q = missing[n]
			}
			at++
			binary.BigEndian.PutUint16(q, uint16(n)) // its place in the window
			asked[n], out[n].Buffers[0] = q, q
		}
		if n == 0 {
			return nil
		}
		good, err := l.exchange(p, out[:n], in, t)
		if err != nil {
			return err
		}
		if l.Once {
			rest := missing[n:]
			for k := range n {
				if !good[k] {
					rest = append(rest[:len(rest):len(rest)], asked[k])
				}
			}
			missing = rest
		}
	}
	if l.Once && len(missing) > 0 {
		return fmt.Errorf("%d names without an answer", len(missing))
	}
	return nil
}

// exchange sends a window of questions and waits for the answers, not for long:
// what is lost is asked for in the next round.
func (l Load) exchange(p *ipv4.PacketConn, out, in []ipv4.Message, t *tally) (good [window]bool, err error) {
	for sent := 0; sent < len(out); {
		n, err := p.WriteBatch(out[sent:], 0)
		if err != nil {
			return good, err
		}
		sent += n
	}
	wait := 20 * time.Millisecond
	if l.Once {
		wait = 300 * time.Millisecond
	}
	_ = p.SetReadDeadline(time.Now().Add(wait))
	for got := 0; got < len(out); {
		n, err := p.ReadBatch(in, 0)
		if err != nil {
			t.failed.Add(int64(len(out) - got))
			return good, nil
		}
		got += n
		for _, m := range in[:n] {
			b := m.Buffers[0][:m.N]
			// No error, and an answer.
			if m.N < 12 || b[3]&0xf != 0 || binary.BigEndian.Uint16(b[6:]) == 0 {
				t.failed.Add(1)
				continue
			}
			t.conns.Add(1)
			if k := binary.BigEndian.Uint16(b); int(k) < window {
				good[k] = true
			}
		}
	}
	return good, nil
}
