// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nftables

import "strings"

// metaWords are keys that may be written without "meta".
var metaWords = map[string]bool{
	"iif": true, "oif": true, "iifname": true, "oifname": true, "iiftype": true, "oiftype": true, "iifgroup": true, "oifgroup": true, "mark": true,
	"skuid": true, "skgid": true, "cgroup": true, "pkttype": true, "cpu": true, "l4proto": true, "nfproto": true, "protocol": true, "length": true,
	"priority": true, "random": true, "day": true, "hour": true, "time": true,
}

// headers are the first words of keys of two.
var headers = map[string]bool{
	"meta": true, "ct": true, "ip": true, "ip6": true, "tcp": true, "udp": true, "th": true, "icmp": true, "icmpv6": true, "sctp": true, "dccp": true,
	"udplite": true, "ether": true, "vlan": true, "arp": true, "ah": true, "esp": true, "comp": true, "igmp": true,
}

// key reads "ip daddr" or "iifname"; "" when there is none.
func (p *ruleReader) key() string {
	w := p.peek()
	switch {
	case metaWords[w.text] && !w.quoted:
		p.i++
		return "meta " + w.text
	case headers[w.text] && !w.quoted && p.i+1 < len(p.t):
		p.i += 2
		return w.text + " " + p.t[p.i-1].text
	}
	return ""
}

// test reads "key [. key]... [op] values", a map of verdicts, or a change.
func (p *ruleReader) test() {
	from := p.i
	var keys []string
	for {
		k := p.key()
		if k == "" {
			p.r.opaque = "says " + p.peek().text + ", which is not read"
			return
		}
		keys = append(keys, k)
		if !p.peek().is(".") {
			break
		}
		p.i++
	}
	if keys[0] == "tcp option" && strings.Contains(texts(p.t[from:]), " set ") {
		p.change(from, keys[0])
		return
	}
	m, op := match{keys: keys}, p.i
	switch w := p.next(); {
	case w.is("set"):
		p.change(from, keys[0])
		return
	case w.is("vmap"):
		p.operand(&m)
		m.text = texts(p.t[from:p.i])
		if p.r.verdict.kind == "" {
			p.r.vmap = &m
		}
		return
	case w.is("==") || w.is("eq"):
	case w.is("!=") || w.is("!") || w.is("ne"):
		m.not = true
	default:
		p.i = op
	}
	if !p.operand(&m) {
		p.hidden(from, "is not read", keys...)
		return
	}
	m.text = texts(p.t[from:p.i])
	p.r.matches = append(p.r.matches, m)
}

// change passes over "set value" of a packet's or connection's property.
func (p *ruleReader) change(from int, key string) {
	switch key {
	case "ip saddr", "ip daddr", "ip6 saddr", "ip6 daddr", "tcp dport", "tcp sport", "udp dport", "udp sport", "th dport", "th sport", "ip protocol", "meta nftrace":
		p.r.rewrite = key != "meta nftrace"
	}
	start := p.i
	p.skip()
	if p.i-start > 1 && key != "tcp option" {
		// Tests may stand among the tokens of the value.
		p.r.matches = append(p.r.matches, match{text: texts(p.t[from:p.i]), why: "is not read"})
	}
}
