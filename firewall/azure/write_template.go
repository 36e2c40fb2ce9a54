// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/program"
)

// The part of Microsoft.Network/firewallPolicies/ruleCollectionGroups that is
// written (API version 2024-05-01).
type (
	armTemplate struct {
		Schema         string                  `json:"$schema"`
		ContentVersion string                  `json:"contentVersion"`
		Metadata       map[string]string       `json:"metadata"`
		Parameters     map[string]armParameter `json:"parameters"`
		Resources      []armGroup              `json:"resources"`
	}
	armParameter struct {
		Type         string `json:"type"`
		DefaultValue string `json:"defaultValue"`
	}
	armGroup struct {
		Type       string        `json:"type"`
		APIVersion string        `json:"apiVersion"`
		Name       string        `json:"name"`
		DependsOn  []string      `json:"dependsOn,omitempty"`
		Properties armProperties `json:"properties"`
	}
	armProperties struct {
		Priority        int             `json:"priority"`
		RuleCollections []armCollection `json:"ruleCollections"`
	}
	armCollection struct {
		RuleCollectionType string            `json:"ruleCollectionType"`
		Name               string            `json:"name"`
		Priority           int               `json:"priority"`
		Action             map[string]string `json:"action"`
		Rules              []armRule         `json:"rules"`
	}
	armRule struct {
		RuleType             string        `json:"ruleType"`
		Name                 string        `json:"name"`
		Description          string        `json:"description,omitempty"`
		SourceAddresses      []string      `json:"sourceAddresses"`
		Protocols            []armProtocol `json:"protocols,omitempty"`
		TargetFqdns          []string      `json:"targetFqdns,omitempty"`
		IPProtocols          []string      `json:"ipProtocols,omitempty"`
		DestinationAddresses []string      `json:"destinationAddresses,omitempty"`
		DestinationFqdns     []string      `json:"destinationFqdns,omitempty"`
		DestinationPorts     []string      `json:"destinationPorts,omitempty"`
	}
	armProtocol struct {
		ProtocolType string `json:"protocolType"`
		Port         int    `json:"port"`
	}
)

const (
	groupType  = "Microsoft.Network/firewallPolicies/ruleCollectionGroups"
	apiVersion = "2024-05-01"
)

// ARM writes the rules of p as an ARM template with a rule collection group, or
// with several, one after another, where one would be too large. Rules that Azure
// cannot say, or not in full, are named.
func ARM(p *program.Program, l Layout) (template []byte, left []flow.RuleID) {
	w := plan(p, l)
	var groups []armGroup
	for i, g := range w.groups {
		x := w.armGroup(g)
		if i > 0 { // Azure changes one group of a policy at a time
			x.DependsOn = []string{"[resourceId('" + groupType + "', parameters('firewallPolicyName'), '" + w.groups[i-1].name + "')]"}
		}
		groups = append(groups, x)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	// Encoding plain structs into memory does not fail.
	_ = e.Encode(armTemplate{
		Schema: "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", ContentVersion: "1.0.0.0",
		Metadata:   map[string]string{"description": strings.TrimSuffix(strings.Join(w.head(), " "), ".")},
		Parameters: map[string]armParameter{"firewallPolicyName": {"string", w.layout.Policy}}, Resources: groups,
	})
	return b.Bytes(), w.left
}

func (w written) armGroup(g writtenGroup) armGroup {
	out := armGroup{
		Type: groupType, APIVersion: apiVersion,
		Name:       "[concat(parameters('firewallPolicyName'), '/" + g.name + "')]",
		Properties: armProperties{Priority: g.priority, RuleCollections: []armCollection{}},
	}
	add := func(kind string, priority int, rules []armRule) {
		if len(rules) > 0 {
			out.Properties.RuleCollections = append(out.Properties.RuleCollections, armCollection{
				RuleCollectionType: "FirewallPolicyFilterRuleCollection", Name: g.collection(w.layout, kind), Priority: priority,
				Action: map[string]string{"type": "Allow"}, Rules: rules,
			})
		}
	}
	var network, byName []armRule
	for _, r := range g.network {
		network = append(network, armRule{
			RuleType: "NetworkRule", Name: r.name, Description: armText(short(r.note)), SourceAddresses: r.sources, IPProtocols: []string{r.protocol},
			DestinationAddresses: r.destinations, DestinationFqdns: r.names, DestinationPorts: r.ports,
		})
	}
	for _, r := range g.byName {
		x := armRule{RuleType: "ApplicationRule", Name: r.name, Description: armText(short(r.note)), SourceAddresses: r.sources, TargetFqdns: r.names}
		for _, port := range r.ports {
			n, _ := strconv.Atoi(port)
			x.Protocols = append(x.Protocols, armProtocol{r.protocol, n})
		}
		byName = append(byName, x)
	}
	add("network", networkPriority, network)
	add("names", namesPriority, byName)
	return out
}

// armText keeps a text from being taken for an expression
// (learn.microsoft.com/azure/azure-resource-manager/templates/
// template-expressions, escape characters, 2026-11-23).
func armText(s string) string {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		return "[" + s
	}
	return s
}
