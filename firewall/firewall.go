// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package firewall translates a program into the language of a firewall that
// somebody else made, and proves the translation: what was written is read back,
// and both are compared as sets of flows. So a writer cannot lie.
package firewall

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/firewall/azure"
	"github.com/sallyport/sallyport/firewall/cilium"
	"github.com/sallyport/sallyport/firewall/networkpolicy"
	"github.com/sallyport/sallyport/firewall/nftables"
	"github.com/sallyport/sallyport/firewall/panos"
	"github.com/sallyport/sallyport/firewall/sheet"
	"github.com/sallyport/sallyport/firewall/squid"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/ruleset"
)

// File is one file of a translation.
type File struct {
	Name string
	Data []byte
}

// Dialect is one firewall's language, as far as Sallyport writes it.
type Dialect struct {
	Name         string
	Title        string
	Scope        string // whose traffic it sees: "node", "pod" or "both"
	Matches      string // what a name is compared with
	Restrictions []Restriction
	Settings     []Setting
	with         func(values map[string]string) (Dialect, error) // nil when it has no settings
	// Write translates the rules of p, and names those that a restriction keeps
	// it from saying.
	Write func(p *program.Program) (files []File, left []ruleset.Left)
	// Extras names what the files let through beside the rules, since the language
	// cannot keep it out; nil: nothing.
	Extras func(p *program.Program) []ruleset.Extra
	// Read reads back the file of a translation that decides.
	Read func(files []File) (*ruleset.RuleSet, error)
}

// Restriction is something a dialect cannot say.
type Restriction struct {
	ID     string
	Text   string
	Source string // with the day it was checked
}

// azureDialect is one of the forms in which Azure Firewall is configured.
func azureDialect(name, title, file string, write func(*program.Program, azure.Layout) ([]byte, []flow.RuleID)) Dialect {
	return azureWith(name, title, file, write, azure.DefaultLayout)
}

func azureWith(name, title, file string, write func(*program.Program, azure.Layout) ([]byte, []flow.RuleID), layout azure.Layout) Dialect {
	return Dialect{
		Settings: azureSettings,
		with: func(values map[string]string) (Dialect, error) {
			l, err := azureLayout(values)
			return azureWith(name, title, file, write, l), err
		},
		Name: name, Title: title, Scope: "both", Matches: "SNI for HTTPS, Host for HTTP",
		Restrictions: []Restriction{{
			ID: azure.WildcardInNetworkRule, Text: "network rules take names without wildcards alone, and need the DNS proxy for them",
			Source: "learn.microsoft.com/azure/firewall/fqdn-filtering-network-rules, 2026-11-22",
		}, {
			ID: azure.NoIPv6, Text: "Azure Firewall has no IPv6: of a rule its IPv4 part alone is written",
			Source: "github.com/MicrosoftDocs/azure-docs pull 100532, architecture-center pull 4765, 2026-11-23",
		}, {
			ID: azure.HighApplicationPort, Text: "application rules take ports up to 64000",
			Source: "armnetwork v9.0.0, FirewallPolicyRuleApplicationProtocol, 2026-11-23",
		}},
		Write: func(p *program.Program) ([]File, []ruleset.Left) {
			data, ids := write(p, layout)
			var left []ruleset.Left
			for _, id := range ids {
				r, _ := p.Rule(id)
				left = append(left, ruleset.Left{Rule: id, Restriction: azure.Restriction(r)})
			}
			return []File{{file, data}}, left
		},
		Read: readAs("azure-firewall"),
	}
}

// Dialects lists every dialect that Sallyport writes.
var Dialects = []Dialect{
	azureDialect("azure-arm", "Azure Firewall policy, ARM template", "azuredeploy.json", azure.ARM),
	azureDialect("azure-terraform", "Azure Firewall policy, Terraform azurerm", "main.tf", azure.Terraform),
	azureDialect("azure-cli", "Azure Firewall policy, script of az commands", "apply.sh", azure.AzCLI),
	azureDialect("azure-bicep", "Azure Firewall policy, Bicep", "main.bicep", azure.Bicep),
	ciliumDialect("cilium-nodes", "Cilium host policy for nodes", "node", cilium.Nodes),
	ciliumDialect("cilium-pods", "Cilium policy for pods", "pod", cilium.Pods),
	{
		Name: "networkpolicy", Title: "Kubernetes ClusterNetworkPolicy, v1alpha2", Scope: "pod", Matches: "an address learned from DNS",
		Restrictions: []Restriction{
			{networkpolicy.OtherSources, "the policy is about pods that have a network of their own, not about nodes or other sources", networkPolicyTypes},
			{networkpolicy.SingleLabel, "domainNames takes names of two labels or more", networkPolicyTypes},
			{networkpolicy.TooMany, "there are priorities 0 to 1000 with 25 egress rules each", networkPolicyTypes},
			{networkpolicy.LearnedAddress, "a name stands for the addresses it resolves to: any TCP to the port passes, also to others at that address",
				"network-policy-api.sigs.k8s.io/npeps/npep-133-fqdn-egress-selector, 2026-11-23"},
			{networkpolicy.ClusterTraffic, "traffic inside the cluster passes on to NetworkPolicies before the final deny", networkPolicyTypes},
			{networkpolicy.DNSRule, "the cluster's DNS servers are pods too and are let through to theirs", networkPolicyTypes},
		},
		Write: func(p *program.Program) ([]File, []ruleset.Left) {
			data, left := networkpolicy.Write(p)
			return []File{{"networkpolicy.yaml", data}}, left
		},
		Extras: networkpolicy.Extras,
		Read:   readAs("networkpolicy"),
	},
	{
		Name: "nftables", Title: "nftables on a router, rules by address", Scope: "both", Matches: "addresses and ports alone",
		Restrictions: []Restriction{{
			nftables.AddressesOnly, "nftables compares addresses: a host name is resolved once, when the file is loaded, and there are no wildcards",
			"nft(8) of nftables 1.0.6, IPv4 address type, 2026-11-23",
		}},
		Write: func(p *program.Program) ([]File, []ruleset.Left) {
			conf, ids := nftables.Write(p)
			return []File{{"sallyport.nft", conf}}, leftOut(ids, nftables.AddressesOnly)
		},
		Read: readAs("nftables"),
	},
	{
		Name: "panos", Title: "PAN-OS set commands, 10.2 and later", Scope: "both",
		Matches: "SNI for HTTPS, Host for HTTP",
		Restrictions: []Restriction{
			{panos.HTTPOnly, "URL categories are looked up for HTTP and TLS alone; names on other protocols cannot be said",
				"knowledgebase.paloaltonetworks.com kA10g000000ClzlCAC, 2026-11-23"},
			{panos.LongName, "an entry of a URL list has at most 255 characters",
				"docs.paloaltonetworks.com, Create a Custom URL Category for Cloud NGFW on AWS, 2026-11-23"},
			{panos.IPv6HoldsIPv4, "IPv4 addresses count among those of IPv6: a prefix that holds ::/96 matches IPv4 too",
				"docs.paloaltonetworks.com/pan-os/10-1/pan-os-admin/policy, 2026-11-23"},
			{panos.AppShift, "a connection that App-ID knows as more than ssl or web-browsing is not let through; add that application to the rule",
				"knowledgebase.paloaltonetworks.com kA10g000000Cm4ICAS, 2026-11-23"},
		},
		Write: func(p *program.Program) ([]File, []ruleset.Left) {
			conf, left := panos.Write(p)
			return []File{{"panos.set", conf}}, left
		},
		Read: readAs("panos"),
	},
	{
		Name: "sheet", Title: "request sheet for the team that owns the firewall", Scope: "both", Matches: "whatever the firewall does",
		Write: func(p *program.Program) ([]File, []ruleset.Left) {
			return []File{{"request.csv", sheet.CSV(p)}, {"request.md", sheet.Markdown(p)}}, nil
		},
		Read: readAs("sheet"),
	},
	{
		Name: "squid", Title: "Squid as a forward proxy", Scope: "both", Matches: "the host of the request or of CONNECT",
		Restrictions: []Restriction{{
			ID: squid.HTTPOnly, Text: "a forward proxy carries HTTP and CONNECT to names; other traffic needs another way out",
			Source: "wiki.squid-cache.org/Features, 2026-11-23",
		}},
		Write: func(p *program.Program) ([]File, []ruleset.Left) {
			conf, ids := squid.Write(p)
			return []File{{"squid.conf", conf}}, leftOut(ids, squid.HTTPOnly)
		},
		Read: readAs("squid"),
	},
}

const networkPolicyTypes = "kubernetes-sigs/network-policy-api apis/v1alpha2/clusternetworkpolicy_types.go 066a9454, 2026-11-23"

// ciliumDialect is Cilium for nodes or for pods.
func ciliumDialect(name, title, sees string, scope cilium.Scope) Dialect {
	return ciliumWith(name, title, sees, cilium.Options{Scope: scope, Version: cilium.Version{Major: 1, Minor: 19}})
}

func ciliumWith(name, title, sees string, o cilium.Options) Dialect {
	return Dialect{
		Settings: ciliumSettings,
		with: func(values map[string]string) (Dialect, error) {
			v, err := ciliumVersion(values)
			return ciliumWith(name, title, sees, cilium.Options{Scope: o.Scope, Version: v}), err
		},
		Name: name, Title: title, Scope: sees, Matches: "an address learned from DNS",
		Restrictions: []Restriction{
			{cilium.DepthLimit, "before 1.19 no pattern stands for any depth, and **.x silently means *.x; names are let through to four labels below",
				"github.com/cilium/cilium/pull/43420; pkg/fqdn/matchpattern/matchpattern.go of v1.18.4 and v1.19.0, 2026-11-23"},
			{cilium.OtherSources, "a policy is about all nodes, or about all pods, by label; other sources and a part of them by address cannot be said",
				"docs.cilium.io/en/latest/security/policy/host; pkg/policy/api/rule.go v1.19.0, 2026-11-23"},
			{cilium.InsideCluster, "rules by address do not apply to destinations inside the cluster", "pkg/policy/api/egress.go v1.19.0, ToCIDR, 2026-11-23"},
			{cilium.NoDNSServer, "addresses of names are learned from DNS answers, and the program names no DNS server to allow",
				"Documentation/security/policy/language.rst v1.19.0, DNS based, 2026-11-23"},
			{cilium.LearnedAddress, "what is matched is an address learned from DNS and a port, not the server name: any TCP to it passes, also to others at that address",
				"Documentation/security/policy/language.rst v1.19.0, DNS based, 2026-11-23"},
			{cilium.DNSRule, "toFQDNs needs a rule that leads DNS through Cilium's proxy; on nodes that is beta, and all their DNS waits while the agent restarts",
				"docs.cilium.io/en/latest/security/policy/host; pkg/policy/api/egress.go v1.19.0, ToFQDNs, 2026-11-23"},
			{cilium.ClusterTraffic, "an egress policy denies what it does not allow, so traffic inside the cluster and on the node is let through too",
				"Documentation/security/policy/language.rst v1.19.0, Default Deny, 2026-11-23"},
		},
		Write: func(p *program.Program) ([]File, []ruleset.Left) {
			data, left := cilium.Write(p, o)
			return []File{{name + ".yaml", data}}, left
		},
		Extras: func(p *program.Program) []ruleset.Extra { return cilium.Extras(p, o) },
		Read:   func(files []File) (*ruleset.RuleSet, error) { return cilium.Read(files[0].Name, files[0].Data, o) },
	}
}

// leftOut says of rules that one restriction is the cause.
func leftOut(ids []flow.RuleID, restriction string) (out []ruleset.Left) {
	for _, id := range ids {
		out = append(out, ruleset.Left{Rule: id, Restriction: restriction})
	}
	return out
}

// readAs reads the file of a translation that decides as any other file in the
// language of a Reader is read.
func readAs(reader string) func([]File) (*ruleset.RuleSet, error) {
	return func(files []File) (*ruleset.RuleSet, error) { return Read(files[:1], Options{Dialect: reader}) }
}

// Find returns the dialect called name; ok is false when there is none.
func Find(name string) (d Dialect, ok bool) {
	for _, d := range Dialects {
		if d.Name == name {
			return d, true
		}
	}
	return Dialect{}, false
}

// Gap is a difference between a program and its translation.
type Gap struct {
	Rule        flow.RuleID // "" for what no rule of the program asks for
	Wider       bool        // lets through more; else less
	Restriction string      // id, "" when none explains it
	Text        string
	Witness     flowset.Flow
}

// Accepted reports whether every wider gap is one that ids name, and returns the
// first that is not.
func (t Translation) Accepted(ids []string) (first Gap, ok bool) {
	for _, g := range t.Gaps {
		if g.Wider && (g.Restriction == "" || !slices.Contains(ids, g.Restriction)) {
			return g, false
		}
	}
	return Gap{}, true
}

// Translation is files with the proof of what they mean.
type Translation struct {
	Files []File
	Gaps  []Gap
}

// Equal reports whether the files mean exactly what the program does.
func (t Translation) Equal() bool { return len(t.Gaps) == 0 }

// Wider reports whether the files let through what the program does not.
func (t Translation) Wider() bool {
	return slices.ContainsFunc(t.Gaps, func(g Gap) bool { return g.Wider })
}

// restriction returns the text of a restriction.
func (d Dialect) restriction(id string) string {
	for _, r := range d.Restrictions {
		if r.ID == id {
			return r.Text
		}
	}
	return ""
}

// Translate writes p in the dialect, reads that back, and compares.
func Translate(d Dialect, p *program.Program) (Translation, error) {
	files, left := d.Write(p)
	rules, err := d.Read(files)
	if err != nil {
		return Translation{}, fmt.Errorf("%s does not read what it wrote: %w", d.Name, err)
	}
	t := Translation{Files: files}
	e := rules.Evaluate()
	var want []flowset.Box
	for _, r := range p.Rules {
		asked := ruleset.Asked(r)
		want = append(want, asked.Boxes()...)
		lacks := asked.Minus(e.Sure)
		w, missing := lacks.Witness()
		if !missing {
			continue
		}
		g := Gap{Rule: r.ID, Witness: w, Text: "is not let through"}
		if i := slices.IndexFunc(left, func(l ruleset.Left) bool { return l.Rule == r.ID }); i >= 0 {
			g.Restriction = left[i].Restriction
			g.Text = d.restriction(g.Restriction)
		}
		t.Gaps = append(t.Gaps, g)
	}
	if d.Extras != nil {
		asked := flowset.Of(want...)
		for _, x := range d.Extras(p) {
			if w, wider := x.Flows.Minus(asked).Witness(); wider {
				t.Gaps = append(t.Gaps, Gap{Rule: x.Rule, Wider: true, Restriction: x.Restriction, Text: d.restriction(x.Restriction), Witness: w})
				want = append(want, x.Flows.Boxes()...)
			}
		}
	}
	if w, wider := e.Maybe.Minus(flowset.Of(want...)).Witness(); wider {
		t.Gaps = append(t.Gaps, Gap{Wider: true, Witness: w, Text: "is let through, and nothing asks for it"})
	}
	return t, nil
}
