// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cilium

import (
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/firewall/manifest"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
)

// traffic is the kinds of traffic, ports and server names of an egress entry,
// as boxes without source and destination.
type traffic struct{ sure, maybe []flowset.Box }

// ports is what one list of ports says, the ports of each transport together.
type ports struct {
	tcp, udp, maybeTCP, maybeUDP portset.Set
	maybeOther                   bool // SCTP, VRRP, IGMP
}

func kind(c flowset.Class, p portset.Set) flowset.Box {
	return flowset.Box{Src: netset.All(), Class: c, Ports: p, Names: nameset.All(), Nameless: true, Dst: netset.All()}
}

// anything is an entry that says nothing about ports.
func anything() traffic {
	b := []flowset.Box{kind(flowset.AnyTraffic, portset.All())}
	return traffic{b, b}
}

// traffic reads toPorts and icmps; ok is false when neither is there.
func (e *entry) traffic() (t traffic, ok bool) {
	to, icmps := e.node.Get("toPorts"), e.node.Get("icmps")
	if len(to.Items()) == 0 && len(icmps.Items()) == 0 {
		if to.Exists() && !to.IsList() || icmps.Exists() && !icmps.IsList() {
			e.unknown(e.node, "ports", "toPorts or icmps is no list")
			return traffic{maybe: anything().maybe}, true
		}
		return anything(), false
	}
	for _, item := range to.Items() {
		e.portRule(item, &t)
	}
	if len(icmps.Items()) > 0 {
		// Types of ICMP are not told apart here.
		e.unknown(icmps, "icmps", "kinds of ICMP are not told apart")
		t.maybe = append(t.maybe, kind(flowset.ICMP, portset.All()))
		if len(to.Items()) > 0 {
			e.refuse(icmps, "icmps may only be present without toPorts")
		}
	}
	return t, true
}

// portRule reads one entry of toPorts.
func (e *entry) portRule(n manifest.Node, t *traffic) {
	var p ports
	list := n.Get("ports").Items()
	if len(list) > maxPorts {
		e.refuse(n, "more than "+strconv.Itoa(maxPorts)+" ports in one list")
	}
	if len(list) == 0 {
		e.unknown(n, "ports", "an entry of toPorts has no ports")
		p.maybeTCP, p.maybeUDP, p.maybeOther = portset.All(), portset.All(), true
	}
	for _, item := range list {
		e.port(item, &p)
	}
	var own traffic
	add := func(to *[]flowset.Box, c flowset.Class, s portset.Set) {
		if !s.IsEmpty() {
			*to = append(*to, kind(c, s))
		}
	}
	add(&own.sure, flowset.TCP, p.tcp)
	add(&own.sure, flowset.UDP, p.udp)
	add(&own.maybe, flowset.TCP, p.tcp.Union(p.maybeTCP))
	add(&own.maybe, flowset.UDP, p.udp.Union(p.maybeUDP))
	if p.maybeOther {
		own.maybe = append(own.maybe, kind(flowset.OtherIP, portset.All()))
	}
	e.narrow(n, &own)
	t.sure, t.maybe = append(t.sure, own.sure...), append(t.maybe, own.maybe...)
}

// narrow reads what an entry of toPorts asks for beyond its ports.
func (e *entry) narrow(n manifest.Node, t *traffic) {
	if list := n.Get("serverNames").Items(); len(list) > 0 {
		if e.r.serverNames += len(list); e.r.serverNames > maxServerNames {
			e.unknown(n, "serverNames", "there are too many server names to follow")
			t.sure = nil
			return
		}
		set := e.serverNames(list)
		tls := func(boxes []flowset.Box) []flowset.Box {
			for i := range boxes {
				boxes[i].Class &= flowset.TLS
				boxes[i].Names, boxes[i].Nameless = set, false
			}
			return boxes
		}
		t.sure, t.maybe = tls(t.sure), tls(t.maybe)
	}
	for _, k := range n.Get("rules").Keys() {
		if k == "dns" {
			continue // the proxy reads the questions; the flow to the server is let through
		}
		e.unknown(n.Get("rules"), "rules", "rules for "+k+" are not read")
		t.sure = nil
	}
	for _, k := range n.Other("ports", "serverNames", "rules") {
		e.unknown(n, "toPorts", k+" is not read")
		t.sure = nil
	}
}

// maxServerNames is how many server names of a file are followed.
const maxServerNames = 4096

// serverNames reads TLS server names: "*." is one label, "**." one or more
// (pkg/policy/api/l4.go, ServerName, 1.18.4 and 1.19.0).
func (e *entry) serverNames(list []manifest.Node) nameset.Set {
	var globs []nameset.Glob
	for _, item := range list {
		text, _ := item.Text()
		rest := strings.TrimLeft(text, "*")
		g, err := nameset.Parse(text)
		_, nameErr := dnsname.Parse(strings.TrimPrefix(rest, "."))
		if err != nil || nameErr != nil || len(text)-len(rest) > 2 {
			e.refuse(item, "a server name is a name, *.name or **.name")
			continue
		}
		globs = append(globs, g)
	}
	return nameset.Of(globs...)
}

// port reads one entry of a list of ports. Port 0 is every port. Without a
// protocol it is TCP, UDP and, where it is switched on, SCTP.
func (e *entry) port(n manifest.Node, p *ports) {
	text, _ := n.Get("port").Text()
	protocol, _ := n.Get("protocol").Text()
	var set, maybe portset.Set
	lo, err := strconv.ParseUint(text, 10, 16)
	switch {
	case err != nil:
		e.unknown(n, "ports", "which port "+text+" is, each pod says")
		maybe = portset.All()
	case lo == 0:
		set = portset.All()
	default:
		hi := lo
		if end, ok := n.Get("endPort").Text(); ok {
			if h, err := strconv.ParseUint(end, 10, 16); err != nil {
				e.unknown(n, "ports", "endPort "+end+" is no port")
				maybe = portset.All()
			} else if h > lo {
				hi = h
			}
		}
		set = portset.OfRanges(portset.Range{Lo: uint16(lo), Hi: uint16(hi)})
	}
	maybe = maybe.Union(set)
	both := func() {
		p.tcp, p.maybeTCP = p.tcp.Union(set), p.maybeTCP.Union(maybe)
		p.udp, p.maybeUDP = p.udp.Union(set), p.maybeUDP.Union(maybe)
	}
	switch strings.ToUpper(protocol) {
	case "TCP":
		p.tcp, p.maybeTCP = p.tcp.Union(set), p.maybeTCP.Union(maybe)
	case "UDP":
		p.udp, p.maybeUDP = p.udp.Union(set), p.maybeUDP.Union(maybe)
	case "", "ANY":
		both()
		if lo == 0 && err == nil {
			e.unknown(n, "ports", "whether traffic without ports is meant too")
			p.maybeOther = true
		}
	case "SCTP", "VRRP", "IGMP":
		e.unknown(n, "protocol", "ports of "+protocol+" are not told apart")
		p.maybeOther = true
	default:
		e.unknown(n, "protocol", "no protocol is called "+protocol)
		both()
		p.maybeOther = true
	}
	for _, k := range n.Other("port", "endPort", "protocol") {
		e.unknown(n, "ports", k+" is not read")
	}
}
