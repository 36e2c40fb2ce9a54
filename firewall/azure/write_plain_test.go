// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"encoding/json"
	"net/netip"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// plainFirewall is an ARM template as encoding/json reads it. What it decides is
// worked out by walking its rules, with no code of this module: it is the slow
// and obvious twin of the sets.
type plainFirewall struct {
	Resources []struct {
		Properties struct {
			Priority        int
			RuleCollections []struct {
				Priority int
				Action   struct{ Type string }
				Rules    []plainRule
			}
		}
	}
}

type plainRule struct {
	RuleType         string
	SourceAddresses  []string
	IPProtocols      []string
	DestinationPorts []string
	Destinations     []string `json:"destinationAddresses"`
	DestinationFqdns []string
	TargetFqdns      []string
	Protocols        []struct {
		ProtocolType string
		Port         int
	}
}

// plainFlow is a flow in words: tls, http, tcp, udp or icmp.
type plainFlow struct {
	src, dst netip.Addr
	kind     string
	port     int
	name     string // "": none
}

func decodePlain(t testing.TB, text []byte) plainFirewall {
	t.Helper()
	var f plainFirewall
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	sort.SliceStable(f.Resources, func(i, j int) bool {
		return f.Resources[i].Properties.Priority < f.Resources[j].Properties.Priority
	})
	for _, g := range f.Resources {
		c := g.Properties.RuleCollections
		sort.SliceStable(c, func(i, j int) bool { return c[i].Priority < c[j].Priority })
	}
	return f
}

// allows returns what the first rule that matches does: network rules before
// application rules, and nothing is denied.
func (f plainFirewall) allows(x plainFlow) bool {
	for _, kind := range []string{"NetworkRule", "ApplicationRule"} {
		for _, g := range f.Resources {
			for _, c := range g.Properties.RuleCollections {
				for _, r := range c.Rules {
					if r.RuleType == kind && r.matches(x) {
						return c.Action.Type == "Allow"
					}
				}
			}
		}
	}
	return false
}

func (r plainRule) matches(x plainFlow) bool {
	if !inAny(x.src, r.SourceAddresses) {
		return false
	}
	if r.RuleType == "ApplicationRule" {
		for _, p := range r.Protocols {
			if (p.ProtocolType == "Https" && x.kind == "tls" || p.ProtocolType == "Http" && x.kind == "http") && p.Port == x.port {
				return x.name != "" && namesMatch(x.name, r.TargetFqdns)
			}
		}
		return false
	}
	return protocolMatches(x.kind, r.IPProtocols) && (x.kind == "icmp" || portMatches(x.port, r.DestinationPorts)) &&
		(inAny(x.dst, r.Destinations) || x.name != "" && namesEqual(x.name, r.DestinationFqdns))
}

func inAny(a netip.Addr, prefixes []string) bool {
	for _, s := range prefixes {
		if s == "*" || netip.MustParsePrefix(s).Contains(a) {
			return true
		}
	}
	return false
}

func namesMatch(name string, targets []string) bool {
	for _, t := range targets {
		if end, star := strings.CutPrefix(t, "*"); star && strings.HasSuffix(name, end) || name == t {
			return true
		}
	}
	return false
}

// namesEqual is for network rules, which resolve names and so know no wildcard.
func namesEqual(name string, targets []string) bool {
	for _, t := range targets {
		if name == t {
			return true
		}
	}
	return false
}

func protocolMatches(kind string, protocols []string) bool {
	for _, p := range protocols {
		switch p {
		case "Any":
			return true
		case "TCP":
			if kind == "tls" || kind == "http" || kind == "tcp" {
				return true
			}
		case "UDP":
			if kind == "udp" {
				return true
			}
		}
	}
	return false
}

func portMatches(port int, ports []string) bool {
	for _, s := range ports {
		lo, hi, isRange := strings.Cut(s, "-")
		if !isRange {
			hi = lo
		}
		from, err := strconv.Atoi(lo)
		to, err2 := strconv.Atoi(hi)
		if s == "*" || err == nil && err2 == nil && from <= port && port <= to {
			return true
		}
	}
	return false
}
