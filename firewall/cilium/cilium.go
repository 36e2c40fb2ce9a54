// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package cilium writes and reads the egress part of Cilium's policies:
// CiliumClusterwideNetworkPolicy and CiliumNetworkPolicy, cilium.io/v2
// (Cilium 1.18.4 and 1.19.0, source and Documentation/security/policy read
// 2026-11-23).
//
// A policy with a nodeSelector, a host policy, applies to the host network
// namespace of nodes and to nothing else; one with an endpointSelector to pods,
// but not to those of the host network. Neither covers the other, so Sallyport
// writes either, by Scope.
//
// What a name is compared with is the address that a DNS answer gave for it,
// never the name that a client states. So a rule for HTTPS lets through any TCP
// to that port (LearnedAddress), to whoever shares the address.
package cilium

import (
	"fmt"

	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
)

// Dialect is the Dialect of the rule sets that Read returns.
const Dialect = "cilium"

// Ids of restrictions: the first are of rules that are left out, wholly or in
// part, the others of what is let through beside them.
const (
	// DepthLimit: before 1.19 no pattern stands for any depth; names are written
	// to a depth of Depth labels (cilium/cilium pull request 43420).
	DepthLimit = "cilium-depth"
	// OtherSources: a policy applies to its nodes or pods, not to other sources,
	// and which of them is said by labels, not by address.
	OtherSources = "cilium-other-sources"
	// InsideCluster: CIDR rules do not apply to destinations inside the cluster
	// (pkg/policy/api/egress.go, ToCIDR).
	InsideCluster = "cilium-inside-cluster"
	// NoDNSServer: addresses are learned from DNS answers, so without a DNS
	// server to allow no name can be.
	NoDNSServer = "cilium-no-dns-server"

	// LearnedAddress: what is matched is a learned address and a port.
	LearnedAddress = "cilium-learned-address"
	// DNSRule: toFQDNs needs a rule that leads DNS through Cilium's proxy.
	DNSRule = "cilium-dns-rule"
	// ClusterTraffic: a policy for egress denies what it does not allow, so what
	// stays inside the cluster, or on its node, is allowed too.
	ClusterTraffic = "cilium-cluster-traffic"
)

// Depth is how many labels before the apex are written for *.x when Cilium has
// no pattern for any depth.
const Depth = 4

// maxPorts is how many entries a ports list may have (pkg/policy/api/l4.go,
// MaxItems, and rule_validation.go, maxPorts).
const maxPorts = 40

// Scope says whose traffic a policy is about.
type Scope uint8

// Scopes. Nodes is the zero Scope.
const (
	Nodes Scope = iota // nodeSelector: host policy
	Pods               // endpointSelector
)

// Version is a Cilium version, as far as policies differ. The zero Version is
// not known: what differs is then not written, and read as unknown.
type Version struct{ Major, Minor int }

// Known reports whether the version is given.
func (v Version) Known() bool { return v != Version{} }

// anyDepth reports whether "**." at the beginning of a pattern stands for any
// depth; before 1.19 it means "*." (pkg/fqdn/matchpattern/matchpattern.go of
// 1.18.4 and 1.19.0).
func (v Version) anyDepth() bool { return v.Major > 1 || v.Major == 1 && v.Minor >= 19 }

// String writes the version as "1.19".
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Options say for what is written, and what a file itself does not tell.
type Options struct {
	Scope   Scope
	Version Version
	// Subjects and Cluster are for Read: the addresses that nodes or pods have as
	// sources, and those inside the cluster. Empty: as an annotation of the file
	// says, which Write adds.
	Subjects, Cluster netset.Set
}

// subjects returns the source addresses of the nodes or pods.
func subjects(p *program.Program, s Scope) netset.Set {
	if s == Pods {
		return p.PodSources()
	}
	nodes, _ := p.Group("nodes")
	return nodes.Set
}
