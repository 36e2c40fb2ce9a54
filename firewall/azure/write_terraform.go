// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/program"
)

// Terraform writes the rules of p as an azurerm_firewall_policy_rule_collection_group
// (registry.terraform.io/providers/hashicorp/azurerm, 4.x, 2026-11-22). The
// policy's id is a variable.
func Terraform(p *program.Program, l Layout) (file []byte, left []flow.RuleID) {
	w := plan(p, l)
	f := hclwrite.NewEmptyFile()
	root := f.Body()
	comment := func(b *hclwrite.Body, text string) {
		b.AppendUnstructuredTokens(hclwrite.Tokens{{Type: hclsyntax.TokenComment, Bytes: []byte("# " + text + "\n")}})
	}
	comment(root, "Written by sallyport from edition "+w.edition+" of the AKS egress list.")
	v := root.AppendNewBlock("variable", []string{"firewall_policy_id"}).Body()
	v.SetAttributeRaw("type", hclwrite.TokensForIdentifier("string"))
	v.SetAttributeValue("description", cty.StringVal("id of the firewall policy that takes the rules"))
	root.AppendNewline()
	g := root.AppendNewBlock("resource", []string{"azurerm_firewall_policy_rule_collection_group", strings.ReplaceAll(l.Group, "-", "_")}).Body()
	g.SetAttributeValue("name", cty.StringVal(l.Group))
	g.SetAttributeRaw("firewall_policy_id", hclwrite.TokensForIdentifier("var.firewall_policy_id"))
	g.SetAttributeValue("priority", cty.NumberIntVal(int64(l.Priority)))
	collection := func(kind, name string, priority int) *hclwrite.Body {
		g.AppendNewline()
		b := g.AppendNewBlock(kind, nil).Body()
		b.SetAttributeValue("name", cty.StringVal(name))
		b.SetAttributeValue("priority", cty.NumberIntVal(int64(priority)))
		b.SetAttributeValue("action", cty.StringVal("Allow"))
		return b
	}
	if len(w.network) > 0 {
		c := collection("network_rule_collection", l.Group+"-network", 100)
		for _, r := range w.network {
			c.AppendNewline()
			comment(c, r.note)
			b := c.AppendNewBlock("rule", nil).Body()
			b.SetAttributeValue("name", cty.StringVal(r.name))
			b.SetAttributeValue("source_addresses", ctyList(r.sources))
			b.SetAttributeValue("protocols", ctyList([]string{r.protocol}))
			if len(r.destinations) > 0 {
				b.SetAttributeValue("destination_addresses", ctyList(r.destinations))
			}
			if len(r.names) > 0 {
				b.SetAttributeValue("destination_fqdns", ctyList(r.names))
			}
			b.SetAttributeValue("destination_ports", ctyList(r.ports))
		}
	}
	if len(w.byName) > 0 {
		c := collection("application_rule_collection", l.Group+"-names", 200)
		for _, r := range w.byName {
			c.AppendNewline()
			comment(c, r.note)
			b := c.AppendNewBlock("rule", nil).Body()
			b.SetAttributeValue("name", cty.StringVal(r.name))
			b.SetAttributeValue("source_addresses", ctyList(r.sources))
			b.SetAttributeValue("destination_fqdns", ctyList(r.names))
			for _, port := range r.ports {
				n, _ := strconv.Atoi(port)
				q := b.AppendNewBlock("protocols", nil).Body()
				q.SetAttributeValue("type", cty.StringVal(r.protocol))
				q.SetAttributeValue("port", cty.NumberIntVal(int64(n)))
			}
		}
	}
	return hclwrite.Format(f.Bytes()), w.left
}

func ctyList(in []string) cty.Value {
	out := make([]cty.Value, len(in))
	for i, s := range in {
		out[i] = cty.StringVal(s)
	}
	return cty.ListVal(out)
}

// AzCLI writes the rules of p as a script of az commands.
func AzCLI(p *program.Program, l Layout) (script []byte, left []flow.RuleID) {
	w := plan(p, l)
	var b strings.Builder
	fmt.Fprintf(&b, "#!/usr/bin/env bash\n# Written by sallyport from edition %s of the AKS egress list.\n", w.edition)
	b.WriteString("# az extension add --name azure-firewall, then: GROUP=... POLICY=... ./this\nset -euo pipefail\n\n")
	fmt.Fprintf(&b, "az network firewall policy rule-collection-group create -g \"$GROUP\" --policy-name \"$POLICY\" -n %s --priority %d\n", l.Group, l.Priority)
	first := map[string]bool{}
	command := func(collection string, priority int, r writtenRule, rest string) {
		fmt.Fprintf(&b, "\n# %s\n", r.note)
		verb := fmt.Sprintf("az network firewall policy rule-collection-group collection rule add -g \"$GROUP\" --policy-name \"$POLICY\" --rule-collection-group-name %s --collection-name %s -n %s", l.Group, collection, r.name)
		if !first[collection] {
			first[collection] = true
			verb = fmt.Sprintf("az network firewall policy rule-collection-group collection add-filter-collection -g \"$GROUP\" --policy-name \"$POLICY\" --rule-collection-group-name %s --name %s --collection-priority %d --action Allow --rule-name %s", l.Group, collection, priority, r.name)
		}
		fmt.Fprintf(&b, "%s --source-addresses %s %s\n", verb, strings.Join(r.sources, " "), rest)
	}
	for _, r := range w.network {
		rest := fmt.Sprintf("--rule-type NetworkRule --ip-protocols %s --destination-ports %s", r.protocol, strings.Join(r.ports, " "))
		if len(r.destinations) > 0 {
			rest += " --destination-addresses " + strings.Join(r.destinations, " ")
		}
		if len(r.names) > 0 {
			rest += " --destination-fqdns " + strings.Join(r.names, " ")
		}
		command(l.Group+"-network", 100, r, rest)
	}
	for _, r := range w.byName {
		var protocols []string
		for _, port := range r.ports {
			protocols = append(protocols, r.protocol+"="+port)
		}
		command(l.Group+"-names", 200, r, fmt.Sprintf("--rule-type ApplicationRule --protocols %s --target-fqdns '%s'",
			strings.Join(protocols, " "), strings.Join(r.names, "' '")))
	}
	return []byte(b.String()), w.left
}
