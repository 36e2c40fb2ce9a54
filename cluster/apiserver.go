// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/netset"
)

func (v *validator) apiServer() {
	raw, s := &v.raw.APIServer, &v.c.APIServer
	s.Private, s.ByAddress = raw.Private.v, raw.ByAddress.v
	if n, ok := v.name(raw.Name, "apiServer.name"); ok && v.apiServerName(n) {
		s.Name = n
	}
	never := netset.Never()
	for _, t := range raw.Addresses.items {
		a, ok := v.addr(t, "apiServer.addresses")
		if !ok {
			continue
		}
		private := netset.Private().Contains(a)
		key, _ := v.clash(netip.PrefixFrom(a, a.BitLen()), "network.pods", "network.services")
		switch {
		case never.Contains(a):
			v.add(t.place, "apiServer.addresses", "nslookup of its name tells it", "%s can be no API server's address", a)
		case key != "":
			v.add(t.place, "apiServer.addresses", "nslookup of its name tells it", "%s is in %s %s", a, key, v.holder(key, a))
		case private && !s.Private:
			v.add(t.place, "apiServer.addresses", "write private: true, or its public address", "%s is a private address, but private is not true", a)
		case !private && s.Private:
			v.add(t.place, "apiServer.addresses", "write the private endpoint's address, or private: false", "%s is a public address, but private is true", a)
		case !slices.Contains(s.Addresses, a):
			s.Addresses = append(s.Addresses, a)
		}
	}
}

// apiServerName records what is wrong with the place of an API server's name.
func (v *validator) apiServerName(n dnsname.Name) bool {
	const key = "apiServer.name"
	at := v.raw.APIServer.Name.place
	cloud, location, kind, known := apiServerPlace(n)
	for _, z := range v.c.DNS.PrivateZones {
		if n.Under(z.Zone) {
			return true
		}
	}
	if v.c.Cloud == "" {
		return true // said already; what it should be is not known
	}
	want := v.c.Location
	if want == "" { // said already; the domain is judged all the same
		want, location = "<location>", "<location>"
	}
	switch {
	case known && cloud != v.c.Cloud:
		v.add(at, key, "correct one of them", "%q is in %s, but cloud is %s", n, cloud, v.c.Cloud)
	case known && location != want:
		v.add(at, key, "correct one of them", "%q is in %s, but location is %s", n, location, v.c.Location)
	case !known:
		zones := factsOf(v.c.Cloud).apiZones(want)
		v.add(at, key, "it ends in ."+strings.Join(zones, ", .")+", or its zone stands under dns.privateZones",
			"%q is outside the domains of %s", n, v.c.Cloud)
	case kind != "hcp" && !v.c.APIServer.Private:
		v.add(at, key, "write private: true, or its public name", "%q is a private cluster's name, but private is not true", n)
	default:
		return true
	}
	return false
}
