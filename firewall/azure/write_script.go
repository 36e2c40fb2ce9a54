// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/program"
)

// AzCLI writes the rules of p as a script of az commands
// (learn.microsoft.com/cli/azure/network/firewall/policy/rule-collection-group/collection,
// extension azure-firewall, 2026-11-23).
func AzCLI(p *program.Program, l Layout) (script []byte, left []flow.RuleID) {
	w := plan(p, l)
	var b strings.Builder
	fmt.Fprintf(&b, "#!/usr/bin/env bash\n# %s\n", strings.Join(w.head(), "\n# "))
	b.WriteString("# az extension add --name azure-firewall, then: GROUP=... POLICY=... ./this\nset -euo pipefail\n")
	for _, g := range w.groups {
		fmt.Fprintf(&b, "\naz network firewall policy rule-collection-group create -g \"$GROUP\" --policy-name \"$POLICY\" -n %s --priority %d\n", g.name, g.priority)
		for i, r := range g.network {
			rest := fmt.Sprintf("--rule-type NetworkRule --ip-protocols %s --destination-ports %s", r.protocol, strings.Join(r.ports, " "))
			if len(r.destinations) > 0 {
				rest += " --destination-addresses " + strings.Join(r.destinations, " ")
			}
			if len(r.names) > 0 {
				rest += " --destination-fqdns " + strings.Join(r.names, " ")
			}
			w.command(&b, g, "network", networkPriority, i == 0, r, rest)
		}
		for i, r := range g.byName {
			var protocols []string
			for _, port := range r.ports {
				protocols = append(protocols, r.protocol+"="+port)
			}
			w.command(&b, g, "names", namesPriority, i == 0, r, fmt.Sprintf("--rule-type ApplicationRule --protocols %s --target-fqdns '%s'",
				strings.Join(protocols, " "), strings.Join(r.names, "' '")))
		}
	}
	return []byte(b.String()), w.left
}

// command writes the command that adds a rule; the first one of a collection
// creates it.
func (w written) command(b *strings.Builder, g writtenGroup, kind string, priority int, first bool, r writtenRule, rest string) {
	in := fmt.Sprintf("-g \"$GROUP\" --policy-name \"$POLICY\" --rule-collection-group-name %s", g.name)
	verb := fmt.Sprintf("rule add %s --collection-name %s -n %s", in, g.collection(w.layout, kind), r.name)
	if first {
		verb = fmt.Sprintf("add-filter-collection %s --name %s --collection-priority %d --action Allow --rule-name %s", in, g.collection(w.layout, kind), priority, r.name)
	}
	fmt.Fprintf(b, "\n# %s\naz network firewall policy rule-collection-group collection %s --source-addresses %s %s\n",
		r.comment(), verb, strings.Join(r.sources, " "), rest)
}
