// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nftables

import (
	"net/netip"
	"strings"

	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
)

var (
	allV4 = netset.Of(netip.MustParsePrefix("0.0.0.0/0"))
	allV6 = netset.Of(netip.MustParsePrefix("::/0"))
)

// universe returns the flows whose packets have the field that a key names.
func universe(key string) flowset.Box {
	b := flowset.Everything()
	header, field, _ := strings.Cut(key, " ")
	switch header {
	case "ip", "ip6":
		all := allV4
		if header == "ip6" {
			all = allV6
		}
		if field == "daddr" {
			b.Dst = all
		} else {
			b.Src = all
		}
	case "tcp":
		b.Class = flowset.TCP
	case "udp":
		b.Class = flowset.UDP
	case "th":
		b.Class = flowset.TCP | flowset.UDP | flowset.OtherIP // SCTP and others have ports too
	case "icmp", "icmpv6":
		b.Class = flowset.ICMP
	case "igmp", "sctp", "dccp", "udplite", "ah", "esp", "comp":
		b.Class = flowset.OtherIP
	}
	return b
}

// matched returns the flows whose field, named by key, has one of values, and
// why some of them are not known. Each is one box.
func matched(key string, values []string) (sure, maybe flowset.Box, why []string) {
	all := universe(key)
	sure, maybe = all, all
	_, field, _ := strings.Cut(key, " ")
	switch key {
	case "ip saddr", "ip daddr", "ip6 saddr", "ip6 daddr":
		set, why := addresses(values)
		if field == "saddr" {
			sure.Src = all.Src.Intersect(set)
			maybe.Src = sure.Src
		} else {
			sure.Dst = all.Dst.Intersect(set)
			maybe.Dst = sure.Dst
		}
		if len(why) > 0 {
			maybe = all
		}
		return sure, maybe, why
	case "tcp dport", "udp dport", "th dport", "tcp sport", "udp sport", "th sport":
		set, why := ports(values)
		if field == "sport" {
			if !set.Equal(portset.All()) {
				sure.Class = 0
				why = append(why, "source ports are not told apart")
			}
			return sure, maybe, why
		}
		sure.Ports = set
		if len(why) == 0 {
			maybe = sure
		}
		if sure.Class&flowset.OtherIP != 0 {
			sure.Class &^= flowset.OtherIP
			why = append(why, "the ports of SCTP and others are not told apart")
		}
		return sure, maybe, why
	case "meta l4proto", "ip protocol", "ip6 nexthdr":
		sure.Class, maybe.Class = 0, 0
		icmp := make(map[string]bool)
		for _, v := range values {
			if f := icmpFamily[v]; f != "" {
				icmp[f] = true
				continue
			}
			s, m, ok := protocol(v)
			if !ok {
				why = append(why, "the protocol "+v+" is not read")
			} else if s != m {
				why = append(why, v+" is not told apart from other protocols")
			}
			sure.Class, maybe.Class = sure.Class|s, maybe.Class|m
		}
		switch {
		case icmp["v4"] && icmp["v6"], icmp["v4"] && key == "ip protocol", icmp["v6"] && key == "ip6 nexthdr":
			sure.Class, maybe.Class = sure.Class|flowset.ICMP, maybe.Class|flowset.ICMP
		case len(icmp) > 0 && len(icmp) < len(values):
			maybe.Class |= flowset.ICMP
			why = append(why, "the ICMP of one family stands beside other protocols")
		case icmp["v4"]:
			sure.Class, sure.Src = flowset.ICMP, all.Src.Intersect(allV4)
			maybe = sure
		case icmp["v6"]:
			sure.Class, sure.Src = flowset.ICMP, all.Src.Intersect(allV6)
			maybe = sure
		}
		return sure, maybe, why
	case "meta nfproto", "meta protocol":
		sure.Src = netset.Set{}
		for _, v := range values {
			switch v {
			case "ipv4", "ip", "2":
				sure.Src = sure.Src.Union(allV4)
			case "ipv6", "ip6", "10":
				sure.Src = sure.Src.Union(allV6)
			default:
				why = append(why, v+" is no family of addresses")
			}
		}
		if len(why) == 0 {
			maybe = sure
		}
		return sure, maybe, why
	case "ct state":
		sure.Class = 0
		for _, v := range values {
			switch v {
			case "new":
				return all, all, nil
			case "established", "related", "invalid", "untracked":
				// The first packet of a flow has none of these states.
			default:
				why = append(why, "the state "+v+" is not read")
			}
		}
		if len(why) == 0 {
			maybe = sure
		}
		return sure, maybe, why
	}
	sure.Class = 0
	return sure, maybe, []string{key + " is not looked at"}
}
