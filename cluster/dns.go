// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/netip"
	"strings"

	"github.com/sallyport/sallyport/dnsname"
)

// platformResolver is Azure's resolver, the same address in every virtual
// network ("What is IP address 168.63.129.16?", learn.microsoft.com).
var platformResolver = netip.MustParseAddrPort("168.63.129.16:53")

func (v *validator) dns() {
	raw := &v.raw.DNS
	v.c.DNS.Servers = []netip.AddrPort{platformResolver}
	if raw.Servers.given() {
		v.c.DNS.Servers = v.servers(raw.Servers, "dns.servers")
	}
	lines := map[dnsname.Name]int{}
	for i := range raw.PrivateZones {
		z := &raw.PrivateZones[i]
		servers := v.servers(z.Servers, "dns.privateZones.servers")
		n, ok := v.name(z.Zone, "dns.privateZones.zone")
		if !ok {
			continue
		}
		if line, twice := lines[n]; twice {
			v.add(z.Zone.place, "dns.privateZones.zone", "remove one of them", "%s is already in line %d", n, line)
			continue
		}
		lines[n] = z.Zone.Line
		v.c.DNS.PrivateZones = append(v.c.DNS.PrivateZones, PrivateZone{Zone: n, Servers: servers})
	}
}

// servers reads DNS servers: addresses, or address and port.
func (v *validator) servers(list texts, key string) []netip.AddrPort {
	var out []netip.AddrPort
	seen := map[netip.AddrPort]bool{}
	for _, t := range list.items {
		s, ok := v.server(t, key)
		if ok && !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

func (v *validator) server(t text, key string) (netip.AddrPort, bool) {
	s, err := netip.ParseAddrPort(t.s)
	if err != nil {
		a, err := netip.ParseAddr(strings.Trim(t.s, "[]"))
		if err != nil {
			v.add(t.place, key, "write one such as 10.0.0.10, 10.0.0.10:5353 or [fd00::10]:53", "%q is not an address, or address and port", t.s)
			return s, false
		}
		s = netip.AddrPortFrom(a, 53)
	}
	a := s.Addr()
	g := v.c.Gateway
	switch {
	case a.Zone() != "" || a.Is4In6():
		v.add(t.place, key, "write it without zone or mapping", "address %q is not plain IPv4 or IPv6", t.s)
	case s.Port() == 0:
		v.add(t.place, key, "write 53 or leave it out", "port 0 of %q is none", t.s)
	case a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		v.add(t.place, key, "", "%s can be no server's address", a)
	case a == g.PrivateAddress || a == g.PrivateAddress6 || a == g.PublicAddress:
		v.add(t.place, key, "write whom the gateway is to ask, such as 168.63.129.16", "%s is the gateway's own address", a)
	default:
		if other, _ := v.clash(netip.PrefixFrom(a, a.BitLen()), "network.services"); other != "" {
			v.add(t.place, key, "write a server outside the cluster", "%s is in %s %s, where only the cluster itself reaches it",
				a, other, v.holder(other, a))
			return s, false
		}
		return s, true
	}
	return s, false
}
