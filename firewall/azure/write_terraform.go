// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"strconv"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/program"
)

// Terraform writes the rules of p as an azurerm_firewall_policy_rule_collection_group,
// or as several, one after another, where one would be too large
// (registry.terraform.io/providers/hashicorp/azurerm, 4.x, 2026-11-22). The
// policy's id is a variable.
func Terraform(p *program.Program, l Layout) (file []byte, left []flow.RuleID) {
	w := plan(p, l)
	f := hclwrite.NewEmptyFile()
	root := f.Body()
	for _, line := range w.head() {
		hclComment(root, line)
	}
	v := root.AppendNewBlock("variable", []string{"firewall_policy_id"}).Body()
	v.SetAttributeRaw("type", hclwrite.TokensForIdentifier("string"))
	v.SetAttributeValue("description", cty.StringVal("id of the firewall policy that takes the rules"))
	for i, g := range w.groups {
		root.AppendNewline()
		b := root.AppendNewBlock("resource", []string{groupResource, identifier(g.name)}).Body()
		w.terraformGroup(b, g)
		if i > 0 { // Azure changes one group of a policy at a time
			b.AppendNewline()
			b.SetAttributeRaw("depends_on", hclwrite.TokensForTuple([]hclwrite.Tokens{
				hclwrite.TokensForIdentifier(groupResource + "." + identifier(w.groups[i-1].name)),
			}))
		}
	}
	return hclwrite.Format(f.Bytes()), w.left
}

const groupResource = "azurerm_firewall_policy_rule_collection_group"

func hclComment(b *hclwrite.Body, text string) {
	b.AppendUnstructuredTokens(hclwrite.Tokens{{Type: hclsyntax.TokenComment, Bytes: []byte("# " + text + "\n")}})
}

func (w written) terraformGroup(b *hclwrite.Body, g writtenGroup) {
	b.SetAttributeValue("name", cty.StringVal(g.name))
	b.SetAttributeRaw("firewall_policy_id", hclwrite.TokensForIdentifier("var.firewall_policy_id"))
	b.SetAttributeValue("priority", cty.NumberIntVal(int64(g.priority)))
	collection := func(block, kind string, priority int, rules []writtenRule, rest func(*hclwrite.Body, writtenRule)) {
		if len(rules) == 0 {
			return
		}
		b.AppendNewline()
		c := b.AppendNewBlock(block, nil).Body()
		c.SetAttributeValue("name", cty.StringVal(g.collection(w.layout, kind)))
		c.SetAttributeValue("priority", cty.NumberIntVal(int64(priority)))
		c.SetAttributeValue("action", cty.StringVal("Allow"))
		for _, r := range rules {
			c.AppendNewline()
			hclComment(c, r.comment())
			x := c.AppendNewBlock("rule", nil).Body()
			x.SetAttributeValue("name", cty.StringVal(r.name))
			x.SetAttributeValue("source_addresses", ctyList(r.sources))
			rest(x, r)
		}
	}
	collection("network_rule_collection", "network", networkPriority, g.network, func(x *hclwrite.Body, r writtenRule) {
		x.SetAttributeValue("protocols", ctyList([]string{r.protocol}))
		if len(r.destinations) > 0 {
			x.SetAttributeValue("destination_addresses", ctyList(r.destinations))
		}
		if len(r.names) > 0 {
			x.SetAttributeValue("destination_fqdns", ctyList(r.names))
		}
		x.SetAttributeValue("destination_ports", ctyList(r.ports))
	})
	collection("application_rule_collection", "names", namesPriority, g.byName, func(x *hclwrite.Body, r writtenRule) {
		x.SetAttributeValue("destination_fqdns", ctyList(r.names))
		for _, port := range r.ports {
			n, _ := strconv.Atoi(port)
			q := x.AppendNewBlock("protocols", nil).Body()
			q.SetAttributeValue("type", cty.StringVal(r.protocol))
			q.SetAttributeValue("port", cty.NumberIntVal(int64(n)))
		}
	})
}

func ctyList(in []string) cty.Value {
	out := make([]cty.Value, len(in))
	for i, s := range in {
		out[i] = cty.StringVal(s)
	}
	return cty.ListVal(out)
}
