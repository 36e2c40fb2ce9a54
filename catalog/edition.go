// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"fmt"
	"strings"
	"time"
)

// Edition is one published state of the list.
type Edition struct {
	ID        string    // day of publication, "2020-05-26"
	Alias     string    // another name users may type, "" when there is none
	Published time.Time // 00:00 UTC of that day
	Title     string
	Document  string // the document, its licence and where it was published
	MSDate    string // the date the document gives itself

	NetworkRules  []NetworkRule
	Narrowing     Statement
	Prerequisites []Prerequisite
	Deprecations  []Deprecation
	Advice        []Advice
}

// Statement is something an edition says, in our words, and the line where.
type Statement struct {
	Text string
	Line int
	Note string // an oddity of the source, kept as a fact
}

// Coverage says what answers a network rule that is stated without a table row.
type Coverage string

// Coverages.
const (
	ByNames            Coverage = "names"              // the names of the tables
	ByAPIServerAddress Coverage = "api-server-address" // rules about the API server's addresses
	ByResolver         Coverage = "resolver"           // the gateway's own resolver
)

// NetworkRule is a bare port or a port to the API server, stated outside the
// tables.
type NetworkRule struct {
	Statement
	ID        string
	Ports     []Port
	When      Condition
	CoveredBy Coverage
}

// Prerequisite is what must be true before egress is locked.
type Prerequisite struct {
	Statement
	ID      string
	Minimum string // lowest version, "" when it is not about one
	Check   string // command that shows it or makes it true
}

// Deprecation says that destinations left the list.
type Deprecation struct {
	Statement
	Destinations []string
	ReplacedBy   string
	Clouds       []string // empty: all
}

// Advice is a remark of the source that a machine can act on.
type Advice struct {
	Statement
	ID   string
	Kind string // "important", "caution" or "note"
	When Condition
}

// Catalog is the requirements of every edition, immutable once loaded.
type Catalog struct {
	editions     []Edition // by publication, oldest first
	requirements []Requirement
	newestKnown  string
	titles       map[string]string // feature -> title
}

// Editions returns the editions the catalog holds, oldest first.
func (c *Catalog) Editions() []Edition { return c.editions }

// NewestKnown returns the id of the newest edition that is known to exist,
// whether or not the catalog holds it.
func (c *Catalog) NewestKnown() string { return c.newestKnown }

// FeatureTitle returns what a feature is called for people.
func (c *Catalog) FeatureTitle(feature string) string { return c.titles[feature] }

// Requirements returns every requirement of every edition. The slice is shared
// and must not be changed.
func (c *Catalog) Requirements() []Requirement { return c.requirements }

// Edition finds an edition by id or alias; "" is the newest the catalog holds.
func (c *Catalog) Edition(name string) (Edition, error) {
	if name == "" {
		return c.editions[len(c.editions)-1], nil
	}
	var known []string
	for _, e := range c.editions {
		if name == e.ID || name == e.Alias {
			return e, nil
		}
		k := e.ID
		if e.Alias != "" {
			k += " (" + e.Alias + ")"
		}
		known = append(known, k)
	}
	return Edition{}, fmt.Errorf("edition %q is not in the catalog; it holds %s", name, strings.Join(known, ", "))
}

// Current reports whether e is the newest edition known to exist.
func (c *Catalog) Current(e Edition) bool { return e.ID == c.newestKnown }

// Row is one source pair that an edition states for a cluster: a destination
// and one of its ports.
type Row struct {
	Requirement
	Port Port
	Span Span // when the pair was listed, around the edition's day
}

// ID returns the id of the pair, "base-mcr/https-443".
func (r Row) ID() string {
	return fmt.Sprintf("%s/%s-%d", r.Requirement.ID, r.Port.Protocol, r.Port.Port)
}

// Rows returns the pairs that e states for a cluster with these facts, in the
// order of the source, and apart from them those that would hold but for the
// cloud: sections that name no cloud and print names of the public one.
func (c *Catalog) Rows(e Edition, f Facts) (stated, notStated []Row) {
	for _, q := range c.requirements {
		if q.Cloud != "" && q.Cloud != f.Cloud || !q.When.Holds(f) {
			continue
		}
		for _, p := range q.Ports {
			span, ok := p.ListedOn(e.Published)
			if !ok || !p.When.Holds(f) {
				continue
			}
			row := Row{Requirement: q, Port: p, Span: span}
			if q.Cloud == "" && f.Cloud != AzureCloud {
				notStated = append(notStated, row)
			} else {
				stated = append(stated, row)
			}
		}
	}
	return stated, notStated
}
