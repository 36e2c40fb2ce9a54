// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package decide answers the same questions as program.Eval, fast: a Snapshot
// looks a name up by walking its suffixes over hash maps and an address by its
// prefix lengths, so the time does not grow with the number of rules, and it
// allocates nothing. A Snapshot is immutable and safe for any number of
// goroutines; a reload makes a new one.
package decide

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
)

// Snapshot is a compiled, read-only form of a program's rules.
//
// What decides about a name lies together: many rules share their terms, and so
// the terms of all of them are in the processor's caches, and most names and
// addresses have one rule.
type Snapshot struct {
	ids     []flow.RuleID // of the rules
	termsOf []uint32      // of the rules, in terms
	terms   []terms
	lists   [][]uint32 // of rules, ascending

	exact  map[string]refs // canonical name -> rules
	below  map[string]refs // apex -> rules for names under it
	apexes lengths         // of the apexes in below
	masks  []netip.Prefix  // one zero-address prefix for each family and length in use
	nets   map[netip.Prefix]refs

	ancestors map[string]bool // names under which some rule has a name
}

// lengths is a set of lengths of names. Most of a name's suffixes have another
// length than any apex, and need not be looked up.
type lengths [(dnsname.MaxName + 64) / 64]uint64

func (l *lengths) add(n int) { l[n/64] |= 1 << (n % 64) }

func (l *lengths) has(n int) bool { return n/64 < len(l) && l[n/64]&(1<<(n%64)) != 0 }

// refs are the rules about one destination: the first one, and the list of the
// others, whose place in lists is rest-1; 0 when there are none.
type refs struct{ first, rest uint32 }

// terms is what a rule asks of a flow that is for its destination.
type terms struct {
	protocol flow.Protocol
	ports    portset.Set
	sources  netset.Set
	until    time.Time
	strict   bool
}

// New makes the snapshot of p's rules.
func New(p *program.Program) *Snapshot {
	s := &Snapshot{
		ids:     make([]flow.RuleID, len(p.Rules)),
		termsOf: make([]uint32, len(p.Rules)),
		exact:   make(map[string]refs),
		below:   make(map[string]refs),
		nets:    make(map[netip.Prefix]refs),

		ancestors: make(map[string]bool),
	}
	seen := make(map[netip.Prefix]bool)
	known := make(map[string]uint32)
	for i, r := range p.Rules {
		s.ids[i] = r.ID
		s.termsOf[i] = s.addTerms(r, known)
		if n, ok := r.Pattern.Name(); ok {
			refer(s, s.exact, n.String(), uint32(i))
			s.addAncestors(n)
		}
		if n, ok := r.Pattern.Apex(); ok {
			refer(s, s.below, n.String(), uint32(i))
			s.apexes.add(len(n.String()))
			s.ancestors[n.String()] = true
			s.addAncestors(n)
		}
		for _, pfx := range r.Prefixes.Prefixes() {
			refer(s, s.nets, pfx, uint32(i))
			mask := netip.PrefixFrom(zeroOf(pfx.Addr()), pfx.Bits())
			if !seen[mask] {
				seen[mask] = true
				s.masks = append(s.masks, mask)
			}
		}
	}
	return s
}

// addTerms returns the place of the terms of r, which known has by their key.
func (s *Snapshot) addTerms(r program.Rule, known map[string]uint32) uint32 {
	if n := len(s.terms); n > 0 { // the same as the last one's, most of the time
		if t := &s.terms[n-1]; t.protocol == r.Protocol && t.strict == r.Strict && t.until.Equal(r.Until) && t.ports.Equal(r.Ports) && t.sources.Equal(r.Sources) {
			return uint32(n - 1)
		}
	}
	key := string(r.Sources.AppendKey(r.Ports.AppendKey(fmt.Appendf(nil, "%d %d %t %d ", r.Protocol.Transport, r.Protocol.App, r.Strict, r.Until.UnixNano()))))
	at, ok := known[key]
	if !ok {
		at = uint32(len(s.terms))
		known[key] = at
		s.terms = append(s.terms, terms{r.Protocol, r.Ports, r.Sources, r.Until, r.Strict})
	}
	return at
}

// refer adds a rule to those about a destination.
func refer[K comparable](s *Snapshot, m map[K]refs, key K, i uint32) {
	r, ok := m[key]
	switch {
	case !ok:
		r.first = i
	case r.rest == 0:
		s.lists = append(s.lists, []uint32{i})
		r.rest = uint32(len(s.lists))
	default:
		s.lists[r.rest-1] = append(s.lists[r.rest-1], i)
	}
	m[key] = r
}

// others returns the rules of r but for the first.
func (s *Snapshot) others(r refs) []uint32 {
	if r.rest == 0 {
		return nil
	}
	return s.lists[r.rest-1]
}

func (s *Snapshot) of(i uint32) *terms { return &s.terms[s.termsOf[i]] }

func (s *Snapshot) addAncestors(n dnsname.Name) {
	for parent, ok := n.Parent(); ok; parent, ok = parent.Parent() {
		s.ancestors[parent.String()] = true
	}
}

func zeroOf(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// Decide answers as program.Eval does.
func (s *Snapshot) Decide(f flow.Flow, at time.Time) flow.Decision {
	var buf [dnsname.MaxName]byte
	return s.DecideBytes(f, append(buf[:0], f.Name.String()...), at)
}

// DecideBytes is Decide for a name that is at hand as canonical bytes, as the
// packet path has it; f.Name is not looked at. A name of no bytes is none.
func (s *Snapshot) DecideBytes(f flow.Flow, name []byte, at time.Time) flow.Decision {
	q := query{s: s, f: &f, at: at}
	if f.Dst.IsValid() {
		for _, mask := range s.masks {
			if mask.Addr().BitLen() != f.Dst.BitLen() {
				continue
			}
			pfx, _ := f.Dst.Prefix(mask.Bits())
			if r, ok := s.nets[pfx]; ok {
				q.ask(r.first, q.address(s.of(r.first)))
				for _, i := range s.others(r) {
					q.ask(i, q.address(s.of(i)))
				}
			}
		}
	}
	if q.stage == addressStages {
		return flow.Decision{Verdict: flow.Allow, Reason: flow.AddressMatched, Rule: s.ids[q.best]}
	}
	if len(name) == 0 {
		return q.denied(addressReasons[:])
	}
	q.stage, q.best = 0, 0
	if r, ok := s.exact[string(name)]; ok {
		q.askNamed(r)
	}
	for rest := name; ; {
		dot := bytes.IndexByte(rest, '.')
		if dot < 0 {
			break
		}
		rest = rest[dot+1:]
		if !s.apexes.has(len(rest)) {
			continue
		}
		if r, ok := s.below[string(rest)]; ok {
			q.askNamed(r)
		}
	}
	if q.stage == nameStages {
		return flow.Decision{Verdict: flow.Allow, Reason: flow.RuleMatched, Rule: s.ids[q.best]}
	}
	return q.denied(nameReasons[:])
}

// A rule that was found by its destination has passed stage 1. Each further
// question it says yes to is one stage more; a reason at index i is for flows
// whose furthest rule passed i stages.
const (
	addressStages = 4
	nameStages    = 6
)

var (
	addressReasons = [addressStages]flow.Reason{
		flow.AddressNotAllowed, flow.PortNotAllowed, flow.SourceNotAllowed, flow.RuleExpired,
	}
	nameReasons = [nameStages]flow.Reason{
		flow.NameNotAllowed, flow.PortNotAllowed, flow.ProtocolMismatch, flow.SourceNotAllowed, flow.RuleExpired,
		flow.NameUnproved,
	}
)

// query is one decision under way: the furthest stage any rule has passed and
// the first rule, in program order, that passed it.
type query struct {
	s     *Snapshot
	f     *flow.Flow
	at    time.Time
	stage int
	best  uint32
}

func (q *query) ask(i uint32, passed int) {
	if passed > q.stage || passed == q.stage && i < q.best {
		q.stage, q.best = passed, i
	}
}

// askNamed asks the rules about a name.
func (q *query) askNamed(r refs) {
	q.ask(r.first, q.name(q.s.of(r.first)))
	for _, i := range q.s.others(r) {
		q.ask(i, q.name(q.s.of(i)))
	}
}

func (q *query) denied(reasons []flow.Reason) flow.Decision {
	d := flow.Decision{Verdict: flow.Deny, Reason: reasons[q.stage]}
	if q.stage > 0 {
		d.Rule = q.s.ids[q.best]
	}
	return d
}

func (q *query) samePort(r *terms) bool {
	return r.protocol.Transport == q.f.Transport && r.ports.Contains(q.f.Port)
}

func (q *query) live(r *terms) bool { return r.until.IsZero() || q.at.Before(r.until) }

// address returns how many stages r passes as a rule about addresses.
func (q *query) address(r *terms) int {
	switch {
	case !q.samePort(r):
		return 1
	case !r.sources.Contains(q.f.Src):
		return 2
	case !q.live(r):
		return 3
	}
	return addressStages
}

// name returns how many stages r passes as a rule about names.
func (q *query) name(r *terms) int {
	switch {
	case !q.samePort(r):
		return 1
	case r.protocol.App != q.f.App:
		return 2
	case !r.sources.Contains(q.f.Src):
		return 3
	case !q.live(r):
		return 4
	case !q.f.Proof.Proves(r.protocol.App):
		return 5
	}
	return nameStages
}
