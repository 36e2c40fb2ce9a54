// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/sallyport/sallyport/dnsname"
)

// denied returns what a client is told whose question was denied: refusal, or in
// audit mode what an upstream says. When none says anything, the client is told
// that the server failed, as it would be without us.
func (r *Resolver) denied(refusal, q *dns.Msg, src netip.Addr) *dns.Msg {
	if !r.cfg.Audit {
		return refusal
	}
	msg, err := r.relay(q, src)
	if err != nil {
		m := new(dns.Msg)
		return m.SetRcode(q, dns.RcodeServerFailure)
	}
	return msg
}

// relay asks the upstreams of the name's zone what the client asks, of whatever
// class and type, and returns the first answer as it came. Where it has the
// addresses of a name without a rule, they are bound, so that the record of the
// connection that follows has the name; no rule opens anything there. A source that
// asks more than its share is answered, and what it asks is not bound: that is
// where memory grows.
func (r *Resolver) relay(q *dns.Msg, src netip.Addr) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*queryTimeout)
	defer cancel()
	release, err := r.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	ask := q.Copy()
	if opt := ask.IsEdns0(); opt != nil {
		opt.SetUDPSize(udpSize)
	}
	question := q.Question[0]
	name, err := dnsname.Parse(question.Name)
	valid := err == nil
	var last error
	for _, server := range upstreams(r.cfg.Resolve(), hostPart(question.Name)) {
		msg, err := r.cfg.Exchange(ctx, server, ask)
		switch {
		case err != nil:
			last = fmt.Errorf("upstream %s: %w", server, err)
			continue
		case len(msg.Question) != 1 || msg.Question[0].Qtype != question.Qtype || msg.Question[0].Qclass != question.Qclass:
			last = fmt.Errorf("upstream %s: answers another question", server)
			continue
		}
		if valid && question.Qclass == dns.ClassINET {
			r.bindRelayed(name, question.Qtype, msg, src)
		}
		msg.Id, msg.Question, msg.Compress = q.Id, slices.Clone(q.Question), true
		return msg, nil
	}
	if last == nil {
		last = fmt.Errorf("there is no upstream for %s", question.Name)
	}
	return nil, last
}

// hostPart returns the longest end of a name that is a host name, for the zone that
// it is in: a service's name has underscores in front (RFC 2782).
func hostPart(name string) dnsname.Name {
	for off, end := 0, false; !end; off, end = dns.NextLabel(name, off) {
		if n, err := dnsname.Parse(name[off:]); err == nil {
			return n
		}
	}
	return dnsname.Name{}
}

// bindRelayed binds the addresses in an answer about a name that no rule knows. A
// name with a rule is bound by resolve alone, with what it may lead to.
func (r *Resolver) bindRelayed(name dnsname.Name, typ uint16, msg *dns.Msg, src netip.Addr) {
	now := r.cfg.Now()
	if typ != dns.TypeA && typ != dns.TypeAAAA || len(r.cfg.Rules().Openings(name, now)) > 0 {
		return
	}
	a := &answer{ttl: maxTTL}
	if found, _ := a.follow(msg, name, typ); !found {
		return
	}
	ttl, asked := max(a.ttl, minTTL), question{name, typ}
	if r.isBound(asked, a.addrs, now) || !r.relaying.take(src, now) {
		return
	}
	// Without it the record lacks a name, and the client has its answer.
	if r.cfg.Bind(name, a.addrs, ttl) == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.bound) >= maxCache {
			clear(r.bound)
		}
		r.bound[asked] = boundFor{a.addrs, now.Add(ttl)}
	}
}

// boundFor is what was bound, and until when that need not be done again: what is
// relayed is in no cache, and each binding is a line in a file.
type boundFor struct {
	addrs []netip.Addr
	until time.Time
}

func (r *Resolver) isBound(asked question, addrs []netip.Addr, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.bound[asked]
	return now.Before(b.until) && !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !slices.Contains(b.addrs, a) })
}
