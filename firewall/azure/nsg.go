// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"strings"

	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/ruleset"
)

// isSecurityRule reports whether an object is a rule of a network security group.
func isSecurityRule(v value) bool { return v.has("direction") && v.has("access") }

// securityRule records a rule of a network security group
// (learn.microsoft.com/azure/virtual-network/network-security-groups-overview,
// 2026-11-23): by addresses and ports, the lowest priority first.
func (f *finder) securityRule(v value, group string) {
	if g, ok := v.get("networksecuritygroupname"); ok {
		group = g.inText()
	}
	p := v.priority("priority")
	r := ruleset.SecurityRule{Pos: v.pos, Group: group, Name: lastSegment(v.textOf("name")), Priority: p.n}
	doubt := func(why string) {
		if r.Doubt == "" {
			r.Doubt = why
		}
	}
	if !p.known {
		doubt(p.why)
	}
	direction, _ := v.get("direction")
	access, _ := v.get("access")
	if !direction.known() || !access.known() {
		doubt("its direction or access is not known")
	}
	if v.when != "" {
		doubt(v.when)
	}
	r.Outbound, r.Allow = strings.EqualFold(direction.text, "outbound"), strings.EqualFold(access.text, "allow")

	box := [2]flowset.Box{{Names: nameset.All(), Nameless: true}, {Names: nameset.All(), Nameless: true}}
	box[sure].Src, box[maybe].Src = f.securityAddresses(v, "sourceaddress")
	box[sure].Dst, box[maybe].Dst = f.securityAddresses(v, "destinationaddress")
	ports := func(key string) (s, m portset.Set) {
		for _, name := range []string{key, key + "s"} {
			list, ok := v.get(name)
			if !ok {
				continue
			}
			for _, e := range list.entries() {
				text := strings.TrimSpace(e.text)
				set, err := portset.Parse(text)
				if text == "*" {
					set, err = portset.All(), nil
				}
				if !e.known() || err != nil {
					m = portset.All()
					continue
				}
				s, m = s.Union(set), m.Union(set)
			}
		}
		return s, m
	}
	box[sure].Ports, box[maybe].Ports = ports("destinationportrange")
	// Who asks from a port of its own choice is not looked at: a rule that limits
	// it matches some flows of a kind, and so surely not all of them.
	if from, _ := ports("sourceportrange"); !from.Equal(portset.All()) && !from.IsEmpty() {
		box[sure].Ports = portset.Set{}
	}
	protocol, _ := v.get("protocols")
	for _, e := range protocol.entries() {
		c, ok := classes[strings.ToLower(e.text)]
		switch {
		case !ok || e.why != "":
			box[maybe].Class = flowset.AnyTraffic
		default:
			box[sure].Class |= c
			box[maybe].Class |= c
		}
	}
	r.Sure, r.Maybe = flowset.Of(box[sure]), flowset.Of(box[maybe])
	f.security = append(f.security, r)
}

// securityAddresses returns the addresses of one side of a security rule. Of
// application security groups nobody knows the members.
func (f *finder) securityAddresses(v value, side string) (s, m netset.Set) {
	for _, name := range []string{side + "prefix", side + "prefixes"} {
		list, ok := v.get(name)
		if !ok {
			continue
		}
		for _, e := range list.entries() {
			a := f.address(e)
			switch strings.ToLower(strings.TrimSpace(e.text)) {
			case "internet": // every public address
				a = exactly(netset.All().Minus(netset.Private()))
			case "virtualnetwork": // the VNet, its peers, and what is connected: private addresses
				a = exactly(netset.Private())
			case "azureloadbalancer", "azureplatformdns", "azureplatformimds", "azureplatformlkm":
				a = addresses{}
			}
			s, m = s.Union(a.sure), m.Union(a.maybe)
		}
	}
	if s.IsEmpty() && m.IsEmpty() {
		for _, fl := range v.all() {
			if strings.HasPrefix(fl.name, strings.TrimSuffix(side, "address")) && strings.Contains(fl.name, "securitygroup") {
				m = netset.All()
			}
		}
	}
	return s, m
}
