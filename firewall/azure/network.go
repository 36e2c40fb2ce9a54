// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"strings"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/ruleset"
)

// network reads a rule by address and port, or a NAT rule, which is matched the
// same way.
func (m *meaning) network() {
	var x extent
	m.sources(&x)
	m.protocols(&x)
	m.ports(&x)
	before := len(m.rule.Terms)
	for _, e := range m.entries("destinationaddresses") {
		m.byAddress(e, &x, m.f.address(e))
	}
	for _, e := range m.entries("destinationipgroups") {
		m.byAddress(e, &x, m.f.group(e))
	}
	for _, e := range m.entries("fqdns") {
		m.networkName(e, &x)
	}
	if len(m.rule.Terms) == before {
		m.byAddress(m.d.val, &x, addresses{maybe: netset.All(), why: "the rule names no destination"})
	}
	if m.rule.Kind == ruleset.NAT {
		m.translation()
	}
}

// byAddress adds a destination of addresses. A flow to them matches with any
// name and with none.
func (m *meaning) byAddress(v value, x *extent, a addresses) {
	if a.dead != "" {
		m.deadTerm(v, a.dead)
		return
	}
	m.tell(v, "destination", a)
	names := m.r.anyName
	if a.tag != "" {
		names = m.r.tagNames(a.tag)
	}
	box := func(i int, dst netset.Set) []flowset.Box {
		return []flowset.Box{{Src: x.src[i], Class: x.class[i], Ports: x.ports[i], Names: names, Nameless: true, Dst: dst}}
	}
	m.term(v, v.shown(), box(sure, a.sure), box(maybe, a.maybe))
}

// networkName adds a name of a network rule. It is resolved by the firewall, so
// a wildcard cannot stand there
// (learn.microsoft.com/azure/firewall/fqdn-filtering-network-rules).
func (m *meaning) networkName(v value, x *extent) {
	box := func(i int, names nameset.Set) []flowset.Box {
		return []flowset.Box{{Src: x.src[i], Class: x.class[i], Ports: x.ports[i], Names: names, Dst: netset.All()}}
	}
	if !v.isScalar() || v.why != "" {
		m.unknown(v.pos, "destination", v.shown(), v.reason())
		m.term(v, v.shown(), nil, box(maybe, namesAtMost(v)))
		return
	}
	n, err := dnsname.Parse(strings.TrimSpace(v.text))
	switch {
	case strings.Contains(v.text, "*"):
		m.deadTerm(v, clip(v.text)+" is a wildcard, which a network rule cannot resolve")
		return
	case err != nil:
		m.deadTerm(v, clip(v.text)+" is not a host name")
		return
	}
	names := nameset.Of(nameset.Exact(n))
	if v.when != "" {
		m.unknown(v.pos, "destination", v.text, v.when)
		m.term(v, v.text, nil, box(maybe, names))
		return
	}
	m.term(v, v.text, box(sure, names), box(maybe, names))
}

// translation writes into the terms of a NAT rule where it leads.
func (m *meaning) translation() {
	v := m.d.val
	to := v.textOf("translatedaddress")
	if to == "" {
		to = v.textOf("translatedfqdn")
	}
	if p := v.textOf("translatedport"); p != "" {
		to += ":" + p
	}
	var ports []string
	for _, e := range m.entries("destinationports") {
		ports = append(ports, e.shown())
	}
	for i := range m.rule.Terms {
		t := &m.rule.Terms[i]
		if len(ports) > 0 {
			t.Text += ":" + strings.Join(ports, ",")
		}
		t.Text += " -> " + to
	}
	for _, name := range []string{"translatedaddress", "translatedfqdn", "translatedport"} {
		if e, ok := v.get(name); ok && e.kind != null && !e.known() {
			m.unknown(e.pos, "translation", e.shown(), e.reason())
		}
	}
}
