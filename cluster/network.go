// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/netset"
)

func (v *validator) network() {
	raw, n := &v.raw.Network, &v.c.Network
	n.Plugin = Plugin(v.word(raw.Plugin, "network.plugin", "plugin", ""))
	n.OutboundType = v.word(raw.OutboundType, "network.outboundType", "outboundType", "userDefinedRouting")
	v.mode()
	n.PodSNAT = n.Mode != PodSubnet
	if raw.PodSNAT.given() {
		n.PodSNAT = raw.PodSNAT.v
	}
	n.Nodes = v.subnets(raw.Nodes, "network.nodes")
	n.Pods = v.subnets(raw.Pods, "network.pods")
	n.Services = v.subnets(raw.Services, "network.services")

	nodes, pods := netset.Of(n.Nodes...), netset.Of(n.Pods...)
	switch {
	case !v.networkWritten(): // where pods live is not known
	case n.Mode != NodeSubnet:
		v.disjoint(raw.Pods.place, "network.pods", n.Pods, "network.nodes", nodes)
		if !raw.Pods.given() && !n.PodSNAT {
			v.add(raw.At, "network.pods", "write the prefixes pods have addresses from",
				isMissing+", but pods leave with their own addresses")
		}
	case len(n.Pods) > 0 && len(n.Nodes) > 0 && !pods.Equal(nodes):
		v.add(raw.Pods.place, "network.pods", "remove it", "is not network.nodes, but mode node-subnet gives pods addresses from there")
		n.Pods = nil
	default:
		n.Pods = nil
	}
	v.disjoint(raw.Services.place, "network.services", n.Services, "network.nodes", nodes)
	v.disjoint(raw.Services.place, "network.services", n.Services, "network.pods", netset.Of(n.Pods...))
}

// networkWritten reports whether plugin and mode are understood, so that what
// follows from them may be complained about.
func (v *validator) networkWritten() bool {
	n := v.c.Network
	return n.Plugin != "" && (n.Plugin != AzureCNI || n.Mode != "")
}

func (v *validator) mode() {
	raw, n := &v.raw.Network, &v.c.Network
	n.Mode = Mode(v.word(raw.Mode, "network.mode", "mode", ""))
	switch {
	case n.Plugin == AzureCNI && !raw.Mode.given():
		v.add(raw.At, "network.mode", "write overlay, node-subnet or pod-subnet; az aks show tells it as networkPluginMode",
			isMissing+", but plugin azure has three")
	case n.Plugin == Kubenet || n.Plugin == PluginNone:
		if raw.Mode.given() && n.Mode != "" {
			v.add(raw.Mode.place, "network.mode", "remove it, or write plugin: azure", "%q is for plugin azure, but plugin is %s", raw.Mode.s, n.Plugin)
		}
		n.Mode = ""
	}
}

// subnets reads prefixes that addresses are given out of, disjoint among
// themselves.
func (v *validator) subnets(list texts, key string) []netip.Prefix {
	var out []netip.Prefix
	for _, t := range list.items {
		p, ok := v.prefix(t, key)
		if !ok {
			continue
		}
		if !strings.Contains(t.s, "/") {
			v.add(t.place, key, "write its mask too, such as 10.240.0.0/16", "%q is one address, not a subnet", t.s)
			continue
		}
		if both := netset.Of(p).Intersect(nowhere); !both.IsEmpty() {
			v.add(t.place, key, "", "prefix %q holds %s, which no subnet can have", t.s, both.Prefixes()[0])
			continue
		}
		if i := slices.IndexFunc(out, p.Overlaps); i >= 0 {
			v.add(t.place, key, "remove one of them", "prefix %q overlaps %s", t.s, out[i])
			continue
		}
		out = append(out, p)
	}
	return out
}

// prefix reads an address or prefix that does not stand for everything.
func (v *validator) prefix(t text, key string) (netip.Prefix, bool) {
	p, err := netset.ParsePrefix(t.s)
	if err != nil {
		v.add(t.place, key, "", "%v", err)
		return p, false
	}
	if p.Bits() == 0 {
		v.add(t.place, key, "name the addresses that are meant", "prefix %q is every address", t.s)
		return p, false
	}
	return p, true
}

// disjoint records where mine shares addresses with another list.
func (v *validator) disjoint(at place, key string, mine []netip.Prefix, otherKey string, other netset.Set) {
	for _, p := range mine {
		if both := netset.Of(p).Intersect(other); !both.IsEmpty() {
			v.add(at, key, "az network vnet subnet show prints what is meant", "prefix %s overlaps %s in %s",
				p, otherKey, both.Prefixes()[0])
		}
	}
}

func (v *validator) gateway() {
	raw, g := &v.raw.Gateway, &v.c.Gateway
	g.PrivateAddress, _ = v.gatewayAddr(raw.PrivateAddress, "gateway.privateAddress", true)
	g.PrivateAddress6, _ = v.gatewayAddr(raw.PrivateAddress6, "gateway.privateAddress6", false)
	if a := g.PrivateAddress; a.IsValid() && !netset.Private().Contains(a) {
		v.add(raw.PrivateAddress.place, "gateway.privateAddress", "write the address of its interface in the virtual network",
			"%s is not a private address", a)
	}
	a, ok := v.gatewayAddr(raw.PublicAddress, "gateway.publicAddress", true)
	if ok && netset.Private().Contains(a) {
		v.add(raw.PublicAddress.place, "gateway.publicAddress", "write the address that the Internet sees: az network public-ip list prints it",
			"%s is not a public address", a)
	}
	g.PublicAddress = a

	for _, t := range v.raw.LoadBalancers.items {
		a, ok := v.addr(t, "loadBalancers")
		if !ok {
			continue
		}
		if netset.Private().Contains(a) || nowhere.Contains(a) {
			v.add(t.place, "loadBalancers", "leave internal load balancers out", "%s is not a public address", a)
			continue
		}
		v.c.LoadBalancers = append(v.c.LoadBalancers, a)
	}
	var private []netip.Prefix
	for _, t := range v.raw.AllowPrivate.items {
		p, ok := v.prefix(t, "allowPrivate")
		if !ok {
			continue
		}
		if !netset.Private().Covers(netset.Of(p)) {
			v.add(t.place, "allowPrivate", "names lead to public addresses without it", "prefix %q is not private", t.s)
			continue
		}
		if key, both := v.clash(p, "network.pods", "network.services"); key != "" {
			v.add(t.place, "allowPrivate", "write the prefixes of private endpoints", "prefix %q overlaps %s in %s", t.s, key, both)
			continue
		}
		private = append(private, p)
	}
	v.c.AllowPrivate = netset.Of(private...)
}

// gatewayAddr reads an address a gateway may have.
func (v *validator) gatewayAddr(t text, key string, want4 bool) (netip.Addr, bool) {
	a, ok := v.addr(t, key)
	if !ok {
		return netip.Addr{}, false
	}
	if a.Is4() != want4 {
		want := "IPv6"
		if want4 {
			want = "IPv4"
		}
		v.add(t.place, key, "", "%s is not an %s address", a, want)
		return netip.Addr{}, false
	}
	if nowhere.Contains(a) {
		v.add(t.place, key, "", "%s can be no gateway's address", a)
		return netip.Addr{}, false
	}
	if other, both := v.clash(netip.PrefixFrom(a, a.BitLen()), "network.pods", "network.services"); other != "" {
		v.add(t.place, key, "a gateway stands outside the cluster", "%s is in %s %s", a, other, v.holder(other, both.Addr()))
		return netip.Addr{}, false
	}
	return a, true
}

// inside returns the prefixes of a list of the network by its key.
func (v *validator) inside(key string) []netip.Prefix {
	switch key {
	case "network.nodes":
		return v.c.Network.Nodes
	case "network.pods":
		return v.c.Network.Pods
	}
	return v.c.Network.Services
}

// clash returns the first list, of those named, that p shares an address with,
// and what they share.
func (v *validator) clash(p netip.Prefix, keys ...string) (key string, both netip.Prefix) {
	for _, key := range keys {
		if b := netset.Of(p).Intersect(netset.Of(v.inside(key)...)); !b.IsEmpty() {
			return key, b.Prefixes()[0]
		}
	}
	return "", netip.Prefix{}
}

// holder returns the prefix of a list that holds a.
func (v *validator) holder(key string, a netip.Addr) netip.Prefix {
	for _, p := range v.inside(key) {
		if p.Contains(a) {
			return p
		}
	}
	return netip.Prefix{}
}
