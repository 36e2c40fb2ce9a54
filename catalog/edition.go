// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/flow"
)

// Edition is one published state of the list.
type Edition struct {
	ID        string    // day of publication, "2020-05-26", with ".1", ".2" where a day has several
	Alias     string    // another name users may type, "" when there is none
	Published time.Time // 00:00 UTC of that day
	Title     string
	Document  string // the document, its licence and where it was published
	Commit    string // abbreviated commit of the published text, "" when there is none
	MSDate    string // the date the document gives itself
	Source    Source

	// What the edition says besides its tables.
	NetworkRules  []NetworkRule
	Narrowing     Statement // zero when it says nothing of the kind
	Prerequisites []Prerequisite
	Deprecations  []Deprecation
	Advice        []Advice
}

// Statement is something an edition says, in our words, and the line where.
type Statement struct {
	Text string
	Line int    // 0 where the edition's text was not at hand
	Note string // an oddity of the source, kept as a fact
}

// Coverage says what answers a network rule that makes no rule of its own.
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

// Feature is a part of a cluster that brings requirements of its own.
type Feature struct {
	Name     string
	Title    string // for people
	Required bool   // false: its rows are recommended
	When     Condition
	Note     string // what the source only hints at
}

// Catalog is the requirements of every edition, immutable once loaded.
type Catalog struct {
	editions     []Edition // in the order of their ids, oldest first
	features     []Feature // in the order their rows are shown
	requirements []Requirement
	index        map[string]int // where each requirement stands, by id
	replaced     []Requirement  // built-in ones that an overlay replaces or removes
	newestKnown  string
	said         said
	hosts        []NodeDestination
	regions      []CloudRegions
}

// Editions returns the editions the catalog holds, oldest first.
func (c *Catalog) Editions() []Edition { return c.editions }

// Features returns the features that bring requirements, in the order in which
// their rows are shown.
func (c *Catalog) Features() []Feature { return c.features }

// NewestKnown returns the id of the newest edition that is known to exist,
// whether or not the catalog holds it.
func (c *Catalog) NewestKnown() string { return c.newestKnown }

// FeatureTitle returns what a feature is called for people.
func (c *Catalog) FeatureTitle(feature string) string { return c.feature(feature).Title }

func (c *Catalog) feature(name string) Feature {
	for _, f := range c.features {
		if f.Name == name {
			return f
		}
	}
	return Feature{}
}

// Requirements returns every requirement of every edition. The slice is shared
// and must not be changed.
func (c *Catalog) Requirements() []Requirement { return c.requirements }

// AddOns returns the add-ons that features wait for, sorted.
func (c *Catalog) AddOns() []string {
	var out []string
	for _, f := range c.features {
		if f.When.AddOn != "" {
			out = append(out, f.When.AddOn)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Requirement finds a requirement by id.
func (c *Catalog) Requirement(id string) (q Requirement, ok bool) {
	i, ok := c.index[id]
	if !ok {
		return Requirement{}, false
	}
	return c.requirements[i], true
}

// Newest is the name of the newest edition the catalog holds.
const Newest = "newest"

// Edition finds an edition by id or alias; "" and "newest" are the newest the
// catalog holds, and a day with several editions stands for its last.
func (c *Catalog) Edition(name string) (Edition, error) {
	if name == "" || name == Newest {
		return c.editions[len(c.editions)-1], nil
	}
	for _, e := range c.editions {
		if name == e.ID || name == e.Alias {
			return e, nil
		}
	}
	for _, e := range slices.Backward(c.editions) {
		if day, _, several := strings.Cut(e.ID, "."); several && name == day {
			return e, nil
		}
	}
	err := fmt.Errorf("edition %q is not in the catalog; `sallyport catalog list --editions` shows the %d it holds", name, len(c.editions))
	if day, derr := time.Parse(time.DateOnly, name); derr == nil {
		e, aerr := c.AsOf(day)
		if aerr != nil {
			return Edition{}, aerr
		}
		err = fmt.Errorf("edition %q is not in the catalog; on that day %s held (--as-of %s)", name, e.ID, name)
	}
	return Edition{}, err
}

// AsOf returns the edition that was in force at the end of a day.
func (c *Catalog) AsOf(day time.Time) (Edition, error) {
	for _, e := range slices.Backward(c.editions) {
		if !e.Published.After(day) {
			return e, nil
		}
	}
	return Edition{}, fmt.Errorf("nothing was published on %s yet; the first edition is %s",
		day.Format(time.DateOnly), c.editions[0].ID)
}

// Current reports whether e is the newest edition known to exist.
func (c *Catalog) Current(e Edition) bool { return e.ID >= c.newestKnown }

// namesAPIServer reports whether p of q leads to the API server by its name.
func (q Requirement) namesAPIServer(p Port) bool {
	return q.Role == RoleAPIServer && q.Destination.Kind == KindName && p.Protocol.App != flow.Raw
}

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

// Unmet says what keeps a cluster with these facts from needing the pair.
func (r Row) Unmet(f Facts) string {
	var parts []string
	for _, c := range []Condition{r.When, r.Port.When} {
		if s := c.Unmet(f).String(); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ", ")
}

// Rows is what an edition states, sorted by what it means for one cluster. Each
// list is in the order of the source.
type Rows struct {
	Stated    []Row // what the cluster needs
	NotStated []Row // would be needed but for the cloud: sections that name none print names of the public one
	NotNeeded []Row // of a feature the cluster has, but its condition does not hold
	// APIServer is the row of the API server's name of a private or isolated
	// cluster. The list does not ask for it, since that traffic stays on private
	// networks, but the nodes resolve the name and may pass a gateway.
	APIServer []Row
}

// Rows sorts the pairs that e states for a cluster with these facts.
func (c *Catalog) Rows(e Edition, f Facts) Rows {
	var out Rows
	for _, q := range c.requirements {
		cloud := q.CloudIn(e)
		if cloud != "" && cloud != f.Cloud || !c.feature(q.Feature).When.Holds(f) {
			continue
		}
		for _, p := range q.Ports {
			span, ok := p.ListedIn(e)
			if !ok {
				continue
			}
			row := Row{Requirement: q, Port: p, Span: span}
			switch holds := q.When.Holds(f) && p.WhenIn(e).Holds(f); {
			case !holds && q.namesAPIServer(p) && (f.Private || f.Isolated):
				out.APIServer = append(out.APIServer, row)
			case !holds:
				out.NotNeeded = append(out.NotNeeded, row)
			case cloud == "" && f.Cloud != AzureCloud && (q.Cloud == "" || q.Cloud != f.Cloud):
				out.NotStated = append(out.NotStated, row)
			default:
				out.Stated = append(out.Stated, row)
			}
		}
	}
	return out
}
