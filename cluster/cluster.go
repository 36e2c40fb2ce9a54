// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package cluster holds the description of one cluster, as its owner writes it
// in cluster.yaml, with the owner's own allow rules. A description is read
// strictly: what it asks for is either understood whole or refused, with every
// problem named at its line. It knows no requirement and compiles nothing.
package cluster

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
)

// Cluster is a checked description. It is made by Load or Parse and not changed
// afterwards.
type Cluster struct {
	File             string // where it was read from, for messages; "" when made in memory
	Provider         string // "aks"
	Cloud            Cloud  // never ""
	Location         string // lower-case letters and digits, such as "westeurope"
	APIServer        APIServer
	Tunnel           Tunnel // how the control plane reaches the nodes; never ""
	Network          Network
	Nodes            Nodes
	AddOns           []AddOn      // sorted, each once
	DevSpacesName    dnsname.Name // the Dev Spaces controller's data plane; zero when not known
	DNS              DNS
	AllowPrivate     netset.Set   // private addresses that names may lead to
	LoadBalancers    []netip.Addr // public addresses of the cluster's load balancers
	Gateway          Gateway
	Edition          string      // of the catalog: "newest", "seed" or a day, with ".1", ".2" where a day has several; "" when not written
	AsOf             time.Time   // 00:00 UTC of the day whose list holds; zero when not written, and whenever Edition is set; when neither is, the catalog's newest edition holds
	Optional         bool        // whether recommended rows are wanted
	IncludeNotStated bool        // whether feature rows are wanted in a cloud for which the source does not state them
	Allow            []AllowRule // the owner's rules, in the order written
}

// Plugin is a Kubernetes network plugin, spelt as AKS does.
type Plugin string

// The network plugins of AKS; PluginNone is one that the owner installs.
const (
	Kubenet    Plugin = "kubenet"
	AzureCNI   Plugin = "azure"
	PluginNone Plugin = "none"
)

// Mode says where the Azure plugin takes pod addresses from. It is "" for other
// plugins.
type Mode string

// The modes of the Azure plugin.
const (
	Overlay    Mode = "overlay"     // a range of their own, unknown to the virtual network
	NodeSubnet Mode = "node-subnet" // the subnet of their node
	PodSubnet  Mode = "pod-subnet"  // a subnet of their own
)

// Tunnel is the way by which the control plane reaches kubelets and pods.
type Tunnel string

// The tunnels AKS has used: konnectivity since 2021, tunnel-front before.
const (
	Konnectivity Tunnel = "konnectivity"
	TunnelFront  Tunnel = "tunnel-front"
)

// APIServer is where the control plane answers.
type APIServer struct {
	Name      dnsname.Name // zero before the cluster is created
	Addresses []netip.Addr // as written; empty when not known
	Private   bool         // reached through a private endpoint
	ByAddress bool         // pods talk to it by address, without a server name
}

// Network is how nodes, pods and services are addressed.
type Network struct {
	Plugin       Plugin
	Mode         Mode
	Nodes        []netip.Prefix // at least one
	Pods         []netip.Prefix // empty when not known, and for NodeSubnet, where Nodes holds the pods too
	Services     []netip.Prefix
	PodSNAT      bool   // pods leave with their node's address
	OutboundType string // as AKS spells it; never ""
}

// Nodes is what kinds of node there are.
type Nodes struct {
	Linux, Windows, GPU bool
	ImageDate           time.Time // 00:00 UTC of the day of the oldest node image; zero: all have the current one
}

// DNS is whom the gateway asks.
type DNS struct {
	Servers      []netip.AddrPort // at least one; 168.63.129.16:53 when nothing is written
	PrivateZones []PrivateZone
}

// PrivateZone is a zone that other servers than the public ones know.
type PrivateZone struct {
	Zone    dnsname.Name
	Servers []netip.AddrPort // empty: those of DNS.Servers
}

// Gateway is the addresses of the gateway. A virtual machine in Azure never
// sees its own public address, so there are two.
type Gateway struct {
	PrivateAddress  netip.Addr // IPv4, the next hop of the routes; invalid when not written
	PrivateAddress6 netip.Addr // IPv6; invalid when not written
	PublicAddress   netip.Addr // IPv4, what the Internet sees; invalid when not written
	Publish         []Publish  // the ports that lead into the cluster, in the order written
}

// Publish is one port of the gateway that leads into the cluster. No two have
// the same port, transport and family.
type Publish struct {
	Transport flow.Transport
	Port      uint16
	To        netip.AddrPort // its family is the one that is published
	From      netset.Set     // who may; never empty in the family of To
	Reason    string         // one line, never empty
}

// String writes the port as cluster.yaml does, such as "tcp/443".
func (p Publish) String() string { return fmt.Sprintf("%s/%d", p.Transport, p.Port) }

// AllowRule is one thing the owner allows beyond what the cluster requires.
type AllowRule struct {
	ID       string          // as written, or "allow-" and eight hex digits of its content
	Pattern  dnsname.Pattern // the names it is about; zero when Prefixes is set
	Prefixes []netip.Prefix  // the addresses it is about; empty when Pattern is set
	Ports    []PortSpec      // at least one, one for each protocol
	Sources  []Source        // empty: everything of the cluster that the gateway can see
	Strict   bool            // the gateway dials what the name resolves to; Ports has nothing but HTTPS then
	Reason   string          // one line, never empty
	Until    time.Time       // when it ends, exclusive, UTC: 24:00 of the date written; zero: never
	Line     int             // where it begins in the file
}

// PortSpec is ports of one protocol.
type PortSpec struct {
	Protocol flow.Protocol
	Ports    portset.Set
}

// String writes p as cluster.yaml does, such as "tcp/22,80".
func (p PortSpec) String() string { return p.Protocol.String() + "/" + p.Ports.String() }

// Source is where a flow may come from: a group of the cluster or a prefix,
// exactly one of both.
type Source struct {
	Group  string // GroupNodes, GroupPods or ""
	Prefix netip.Prefix
}

// The named groups of sources.
const (
	GroupNodes = "nodes"
	GroupPods  = "pods"
)

// String writes s as cluster.yaml does.
func (s Source) String() string {
	if s.Group != "" {
		return s.Group
	}
	return s.Prefix.String()
}

// PodsVisible reports whether a gateway outside the cluster's virtual network
// sees pods under their own addresses. It does not when they leave with their
// node's.
func (c *Cluster) PodsVisible() bool { return !c.Network.PodSNAT }

// HasAddOn reports whether the cluster runs a.
func (c *Cluster) HasAddOn(a AddOn) bool {
	for _, b := range c.AddOns {
		if a == b {
			return true
		}
	}
	return false
}

// NetworkIsolated reports whether the cluster has no way out of its own: what
// AKS calls a network isolated cluster, which takes its images from a private
// registry and needs none of the core rows.
func (c *Cluster) NetworkIsolated() bool {
	return c.Network.OutboundType == "none" || c.Network.OutboundType == "block"
}

// CustomDNS reports whether names are asked of a server other than Azure's own.
func (c *Cluster) CustomDNS() bool {
	return slices.ContainsFunc(c.DNS.Servers, func(s netip.AddrPort) bool {
		return s.Addr() != platformResolver.Addr()
	})
}

// Inside returns the addresses of the cluster's nodes, pods and services:
// traffic among them is never filtered at this level.
func (c *Cluster) Inside() netset.Set {
	return netset.Of(c.Network.Nodes...).
		Union(netset.Of(c.Network.Pods...)).
		Union(netset.Of(c.Network.Services...))
}
