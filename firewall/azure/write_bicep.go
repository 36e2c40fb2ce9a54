// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/program"
)

// Bicep writes the rules of p as a Bicep file with a rule collection group of an
// existing policy, or with several, one after another, where one would be too
// large (lists one element a line, as every version of Bicep takes them;
// learn.microsoft.com/azure/azure-resource-manager/bicep/data-types, 2026-11-23).
func Bicep(p *program.Program, l Layout) (file []byte, left []flow.RuleID) {
	w := plan(p, l)
	b := &bicepText{}
	for _, line := range w.head() {
		b.line("// %s", line)
	}
	b.line("@description('name of the firewall policy that takes the rules')")
	b.line("param firewallPolicyName string = %s", bicepQuote(w.layout.Policy))
	b.line("")
	b.line("resource policy 'Microsoft.Network/firewallPolicies@%s' existing = {", apiVersion)
	b.line("  name: firewallPolicyName")
	b.line("}")
	for i, g := range w.groups {
		b.line("")
		b.open("resource %s '%s@%s' = {", bicepSymbol(i), groupType, apiVersion)
		b.line("parent: policy")
		b.line("name: %s", bicepQuote(g.name))
		if i > 0 { // Azure changes one group of a policy at a time
			b.open("dependsOn: [")
			b.line("%s", bicepSymbol(i-1))
			b.close("]")
		}
		b.open("properties: {")
		b.line("priority: %d", g.priority)
		b.open("ruleCollections: [")
		w.bicepCollection(b, g, "network", networkPriority, g.network)
		w.bicepCollection(b, g, "names", namesPriority, g.byName)
		b.close("]")
		b.close("}")
		b.close("}")
	}
	return []byte(b.String()), w.left
}

// bicepSymbol is what a group is called within the file.
func bicepSymbol(i int) string {
	if i == 0 {
		return "ruleCollectionGroup"
	}
	return fmt.Sprintf("ruleCollectionGroup%d", i+1)
}

func (w written) bicepCollection(b *bicepText, g writtenGroup, kind string, priority int, rules []writtenRule) {
	if len(rules) == 0 {
		return
	}
	b.open("{")
	b.line("ruleCollectionType: 'FirewallPolicyFilterRuleCollection'")
	b.line("name: %s", bicepQuote(g.collection(w.layout, kind)))
	b.line("priority: %d", priority)
	b.open("action: {")
	b.line("type: 'Allow'")
	b.close("}")
	b.open("rules: [")
	for _, r := range rules {
		b.rule(r)
	}
	b.close("]")
	b.close("}")
}

func (b *bicepText) rule(r writtenRule) {
	b.line("// %s: %s", r.id, r.note)
	b.open("{")
	kind := "NetworkRule"
	if r.byName {
		kind = "ApplicationRule"
	}
	b.line("ruleType: '%s'", kind)
	b.line("name: %s", bicepQuote(r.name))
	if r.note != "" {
		b.line("description: %s", bicepQuote(short(r.note)))
	}
	b.list("sourceAddresses", r.sources)
	if r.byName {
		b.open("protocols: [")
		for _, port := range r.ports {
			b.open("{")
			b.line("protocolType: '%s'", r.protocol)
			b.line("port: %s", port)
			b.close("}")
		}
		b.close("]")
		b.list("targetFqdns", r.names)
	} else {
		b.list("ipProtocols", []string{r.protocol})
		b.list("destinationAddresses", r.destinations)
		b.list("destinationFqdns", r.names)
		b.list("destinationPorts", r.ports)
	}
	b.close("}")
}

// bicepText is a Bicep file that is being written, with its indentation.
type bicepText struct {
	strings.Builder
	depth int
}

func (b *bicepText) line(format string, args ...any) {
	if format != "" {
		b.WriteString(strings.Repeat("  ", b.depth))
	}
	fmt.Fprintf(b, format+"\n", args...)
}

func (b *bicepText) open(format string, args ...any) {
	b.line(format, args...)
	b.depth++
}

func (b *bicepText) close(s string) {
	b.depth--
	b.line("%s", s)
}

// list writes a list of texts, one on each line, when there are any.
func (b *bicepText) list(key string, texts []string) {
	if len(texts) == 0 {
		return
	}
	b.open("%s: [", key)
	for _, s := range texts {
		b.line("%s", bicepQuote(s))
	}
	b.close("]")
}

// bicepQuote writes a text so that Bicep takes it as it is: a backslash stands
// before a backslash, a quote, and the dollar sign of ${ (github.com/Azure/bicep
// docs/spec/bicep.md, Strings, 2026-11-23). New lines and control characters do
// not come here; see plain.
func bicepQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, `${`, `\${`).Replace(s) + "'"
}
