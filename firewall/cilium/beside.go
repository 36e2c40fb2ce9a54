// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cilium

import (
	"strings"

	"github.com/sallyport/sallyport/firewall/manifest"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/ruleset"
)

// dnsPort is the port on which DNS servers are asked.
const dnsPort = 53

// Extras returns everything that Write's policy lets through beside the rules,
// so that nothing wider stays unsaid.
func Extras(p *program.Program, o Options) []ruleset.Extra {
	src := subjects(p, o.Scope)
	to := func(dst netset.Set, c flowset.Class, ports portset.Set) flowset.Box {
		return flowset.Box{Src: src, Class: c, Ports: ports, Names: nameset.All(), Nameless: true, Dst: dst}
	}
	local := []flowset.Box{to(p.Inside(), flowset.AnyTraffic, portset.All())}
	if o.Scope == Nodes {
		for _, n := range localPairs(p) {
			local = append(local, to(n.dst, ruleset.ClassOf(flow.Protocol{Transport: n.transport}), n.ports))
		}
	}
	out := []ruleset.Extra{{Restriction: ClusterTraffic, Flows: flowset.Of(local...)}}
	if dns := resolvers(p, o); !dns.IsEmpty() {
		out = append(out, ruleset.Extra{Restriction: DNSRule, Flows: flowset.Of(to(dns, flowset.TCP|flowset.UDP, portset.Of(dnsPort)))})
	}
	for _, r := range p.Rules {
		s := say(p, r, o)
		if !s.written || !r.ByName() || r.Protocol.App == flow.Raw {
			continue
		}
		names := nameset.Of(ruleset.GlobOf(r.Pattern))
		if !o.Version.anyDepth() && len(s.patterns) > 0 {
			var globs []nameset.Glob
			for _, text := range s.patterns {
				g, _ := nameset.Parse(text) // stars and a name: always a pattern
				globs = append(globs, g)
			}
			names = nameset.Of(globs...)
		}
		out = append(out, ruleset.Extra{Rule: r.ID, Restriction: LearnedAddress, Flows: flowset.Of(flowset.Box{
			Src: src, Class: flowset.TCP &^ ruleset.ClassOf(r.Protocol), Ports: r.Ports, Names: names, Dst: netset.All()})})
	}
	return out
}

// clusterTraffic allows what stays inside the cluster. An empty selector in a
// clusterwide policy stands for every pod that Cilium manages, not for the world
// (pkg/k8s/apis/cilium.io/utils/utils.go, getEndpointSelector, 1.19.0). The
// entity cluster would take in kube-apiserver, which may be outside. DNS to pods
// still goes through the proxy: a redirect takes precedence over a plain allow
// (pkg/policy/types/entry.go, PrecedenceAllow, 1.19.0).
func clusterTraffic(o Options) []manifest.Value {
	return []manifest.Value{
		manifest.Fields(manifest.Field{Key: "toEntities", Value: manifest.Texts("host", "remote-node", "health", "init", "ingress", "unmanaged")}).
			Comment("Inside the cluster: nodes and what runs in their network. A policy for egress denies what it does not allow."),
		manifest.Fields(manifest.Field{Key: "toEndpoints", Value: manifest.List(manifest.Fields())}).
			Comment("Inside the cluster: every pod."),
	}
}

// pair is a destination that does not leave the node's network.
type pair struct {
	id, purpose string
	dst         netset.Set
	transport   flow.Transport
	ports       portset.Set
}

// localPairs returns what a firewall on the node leaves open, but for DNS, which
// has a rule of its own.
func localPairs(p *program.Program) []pair {
	out, _ := splitLocal(p)
	return out
}

func splitLocal(p *program.Program) (pairs []pair, dns netset.Set) {
	for _, n := range p.NodeLocal {
		var dst netset.Set
		for _, text := range n.Prefixes {
			if prefix, err := netset.ParsePrefix(text); err == nil {
				dst = dst.Union(netset.Of(prefix))
			}
		}
		for _, text := range n.Ports {
			proto, port, _ := strings.Cut(text, "/")
			var t flow.Transport
			ports, err := portset.Parse(port)
			if err != nil || t.UnmarshalText([]byte(proto)) != nil {
				continue
			}
			if ports.Equal(portset.Of(dnsPort)) {
				dns = dns.Union(dst)
				continue
			}
			pairs = append(pairs, pair{n.ID, n.Purpose, dst, t, ports})
		}
	}
	return pairs, dns
}

// nodeLocal allows what does not leave the node's network.
func nodeLocal(p *program.Program) []manifest.Value {
	var out []manifest.Value
	for _, n := range localPairs(p) {
		out = append(out, manifest.Fields(toCIDR(n.dst), toPorts(n.ports, nil, n.transport)).
			Comment("On the node's own network, "+n.id+": "+n.purpose))
	}
	return out
}

// resolvers returns where DNS is asked outside the cluster.
func resolvers(p *program.Program, o Options) netset.Set {
	s := p.Resolve.Servers()
	if o.Scope == Nodes {
		_, local := splitLocal(p)
		s = s.Union(local)
	}
	return s
}

// throughProxy leads DNS through Cilium's proxy, which learns from the answers.
func throughProxy() []manifest.Field {
	all := manifest.Fields(manifest.Field{Key: "matchPattern", Value: manifest.Text("*")})
	return []manifest.Field{{Key: "rules", Value: manifest.Fields(manifest.Field{Key: "dns", Value: manifest.List(all)})}}
}

// dnsRules allow DNS, without which no name is learned.
func dnsRules(p *program.Program, o Options) []manifest.Value {
	ports := toPorts(portset.Of(dnsPort), throughProxy(), flow.UDP, flow.TCP)
	if o.Scope == Pods {
		return []manifest.Value{manifest.Fields(manifest.Field{Key: "toEndpoints", Value: manifest.List(kubeDNS())}, ports).
			Comment("DNS to the cluster's own servers, read by Cilium's proxy: addresses are learned from the answers.")}
	}
	dst := resolvers(p, o)
	if dst.IsEmpty() {
		return nil
	}
	return []manifest.Value{manifest.Fields(toCIDR(dst), ports).
		Comment("DNS, read by Cilium's proxy: addresses are learned from the answers.",
			"All DNS of the nodes then goes through the Cilium agent, and waits while it restarts.")}
}

func kubeDNS() manifest.Value {
	return manifest.Fields(manifest.Field{Key: "matchLabels", Value: manifest.Fields(
		manifest.Field{Key: "k8s:io.kubernetes.pod.namespace", Value: manifest.Text("kube-system")},
		manifest.Field{Key: "k8s:k8s-app", Value: manifest.Text("kube-dns")})})
}

// resolverPolicy lets the cluster's own DNS servers ask theirs.
func resolverPolicy(p *program.Program, o Options) manifest.Value {
	item := manifest.Fields(toCIDR(p.Resolve.Servers()), toPorts(portset.Of(dnsPort), nil, flow.UDP, flow.TCP)).
		Comment("The cluster's own DNS servers ask those outside.")
	return policy(p, o, "sallyport-dns", "endpointSelector", kubeDNS(), []manifest.Value{item})
}
