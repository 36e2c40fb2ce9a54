// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/lab/agent"
)

// Names of the interfaces.
const (
	nodeLink    = "eth0"
	InsideLink  = "inside"  // the gateway's, towards the node
	OutsideLink = "outside" // the gateway's, towards the internet
	outLink     = "gw0"     // the internet's, towards the gateway
	singleLink  = "eth0"    // the gateway's, where it has one
)

// InsideLink returns the name of the gateway's interface towards the node.
func (l *Lab) InsideLink() string {
	if l.opt.Single {
		return singleLink
	}
	return InsideLink
}

// OutsideLink returns the name of the gateway's interface towards the internet.
func (l *Lab) OutsideLink() string {
	if l.opt.Single {
		return singleLink
	}
	return OutsideLink
}

// connect lays the two wires and gives every end its addresses and routes.
//
//	node eth0 ----- inside gateway outside ----- gw0 internet
//
// A gateway with one interface shares a wire with both:
//
//	node eth0 ----+---- gw0 internet
//	              |
//	         eth0 gateway
//
// As in a virtual network, no two machines share a subnet: every address is one
// of its own and the next hop is named outright.
func (l *Lab) connect(ctx context.Context) error {
	if l.opt.Single {
		if err := l.share(); err != nil {
			return err
		}
		return l.configure(ctx)
	}
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
	return l.configure(ctx)
}

// wires counts those that were made here, to give each a name.
var wires atomic.Int32

// share lays one wire, a bridge in this process's namespace, for all three.
func (l *Lab) share() error {
	n := wires.Add(1)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = fmt.Sprintf("wire%d", n)
	l.wire = &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(l.wire); err != nil {
		return fmt.Errorf("make the wire: %w", err)
	}
	if err := netlink.LinkSetUp(l.wire); err != nil {
		return fmt.Errorf("make the wire: %w", err)
	}
	for i, end := range []struct {
		to  *Agent
		far string
	}{{l.Node, nodeLink}, {l.Gateway, singleLink}, {l.Internet.Agent, outLink}} {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU, attrs.MasterIndex = fmt.Sprintf("wire%d.%d", n, i), 1500, l.wire.Attrs().Index
		veth := &netlink.Veth{LinkAttrs: attrs, PeerName: end.far, PeerNamespace: netlink.NsPid(end.to.PID)}
		err := netlink.LinkAdd(veth)
		if err == nil {
			err = netlink.LinkSetUp(veth)
		}
		if err != nil {
			return fmt.Errorf("connect %s: %w", end.to.Name, err)
		}
	}
	return nil
}

// configure gives every end its addresses and routes.
func (l *Lab) configure(ctx context.Context) error {
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
			{Name: l.InsideLink(), Addrs: alone(p.gateways()...)},
			{Name: l.OutsideLink(), Addrs: alone(p.outside(p.Outside)...), MTU: l.opt.PathMTU},
		},
	}
	if l.opt.Single {
		// The plain forwarding that the gateway is compared with must not tell the
		// node of the way around it.
		s.Sysctls = append(s.Sysctls, agent.Sysctl{Path: "net/ipv4/conf/all/send_redirects", Value: "0"},
			agent.Sysctl{Path: "net/ipv4/conf/" + singleLink + "/send_redirects", Value: "0"})
	}
	for _, net := range p.Inside {
		s.Routes = append(s.Routes, agent.Route{Dst: net, Dev: l.InsideLink()})
	}
	for _, peer := range p.outside(p.Beyond) {
		s.Routes = append(s.Routes,
			agent.Route{Dst: single(peer), Dev: l.OutsideLink()},
			agent.Route{Dst: everything(peer), Dev: l.OutsideLink(), Via: peer})
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
