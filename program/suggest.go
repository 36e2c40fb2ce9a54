// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package program

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
)

// Change is the smallest change to the owner's rules that would turn a denial
// into an allowance, as one entry of allow: in the cluster description.
type Change struct {
	Name   string `json:"name,omitempty"` // destination by name, or
	CIDR   string `json:"cidr,omitempty"` // by address
	Port   string `json:"port"`           // "https/443"
	Source string `json:"source,omitempty"`
}

// YAML writes the change as it goes under allow:, in flow style on one line.
func (c Change) YAML() string {
	var b strings.Builder
	b.WriteString("- {")
	if c.Name != "" {
		fmt.Fprintf(&b, "name: %s", c.Name)
	} else {
		fmt.Fprintf(&b, "cidr: %q", c.CIDR)
	}
	fmt.Fprintf(&b, ", ports: [%s]", c.Port)
	if c.Source != "" {
		fmt.Fprintf(&b, ", sources: [%s]", c.Source)
	}
	b.WriteString(", reason: why}")
	return b.String()
}

// Suggest returns the smallest rule that would allow f, which d denied; ok is
// false when no rule could: what is wrong is on the wire and not in the rules,
// the source is no part of the cluster that a gateway sees, or the address is one
// that nothing reaches through a gateway.
func (p *Program) Suggest(f flow.Flow, d flow.Decision) (c Change, ok bool) {
	switch d.Reason {
	case flow.NameNotAllowed, flow.PortNotAllowed, flow.ProtocolMismatch, flow.SourceNotAllowed, flow.RuleExpired,
		flow.AddressNotAllowed, flow.UnboundAddress:
	default:
		return Change{}, false
	}
	source, known := p.sourceName(f)
	if !known {
		return Change{}, false
	}
	c.Source = source
	if !f.Name.IsZero() {
		c.Name = f.Name.String()
		c.Port = fmt.Sprintf("%s/%d", f.Protocol(), f.Port)
		if f.Port == 0 { // asked for in DNS only
			c.Port = "https/443"
		}
		return c, true
	}
	if !f.Dst.IsValid() || f.Port == 0 || f.Dst.Zone() != "" || netset.Never().Contains(f.Dst) {
		return Change{}, false
	}
	c.CIDR = fmt.Sprintf("%s/%d", f.Dst, f.Dst.BitLen())
	c.Port = fmt.Sprintf("%s/%d", f.Transport, f.Port)
	return c, true
}

// sourceName returns the visible group that holds the flow's source; known is
// false when none does.
func (p *Program) sourceName(f flow.Flow) (name string, known bool) {
	if !f.Src.IsValid() {
		return "", true
	}
	for _, g := range p.Groups {
		if g.Visible && g.Set.Contains(f.Src) {
			return g.Name, true
		}
	}
	return "", false
}
