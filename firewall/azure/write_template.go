// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"bytes"
	"encoding/json"
	"strconv"

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

// ARM writes the rules of p as an ARM template with one rule collection group.
// Rules that Azure cannot say are left out and named.
func ARM(p *program.Program, l Layout) (template []byte, left []flow.RuleID) {
	w := plan(p, l)
	g := armGroup{
		Type: "Microsoft.Network/firewallPolicies/ruleCollectionGroups", APIVersion: "2024-05-01",
		Name:       "[concat(parameters('firewallPolicyName'), '/" + l.Group + "')]",
		Properties: armProperties{Priority: l.Priority, RuleCollections: []armCollection{}},
	}
	add := func(name string, priority int, rules []armRule) {
		if len(rules) > 0 {
			g.Properties.RuleCollections = append(g.Properties.RuleCollections, armCollection{
				RuleCollectionType: "FirewallPolicyFilterRuleCollection", Name: name, Priority: priority,
				Action: map[string]string{"type": "Allow"}, Rules: rules,
			})
		}
	}
	var network, byName []armRule
	for _, r := range w.network {
		network = append(network, armRule{
			RuleType: "NetworkRule", Name: r.name, Description: short(r.note), SourceAddresses: r.sources, IPProtocols: []string{r.protocol},
			DestinationAddresses: r.destinations, DestinationFqdns: r.names, DestinationPorts: r.ports,
		})
	}
	for _, r := range w.byName {
		x := armRule{RuleType: "ApplicationRule", Name: r.name, Description: short(r.note), SourceAddresses: r.sources, TargetFqdns: r.names}
		for _, port := range r.ports {
			n, _ := strconv.Atoi(port)
			x.Protocols = append(x.Protocols, armProtocol{r.protocol, n})
		}
		byName = append(byName, x)
	}
	add(l.Group+"-network", 100, network)
	add(l.Group+"-names", 200, byName)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	// Encoding plain structs into memory does not fail.
	_ = e.Encode(armTemplate{
		Schema: "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", ContentVersion: "1.0.0.0",
		Metadata:   map[string]string{"description": "Written by sallyport from edition " + w.edition + " of the AKS egress list"},
		Parameters: map[string]armParameter{"firewallPolicyName": {"string", l.Policy}}, Resources: []armGroup{g},
	})
	return b.Bytes(), w.left
}

// short keeps a description short; Azure takes any, portals show little.
func short(s string) string {
	r := []rune(s)
	if len(r) > 200 {
		return string(r[:199]) + "…"
	}
	return s
}
