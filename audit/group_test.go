// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/firewall/azure"
)

func TestASecurityGroupThatCutsTheSubnetIsFound(t *testing.T) {
	const terraform = `resource "azurerm_network_security_group" "nodes" {
  name = "nodes"
  security_rule {
    name = "r"
    priority = 100
    direction = "Outbound"
    access = "ACCESS"
    protocol = "*"
    source_port_range = "*"
    destination_port_range = "PORT"
    source_address_prefix = "SRC"
    destination_address_prefix = "DST"
  }
}
`
	const bicep = `resource nsg 'Microsoft.Network/networkSecurityGroups@2023-04-01' = {
  name: 'nodes'
  properties: {
    securityRules: [
      {
        name: 'r'
        properties: {
          priority: 100
          direction: 'Outbound'
          access: 'ACCESS'
          protocol: '*'
          sourcePortRange: '*'
          destinationPortRange: 'PORT'
          sourceAddressPrefix: 'SRC'
          destinationAddressPrefix: 'DST'
        }
      }
    ]
  }
}
`
	const arm = `{"resources": [{"type": "Microsoft.Network/networkSecurityGroups", "name": "nodes", "properties": {"securityRules": [
{"name": "r", "properties": {"priority": 100, "direction": "Outbound", "access": "ACCESS", "protocol": "*", "sourcePortRange": "*",
"destinationPortRanges": ["PORT"], "sourceAddressPrefix": "SRC", "destinationAddressPrefixes": ["DST"]}}]}}]}
`
	const cli = `az network nsg rule create -g x --nsg-name nodes -n r --priority 100 --direction Outbound --access ACCESS --protocol '*' --source-address-prefixes 'SRC' --destination-address-prefixes 'DST' --destination-port-ranges 'PORT'
`
	p := compiled(t, "westeurope")
	for _, row := range []struct {
		name, access, src, dst, port string
		want                         []string
	}{
		{"denies_everything", "Deny", "*", "*", "*", []string{"subnet-filtered r", "security-group r"}},
		{"denies_within_the_subnet", "Deny", "10.240.0.0/16", "10.240.0.0/16", "10250", []string{"subnet-filtered r"}},
		{"denies_the_Internet", "Deny", "*", "Internet", "*", []string{"security-group r"}},
		{"denies_what_nobody_needs", "Deny", "*", "Internet", "25", nil},
		{"denies_somebody_else", "Deny", "10.9.0.0/16", "10.9.0.0/16", "*", nil},
		{"denies_the_network", "Deny", "VirtualNetwork", "VirtualNetwork", "*", []string{"subnet-filtered r"}},
		{"allows", "Allow", "*", "*", "*", nil},
	} {
		fill := strings.NewReplacer("ACCESS", row.access, "SRC", row.src, "DST", row.dst, "PORT", row.port)
		for name, text := range map[string]string{"nsg.tf": terraform, "nsg.bicep": bicep, "nsg.json": arm, "nsg.sh": cli} {
			r := run(t, p, azure.File{Name: name, Data: []byte(fill.Replace(text))})
			if got := found(r); !slices.Equal(got, row.want) {
				t.Errorf("%s in %s: %v, want %v (%+v)", row.name, name, got, row.want, r.Unknown)
			}
		}
	}
}

func TestARuleForOneAddressDoesNotHideTheDenialBehindIt(t *testing.T) {
	p := compiled(t, "westeurope")
	group := func(name string) azure.File {
		return azure.File{Name: "nsg.bicep", Data: []byte(`resource nsg 'Microsoft.Network/networkSecurityGroups@2023-04-01' = {
  name: '` + name + `'
  properties: {
    securityRules: [
      {
        name: 'one'
        properties: { priority: 100, direction: 'Outbound', access: 'Allow', protocol: '*', sourcePortRange: '*', destinationPortRange: '80', sourceAddressPrefix: '*', destinationAddressPrefix: '8.8.8.8' }
      }
      {
        name: 'rest'
        properties: { priority: 200, direction: 'Outbound', access: 'Deny', protocol: '*', sourcePortRange: '*', destinationPortRange: '*', sourceAddressPrefix: '*', destinationAddressPrefix: '*' }
      }
    ]
  }
}
`)}
	}
	for name, want := range map[string][]string{
		"snet-workload": {"subnet-filtered rest", "security-group rest"}, "nsg-bastion": nil,
	} {
		if got := found(run(t, p, group(name))); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
