// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab/internet"
)

// Ports on which the world answers whatever a program says: the ones that ways
// out try. On the raw ones the server speaks first, as SSH servers do.
var (
	webPorts = []uint16{80, 443, 8080, 8443}
	rawPorts = []uint16{22, 853, 1688, 9000}
	udpPorts = []uint16{53, 123, 443, 853, 1194, 9000, 51820}
)

// bootNames are asked for by a node's start script whether or not the list of
// the day has them.
var bootNames = []string{
	"packages.aks.azure.com", "acs-mirror.azureedge.net", "mcr.microsoft.com", "gcr.azk8s.cn",
	"packages.microsoft.com", "login.microsoftonline.com", "management.azure.com",
}

// world adds what exists apart from the program: the attacker, the shared CDN,
// the name servers, and names that nodes of another day ask for.
func (b *planner) world() {
	b.Shared, b.Attacker = cdn, attacker
	b.Attackers = []netip.Addr{attacker}
	both := func(four, six netip.Addr) []string {
		b.server(four)
		out := []string{addressRecord(four)}
		if b.IPv6 {
			b.server(six)
			out = append(out, addressRecord(six))
		}
		return out
	}
	w := &b.World
	w.Records[cdnName] = both(cdn, cdn6)
	w.Records[FrontedName] = []string{"CNAME " + cdnName + "."}
	w.Records[AttackerZone] = both(attacker, attacker6)
	w.Records["*."+AttackerZone] = w.Records[AttackerZone]
	if b.IPv6 {
		b.Attackers = append(b.Attackers, attacker6)
	}
	b.Addrs[FrontedName], b.Addrs[AttackerZone] = []netip.Addr{cdn}, []netip.Addr{attacker}
	for _, n := range bootNames {
		if b.Addrs[n] == nil {
			b.lead(n, b.fresh())
		}
	}
	b.resolvers()
	b.traps()
	b.ports()
}

// traps are addresses that names must not lead to. In this internet a server
// stands at each, or nothing would be lost by going there.
func (b *planner) traps() {
	b.Metadata, b.Wire = netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("168.63.129.16")
	b.Elsewhere = b.free("10.9.9.9", "172.29.9.9", "192.168.9.9")
	for _, p := range b.c.Network.Services {
		if p.Addr().Is4() {
			b.Service = nth(p, 77)
			b.server(b.Service)
			break
		}
	}
	for _, a := range []netip.Addr{b.Metadata, b.Wire, b.Elsewhere, greeter} {
		b.server(a)
	}
	b.Greeter, b.World.Greeters = greeter, []netip.Addr{greeter}
}

func (b *planner) resolvers() {
	add := func(at netip.AddrPort) {
		if at.Addr().Is6() && !b.IPv6 || slices.Contains(b.World.Resolvers, at) {
			return
		}
		b.World.Resolvers = append(b.World.Resolvers, at)
		b.server(at.Addr())
	}
	for _, s := range b.c.DNS.Servers {
		add(s)
	}
	for _, z := range b.c.DNS.PrivateZones {
		for _, s := range z.Servers {
			add(s)
		}
	}
	if len(b.World.Resolvers) == 0 {
		add(netip.MustParseAddrPort("168.63.129.16:53"))
	}
	b.Resolver = b.World.Resolvers[0]
	// Azure's own answers in every virtual network, whoever else does.
	add(netip.MustParseAddrPort("168.63.129.16:53"))
	for _, a := range b.Attackers {
		add(netip.AddrPortFrom(a, 53))
	}
}

// ports opens what the program's pairs need, and what ways out try.
func (b *planner) ports() {
	tcp := make(map[uint16]bool) // port -> speaks first
	udp := make(map[netip.AddrPort]bool)
	for _, p := range rawPorts {
		tcp[p] = true
	}
	for _, r := range b.Reaches {
		switch proto := r.Pair.Rule.Protocol; {
		case proto.Transport == flow.UDP:
			for _, a := range append(slices.Clone(b.Addrs[r.Name]), r.Addr) {
				if a.IsValid() {
					udp[netip.AddrPortFrom(a, r.Port)] = true
				}
			}
		case proto.App == flow.Raw && !slices.Contains(webPorts, r.Port):
			tcp[r.Port] = true
		default:
			tcp[r.Port] = false
		}
	}
	for _, p := range webPorts {
		tcp[p] = false
	}
	delete(tcp, 53) // the name servers' own
	for _, a := range b.Attackers {
		for _, p := range udpPorts {
			udp[netip.AddrPortFrom(a, p)] = true
		}
	}
	for p, first := range tcp {
		b.World.TCP = append(b.World.TCP, internet.Port{Port: p, SpeaksFirst: first})
	}
	for at := range udp {
		if !slices.Contains(b.World.Resolvers, at) {
			b.World.UDP = append(b.World.UDP, at)
		}
	}
	slices.SortFunc(b.World.TCP, func(x, y internet.Port) int { return cmp.Compare(x.Port, y.Port) })
	slices.SortFunc(b.World.UDP, netip.AddrPort.Compare)
}

// server notes that a server stands at a.
func (b *planner) server(a netip.Addr) {
	if (a.Is4() || b.IPv6) && !slices.Contains(b.Servers, a) {
		b.Servers = append(b.Servers, a)
	}
}
