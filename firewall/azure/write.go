// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
)

// WildcardInNetworkRule is the restriction that keeps a rule by wildcard on
// another protocol than HTTP and HTTPS from being written: network rules take
// names without wildcards alone (learn.microsoft.com/azure/firewall/
// fqdn-filtering-network-rules, 2026-11-22).
const WildcardInNetworkRule = "azure-network-rule-wildcard"

// NoIPv6 is the restriction that keeps IPv6 sources and destinations from being
// written: Azure Firewall does not support IPv6, and its subnet is IPv4 only
// (github.com/MicrosoftDocs/azure-docs pull 100532 to ipv6-overview, merged, and
// architecture-center pull 4765, both as read 2026-11-23). The IPv4 part of such a
// rule is written.
const NoIPv6 = "azure-no-ipv6"

// HighApplicationPort is the restriction that keeps ports above 64000 from being
// written in application rules; the rule's other ports are written (armnetwork
// v9.0.0, FirewallPolicyRuleApplicationProtocol.Port; azurerm validates the
// same, 2026-11-23).
const HighApplicationPort = "azure-application-port"

const highestApplicationPort = 64000

var ipv4 = netset.Of(netip.MustParsePrefix("0.0.0.0/0"))

// Restriction returns the id of what keeps r from being written in full, "" when
// nothing does. Of several it is the one that keeps most.
func Restriction(r program.Rule) string {
	switch byHost := r.Protocol == flow.ProtoHTTPS || r.Protocol == flow.ProtoHTTP; {
	case asksNothing(r):
		return ""
	case r.ByName() && !byHost && !isExact(r):
		return WildcardInNetworkRule
	case !ipv4.Covers(r.Sources), !ipv4.Covers(r.Prefixes):
		return NoIPv6
	case r.ByName() && byHost && highest(r) > highestApplicationPort:
		return HighApplicationPort
	}
	return ""
}

// asksNothing reports whether no flow can match r. Azure would take an empty list
// for any, so such a rule is never written.
func asksNothing(r program.Rule) bool {
	return r.Sources.IsEmpty() || r.Ports.IsEmpty() || !r.ByName() && r.Prefixes.IsEmpty()
}

func isExact(r program.Rule) bool {
	_, exact := r.Pattern.Name()
	return exact
}

func highest(r program.Rule) uint16 {
	ranges := r.Ports.Ranges()
	return ranges[len(ranges)-1].Hi
}

// written is a program in the terms of rule collection groups.
type written struct {
	layout  Layout
	edition string
	groups  []writtenGroup // at least one
	excess  []Excess
	left    []flow.RuleID
}

// writtenRule is one rule. Application rules have a protocol with one port each.
type writtenRule struct {
	id           string // of the program's rule, in one line
	name, note   string
	sources      []string
	protocol     string // "TCP", "UDP", "Https", "Http"
	ports        []string
	destinations []string // of network rules: prefixes
	names        []string // FQDNs
	byName       bool     // an application rule
}

// comment is the rule's reason, behind its id where the name is another.
func (r writtenRule) comment() string {
	if r.id != r.name {
		return r.id + ": " + r.note
	}
	return r.note
}

// plan puts the rules of a program into rules of Azure, and those into groups.
func plan(p *program.Program, l Layout) written {
	w := written{layout: l.settled(), edition: plain(p.Edition.ID)}
	var rules []writtenRule
	for _, r := range p.Rules {
		if Restriction(r) != "" {
			w.left = append(w.left, r.ID)
		}
		if x, ok := say(r); ok {
			rules = append(rules, x)
		}
	}
	w.groups = w.layout.split(rules)
	w.excess = w.layout.exceeded(w.groups)
	return w
}

// say returns what Azure can say of r; ok is false when that is nothing.
func say(r program.Rule) (x writtenRule, ok bool) {
	sources, prefixes := r.Sources.Intersect(ipv4), r.Prefixes.Intersect(ipv4)
	if asksNothing(r) || sources.IsEmpty() || !r.ByName() && r.Protocol.App != flow.Raw {
		return writtenRule{}, false
	}
	x = writtenRule{id: plain(string(r.ID)), note: oneLine(r.Origins), sources: sources.Texts(), ports: r.Ports.Texts()}
	switch {
	case !r.ByName():
		x.protocol = strings.ToUpper(r.Protocol.Transport.String())
		x.destinations = prefixes.Texts()
		return x, len(x.destinations) > 0
	case r.Protocol == flow.ProtoHTTPS || r.Protocol == flow.ProtoHTTP:
		x.byName, x.protocol = true, "Https"
		if r.Protocol == flow.ProtoHTTP {
			x.protocol = "Http"
		}
		// An application rule takes single ports; a range is written out.
		x.ports = nil
		for _, q := range r.Ports.Ranges() {
			for port := int(q.Lo); port <= min(int(q.Hi), highestApplicationPort); port++ {
				x.ports = append(x.ports, fmt.Sprint(port))
			}
		}
		// *.x means the same here: any depth, and not x itself.
		x.names = []string{r.Pattern.String()}
		return x, len(x.ports) > 0
	}
	x.protocol = strings.ToUpper(r.Protocol.Transport.String())
	x.names = []string{r.Pattern.String()}
	return x, isExact(r)
}

// head is what every form says of itself, line by line.
func (w written) head() []string {
	out := []string{"Written by sallyport from edition " + w.edition + " of the AKS egress list."}
	for _, e := range w.excess {
		out = append(out, "Azure will not take this: "+e.String()+".")
	}
	return out
}

func oneLine(origins []program.Origin) string {
	var out []string
	for _, o := range origins {
		s := plain(o.Purpose)
		if o.Citation.Edition != "" {
			s += " (" + plain(o.Citation.Edition)
			if o.Citation.Line > 0 {
				s += fmt.Sprintf(", line %d", o.Citation.Line)
			}
			s += ")"
		}
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}
