// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"fmt"
	"strings"
	"time"
)

// Facts is what conditions are read against.
type Facts struct {
	Cloud              string
	Tunnel             string // "konnectivity" or "tunnel-front"
	Linux, Windows     bool   // node operating systems
	GPU                bool
	AddOns             map[string]bool
	APIServerByAddress bool
	Private            bool      // the API server is reached over private addresses
	Isolated           bool      // a network-isolated cluster: images come from its own registry
	CustomDNS          bool      // the cluster resolves through servers of its own
	OldestNodes        time.Time // date of the oldest node image; zero: the current one
	Optional           bool      // recommended rows are wanted
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
	Private            *bool  `yaml:"private"`
	Isolated           *bool  `yaml:"isolated"`
	CustomDNS          *bool  `yaml:"customDNS"`
	NodesBefore        string `yaml:"nodesBefore"` // some node's image is older than this date
	Optional           *bool  `yaml:"optional"`
}

// flag is a yes-or-no field of a condition beside what the facts say of it.
type flag struct {
	want **bool
	got  bool
	name string
}

// flags lists the yes-or-no fields of c, for c itself to be changed through.
func (c *Condition) flags(f Facts) []flag {
	return []flag{
		{&c.Linux, f.Linux, "Linux nodes"},
		{&c.Windows, f.Windows, "Windows nodes"},
		{&c.GPU, f.GPU, "GPU nodes"},
		{&c.APIServerByAddress, f.APIServerByAddress, "API server by address"},
		{&c.Private, f.Private, "private API server"},
		{&c.Isolated, f.Isolated, "network isolation"},
		{&c.CustomDNS, f.CustomDNS, "custom DNS servers"},
		{&c.Optional, f.Optional, "recommended rows"},
	}
}

// agrees reports whether what is wanted, if anything is, is so.
func (b flag) agrees() bool { return *b.want == nil || **b.want == b.got }

// Holds reports whether c is true of f.
func (c Condition) Holds(f Facts) bool {
	if c.AddOn != "" && !f.AddOns[c.AddOn] || c.Tunnel != "" && c.Tunnel != f.Tunnel {
		return false
	}
	if c.NodesBefore != "" && (f.OldestNodes.IsZero() || !f.OldestNodes.Before(Day(c.NodesBefore))) {
		return false
	}
	for _, b := range c.flags(f) {
		if !b.agrees() {
			return false
		}
	}
	return true
}

// Unmet returns the part of c that is not true of f.
func (c Condition) Unmet(f Facts) Condition {
	if f.AddOns[c.AddOn] {
		c.AddOn = ""
	}
	if c.Tunnel == f.Tunnel {
		c.Tunnel = ""
	}
	if !f.OldestNodes.IsZero() && f.OldestNodes.Before(Day(c.NodesBefore)) {
		c.NodesBefore = ""
	}
	for _, b := range c.flags(f) {
		if b.agrees() {
			*b.want = nil
		}
	}
	return c
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
	if c.NodesBefore != "" {
		parts = append(parts, "node images before "+c.NodesBefore)
	}
	for _, b := range c.flags(Facts{}) {
		switch {
		case *b.want == nil:
		case **b.want:
			parts = append(parts, b.name)
		default:
			parts = append(parts, "no "+b.name)
		}
	}
	return strings.Join(parts, ", ")
}

// check returns what is wrong with a condition as data.
func (c Condition) check() []error {
	var errs []error
	if c.NodesBefore != "" {
		if _, err := time.Parse(time.DateOnly, c.NodesBefore); err != nil {
			errs = append(errs, fmt.Errorf("nodesBefore %q is not a date", c.NodesBefore))
		}
	}
	if c.Tunnel != "" && c.Tunnel != "konnectivity" && c.Tunnel != "tunnel-front" {
		errs = append(errs, fmt.Errorf("tunnel %q is not konnectivity or tunnel-front", c.Tunnel))
	}
	if strings.Trim(c.AddOn, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		errs = append(errs, fmt.Errorf("addOn %q is not lower-case letters, digits and dashes", c.AddOn))
	}
	return errs
}
