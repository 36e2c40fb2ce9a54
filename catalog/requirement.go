// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package catalog holds what a cluster must be able to reach, as dated facts
// with their sources. It knows no cluster: conditions are data, read against a
// small Facts value that somebody else fills. The facts stand in data/.
package catalog

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
)

// Clouds, spelt as `az cloud list` prints them.
const (
	AzureCloud        = "AzureCloud"
	AzureChinaCloud   = "AzureChinaCloud"
	AzureUSGovernment = "AzureUSGovernment"
)

// Features of a cluster that bring requirements of their own.
const (
	Base        = "base"
	Optional    = "optional"
	GPU         = "gpu"
	Monitoring  = "azure-monitor"
	DevSpaces   = "dev-spaces"
	AzurePolicy = "azure-policy"
	Windows     = "windows"

	WorkloadIdentity  = "workload-identity"
	Defender          = "defender"
	KeyVaultCSI       = "keyvault-csi"
	CostAnalysis      = "cost-analysis"
	ClusterExtensions = "cluster-extensions"
)

// Role says which part of the cluster's own control plane a destination is,
// so that what is known of the cluster can take its place. Most have none.
type Role string

// Roles.
const (
	NoRole         Role = ""
	RoleAPIServer  Role = "api-server" // wildcard over the API servers of a location
	RoleTunnel     Role = "tunnel"     // wildcard over the tunnel ends of a location
	RoleController Role = "dev-spaces" // this cluster's Dev Spaces controller
)

// Requirement is one destination that some clusters must reach.
type Requirement struct {
	ID          string // unique in the catalog, such as "base-mcr"
	Feature     string // one of the features above
	Cloud       string // one of the clouds above, "" when the source names none
	Required    bool   // false: recommended
	When        Condition
	Destination Template
	Role        Role
	Ports       []Port
	Probe       Template // a name to try in a live check; the zero Template when Destination is a name itself
	ExitCodes   []int    // with which a node's start script ends when it is blocked (AgentBaker, 2026-08-21)
	ReplacedBy  string   // destination that took its place, "" when none did
	Purpose     string
	Note        string // an oddity of the source, kept as a fact
	Line        int    // line in the edition's document
}

// Port is one protocol and port of a requirement.
type Port struct {
	Protocol flow.Protocol
	Port     uint16
	When     Condition // beside the requirement's own
	Listed   []Span    // when the source listed the pair, in order
}

// String writes the port as "https/443".
func (p Port) String() string { return p.Protocol.String() + "/" + strconv.Itoa(int(p.Port)) }

// ListedOn returns the span in which the pair was listed on day; ok is false
// when it was not.
func (p Port) ListedOn(day time.Time) (span Span, ok bool) {
	for _, s := range p.Listed {
		if s.Contains(day) {
			return s, true
		}
	}
	return Span{}, false
}

// Span is a stretch of days of publication.
type Span struct {
	Since time.Time // first day, 00:00 UTC, inclusive
	Until time.Time // first day after, exclusive; zero: still listed in the newest known edition
}

// Contains reports whether day lies in s.
func (s Span) Contains(day time.Time) bool {
	return !day.Before(s.Since) && (s.Until.IsZero() || day.Before(s.Until))
}

// Facts is what conditions are read against.
type Facts struct {
	Cloud              string
	Tunnel             string // "konnectivity" or "tunnel-front"
	Linux, Windows     bool   // node operating systems
	GPU                bool
	AddOns             map[string]bool
	APIServerByAddress bool
	Optional           bool // recommended rows are wanted
}

// Condition says for which clusters something holds: every field that is set
// must agree with the facts. The zero Condition always holds.
type Condition struct {
	AddOn              string `yaml:"addOn"`
	Tunnel             string `yaml:"tunnel"`
	Linux              *bool  `yaml:"linux"`
	Windows            *bool  `yaml:"windows"`
	GPU                *bool  `yaml:"gpu"`
	APIServerByAddress *bool  `yaml:"apiServerByAddress"`
	Optional           *bool  `yaml:"optional"`
}

// Holds reports whether c is true of f.
func (c Condition) Holds(f Facts) bool {
	agrees := func(want *bool, got bool) bool { return want == nil || *want == got }
	return (c.AddOn == "" || f.AddOns[c.AddOn]) &&
		(c.Tunnel == "" || c.Tunnel == f.Tunnel) &&
		agrees(c.Linux, f.Linux) &&
		agrees(c.Windows, f.Windows) &&
		agrees(c.GPU, f.GPU) &&
		agrees(c.APIServerByAddress, f.APIServerByAddress) &&
		agrees(c.Optional, f.Optional)
}

// String writes the condition as a clause, "" when it always holds.
func (c Condition) String() string {
	var parts []string
	if c.AddOn != "" {
		parts = append(parts, "add-on "+c.AddOn)
	}
	if c.Tunnel != "" {
		parts = append(parts, "tunnel "+c.Tunnel)
	}
	for _, b := range []struct {
		want *bool
		name string
	}{
		{c.Linux, "Linux nodes"}, {c.Windows, "Windows nodes"}, {c.GPU, "GPU nodes"},
		{c.APIServerByAddress, "API server by address"}, {c.Optional, "recommended rows"},
	} {
		switch {
		case b.want == nil:
		case *b.want:
			parts = append(parts, b.name)
		default:
			parts = append(parts, "no "+b.name)
		}
	}
	return strings.Join(parts, ", ")
}

// Template is a name pattern with placeholders in angle brackets, such as
// "*.hcp.<location>.azmk8s.io".
type Template struct{ text string }

// Placeholders that a Template may hold.
const (
	Location = "location" // region of the cluster
	GUID     = "guid"     // id of the Dev Spaces controller
)

// ParseTemplate reads a template and checks that it makes a valid pattern once
// its placeholders are filled.
func ParseTemplate(s string) (Template, error) {
	t := Template{s}
	for _, p := range t.Placeholders() {
		if p != Location && p != GUID {
			return Template{}, fmt.Errorf("destination %q has the unknown placeholder <%s>", s, p)
		}
	}
	if _, err := t.Fill(map[string]string{Location: "x", GUID: "x"}); err != nil {
		return Template{}, err
	}
	return t, nil
}

// String returns the template as it was written.
func (t Template) String() string { return t.text }

// IsZero reports whether t is empty.
func (t Template) IsZero() bool { return t.text == "" }

// Placeholders returns the names between angle brackets, in order.
func (t Template) Placeholders() []string {
	var out []string
	for rest := t.text; ; {
		_, after, ok := strings.Cut(rest, "<")
		if !ok {
			return out
		}
		name, tail, ok := strings.Cut(after, ">")
		if !ok {
			return append(out, after)
		}
		out, rest = append(out, name), tail
	}
}

// Fill puts values in the place of placeholders. A placeholder without a value
// is an error of type *MissingError.
func (t Template) Fill(values map[string]string) (dnsname.Pattern, error) {
	s := t.text
	for _, p := range t.Placeholders() {
		v := values[p]
		if v == "" {
			return dnsname.Pattern{}, &MissingError{Template: t.text, Placeholder: p}
		}
		s = strings.ReplaceAll(s, "<"+p+">", v)
	}
	return dnsname.ParsePattern(s)
}

// MissingError says which placeholder of a template has no value yet.
type MissingError struct{ Template, Placeholder string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s needs a value for <%s>", e.Template, e.Placeholder)
}
