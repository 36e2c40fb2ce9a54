// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nftables

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
)

// addresses reads addresses, prefixes and ranges.
func addresses(values []string) (netset.Set, []string) {
	var set netset.Set
	var why []string
	for _, v := range values {
		if a, err := netip.ParseAddr(v); err == nil && a.Zone() == "" {
			set = set.Union(netset.Of(netip.PrefixFrom(a, a.BitLen())))
		} else if p, err := netip.ParsePrefix(v); err == nil {
			set = set.Union(netset.Of(p))
		} else if lo, hi, ok := addressRange(v); ok {
			set = set.Union(netset.Between(lo, hi))
		} else if strings.HasPrefix(v, "$") {
			why = append(why, "the variable "+v+" has no value in this file")
		} else {
			why = append(why, v+" is no address; a name would be resolved once, when the file is loaded")
		}
	}
	return set, why
}

func addressRange(v string) (lo, hi netip.Addr, ok bool) {
	a, b, found := strings.Cut(v, "-")
	lo, err1 := netip.ParseAddr(a)
	hi, err2 := netip.ParseAddr(b)
	return lo, hi, found && err1 == nil && err2 == nil && lo.BitLen() == hi.BitLen() && lo.Zone() == "" && hi.Zone() == "" && !hi.Less(lo)
}

// services are the names of ports that nft prints and people write
// (/etc/services, Debian 12).
var services = map[string]uint16{
	"ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "http": 80, "pop3": 110, "ntp": 123, "imap2": 143, "snmp": 161, "ldap": 389,
	"https": 443, "submission": 587, "ldaps": 636, "domain-s": 853, "imaps": 993, "pop3s": 995, "openvpn": 1194, "http-alt": 8080,
}

// ports reads ports, their names and ranges.
func ports(values []string) (portset.Set, []string) {
	var ranges []portset.Range
	var why []string
	for _, v := range values {
		lo, hi, isRange := strings.Cut(v, "-")
		a, ok1 := port(lo)
		b, ok2 := a, ok1
		if isRange {
			b, ok2 = port(hi)
		}
		if !ok1 || !ok2 {
			if a, ok1 = port(v); !ok1 { // a name with a hyphen
				why = append(why, v+" is no port that is known here")
				continue
			}
			b = a
		}
		if a == 0 && isRange {
			a = 1
		}
		ranges = append(ranges, portset.Range{Lo: a, Hi: b})
	}
	return portset.OfRanges(ranges...), why
}

func port(s string) (uint16, bool) {
	if n, ok := services[s]; ok {
		return n, true
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil
}

// icmpFamily is the family of addresses that a kind of ICMP belongs to.
var icmpFamily = map[string]string{"icmp": "v4", "1": "v4", "ipv6-icmp": "v6", "icmpv6": "v6", "58": "v6"}

// protocol reads a transport protocol: what it certainly is, and what at most.
func protocol(v string) (sure, maybe flowset.Class, ok bool) {
	switch v {
	case "tcp", "6":
		return flowset.TCP, flowset.TCP, true
	case "udp", "17":
		return flowset.UDP, flowset.UDP, true
	case "esp", "ah", "gre", "sctp", "dccp", "udplite", "igmp", "ospf", "vrrp", "comp":
		return 0, flowset.OtherIP, true
	}
	if n, err := strconv.ParseUint(v, 10, 8); err == nil && n > 0 {
		return 0, flowset.OtherIP, true
	}
	return 0, flowset.AnyTraffic, false
}
