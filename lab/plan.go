// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/cluster"
	"github.com/sallyport/sallyport/lab/internet"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
)

// Addresses of the world. They are none that a name may not lead to, so the
// gateway treats them as the Internet's.
var (
	firstServer  = netip.MustParseAddr("20.40.0.10")
	firstServer6 = netip.MustParseAddr("2a01:111:2040::10")
	cdn          = netip.MustParseAddr("13.107.42.16")
	cdn6         = netip.MustParseAddr("2a01:111:1307::16")
	attacker     = netip.MustParseAddr("45.137.21.9")
	attacker6    = netip.MustParseAddr("2a0e:5137::9")
	greeter      = netip.MustParseAddr("45.137.21.22")
)

// Names of the world beyond those that a program knows.
const (
	AttackerZone = "attacker.example"       // every name in it leads to the attacker
	FrontedName  = "front.attacker.example" // but this one, which the shared CDN serves
	cdnName      = "shared.a-msedge.net"    // what names on the shared CDN are aliases of
)

// Plan is what a lab for one program is made of.
type Plan struct {
	IPv6    bool           // whether there is any
	Sources []netip.Addr   // the node's addresses: its own two first, then pods' and what rules ask for
	Inside  []netip.Prefix // what lies behind the gateway's inside interface

	Gateway  netip.Addr    // the gateway host's address towards the node
	Gateway6 netip.Addr    // valid with IPv6
	Public   netip.Addr    // the address the internet knows it by; not valid when the cluster tells none
	Outside  [2]netip.Addr // its addresses towards the internet, IPv4 and IPv6
	Beyond   [2]netip.Addr // those of the other end

	Resolver  netip.AddrPort // the first of the internet's name servers
	Shared    netip.Addr     // the CDN address that several names share
	OnShared  []string       // names of the program that lead there
	Attacker  netip.Addr
	Attackers []netip.Addr // every address of the attacker's
	Greeter   netip.Addr   // a server of the attacker's that speaks first on every port

	// Servers where no name may lead: the metadata service, Azure's platform
	// address, a private address that is not the cluster's, and one that a service
	// of the cluster has; the last is not valid when the cluster tells no services.
	Metadata, Wire, Elsewhere, Service netip.Addr

	Addrs   map[string][]netip.Addr // where names lead
	Reaches []Reach                 // one for each pair of the program
	Servers []netip.Addr            // every address that stands in the internet
	World   internet.Config
}

// Reach is how a pair of the program is tried.
type Reach struct {
	Pair   program.Pair
	Name   string     // to resolve; "" for a rule about addresses
	Addr   netip.Addr // for such a rule
	Port   uint16
	Source netip.Addr // an address of the node that the rule is for
}

// planner makes a Plan.
type planner struct {
	Plan
	p    *program.Program
	c    *cluster.Cluster
	next int        // counts server addresses given out
	own  netset.Set // the cluster's
}

// PlanFor says what a lab for p must have so that everything p allows can be
// reached, and much that it does not.
func PlanFor(p *program.Program, c *cluster.Cluster) (Plan, error) {
	b := &planner{p: p, c: c, own: c.Inside()}
	b.Addrs = make(map[string][]netip.Addr)
	b.World.Records = make(map[string][]string)
	if err := b.inside(); err != nil {
		return Plan{}, err
	}
	b.between()
	for _, pair := range p.Pairs() {
		r, err := b.reach(pair)
		if err != nil {
			return Plan{}, err
		}
		b.Reaches = append(b.Reaches, r)
	}
	b.world()
	return b.Plan, nil
}

// inside chooses the addresses of the node.
func (b *planner) inside() error {
	b.Inside = slices.Clone(b.c.Network.Nodes)
	var pods []netip.Prefix
	if b.c.PodsVisible() {
		pods = b.c.Network.Pods
		b.Inside = append(b.Inside, pods...)
	}
	if len(b.c.Network.Nodes) == 0 {
		return fmt.Errorf("%s: network.nodes: the cluster has no node addresses to make a node of", b.c.File)
	}
	b.IPv6 = slices.ContainsFunc(b.Inside, func(p netip.Prefix) bool { return p.Addr().Is6() })
	// Azure keeps the first four addresses of a subnet for itself.
	for _, family := range []bool{true, false} {
		i := slices.IndexFunc(b.c.Network.Nodes, func(p netip.Prefix) bool { return p.Addr().Is4() == family })
		if i >= 0 {
			b.source(nth(b.c.Network.Nodes[i], 4))
			b.source(nth(b.c.Network.Nodes[i], 5))
		}
	}
	for _, p := range pods {
		b.source(nth(p, 4))
	}
	return nil
}

func (b *planner) source(a netip.Addr) {
	if !slices.Contains(b.Sources, a) {
		b.Sources = append(b.Sources, a)
	}
}

// nth returns the n-th address of p, or its last when it is smaller.
func nth(p netip.Prefix, n int) netip.Addr {
	a := p.Masked().Addr()
	for range n {
		if next := a.Next(); p.Contains(next) {
			a = next
		}
	}
	return a
}

// between chooses the addresses of the gateway host and of the wire beyond it,
// out of the cluster's way.
func (b *planner) between() {
	b.Gateway, b.Gateway6 = b.c.Gateway.PrivateAddress, b.c.Gateway.PrivateAddress6
	if !b.Gateway.IsValid() {
		b.Gateway = b.free("10.1.0.4", "172.31.255.4", "192.168.255.4")
	}
	if !b.Gateway6.IsValid() {
		b.Gateway6 = b.free("fd00:10:1::4", "fd53:a117::4")
	}
	b.Public = b.c.Gateway.PublicAddress
	wire := b.free("100.64.7.1", "172.30.7.1", "192.168.254.1")
	wire6 := b.free("fd00:100:64:7::1", "fd53:a117:64::1")
	b.Beyond, b.Outside = [2]netip.Addr{wire, wire6}, [2]netip.Addr{wire.Next(), wire6.Next()}
}

// free returns the first address that is not the cluster's.
func (b *planner) free(candidates ...string) netip.Addr {
	for _, s := range candidates {
		a := netip.MustParseAddr(s)
		if !b.own.Contains(a) && !b.c.AllowPrivate.Contains(a) && !slices.Contains(b.c.APIServer.Addresses, a) {
			return a
		}
	}
	return netip.MustParseAddr(candidates[len(candidates)-1])
}

// reach says how pair is tried, and gives its name an address.
func (b *planner) reach(pair program.Pair) (Reach, error) {
	r := Reach{Pair: pair, Port: pair.Port.Lo}
	rule := pair.Rule
	want6 := false
	if rule.ByName() {
		name, ok := rule.Pattern.Name()
		if !ok {
			name = rule.Origins[0].Probe
			for _, o := range rule.Origins {
				if rule.Pattern.Contains(o.Probe) {
					name = o.Probe
					break
				}
			}
		}
		if name.IsZero() || !rule.Pattern.Contains(name) {
			return r, fmt.Errorf("rule %s: no name stands for %s", rule.ID, rule.Pattern)
		}
		r.Name = name.String()
		b.locate(name, rule)
	} else {
		prefix := rule.Prefixes.Prefixes()[0]
		for _, p := range rule.Prefixes.Prefixes() {
			if p.Addr().Is4() {
				prefix = p
				break
			}
		}
		r.Addr = prefix.Addr()
		if prefix.Bits() < prefix.Addr().BitLen()-1 {
			r.Addr = nth(prefix, 4)
		}
		want6 = r.Addr.Is6()
		b.server(r.Addr)
	}
	r.Source = b.sourceFor(rule.Sources, want6)
	if !r.Source.IsValid() {
		return r, fmt.Errorf("rule %s: no source it is for could be an address of a node", rule.ID)
	}
	return r, nil
}

// sourceFor returns an address of the node that is in sources, giving it one
// more where it has none.
func (b *planner) sourceFor(sources netset.Set, want6 bool) netip.Addr {
	for _, a := range b.Sources {
		if a.Is6() == want6 && sources.Contains(a) {
			return a
		}
	}
	for _, p := range sources.Prefixes() {
		if p.Addr().Is6() == want6 {
			a := nth(p, 4)
			b.source(a)
			return a
		}
	}
	return netip.Addr{}
}
