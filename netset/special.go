// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package netset

import "net/netip"

// Private returns the ranges that sites hand out among themselves: RFC 1918,
// the shared space of RFC 6598 and unique local IPv6 (RFC 4193). A name may
// lead there only where its owner says so.
func Private() Set {
	return mustOf("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
}

// Never returns the addresses no name may ever lead to from inside a cluster:
// the IANA IPv4 and IPv6 special-purpose address registries (RFC 6890 and
// updates, read 2026-11-22) less what Private holds, multicast, the IPv6
// ranges that carry an IPv4 address inside them (mapped, NAT64, 6to4, Teredo),
// and Azure's platform address 168.63.129.16, which is on no registry.
func Never() Set {
	return mustOf(
		"0.0.0.0/8",         // this network, RFC 791
		"127.0.0.0/8",       // loopback, RFC 1122
		"169.254.0.0/16",    // link-local with the metadata service, RFC 3927
		"168.63.129.16/32",  // Azure wire server and platform resolver
		"192.0.0.0/24",      // IETF protocol assignments, RFC 6890
		"192.0.2.0/24",      // TEST-NET-1, RFC 5737
		"192.31.196.0/24",   // AS112-v4, RFC 7535
		"192.52.193.0/24",   // AMT, RFC 7450
		"192.88.99.0/24",    // deprecated 6to4 relay anycast, RFC 7526
		"192.175.48.0/24",   // direct delegation AS112, RFC 7534
		"198.18.0.0/15",     // benchmarking, RFC 2544
		"198.51.100.0/24",   // TEST-NET-2, RFC 5737
		"203.0.113.0/24",    // TEST-NET-3, RFC 5737
		"224.0.0.0/4",       // multicast, RFC 5771
		"240.0.0.0/4",       // reserved and limited broadcast, RFC 1112, RFC 8190
		"::/96",             // unspecified, loopback, IPv4-compatible, RFC 4291
		"64:ff9b::/96",      // NAT64, RFC 6052
		"64:ff9b:1::/48",    // local NAT64, RFC 8215
		"100::/64",          // discard only, RFC 6666
		"100:0:0:1::/64",    // dummy prefix, RFC 9780
		"2001::/23",         // IETF protocol assignments with Teredo, ORCHID, RFC 2928
		"2001:db8::/32",     // documentation, RFC 3849
		"2002::/16",         // 6to4, RFC 3056
		"2620:4f:8000::/48", // direct delegation AS112, RFC 7534
		"3fff::/20",         // documentation, RFC 9637
		"5f00::/16",         // segment routing SIDs, RFC 9602
		"fe80::/10",         // link-local, RFC 4291
		"fec0::/10",         // deprecated site-local, RFC 3879
		"ff00::/8",          // multicast, RFC 4291
	)
}

// Martian returns the addresses that no packet from another network has as its
// source: this network, loopback, link-local with the metadata service, multicast and
// broadcast (RFC 1812 section 5.3.7, RFC 4291 section 2.5).
func Martian() Set {
	return mustOf("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32", "::/127", "fe80::/10", "ff00::/8")
}

func mustOf(prefixes ...string) Set {
	ps := make([]netip.Prefix, len(prefixes))
	for i, s := range prefixes {
		ps[i] = netip.MustParsePrefix(s)
	}
	return Of(ps...)
}
