// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cilium

import (
	"github.com/sallyport/sallyport/firewall/manifest"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/ruleset"
)

// entry is one entry of egress or egressDeny.
type entry struct {
	r       *reader
	subject *subject
	node    manifest.Node
	deny    bool
	rule    ruleset.Rule
	refused string // why Cilium takes none of the policy, "" when it does
}

func (e *entry) unknown(n manifest.Node, part, why string) {
	e.rule.Unknown = append(e.rule.Unknown, ruleset.Unknown{Pos: e.r.at(n), Part: part, Text: n.Shown(), Why: why})
}

func (e *entry) refuse(n manifest.Node, why string) {
	e.unknown(n, "policy", "Cilium refuses it: "+why)
	if e.refused == "" {
		e.refused = why
	}
}

// read reads the entry. One that says neither where nor which ports matches
// nothing; one that says ports alone leads anywhere
// (examples/policies/l3/egress-default-deny, pkg/policy/api/egress.go, 1.19.0).
func (e *entry) read() {
	if !e.node.IsMap() && e.node.Exists() {
		e.unknown(e.node, "egress", "is not read")
		e.rule.Terms = append(e.rule.Terms, ruleset.Term{Pos: e.r.at(e.node), Text: e.node.Shown(), Maybe: flowset.All()})
		return
	}
	peers, where := e.peers()
	t, ports := e.traffic()
	if !where {
		if !ports {
			e.rule.Dead = "it says neither where to nor which ports"
			return
		}
		peers = []peer{{node: e.node, text: "anywhere", sure: flowset.All(), maybe: flowset.All()}}
	}
	if len(peers) == 0 {
		e.rule.Dead = "its list of destinations is empty"
	}
	for _, k := range e.node.Other(append([]string{"toPorts", "icmps"}, toKeys...)...) {
		e.unknown(e.node.Get(k), k, "is not read")
		t.sure = nil
	}
	sure, maybe := e.from(e.subject.sure, t.sure), e.from(e.subject.maybe, t.maybe)
	if len(peers)*len(maybe.Boxes()) > maxTerms {
		e.unknown(e.node, "egress", "it has too many destinations and ports to follow")
		peers, sure = []peer{{node: e.node, text: "anywhere", maybe: flowset.All()}}, flowset.Set{}
	}
	for _, p := range peers {
		e.rule.Terms = append(e.rule.Terms, ruleset.Term{
			Pos: e.r.at(p.node), Text: p.text, Sure: p.sure.Intersect(sure), Maybe: p.maybe.Intersect(maybe)})
	}
}

// maxTerms is how many pairs of a destination and ports one entry may have.
const maxTerms = 1 << 16

// from gives boxes their sources.
func (e *entry) from(src netset.Set, boxes []flowset.Box) flowset.Set {
	b := flowset.Everything()
	b.Src = src
	return flowset.Of(boxes...).Intersect(flowset.Of(b))
}
