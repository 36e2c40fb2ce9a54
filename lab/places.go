// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
)

// locate gives name an address, once.
func (b *planner) locate(name dnsname.Name, rule program.Rule) {
	n := name.String()
	if b.Addrs[n] == nil {
		b.place(name, rule)
	}
	if apex, wild := rule.Pattern.Apex(); wild && b.World.Records["*."+apex.String()] == nil {
		// Whatever else is under the wildcard leads to the same place.
		b.World.Records["*."+apex.String()] = b.World.Records[n]
	}
}

func (b *planner) place(name dnsname.Name, rule program.Rule) {
	n := name.String()
	switch {
	case name == b.c.APIServer.Name && len(b.c.APIServer.Addresses) > 0:
		b.lead(n, b.c.APIServer.Addresses...)
	case b.private(name) && !b.c.AllowPrivate.IsEmpty():
		// A private endpoint.
		b.lead(n, nth(b.c.AllowPrivate.Prefixes()[0], 4+len(b.Addrs)))
	case rule.Protocol == flow.ProtoHTTPS && rule.Pattern == dnsname.Exact(name) && len(b.OnShared) < 2 && name != b.c.APIServer.Name:
		// Registries and the like stand behind a CDN, under an alias.
		b.OnShared = append(b.OnShared, n)
		b.Addrs[n] = []netip.Addr{cdn}
		b.World.Records[n] = []string{"CNAME " + cdnName + "."}
	case b.next%3 == 0:
		b.lead(n, b.fresh(), b.fresh())
	default:
		b.lead(n, b.fresh())
	}
}

// private reports whether name is in a zone that only the cluster's own name
// servers know.
func (b *planner) private(name dnsname.Name) bool {
	for _, z := range b.c.DNS.PrivateZones {
		if name == z.Zone || name.Under(z.Zone) {
			return true
		}
	}
	return b.c.APIServer.Private && name == b.c.APIServer.Name
}

// fresh returns an IPv4 address that no server has.
func (b *planner) fresh() netip.Addr {
	a := firstServer
	for range b.next {
		a = a.Next()
	}
	b.next++
	return a
}

// lead makes name lead to addrs, and to IPv6 where there is some and addrs has
// none.
func (b *planner) lead(name string, addrs ...netip.Addr) {
	if b.IPv6 && !slices.ContainsFunc(addrs, netip.Addr.Is6) && !netset.Private().Contains(addrs[0]) {
		a := firstServer6
		for range b.next {
			a = a.Next()
		}
		addrs = append(addrs, a)
	}
	b.Addrs[name] = addrs
	for _, a := range addrs {
		b.World.Records[name] = append(b.World.Records[name], addressRecord(a))
		b.server(a)
	}
}

func addressRecord(a netip.Addr) string {
	if a.Is4() {
		return "A " + a.String()
	}
	return "AAAA " + a.String()
}
