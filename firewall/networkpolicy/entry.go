// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package networkpolicy

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/firewall/manifest"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/ruleset"
)

// domainName is what domainNames takes (DomainName's Pattern).
var domainName = regexp.MustCompile(`^(\*\.)?([a-zA-Z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.)+[a-zA-Z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.?$`)

// entry is one egress rule.
type entry struct {
	r       *reader
	node    manifest.Node
	cluster netset.Set
	rule    ruleset.Rule
	pass    bool
	refused string
}

func (e *entry) unknown(n manifest.Node, part, why string) {
	e.rule.Unknown = append(e.rule.Unknown, ruleset.Unknown{Pos: e.r.at(n), Part: part, Text: n.Shown(), Why: why})
}

func (e *entry) refuse(n manifest.Node, why string) {
	e.unknown(n, "policy", "the API server refuses it: "+why)
	if e.refused == "" {
		e.refused = why
	}
}

// boxes are flows that a part certainly matches, and at most.
type boxes struct{ sure, maybe []flowset.Box }

func (b *boxes) add(exact flowset.Box) {
	b.sure, b.maybe = append(b.sure, exact), append(b.maybe, exact)
}

// read reads the rule, with the sources of whom it is about.
func (e *entry) read(sure, maybe netset.Set) {
	switch action, _ := e.node.Get("action").Text(); action {
	case "Accept":
		e.rule.Action = ruleset.Allow
	case "Deny":
	case "Pass":
		e.rule.Action, e.pass = ruleset.Allow, true
	default:
		e.rule.Action = ruleset.Allow
		e.refuse(e.node, "the action is Accept, Deny or Pass")
	}
	ports := e.protocols(e.node.Get("protocols"))
	from := func(src netset.Set) flowset.Set {
		b := flowset.Everything()
		b.Src = src
		return flowset.Of(b)
	}
	certain := flowset.Of(ports.sure...).Intersect(from(sure))
	possible := flowset.Of(ports.maybe...).Intersect(from(maybe))
	for _, k := range e.node.Other("name", "action", "to", "protocols") {
		e.unknown(e.node.Get(k), k, "is not read")
		certain = flowset.Set{}
	}
	peers := e.node.Get("to")
	if n := len(peers.Items()); n == 0 || n > most {
		e.refuse(e.node, "it takes 1 to 25 peers")
		e.rule.Terms = []ruleset.Term{{Pos: e.rule.Pos, Text: "anywhere", Maybe: possible}}
		return
	}
	for _, n := range peers.Items() {
		b := e.peer(n)
		e.rule.Terms = append(e.rule.Terms, ruleset.Term{
			Pos: e.r.at(n), Text: shown(n), Sure: flowset.Of(b.sure...).Intersect(certain), Maybe: flowset.Of(b.maybe...).Intersect(possible)})
	}
}

// shown writes a peer as it is given.
func shown(n manifest.Node) string {
	var words []string
	for _, k := range []string{"domainNames", "networks"} {
		for _, item := range n.Get(k).Items() {
			words = append(words, item.Shown())
		}
	}
	if len(words) == 0 || len(words) > most {
		return n.Shown()
	}
	return strings.Join(words, " ")
}

// peer reads one destination. One that has no field that is known comes from a
// newer version, and is not followed.
func (e *entry) peer(n manifest.Node) (b boxes) {
	keys := n.Keys()
	if len(keys) != 1 {
		e.refuse(n, "a peer has exactly one field")
		return boxes{maybe: []flowset.Box{flowset.Everything()}}
	}
	list := n.Get(keys[0])
	if items := len(list.Items()); (keys[0] == "networks" || keys[0] == "domainNames") && (items == 0 || items > most) {
		e.refuse(n, keys[0]+" takes 1 to 25 entries")
		return boxes{maybe: []flowset.Box{flowset.Everything()}}
	}
	switch keys[0] {
	case "networks":
		for _, item := range list.Items() {
			text, _ := item.Text()
			p, err := netip.ParsePrefix(text)
			if err != nil {
				e.refuse(item, text+" is no prefix")
				continue
			}
			box := flowset.Everything()
			box.Dst = netset.Of(p.Masked())
			b.add(box)
		}
	case "domainNames":
		if e.rule.Action == ruleset.Deny || e.pass {
			e.refuse(n, "domainNames are for Accept alone")
		}
		for _, item := range list.Items() {
			e.name(item, &b)
		}
	case "namespaces", "pods", "nodes":
		e.unknown(n, "to", "which addresses of the cluster they have is not in the file")
		box := flowset.Everything()
		if !e.cluster.IsEmpty() {
			box.Dst = e.cluster
		}
		b.maybe = append(b.maybe, box)
	default:
		e.unknown(n, "to", keys[0]+" is not read")
		b.maybe = append(b.maybe, flowset.Everything())
	}
	return b
}

// name reads one domain name: "*.x" is one or more labels under x.
func (e *entry) name(n manifest.Node, b *boxes) {
	text, _ := n.Text()
	if !domainName.MatchString(text) {
		e.refuse(n, text+" is no domain name of two labels or more, with or without *. before it")
		return
	}
	rest, under := strings.CutPrefix(text, "*.")
	apex, err := dnsname.Parse(rest)
	if err != nil {
		e.rule.Notes = append(e.rule.Notes, err.Error()+": no client asks for it")
		return
	}
	glob := nameset.Exact(apex)
	if under {
		glob = nameset.Under(apex)
	}
	box := flowset.Everything()
	box.Names, box.Nameless = nameset.Of(glob), false
	b.add(box)
}

// protocols reads kinds of traffic and ports. Without any, all traffic is meant.
func (e *entry) protocols(list manifest.Node) (b boxes) {
	if !list.Exists() {
		b.add(flowset.Everything())
		return b
	}
	if n := len(list.Items()); n == 0 || n > most {
		e.refuse(list, "it takes 1 to 25 protocols")
		return boxes{maybe: []flowset.Box{flowset.Everything()}}
	}
	for _, n := range list.Items() {
		keys := n.Keys()
		box := flowset.Everything()
		if len(keys) != 1 {
			e.refuse(n, "a protocol has exactly one field")
			b.maybe = append(b.maybe, box)
			continue
		}
		switch keys[0] {
		case "tcp":
			box.Class = flowset.TCP
		case "udp":
			box.Class = flowset.UDP
		case "sctp":
			e.unknown(n, "protocols", "ports of SCTP are not told apart")
			box.Class = flowset.OtherIP
			b.maybe = append(b.maybe, box)
			continue
		default:
			e.unknown(n, "protocols", "which ports "+keys[0]+" stands for is not in the file")
			b.maybe = append(b.maybe, box)
			continue
		}
		ports, ok := port(n.Get(keys[0]).Get("destinationPort"))
		if !ok {
			e.refuse(n, "a destination port is a number, or a range with its start before its end")
			b.maybe = append(b.maybe, box)
			continue
		}
		box.Ports = ports
		b.add(box)
	}
	return b
}

// port reads a number or a range, which includes its ends.
func port(n manifest.Node) (portset.Set, bool) {
	number := func(n manifest.Node) (uint16, bool) {
		text, _ := n.Text()
		p, err := strconv.ParseUint(text, 10, 16)
		return uint16(p), err == nil && p > 0
	}
	if len(n.Keys()) != 1 {
		return portset.Set{}, false
	}
	if p, ok := number(n.Get("number")); ok {
		return portset.Of(p), true
	}
	lo, ok := number(n.Get("range").Get("start"))
	hi, ok2 := number(n.Get("range").Get("end"))
	return portset.OfRanges(portset.Range{Lo: lo, Hi: hi}), ok && ok2 && lo < hi
}
