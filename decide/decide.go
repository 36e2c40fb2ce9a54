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
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
)

// Snapshot is a compiled, read-only form of a program's rules.
type Snapshot struct {
	rules   []rule
	exact   map[string][]uint32 // canonical name -> rules, ascending
	below   map[string][]uint32 // apex -> rules for names under it, ascending
	lengths []netip.Prefix      // one zero-address prefix for each family and length in use
	nets    map[netip.Prefix][]uint32

	ancestors map[string]bool // names under which some rule has a name
}

// rule is the part of a program.Rule that deciding needs.
type rule struct {
	id       flow.RuleID
	protocol flow.Protocol
	ports    portset.Set
	sources  netset.Set
	until    time.Time
	strict   bool
}

// New makes the snapshot of p's rules.
func New(p *program.Program) *Snapshot {
	s := &Snapshot{
		rules: make([]rule, len(p.Rules)),
		exact: make(map[string][]uint32),
		below: make(map[string][]uint32),
		nets:  make(map[netip.Prefix][]uint32),

		ancestors: make(map[string]bool),
	}
	seen := make(map[netip.Prefix]bool)
	for i, r := range p.Rules {
		s.rules[i] = rule{r.ID, r.Protocol, r.Ports, r.Sources, r.Until, r.Strict}
		if n, ok := r.Pattern.Name(); ok {
			s.exact[n.String()] = append(s.exact[n.String()], uint32(i))
			s.addAncestors(n)
		}
		if n, ok := r.Pattern.Apex(); ok {
			s.below[n.String()] = append(s.below[n.String()], uint32(i))
			s.ancestors[n.String()] = true
			s.addAncestors(n)
		}
		for _, pfx := range r.Prefixes.Prefixes() {
			s.nets[pfx] = append(s.nets[pfx], uint32(i))
			length := netip.PrefixFrom(zeroOf(pfx.Addr()), pfx.Bits())
			if !seen[length] {
				seen[length] = true
				s.lengths = append(s.lengths, length)
			}
		}
	}
	return s
}

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
		for _, length := range s.lengths {
			if length.Addr().BitLen() != f.Dst.BitLen() {
				continue
			}
			pfx, _ := f.Dst.Prefix(length.Bits())
			for _, i := range s.nets[pfx] {
				q.ask(i, q.address(&s.rules[i]))
			}
		}
	}
	if q.stage == addressStages {
		return flow.Decision{Verdict: flow.Allow, Reason: flow.AddressMatched, Rule: s.rules[q.best].id}
	}
	if len(name) == 0 {
		return q.denied(addressReasons[:])
	}
	q.stage, q.best = 0, 0
	for _, i := range s.exact[string(name)] {
		q.ask(i, q.name(&s.rules[i]))
	}
	for rest := name; ; {
		dot := bytes.IndexByte(rest, '.')
		if dot < 0 {
			break
		}
		rest = rest[dot+1:]
		for _, i := range s.below[string(rest)] {
			q.ask(i, q.name(&s.rules[i]))
		}
	}
	if q.stage == nameStages {
		return flow.Decision{Verdict: flow.Allow, Reason: flow.RuleMatched, Rule: s.rules[q.best].id}
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

func (q *query) denied(reasons []flow.Reason) flow.Decision {
	d := flow.Decision{Verdict: flow.Deny, Reason: reasons[q.stage]}
	if q.stage > 0 {
		d.Rule = q.s.rules[q.best].id
	}
	return d
}

func (q *query) samePort(r *rule) bool {
	return r.protocol.Transport == q.f.Transport && r.ports.Contains(q.f.Port)
}

func (q *query) live(r *rule) bool { return r.until.IsZero() || q.at.Before(r.until) }

// address returns how many stages r passes as a rule about addresses.
func (q *query) address(r *rule) int {
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
func (q *query) name(r *rule) int {
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
