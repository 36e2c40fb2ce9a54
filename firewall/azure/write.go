// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/program"
)

// WildcardInNetworkRule is the restriction that keeps a rule by wildcard on
// another protocol than HTTP and HTTPS from being written: network rules take
// names without wildcards alone (learn.microsoft.com/azure/firewall/
// fqdn-filtering-network-rules, 2026-11-22).
const WildcardInNetworkRule = "azure-network-rule-wildcard"

// Layout is how a rule collection group is named and placed, so that it fits an
// existing policy.
type Layout struct {
	Policy   string // name of the firewall policy
	Group    string // name of the rule collection group
	Priority int    // of the group, 100 to 65000
}

// DefaultLayout is what is written when nobody says otherwise.
var DefaultLayout = Layout{Policy: "firewall-policy", Group: "aks-egress", Priority: 500}

// written is a program in the terms of a rule collection group.
type written struct {
	layout  Layout
	edition string
	network []writtenRule
	byName  []writtenRule
	left    []flow.RuleID
}

// writtenRule is one rule. Application rules have a protocol with one port each.
type writtenRule struct {
	name, note   string
	sources      []string
	protocol     string // "TCP", "UDP", "Https", "Http"
	ports        []string
	destinations []string // of network rules: prefixes
	names        []string // FQDNs
}

// plan sorts the rules of a program into the two collections.
func plan(p *program.Program, l Layout) written {
	w := written{layout: l, edition: p.Edition.ID}
	used := make(map[string]bool)
	for _, r := range p.Rules {
		x := writtenRule{
			name: ruleName(string(r.ID), used), note: oneLine(r.Origins), sources: r.Sources.Texts(), ports: r.Ports.Texts(),
		}
		switch {
		case !r.ByName():
			x.protocol = strings.ToUpper(r.Protocol.String())
			x.destinations = r.Prefixes.Texts()
			w.network = append(w.network, x)
		case r.Protocol == flow.ProtoHTTPS || r.Protocol == flow.ProtoHTTP:
			x.protocol = "Https"
			if r.Protocol == flow.ProtoHTTP {
				x.protocol = "Http"
			}
			// An application rule takes single ports; a range is written out.
			x.ports = nil
			for _, q := range r.Ports.Ranges() {
				for port := int(q.Lo); port <= int(q.Hi); port++ {
					x.ports = append(x.ports, fmt.Sprint(port))
				}
			}
			// *.x means the same here: any depth, and not x itself.
			x.names = []string{r.Pattern.String()}
			w.byName = append(w.byName, x)
		default:
			if _, exact := r.Pattern.Name(); !exact {
				w.left = append(w.left, r.ID)
				continue
			}
			x.protocol = strings.ToUpper(r.Protocol.String())
			x.names = []string{r.Pattern.String()}
			w.network = append(w.network, x)
		}
	}
	return w
}

// ruleName makes an id a name that Azure takes: 80 characters of letters,
// digits, "_", "." and "-", unique in its group.
func ruleName(id string, used map[string]bool) string {
	name := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '.', c == '-':
			return c
		}
		return '-'
	}, id)
	name = name[:min(len(name), 76)]
	unique := name
	for i := 2; used[unique]; i++ {
		unique = fmt.Sprintf("%s-%d", name, i)
	}
	used[unique] = true
	return unique
}

func oneLine(origins []program.Origin) string {
	var out []string
	for _, o := range origins {
		s := strings.Join(strings.Fields(o.Purpose), " ")
		if o.Citation.Edition != "" {
			s += " (" + o.Citation.Edition
			if o.Citation.Line > 0 {
				s += fmt.Sprintf(", line %d", o.Citation.Line)
			}
			s += ")"
		}
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}
