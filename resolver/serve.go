// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/internal/brief"
)

// Serve answers on the given sockets until ctx ends. It closes them.
func (r *Resolver) Serve(ctx context.Context, packets []net.PacketConn, listeners []net.Listener) error {
	var servers []*dns.Server
	for _, pc := range packets {
		if conn, ok := pc.(*net.UDPConn); ok {
			pc = newHotConn(conn, r)
		}
		servers = append(servers, &dns.Server{PacketConn: pc, Handler: r})
	}
	for _, l := range listeners {
		servers = append(servers, &dns.Server{Listener: limited(l), Handler: r, MaxTCPQueries: 100})
	}
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		wg.Go(func() {
			stop := context.AfterFunc(ctx, func() {
				<-started
				ended, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				_ = s.ShutdownContext(ended)
			})
			defer stop()
			if err := s.ActivateAndServe(); err != nil && ctx.Err() == nil {
				errs[i] = err
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// ServeDNS answers one question.
func (r *Resolver) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := r.answer(q, addrOf(w.RemoteAddr()))
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		m.Truncate(clientSize(q))
	}
	_ = w.WriteMsg(m)
}

func addrOf(a net.Addr) netip.Addr {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// clientSize returns how long an answer the client takes over UDP.
func clientSize(q *dns.Msg) int {
	if opt := q.IsEdns0(); opt != nil {
		return min(max(int(opt.UDPSize()), dns.MinMsgSize), udpSize)
	}
	return dns.MinMsgSize
}

// answer returns what a client at src is told.
func (r *Resolver) answer(q *dns.Msg, src netip.Addr) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	switch {
	case q.Opcode != dns.OpcodeQuery:
		m.Rcode = dns.RcodeNotImplemented
		return m
	case len(q.Question) != 1 || q.Response:
		m.Rcode = dns.RcodeFormatError
		return m
	case q.Question[0].Qclass != dns.ClassINET:
		m.Rcode = dns.RcodeRefused
		return r.denied(m, q, src)
	}
	if opt := q.IsEdns0(); opt != nil {
		m.SetEdns0(udpSize, false)
	}
	typ := q.Question[0].Qtype
	name, err := dnsname.Parse(q.Question[0].Name)
	if err != nil {
		r.deny(src, dnsname.Name{}, q.Question[0].Name, flow.InvalidName)
		return r.denied(negative(m, dns.RcodeNameError), q, src)
	}
	rules := r.cfg.Rules()
	if len(rules.Openings(name, r.cfg.Now())) == 0 {
		if rules.HasBelow(name) {
			return r.denied(negative(m, dns.RcodeSuccess), q, src) // RFC 8020: below a name that does not exist there is none
		}
		r.deny(src, name, "", flow.NameNotAllowed)
		return r.denied(negative(m, dns.RcodeNameError), q, src)
	}
	switch {
	case typ == dns.TypeHTTPS || typ == dns.TypeSVCB || typ == dns.TypeAAAA && !r.cfg.IPv6:
		return negative(m, dns.RcodeSuccess)
	case typ != dns.TypeA && typ != dns.TypeAAAA:
		r.deny(src, name, "", flow.TypeNotAllowed)
		return r.denied(negative(m, dns.RcodeSuccess), q, src)
	}
	asked := question{name, typ}
	if !r.cached(asked) && !r.asking.take(src, r.cfg.Now()) {
		r.deny(src, dnsname.Name{}, "", flow.Overload)
		m.Rcode = dns.RcodeServerFailure
		return m
	}
	a, err := r.resolve(context.Background(), asked)
	if err != nil {
		r.denyBecause(src, name, "", flow.UpstreamFailed, brief.Error(err))
		m.Rcode = dns.RcodeServerFailure
		return r.denied(m, q, src)
	}
	if a.filtered != flow.NotDecided {
		r.deny(src, name, "", a.filtered)
	}
	return r.positive(m, q, a, typ)
}

// positive writes the chain and the addresses of a into m.
func (r *Resolver) positive(m, q *dns.Msg, a *answer, typ uint16) *dns.Msg {
	left := max(a.expires.Sub(r.cfg.Now()), time.Second)
	ttl := uint32(left / time.Second)
	owner := q.Question[0].Name
	for _, c := range a.chain {
		m.Answer = append(m.Answer, &dns.CNAME{
			Hdr:    dns.RR_Header{Name: owner, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: ttl},
			Target: c.Target,
		})
		owner = c.Target
	}
	if len(a.addrs)+len(a.withheld) == 0 {
		return negative(m, a.rcode)
	}
	for _, addr := range slices.Concat(a.addrs, a.withheld) {
		h := dns.RR_Header{Name: owner, Rrtype: typ, Class: dns.ClassINET, Ttl: ttl}
		if typ == dns.TypeA {
			m.Answer = append(m.Answer, &dns.A{Hdr: h, A: addr.AsSlice()})
		} else {
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: h, AAAA: addr.AsSlice()})
		}
	}
	return m
}

// negative says that there is nothing, or that the name does not exist, with an
// SOA that says for how long (RFC 2308 section 3).
func negative(m *dns.Msg, rcode int) *dns.Msg {
	m.Rcode = rcode
	ttl := uint32(negativeTTL / time.Second)
	m.Ns = append(m.Ns, &dns.SOA{
		Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: ttl},
		Ns:  "sallyport.invalid.", Mbox: "egress.sallyport.invalid.", Serial: 1,
		Refresh: 3600, Retry: 600, Expire: 86400, Minttl: ttl,
	})
	return m
}

// denial is what is not told twice within tellAgain.
type denial struct {
	src    netip.Addr
	name   string
	reason flow.Reason
}

const (
	tellAgain = 5 * time.Second
	maxTold   = 4096
)

// deny records that a question was not answered as asked. raw stands in for a
// name that is not valid.
func (r *Resolver) deny(src netip.Addr, name dnsname.Name, raw string, reason flow.Reason) {
	r.denyBecause(src, name, raw, reason, "")
}

// denyBecause is deny with a detail.
func (r *Resolver) denyBecause(src netip.Addr, name dnsname.Name, raw string, reason flow.Reason, detail string) {
	now := r.cfg.Now()
	d := denial{src, name.String() + raw, reason}
	r.mu.Lock()
	last, told := r.told[d]
	if len(r.told) >= maxTold {
		clear(r.told)
	}
	r.told[d] = now
	if told && now.Sub(last) < tellAgain {
		r.told[d] = last
		r.mu.Unlock()
		return
	}
	r.mu.Unlock()
	e := flowlog.Event{
		At: now, Path: "resolver", Detail: detail, Decision: flow.Decision{Reason: reason},
		Flow: flow.Flow{Src: src, Transport: flow.TCP, App: flow.TLS, Name: name},
		// What asks too much is not answered in audit mode either.
		Refused: reason == flow.Overload,
	}
	if raw != "" {
		e.SetName([]byte(raw))
	}
	r.cfg.Record(&e)
}
