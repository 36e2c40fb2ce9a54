// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"strings"

	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/ruleset"
)

// extent is the part of a rule that all its destinations share, as it certainly
// is and as it is at most.
type extent struct {
	src   [2]netset.Set // sure, maybe
	class [2]flowset.Class
	ports [2]portset.Set
}

const (
	sure  = 0
	maybe = 1
)

// sources reads the addresses and IP groups that a rule is for.
func (m *meaning) sources(x *extent) {
	v := m.d.val
	given := false
	for _, e := range m.entries("sourceaddresses") {
		given = true
		m.rule.Sources = append(m.rule.Sources, ruleset.Word{Pos: e.pos, Text: e.text})
		a := m.f.address(e)
		x.src[sure], x.src[maybe] = x.src[sure].Union(a.sure), x.src[maybe].Union(a.maybe)
		m.tell(e, "source", a)
	}
	for _, e := range m.entries("sourceipgroups") {
		given = true
		m.rule.Sources = append(m.rule.Sources, ruleset.Word{Pos: e.pos, Text: e.text})
		a := m.f.group(e)
		x.src[sure], x.src[maybe] = x.src[sure].Union(a.sure), x.src[maybe].Union(a.maybe)
		m.tell(e, "source", a)
	}
	if !given {
		x.src[maybe] = netset.All()
		m.unknown(v.pos, "source", "", "the rule names no source")
	}
	if x.src[maybe].IsEmpty() {
		m.noSource = true
	}
}

// entries returns the elements of a part of the rule.
func (m *meaning) entries(name string) []value {
	v, ok := m.d.val.get(name)
	if !ok {
		return nil
	}
	return v.entries()
}

// tell records what an address is in doubt about.
func (m *meaning) tell(v value, part string, a addresses) {
	if a.why != "" {
		m.unknown(v.pos, part, v.shown(), a.why)
	}
	if a.note != "" {
		m.note(a.note)
	}
	if a.dead != "" && part == "source" {
		m.note(a.dead)
	}
}

// classes are the protocols of network and NAT rules.
var classes = map[string]flowset.Class{
	"tcp": flowset.TCP, "udp": flowset.UDP, "icmp": flowset.ICMP, "any": flowset.AnyTraffic, "*": flowset.AnyTraffic,
}

// protocols reads the protocols of a network or NAT rule.
func (m *meaning) protocols(x *extent) {
	list := m.entries("protocols")
	for _, e := range list {
		c, ok := classes[strings.ToLower(e.text)]
		switch {
		case ok && e.known():
			x.class[sure] |= c
			x.class[maybe] |= c
		case ok && e.why == "":
			x.class[maybe] |= c
			m.unknown(e.pos, "protocols", e.shown(), e.when)
		default:
			x.class[maybe] = flowset.AnyTraffic
			why := e.reason()
			if why == "" {
				why = "not one of TCP, UDP, ICMP, Any"
			}
			m.unknown(e.pos, "protocols", e.shown(), why)
		}
	}
	if len(list) == 0 {
		x.class[maybe] = flowset.AnyTraffic
		m.unknown(m.d.val.pos, "protocols", "", "the rule names no protocol")
	}
}

// ports reads the ports of a network or NAT rule.
func (m *meaning) ports(x *extent) {
	list := m.entries("destinationports")
	for _, e := range list {
		m.rule.Ports = append(m.rule.Ports, ruleset.Word{Pos: e.pos, Text: e.text})
		p, err := portset.Parse(strings.TrimSpace(e.text))
		switch {
		case e.known() && err == nil:
			x.ports[sure] = x.ports[sure].Union(p)
			x.ports[maybe] = x.ports[maybe].Union(p)
		case e.isScalar() && e.why == "" && err == nil:
			x.ports[maybe] = x.ports[maybe].Union(p)
			m.unknown(e.pos, "ports", e.shown(), e.when)
		default:
			x.ports[maybe] = portset.All()
			why := e.reason()
			if why == "" {
				why = "neither a port nor a range"
			}
			m.unknown(e.pos, "ports", e.shown(), why)
		}
	}
	if len(list) == 0 && x.class[maybe]&(flowset.TCP|flowset.UDP) != 0 {
		x.ports[maybe] = portset.All()
		m.unknown(m.d.val.pos, "ports", "", "the rule names no port")
	}
}
