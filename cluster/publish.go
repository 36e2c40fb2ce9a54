// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/internal/meant"
	"github.com/sallyport/sallyport/netset"
)

// internetWord stands for every address that is not private, as Azure's service
// tag of that name does.
const internetWord = "Internet"

func (v *validator) publish() {
	lines := map[string]int{}
	for i := range v.raw.Gateway.Publish {
		raw := &v.raw.Gateway.Publish[i]
		if !raw.At.given() {
			continue // not keys and values, which was said
		}
		key := "gateway.publish[" + strconv.Itoa(i+1) + "]."
		p, ok := v.publication(raw, key)
		if !ok {
			continue
		}
		which := fmt.Sprintf("%s %t", p, p.To.Addr().Is4())
		if line, twice := lines[which]; twice {
			v.add(raw.Port.place, key+"port", "remove one of them", "%s is already published in line %d", p, line)
			continue
		}
		lines[which] = raw.At.Line
		v.c.Gateway.Publish = append(v.c.Gateway.Publish, p)
	}
}

func (v *validator) publication(raw *rawPublish, key string) (p Publish, ok bool) {
	before := len(v.list)
	p.Transport, p.Port = v.onePort(raw.Port, key+"port")
	p.To = v.target(raw.To, key+"to", p.Port)
	p.From = v.from(raw.From, key+"from")
	p.Reason = v.reason(raw.Reason, key+"reason")
	if len(v.list) > before || p.Port == 0 || !p.To.IsValid() || p.From.IsEmpty() || p.Reason == "" {
		return Publish{}, false
	}
	if !p.From.Overlaps(netset.Family(p.To.Addr())) {
		v.add(raw.From.place, key+"from", "write who may in the family of to", "%s has no address that could reach %s", p.From, p.To.Addr())
		return Publish{}, false
	}
	return p, true
}

// onePort reads one port of TCP or UDP.
func (v *validator) onePort(t text, key string) (flow.Transport, uint16) {
	if !t.given() || t.s == "" {
		return 0, 0
	}
	if s := strings.TrimSpace(t.s); onlyPorts.MatchString(s) {
		v.add(t.place, key, "write tcp/"+s+" or udp/"+s, "%q names no protocol", s)
		return 0, 0
	}
	proto, ports, ok := v.portSpec(t, key)
	if !ok {
		return 0, 0
	}
	switch {
	case proto.App != flow.Raw:
		v.add(t.place, key, "write tcp/"+ports.String(), "%s would look into the flow, and a published one is only led on", proto)
	case ports.Len() != 1:
		v.add(t.place, key, "write an entry for each", "%q is %d ports", t.s, ports.Len())
	default:
		return proto.Transport, ports.Ranges()[0].Lo
	}
	return 0, 0
}

// target reads where a published port leads: only into the cluster.
func (v *validator) target(t text, key string, port uint16) netip.AddrPort {
	if !t.given() || t.s == "" {
		return netip.AddrPort{}
	}
	to, err := netip.ParseAddrPort(t.s)
	if err != nil {
		a, err := netip.ParseAddr(strings.Trim(t.s, "[]"))
		if err != nil {
			v.add(t.place, key, "write one such as 10.240.0.9, 10.240.0.9:8443 or [fd00::9]:8443", "%q is not an address, or address and port", t.s)
			return to
		}
		to = netip.AddrPortFrom(a, max(port, 1)) // a port that was refused is complained about once
	}
	a, g := to.Addr(), v.c.Gateway
	switch {
	case a.Zone() != "" || a.Is4In6():
		v.add(t.place, key, "write it without zone or mapping", "address %q is not plain IPv4 or IPv6", t.s)
	case to.Port() == 0:
		v.add(t.place, key, "write another or leave it out", "port 0 of %q is none", t.s)
	case nowhere.Contains(a):
		v.add(t.place, key, "", "%s can be no load balancer's address", a)
	case a == g.PrivateAddress || a == g.PrivateAddress6 || a == g.PublicAddress:
		v.add(t.place, key, "write a load balancer's or a node's", "%s is the gateway's own address", a)
	case !netset.Private().Contains(a) && !slices.Contains(v.c.LoadBalancers, a):
		v.add(t.place, key, "add it there if it is the cluster's", "%s is not among loadBalancers, and a port leads nowhere but into the cluster", a)
	default:
		hidden := []string{"network.services"}
		if v.networkWritten() && !v.c.PodsVisible() {
			hidden = append(hidden, "network.pods")
		}
		if other, _ := v.clash(netip.PrefixFrom(a, a.BitLen()), hidden...); other != "" {
			v.add(t.place, key, "write the load balancer's address, or a node's", "%s is in %s %s, where only the cluster itself reaches it",
				a, other, v.holder(other, a))
			return netip.AddrPort{}
		}
		return to
	}
	return netip.AddrPort{}
}

// from reads who may use a published port.
func (v *validator) from(list texts, key string) netset.Set {
	var out netset.Set
	own := v.c.Inside()
	for _, t := range list.items {
		if t.s == internetWord {
			out = out.Union(netset.All().Minus(netset.Private()))
			continue
		}
		p, err := netset.ParsePrefix(t.s)
		switch {
		case err != nil && meant.Nearest(t.s, []string{internetWord}) != "":
			v.add(t.place, key, "did you mean "+internetWord+"?", "%q is neither %s nor a prefix", t.s, internetWord)
		case err != nil:
			v.add(t.place, key, "", "%v", err)
		case own.Covers(netset.Of(p)):
			v.add(t.place, key, "write who is outside", "%s is the cluster's own, and reaches its services without the gateway", p)
		case netset.Martian().Covers(netset.Of(p)):
			v.add(t.place, key, "write who is outside", "no host has an address of %s: only a forged packet comes from there", p)
		default:
			out = out.Union(netset.Of(p))
		}
	}
	return out
}
