// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package networkpolicy

import (
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/ruleset"
)

// Extras returns everything that Write's policies let through beside the rules,
// so that nothing wider stays unsaid.
func Extras(p *program.Program) []ruleset.Extra {
	box := func(dst netset.Set, c flowset.Class, ports portset.Set) flowset.Set {
		return flowset.Of(flowset.Box{Src: p.PodSources(), Class: c, Ports: ports, Names: nameset.All(), Nameless: true, Dst: dst})
	}
	out := []ruleset.Extra{{Restriction: ClusterTraffic, Flows: box(p.Inside(), flowset.AnyTraffic, portset.All())}}
	if s := p.Resolve.Servers(); !s.IsEmpty() {
		out = append(out, ruleset.Extra{Restriction: DNSRule, Flows: box(s, flowset.TCP|flowset.UDP, portset.Of(53))})
	}
	for _, r := range p.Rules {
		parts, _ := rule(p, r)
		if parts == nil || !r.ByName() || r.Protocol.App == flow.Raw {
			continue
		}
		out = append(out, ruleset.Extra{Rule: r.ID, Restriction: LearnedAddress, Flows: flowset.Of(flowset.Box{
			Src: p.PodSources(), Class: flowset.TCP &^ ruleset.ClassOf(r.Protocol), Ports: r.Ports,
			Names: nameset.Of(ruleset.GlobOf(r.Pattern)), Dst: netset.All()})})
	}
	return out
}
