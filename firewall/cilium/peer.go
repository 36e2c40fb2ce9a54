// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cilium

import (
	"net/netip"
	"strings"

	"github.com/sallyport/sallyport/firewall/manifest"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
)

// peer is one destination of an egress entry.
type peer struct {
	node        manifest.Node
	text        string
	sure, maybe flowset.Set
}

// to is every flow to an address, whatever name it gives.
func to(dst netset.Set) flowset.Set {
	return flowset.Of(flowset.Box{Src: netset.All(), Class: flowset.AnyTraffic, Ports: portset.All(), Names: nameset.All(), Nameless: true, Dst: dst})
}

// toNames is every flow that names one of them. A learned address may be any.
func toNames(s nameset.Set) flowset.Set {
	return flowset.Of(flowset.Box{Src: netset.All(), Class: flowset.AnyTraffic, Ports: portset.All(), Names: s, Dst: netset.All()})
}

// toKeys are the fields that say where an entry leads. An entry has one of them.
var toKeys = []string{"toFQDNs", "toCIDR", "toCIDRSet", "toEntities", "toEndpoints", "toServices", "toGroups", "toNodes", "toRequires"}

// peers reads where an entry leads; ok is false when it says nothing about it.
func (e *entry) peers() (out []peer, ok bool) {
	seen := 0
	for _, key := range toKeys {
		n := e.node.Get(key)
		if !n.Exists() {
			continue
		}
		ok = true
		if !n.IsList() {
			e.unknown(n, key, "is no list")
			out = append(out, peer{node: n, text: n.Shown(), maybe: flowset.All()})
			continue
		}
		if len(n.Items()) > 0 {
			seen++
		}
		for _, item := range n.Items() {
			p := peer{node: item, text: item.Shown()}
			e.peer(key, item, &p)
			out = append(out, p)
		}
	}
	if seen > 1 {
		e.refuse(e.node, "combining two kinds of destinations is not supported")
	}
	return out, ok
}

func (e *entry) peer(key string, n manifest.Node, p *peer) {
	switch key {
	case "toFQDNs":
		e.fqdn(n, p)
	case "toCIDR", "toCIDRSet":
		e.cidr(key, n, p)
	case "toEntities":
		e.entity(n, p)
	case "toEndpoints":
		e.endpoints(n, p)
	default:
		e.unknown(n, key, "which addresses they have is not in the file")
		p.maybe = flowset.All()
	}
}

// fqdn reads an entry of toFQDNs.
func (e *entry) fqdn(n manifest.Node, p *peer) {
	name, named := n.Get("matchName").Text()
	pattern, patterned := n.Get("matchPattern").Text()
	var s names
	switch {
	case e.deny:
		e.refuse(n, "toFQDNs cannot be denied")
	case named && patterned:
		e.refuse(n, "matchName and matchPattern exclude each other")
		return
	case named:
		p.text, s = name, matchName(name)
	case patterned:
		p.text, s = pattern, e.r.matchPattern(pattern)
	default:
		s = names{maybe: nameset.All(), why: "has neither matchName nor matchPattern"}
	}
	if s.refused != "" {
		e.refuse(n, s.refused)
	}
	if s.why != "" {
		e.unknown(n, "toFQDNs", s.why)
	}
	if s.note != "" {
		e.rule.Notes = append(e.rule.Notes, s.note)
	}
	p.sure, p.maybe = toNames(s.sure), toNames(s.maybe)
}

// cidr reads an entry of toCIDR or toCIDRSet. Destinations inside the cluster
// are not subject to it.
func (e *entry) cidr(key string, n manifest.Node, p *peer) {
	field := n
	if key == "toCIDRSet" {
		field = n.Get("cidr")
	}
	text, ok := field.Text()
	if !ok {
		e.unknown(n, key, "which addresses it holds is not in the file")
		p.maybe = flowset.All()
		return
	}
	set, err := prefix(text)
	if err != "" {
		e.refuse(n, err)
		return
	}
	for _, x := range n.Get("except").Items() {
		t, _ := x.Text()
		out, err := prefix(t)
		if err != "" || !set.Covers(out) {
			e.refuse(x, "an exception is a part of its prefix")
			continue
		}
		set = set.Minus(out)
	}
	p.text, p.maybe = text, to(set)
	if p.sure = p.maybe; set.Overlaps(e.subject.cluster) {
		e.unknown(n, key, "a rule by address does not apply inside the cluster")
		p.sure = to(set.Minus(e.subject.cluster))
	}
}

func prefix(text string) (s netset.Set, why string) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return s, text + " is no address or prefix"
		}
		return netset.OfAddrs(a.Unmap()), ""
	}
	return netset.Of(p.Masked()), ""
}

// entity reads an entry of toEntities (pkg/policy/api/entity.go, 1.19.0).
func (e *entry) entity(n manifest.Node, p *peer) {
	name, _ := n.Text()
	four, six := netset.Of(netip.MustParsePrefix("0.0.0.0/0")), netset.Of(netip.MustParsePrefix("::/0"))
	switch name {
	case "all":
		p.sure, p.maybe = flowset.All(), flowset.All()
	case "world":
		e.world(n, p, netset.All())
	case "world-ipv4":
		e.world(n, p, four)
	case "world-ipv6":
		e.world(n, p, six)
	case "none":
	case "host", "remote-node", "health", "init", "ingress", "unmanaged":
		e.inCluster(n, p)
	case "cluster", "kube-apiserver":
		e.unknown(n, "toEntities", "which addresses "+name+" has is not in the file")
		p.maybe = flowset.All()
	default:
		e.refuse(n, "no entity is called "+name)
	}
}

// world is what is outside the cluster. Public addresses nearly always are, and
// certainly so when the cluster's own are known; private ones may be.
func (e *entry) world(n manifest.Node, p *peer, family netset.Set) {
	p.maybe = to(family.Minus(e.subject.cluster))
	if !e.subject.cluster.IsEmpty() {
		p.sure = p.maybe
		return
	}
	e.unknown(n, "toEntities", "which addresses are inside the cluster is not in the file")
	p.sure = to(family.Minus(netset.Private()).Minus(netset.Never()))
}

// inCluster is a part of the cluster: of its addresses some, or none.
func (e *entry) inCluster(n manifest.Node, p *peer) {
	e.unknown(n, "destination", "which addresses of the cluster they have is not in the file")
	if p.maybe = flowset.All(); !e.subject.cluster.IsEmpty() {
		p.maybe = to(e.subject.cluster)
	}
}

// endpoints reads an entry of toEndpoints: pods, unless it speaks of labels that
// Cilium reserves.
func (e *entry) endpoints(n manifest.Node, p *peer) {
	keys := n.Get("matchLabels").Keys()
	for _, x := range n.Get("matchExpressions").Items() {
		k, _ := x.Get("key").Text()
		keys = append(keys, k)
	}
	for _, k := range keys {
		for _, source := range []string{"reserved", "cidr", "fqdn", "any"} {
			if k == "" || strings.HasPrefix(k, source+":") || strings.HasPrefix(k, source+".") {
				e.unknown(n, "toEndpoints", "which addresses "+k+" stands for is not in the file")
				p.maybe = flowset.All()
				return
			}
		}
	}
	if len(n.Other("matchLabels", "matchExpressions")) > 0 {
		e.unknown(n, "toEndpoints", n.Shown()+" is not read")
		p.maybe = flowset.All()
		return
	}
	e.inCluster(n, p)
}
