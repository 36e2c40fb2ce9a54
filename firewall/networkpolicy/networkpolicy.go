// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package networkpolicy writes and reads the egress part of Kubernetes'
// ClusterNetworkPolicy, policy.networking.k8s.io/v1alpha2 (kubernetes-sigs/
// network-policy-api, apis/v1alpha2/clusternetworkpolicy_types.go at 066a9454,
// read 2026-11-23; v1beta1 has the same fields and is read too).
//
// It is about pods that have a network of their own, and never about nodes.
// A name is compared with the addresses that it resolves to, not with what a
// client states, so a rule for HTTPS lets through any TCP to that port. "*.x" is
// one or more labels under x. domainNames and nodes are of the experimental
// channel: an implementation may not have them.
package networkpolicy

import (
	"github.com/sallyport/sallyport/netset"
)

// Dialect is the Dialect of the rule sets that Read returns.
const Dialect = "kubernetes-clusternetworkpolicy"

// Ids of restrictions: the first are of rules that are left out, wholly or in
// part, the others of what is let through beside them.
const (
	// OtherSources: the policy is about pods, and not about other sources.
	OtherSources = "networkpolicy-other-sources"
	// SingleLabel: domainNames takes names of two labels and more.
	SingleLabel = "networkpolicy-single-label"
	// TooMany: priorities end at 1000, and a policy has 25 rules.
	TooMany = "networkpolicy-too-many"

	// LearnedAddress: what is matched is a learned address and a port.
	LearnedAddress = "networkpolicy-learned-address"
	// ClusterTraffic: the policy ends with a rule that denies everything, so what
	// stays inside the cluster, with its DNS, is passed on before.
	ClusterTraffic = "networkpolicy-cluster-traffic"
	// DNSRule: the cluster's own DNS servers are pods too, and ask those outside.
	DNSRule = "networkpolicy-dns-rule"
)

// most is how many rules a policy, peers a rule, protocols a rule, and networks or
// domain names a peer may have: MaxItems is 25 for each of them.
const most = 25

// The first priority of what is written, and the last that exists.
const (
	firstPriority = 100
	lastPriority  = 1000
)

// Options say what a file itself does not tell.
type Options struct {
	// The addresses that pods have as sources, and those inside the cluster. Empty:
	// as an annotation of the file says, which Write adds.
	Subjects, Cluster netset.Set
}
