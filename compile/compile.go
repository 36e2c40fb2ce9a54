// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package compile makes a program from a cluster description and the catalog.
// It is the only package that sees both. It guesses nothing: what cannot be
// decided yet is listed as pending, with the command that tells it.
package compile

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/cluster"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
)

// Compile returns the program of c under the edition that c names, or that was
// in force on the day it names; else under the newest. Service tags become
// address ranges when tags is given, and stay symbols when it is nil.
func Compile(c *cluster.Cluster, cat *catalog.Catalog, tags *catalog.ServiceTags) (*program.Program, error) {
	edition, err := EditionOf(c, cat)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	if tags != nil && tags.Cloud != string(c.Cloud) {
		return nil, fmt.Errorf("%s: the service tags are those of %s, the cluster is in %s", c.File, tags.Cloud, c.Cloud)
	}
	b := &builder{
		cluster: c, catalog: cat, edition: edition, facts: Facts(c), tags: tags,
		p: &program.Program{
			Cluster: program.Cluster{
				Provider: c.Provider, Cloud: string(c.Cloud), Location: c.Location, APIName: c.APIServer.Name,
			},
			Edition: program.Edition{
				ID: edition.ID, Alias: edition.Alias, Document: edition.Document,
				NewestKnown: cat.NewestKnown(), Current: cat.Current(edition),
			},
		},
	}
	b.p.LoadBalancers = len(c.LoadBalancers) > 0
	b.groups()
	b.resolve()
	b.published()
	b.rows()
	b.owner()
	b.p.Rules = b.merged()
	b.fillRows()
	b.statements()
	b.nodeLocal()
	b.notAsked()
	b.paste()
	b.warnings()
	return b.p, nil
}

// builder gathers a program.
type builder struct {
	cluster *cluster.Cluster
	catalog *catalog.Catalog
	edition catalog.Edition
	facts   catalog.Facts
	tags    *catalog.ServiceTags // nil: none
	p       *program.Program

	wants []want
}

// EditionOf returns the edition that the description asks for.
func EditionOf(c *cluster.Cluster, cat *catalog.Catalog) (catalog.Edition, error) {
	if !c.AsOf.IsZero() {
		return cat.AsOf(c.AsOf)
	}
	return cat.Edition(c.Edition)
}

// Facts returns what the catalog's conditions are read against.
func Facts(c *cluster.Cluster) catalog.Facts {
	addOns := make(map[string]bool)
	for _, a := range c.AddOns {
		addOns[string(a)] = true
	}
	return catalog.Facts{
		Cloud:              string(c.Cloud),
		Tunnel:             string(c.Tunnel),
		Linux:              c.Nodes.Linux,
		Windows:            c.Nodes.Windows,
		GPU:                c.Nodes.GPU,
		AddOns:             addOns,
		APIServerByAddress: c.APIServer.ByAddress,
		Private:            c.APIServer.Private,
		Isolated:           c.NetworkIsolated(),
		CustomDNS:          c.CustomDNS(),
		OldestNodes:        c.Nodes.ImageDate,
		Optional:           c.Optional,
	}
}

// groups names the sources of the cluster and says which of them a gateway in
// a hub sees.
func (b *builder) groups() {
	n := b.cluster.Network
	b.p.Groups = []program.Group{{Name: "nodes", Set: netset.Of(n.Nodes...), Visible: true}}
	if len(n.Pods) == 0 {
		return
	}
	pods := program.Group{Name: "pods", Set: netset.Of(n.Pods...), Visible: b.cluster.PodsVisible()}
	if !pods.Visible {
		pods.Why = "pods leave with the address of their node"
	}
	b.p.Groups = append(b.p.Groups, pods)
}

// everyone returns the sources a gateway sees, with their names.
func (b *builder) everyone() (set netset.Set, names []string) {
	for _, g := range b.p.Groups {
		if g.Visible {
			set = set.Union(g.Set)
			names = append(names, g.Name)
		}
	}
	return set, names
}

// resolve fills in how names are to be resolved.
func (b *builder) resolve() {
	c := b.cluster
	r := program.Resolve{Upstreams: c.DNS.Servers, AllowPrivate: c.AllowPrivate}
	for _, z := range c.DNS.PrivateZones {
		up := z.Servers
		if len(up) == 0 {
			up = c.DNS.Servers
		}
		r.Zones = append(r.Zones, program.Zone{Apex: z.Zone, Upstreams: up})
	}
	if c.APIServer.Private {
		// The owner has written these down as the API server's.
		r.AllowPrivate = r.AllowPrivate.Union(netset.OfAddrs(c.APIServer.Addresses...))
	}
	own := slices.Concat(c.Network.Nodes, c.Network.Pods, c.Network.Services)
	r.Own = netset.Of(own...).Union(netset.OfAddrs(gatewayAddresses(c)...))
	// A private API server may stand in a subnet that the description counts as
	// the cluster's; its own address is still where its name leads.
	r.Own = r.Own.Minus(netset.OfAddrs(c.APIServer.Addresses...))
	b.p.Resolve = r
}

func gatewayAddresses(c *cluster.Cluster) []netip.Addr {
	var out []netip.Addr
	for _, a := range []netip.Addr{c.Gateway.PrivateAddress, c.Gateway.PrivateAddress6, c.Gateway.PublicAddress} {
		if a.IsValid() {
			out = append(out, a)
		}
	}
	return out
}

// fillRows writes into every row which rules fulfil it, and collects the
// pending ones by what they wait for.
func (b *builder) fillRows() {
	for _, w := range b.wants {
		if w.row < 0 {
			continue
		}
		row := &b.p.Rows[w.row]
		for _, r := range b.p.Rules {
			if covers(r, w.rule) {
				row.Rules = append(row.Rules, r.ID)
				break
			}
		}
	}
}
