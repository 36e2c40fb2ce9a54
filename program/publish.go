// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package program

import (
	"net/netip"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
)

// Publication is one port of the gateway that leads on into the cluster. The zero
// Publication is for nobody.
type Publication struct {
	ID        flow.RuleID
	Transport flow.Transport
	Port      uint16         // of the gateway
	To        netip.AddrPort // a load balancer, or a node; its family is the one that is published
	From      netset.Set     // who may; none of the cluster's own addresses
	Reason    string
}

// Inbound decides about a flow from outside to one of the gateway's own addresses.
// to is where the gateway has led it already, or not valid before that.
func (p *Program) Inbound(f flow.Flow, to netip.AddrPort) flow.Decision {
	for _, x := range p.Published {
		switch {
		case x.Transport != f.Transport || x.Port != f.Port || x.To.Addr().Is4() != f.Src.Is4():
		case to.IsValid() && to != x.To:
		case !x.From.Contains(f.Src):
			return flow.Decision{Reason: flow.SourceNotAllowed, Rule: x.ID}
		default:
			return flow.Decision{Verdict: flow.Allow, Reason: flow.Published, Rule: x.ID}
		}
	}
	return flow.Decision{Reason: flow.NotPublished}
}
