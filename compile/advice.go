// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/program"
)

// statements copies what the edition says besides its tables, as far as it
// concerns this cluster.
func (b *builder) statements() {
	stmt := func(id string, s catalog.Statement, command string) program.Statement {
		return program.Statement{ID: id, Text: s.Text, Command: command, Citation: b.cite(s.Line)}
	}
	for _, p := range b.edition.Prerequisites {
		b.p.Prerequisites = append(b.p.Prerequisites, stmt(p.ID, p.Statement, p.Check))
	}
	for _, d := range b.edition.Deprecations {
		if len(d.Clouds) > 0 && !slices.Contains(d.Clouds, b.facts.Cloud) {
			continue
		}
		b.p.Retired = append(b.p.Retired, program.Retired{
			Destinations: d.Destinations, ReplacedBy: d.ReplacedBy,
			Statement: stmt(strings.Join(d.Destinations, " "), d.Statement, ""),
		})
	}
	for _, n := range b.edition.NetworkRules {
		if !n.When.Holds(b.facts) {
			continue
		}
		c := program.Coverage{Statement: stmt(n.ID, n.Statement, ""), ID: n.ID, By: coverageText[n.CoveredBy]}
		for _, p := range n.Ports {
			c.Ports = append(c.Ports, p.String())
		}
		b.p.Coverage = append(b.p.Coverage, c)
	}
	for _, a := range b.edition.Advice {
		if a.When.Holds(b.facts) {
			b.p.Advice = append(b.p.Advice, program.Advice{Statement: stmt(a.ID, a.Statement, ""), Kind: a.Kind})
		}
	}
	if len(b.p.NotStated) > 0 {
		b.p.Advice = append(b.p.Advice, program.Advice{Kind: "important", Statement: program.Statement{
			ID: "not-stated",
			Text: fmt.Sprintf("%d pairs are left out: their sections name no cloud and print public-cloud names; includeNotStated: true asks for them",
				len(b.p.NotStated)),
			Citation: b.cite(b.p.NotStated[0].Citation.Line),
		}})
	}
}

// notAsked lists what the catalog knows and the cluster does not need, so that
// an audit can say what a rule once was for.
func (b *builder) notAsked() {
	asked := make(map[string]bool)
	for _, r := range b.p.Rows {
		asked[r.Stated+" "+r.Port] = true
	}
	for _, q := range b.catalog.Requirements() {
		if q.Cloud != "" && q.Cloud != b.facts.Cloud {
			continue
		}
		for _, p := range q.Ports {
			key := q.StatedDestination() + " " + p.String()
			if asked[key] || len(p.Listed) == 0 || p.Listed[0].Since > b.edition.ID {
				continue
			}
			n := program.NotAsked{
				Destination: q.StatedDestination(), Protocol: p.Protocol, Port: p.Port, ReplacedBy: q.ReplacedBy,
				Requirement: q.ID, Citation: b.cite(q.Lines[b.edition.ID]),
			}
			if _, listed := p.ListedIn(b.edition); listed {
				n.For = b.catalog.FeatureTitle(q.Feature)
				if only := p.WhenIn(b.edition).Unmet(b.facts).String(); only != "" {
					n.For = only
				}
			} else {
				for _, s := range p.Listed {
					if s.Until != "" && s.Until <= b.edition.ID {
						n.Until = catalog.Day(s.Until)
					}
				}
			}
			b.p.NotAsked = append(b.p.NotAsked, n)
		}
	}
}

// nodeLocal copies what a firewall on a node itself must leave open.
func (b *builder) nodeLocal() {
	for _, d := range b.catalog.NodeLocal() {
		b.p.NodeLocal = append(b.p.NodeLocal, program.NodeLocal{
			ID: d.ID, Prefixes: d.Prefixes, Ports: d.Ports, Purpose: d.Purpose, Note: d.Note, Source: d.Source,
		})
	}
}

var coverageText = map[catalog.Coverage]string{
	catalog.ByNames:            "the rules by name",
	catalog.ByAPIServerAddress: "rules for the API server's own addresses",
	catalog.ByResolver:         "the gateway's resolver; no rule opens port 53 to anywhere else",
}

// paste adds what to set up around the gateway, as commands.
func (b *builder) paste() {
	add := b.pasted
	gw := b.cluster.Gateway
	private, public := "$GATEWAY_PRIVATE_ADDRESS", "$GATEWAY_PUBLIC_ADDRESS"
	if gw.PrivateAddress.IsValid() {
		private = gw.PrivateAddress.String()
	} else {
		b.p.Pending = append(b.p.Pending, program.Pending{
			Missing: "the gateway's private address", Key: "gateway.privateAddress",
			Command: "az network nic show --ids NIC --query ipConfigurations[0].privateIPAddress -o tsv",
		})
	}
	if gw.PublicAddress.IsValid() {
		public = gw.PublicAddress.String()
	} else {
		b.p.Pending = append(b.p.Pending, program.Pending{
			Missing: "the gateway's public address", Key: "gateway.publicAddress",
			Command: "az network public-ip show -g GROUP -n GATEWAY_IP --query ipAddress -o tsv",
		})
	}
	add("route-table", "Send everything the cluster sends out to the gateway, and the gateway's own public address around it", fmt.Sprintf(
		`az network route-table create -g $GROUP -n sallyport --disable-bgp-route-propagation true
az network route-table route create -g $GROUP --route-table-name sallyport -n out --address-prefix 0.0.0.0/0 --next-hop-type VirtualAppliance --next-hop-ip-address %s
az network route-table route create -g $GROUP --route-table-name sallyport -n gateway-public --address-prefix %s/32 --next-hop-type Internet
az network vnet subnet update --ids $NODE_SUBNET --route-table sallyport`, private, public))
	add("vnet-dns", "Let the VNet resolve through the gateway; nodes take it up when they restart", fmt.Sprintf(
		"az network vnet update --ids $VNET --dns-servers %s", private))
	add("nsg-resolvers", "Close other ways to a resolver: the platform's own, 168.63.129.16, ignores routes", fmt.Sprintf(
		`az network nsg rule create -g $GROUP --nsg-name $NODE_NSG -n dns-to-gateway --priority 100 --direction Outbound --access Allow --protocol '*' --destination-address-prefixes %s --destination-port-ranges 53
az network nsg rule create -g $GROUP --nsg-name $NODE_NSG -n no-platform-dns --priority 110 --direction Outbound --access Deny --protocol '*' --destination-address-prefixes AzurePlatformDNS --destination-port-ranges '*'
az network nsg rule create -g $GROUP --nsg-name $NODE_NSG -n no-other-dns --priority 120 --direction Outbound --access Deny --protocol '*' --destination-address-prefixes '*' --destination-port-ranges 53 853`, private))
	b.inwards(public)
	if b.cluster.Network.OutboundType != "userDefinedRouting" {
		b.p.Advice = append(b.p.Advice, program.Advice{Kind: "important", Statement: program.Statement{
			ID: "outbound-type",
			Text: fmt.Sprintf("outboundType is %s: the cluster keeps a way out of its own beside the gateway; use userDefinedRouting",
				b.cluster.Network.OutboundType),
			Command: "az aks update -g GROUP -n CLUSTER --outbound-type userDefinedRouting",
		}})
	}
	b.p.Advice = append(b.p.Advice, program.Advice{Kind: "note", Statement: program.Statement{
		ID:   "not-seen",
		Text: "A gateway does not see what goes around it: service endpoints, routes to private endpoints and a proxy set in the cluster's own httpProxyConfig",
	}})
}

// shared lists apexes under which anybody can get a name, so that a wildcard
// over one lets data out to strangers. From the vendors' documentation of
// their default endpoint names, read 2026-11-22.
var shared = []string{
	"blob.core.windows.net", "web.core.windows.net", "file.core.windows.net", "table.core.windows.net",
	"queue.core.windows.net", "azurewebsites.net", "azureedge.net", "azurefd.net", "trafficmanager.net",
	"cloudapp.azure.com", "vault.azure.net", "azurecr.io", "s3.amazonaws.com", "amazonaws.com", "cloudfront.net",
	"storage.googleapis.com", "githubusercontent.com", "github.io", "herokuapp.com", "fastly.net", "akamaized.net",
}

// warnings lists rules that allow more than they need to.
func (b *builder) warnings() {
	warn := func(id flow.RuleID, text string, cite program.Citation) {
		b.p.Warnings = append(b.p.Warnings, program.Statement{ID: string(id), Text: text, Citation: cite})
	}
	if _, known := b.catalog.CloudOf(b.cluster.Location); !known {
		warn("location", fmt.Sprintf("%s is no region that this catalog knows; names with the region in them may be wrong: compare az account list-locations -o table",
			b.cluster.Location), program.Citation{Document: b.cluster.File})
	}
	for _, r := range b.p.Rules {
		if !r.ByName() && len(r.Origins) > 0 && len(r.Origins[0].Also) > 0 && len(b.cluster.APIServer.Addresses) == 0 {
			warn(r.ID, "the whole region's ranges are let through for the tunnel; set apiServer.addresses when they are known", r.Origins[0].Citation)
		}
		apex, wild := r.Pattern.Apex()
		if !wild {
			continue
		}
		cite := r.Origins[0].Citation
		if strings.HasPrefix(apex.String(), "hcp.") {
			warn(r.ID, fmt.Sprintf("%s admits the API server of every tenant in the region; set apiServer.name", r.Pattern), cite)
		}
		for _, s := range shared {
			if n := dnsname.MustParse(s); apex == n || apex.Under(n) {
				warn(r.ID, fmt.Sprintf("%s: anybody can get a name under %s and take data there; name the exact hosts", r.Pattern, s), cite)
				break
			}
		}
	}
}
