// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package internet

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// record is one resource record, not yet with its owner.
type record struct{ rr dns.RR }

// maxChain is how many CNAMEs a name server follows for its client.
const maxChain = 8

// SetRecords replaces the records of the owners given; an empty list removes an
// owner. A record is "TYPE DATA" as in a zone file.
func (w *World) SetRecords(_ context.Context, records map[string][]string) (struct{}, error) {
	next := make(map[string][]record)
	for owner, lines := range records {
		list := []record{}
		for _, line := range lines {
			rr, err := dns.NewRR(fmt.Sprintf("owner. %d IN %s", w.cfg.TTL, line))
			if err != nil {
				return struct{}{}, fmt.Errorf("record %q of %s: %w", line, owner, err)
			}
			list = append(list, record{rr})
		}
		next[key(owner)] = list
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	all := maps.Clone(w.records)
	if all == nil {
		all = make(map[string][]record)
	}
	for owner, list := range next {
		if all[owner] = list; len(list) == 0 {
			delete(all, owner)
		}
	}
	w.records = all
	return struct{}{}, nil
}

// setUnasked makes answers about the owners given carry more records than asked
// for, each a whole line of a zone file, as a name server in bad hands would add
// them; an empty list ends that.
func (w *World) setUnasked(_ context.Context, unasked map[string][]string) (struct{}, error) {
	next := make(map[string][]dns.RR)
	for owner, lines := range unasked {
		for _, line := range lines {
			rr, err := dns.NewRR(line)
			if err != nil {
				return struct{}{}, fmt.Errorf("record %q beside %s: %w", line, owner, err)
			}
			next[key(owner)] = append(next[key(owner)], rr)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unasked == nil {
		w.unasked = make(map[string][]dns.RR)
	}
	for owner := range unasked {
		w.unasked[key(owner)] = next[key(owner)]
	}
	return struct{}{}, nil
}

func key(owner string) string { return strings.ToLower(strings.TrimSuffix(owner, ".")) }

// serveNames answers questions at one address.
func (w *World) serveNames(at netip.AddrPort) error {
	pc, err := net.ListenPacket("udp", at.String())
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		_ = pc.Close()
		return err
	}
	for _, s := range []*dns.Server{
		{PacketConn: pc, Handler: dns.HandlerFunc(w.serveDNS)},
		{Listener: l, Handler: dns.HandlerFunc(w.serveDNS)},
	} {
		go func() { _ = s.ActivateAndServe() }()
	}
	w.onClose(func() { _, _ = pc.Close(), l.Close() })
	return nil
}

func (w *World) serveDNS(rw dns.ResponseWriter, q *dns.Msg) {
	m := w.reply(q)
	if len(q.Question) == 1 {
		w.emit(Event{
			Kind: Query, Proto: "dns", Name: key(q.Question[0].Name),
			Local: addrPort(rw.LocalAddr()), Remote: addrPort(rw.RemoteAddr()),
		})
	}
	if _, udp := rw.RemoteAddr().(*net.UDPAddr); udp {
		size := dns.MinMsgSize
		if opt := q.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		m.Truncate(size)
	}
	_ = rw.WriteMsg(m)
}

// reply answers as a recursive server with the whole world in its cache would.
func (w *World) reply(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	if q.Opcode != dns.OpcodeQuery || len(q.Question) != 1 {
		return m.SetRcode(q, dns.RcodeFormatError)
	}
	if opt := q.IsEdns0(); opt != nil {
		m.SetEdns0(1232, false)
	}
	owner, typ := q.Question[0].Name, q.Question[0].Qtype
	for range maxChain {
		list, exists := w.lookup(key(owner))
		if !exists {
			m.Rcode = dns.RcodeNameError
			break
		}
		alias := ""
		for _, r := range list {
			rr := dns.Copy(r.rr)
			rr.Header().Name = owner
			cname, isAlias := rr.(*dns.CNAME)
			if rr.Header().Rrtype == typ || isAlias {
				m.Answer = append(m.Answer, rr)
			}
			if isAlias && typ != dns.TypeCNAME {
				alias = cname.Target
			}
		}
		if alias == "" {
			break
		}
		owner = alias
	}
	w.mu.Lock()
	more := w.unasked[key(q.Question[0].Name)]
	w.mu.Unlock()
	m.Answer, m.Extra = append(m.Answer, more...), append(more[:len(more):len(more)], m.Extra...)
	if len(m.Answer) == 0 {
		m.Ns = append(m.Ns, &dns.SOA{
			Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: w.cfg.TTL},
			Ns:  "a.lab.invalid.", Mbox: "host.lab.invalid.", Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: w.cfg.TTL,
		})
	}
	return m
}

// lookup finds the records of name, or those of the nearest wildcard above it
// (RFC 4592).
func (w *World) lookup(name string) (list []record, exists bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if list, exists = w.records[name]; exists {
		return list, true
	}
	for rest := name; ; {
		_, parent, more := strings.Cut(rest, ".")
		if !more {
			return nil, false
		}
		if list, exists = w.records["*."+parent]; exists {
			return list, true
		}
		rest = parent
	}
}
