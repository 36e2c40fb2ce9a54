// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/lab/agent"
)

// Names of the interfaces.
const (
	nodeLink    = "eth0"
	InsideLink  = "inside"  // the gateway's, towards the node
	OutsideLink = "outside" // the gateway's, towards the internet
	outLink     = "gw0"     // the internet's, towards the gateway
)

// connect lays the two wires and gives every end its addresses and routes.
//
//	node eth0 ----- inside gateway outside ----- gw0 internet
//
// As in a virtual network, no two machines share a subnet: every address is one
// of its own and the next hop is named outright.
func (l *Lab) connect(ctx context.Context) error {
	for _, w := range []struct {
		from *Agent
		near string
		to   *Agent
		far  string
	}{
		{l.Node, nodeLink, l.Gateway, InsideLink},
		{l.Gateway, OutsideLink, l.Internet.Agent, outLink},
	} {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.Namespace, attrs.MTU = w.near, netlink.NsPid(w.from.PID), 1500
		veth := &netlink.Veth{LinkAttrs: attrs, PeerName: w.far, PeerNamespace: netlink.NsPid(w.to.PID)}
		if err := netlink.LinkAdd(veth); err != nil {
			return fmt.Errorf("connect %s and %s: %w", w.from.Name, w.to.Name, err)
		}
	}
	for a, s := range map[*Agent]agent.Setup{
		l.Node: l.nodeSetup(), l.Gateway: l.gatewaySetup(), l.Internet.Agent: l.internetSetup(),
	} {
		if err := a.Call(ctx, "configure", s, nil); err != nil {
			return err
		}
	}
	return nil
}

// quiet turns off what takes time or invents addresses.
func quiet(more ...agent.Sysctl) []agent.Sysctl {
	return append([]agent.Sysctl{
		{Path: "net/ipv6/conf/all/accept_dad", Value: "0"},
		{Path: "net/ipv6/conf/default/accept_dad", Value: "0"},
		{Path: "net/ipv6/conf/all/accept_ra", Value: "0"},
		{Path: "net/ipv6/conf/default/accept_ra", Value: "0"},
	}, more...)
}

func (l *Lab) nodeSetup() agent.Setup {
	p := l.Plan
	s := agent.Setup{
		Sysctls: quiet(),
		Links:   []agent.Link{{Name: nodeLink, Addrs: alone(p.Sources...)}},
		Mounts: []agent.Mount{
			{From: l.path("resolv.conf"), Over: "/etc/resolv.conf"},
			{From: l.path("hosts"), Over: "/etc/hosts"},
		},
	}
	for _, gw := range p.gateways() {
		s.Routes = append(s.Routes,
			agent.Route{Dst: single(gw), Dev: nodeLink},
			agent.Route{Dst: everything(gw), Dev: nodeLink, Via: gw})
	}
	return s
}

func (l *Lab) gatewaySetup() agent.Setup {
	p := l.Plan
	s := agent.Setup{
		Sysctls: quiet(),
		Links: []agent.Link{
			{Name: InsideLink, Addrs: alone(p.gateways()...)},
			{Name: OutsideLink, Addrs: alone(p.outside(p.Outside)...), MTU: l.opt.PathMTU},
		},
	}
	for _, net := range p.Inside {
		s.Routes = append(s.Routes, agent.Route{Dst: net, Dev: InsideLink})
	}
	for _, peer := range p.outside(p.Beyond) {
		s.Routes = append(s.Routes,
			agent.Route{Dst: single(peer), Dev: OutsideLink},
			agent.Route{Dst: everything(peer), Dev: OutsideLink, Via: peer})
	}
	return s
}

func (l *Lab) internetSetup() agent.Setup {
	p := l.Plan
	s := agent.Setup{
		Sysctls: quiet(),
		Links: []agent.Link{
			{Name: "lo", Addrs: alone(p.Servers...)},
			{Name: outLink, Addrs: alone(p.outside(p.Beyond)...), MTU: l.opt.PathMTU},
		},
	}
	// Servers tell the node segments of a 1500-byte path, so that on a shorter
	// one the gateway host has to say so.
	mss := func(a netip.Addr) int {
		if a.Is4() {
			return 1460
		}
		return 1440
	}
	for _, gw := range p.outside(p.Outside) {
		s.Routes = append(s.Routes, agent.Route{Dst: single(gw), Dev: outLink, AdvMSS: mss(gw)})
		// What is private is not masqueraded, so its answers go back by these.
		for _, net := range p.Inside {
			if net.Addr().Is4() == gw.Is4() {
				s.Routes = append(s.Routes, agent.Route{Dst: net, Dev: outLink, Via: gw, AdvMSS: mss(gw)})
			}
		}
	}
	return s
}

// gateways returns the gateway host's addresses towards the node.
func (p Plan) gateways() []netip.Addr { return p.outside([2]netip.Addr{p.Gateway, p.Gateway6}) }

// outside returns the families of a pair that this lab has.
func (p Plan) outside(pair [2]netip.Addr) []netip.Addr {
	return slices.DeleteFunc(pair[:], func(a netip.Addr) bool { return !a.IsValid() || a.Is6() && !p.IPv6 })
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func alone(addrs ...netip.Addr) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range addrs {
		out = append(out, single(a))
	}
	return out
}

func everything(like netip.Addr) netip.Prefix {
	if like.Is4() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}
