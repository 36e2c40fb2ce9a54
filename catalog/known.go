// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"slices"

	"github.com/sallyport/sallyport/flow"
)

// Stated is one source pair as an edition prints it: a destination in one of
// its forms, with one port.
type Stated struct {
	Requirement string // id
	Feature     string
	Cloud       string // "" when the source names none
	Destination string // as printed
	Protocol    flow.Protocol
	Port        uint16
}

// StatedIn returns every pair that edition e prints, for every cluster there
// may be, in the order of the catalog.
func (c *Catalog) StatedIn(e Edition) []Stated {
	var out []Stated
	for _, q := range c.requirements {
		for _, p := range q.Ports {
			s := Stated{q.ID, q.Feature, q.CloudIn(e), q.StatedDestination(), p.Protocol, p.Port}
			if _, ok := p.ListedIn(e); ok {
				out = append(out, s)
			}
			for _, d := range q.AlsoIn(e) {
				s.Destination = d.String()
				out = append(out, s)
			}
		}
	}
	return out
}

// EverStated returns every pair that some edition prints, with the cloud it is
// for as far as that is known.
func (c *Catalog) EverStated() []Stated {
	var out []Stated
	for _, q := range c.requirements {
		for _, p := range q.Ports {
			out = append(out, Stated{q.ID, q.Feature, q.Cloud, q.StatedDestination(), p.Protocol, p.Port})
			for _, d := range q.Also {
				out = append(out, Stated{q.ID, q.Feature, q.Cloud, d.String(), p.Protocol, p.Port})
			}
		}
	}
	return out
}

// NodeLocal returns what a firewall on a node itself must leave open.
func (c *Catalog) NodeLocal() []NodeDestination { return c.hosts }

// Regions returns the regions of every cloud.
func (c *Catalog) Regions() []CloudRegions { return c.regions }

// CloudOf returns the cloud that has a region called location; ok is false when
// none is known to.
func (c *Catalog) CloudOf(location string) (cloud string, ok bool) {
	for _, r := range c.regions {
		if slices.Contains(r.Names, location) {
			return r.Cloud, true
		}
	}
	return "", false
}
