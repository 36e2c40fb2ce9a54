// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/flow"
)

// Scope says for whom two editions are compared. The zero Scope is everyone:
// then pairs keep their feature and cloud, and conditions are not looked at.
type Scope struct {
	Facts     *Facts // of one cluster; nil for all
	Location  string // fills placeholders, "" to keep them
	NotStated bool   // of a cluster outside the public cloud: with rows that name no cloud
	APIServer string // the API server's name, "" when it is not known
}

// ownAPIServer stands for the name of a private API server that is not known.
const ownAPIServer = "the API server's private name"

// Pair is what a firewall is asked to let through, the unit of a Diff. In the
// scope of one cluster Feature and Cloud are empty, since a firewall does not
// know them.
type Pair struct {
	Feature     string
	Cloud       string
	Destination string // as the list prints it, filled as far as the scope allows
	Protocol    flow.Protocol
	Port        uint16
}

// String writes the pair as "mcr.microsoft.com https/443".
func (p Pair) String() string { return fmt.Sprintf("%s %s/%d", p.Destination, p.Protocol, p.Port) }

// Asks returns the pairs that a reader of edition e would have opened, with the
// rows that ask for each. Conditions hold as far as the edition itself states
// them: what is known since does not undo what people typed then. In the scope
// of one cluster rows that make no rule, since others cover them, are left out,
// and a private API server keeps its own name, as Rows does.
func (c *Catalog) Asks(e Edition, s Scope) map[Pair][]Row {
	out := make(map[Pair][]Row)
	s.Facts = e.knows(s.Facts)
	ask := func(q Requirement, p Port, destination, cloud string, span Span) {
		pair := Pair{Destination: destination, Protocol: p.Protocol, Port: p.Port}
		if s.Facts == nil {
			pair.Feature, pair.Cloud = q.Feature, cloud
		}
		out[pair] = append(out[pair], Row{Requirement: q, Port: p, Span: span})
	}
	base := make(map[string]bool) // clouds that e has base rows for
	for _, q := range c.requirements {
		cloud := q.CloudIn(e)
		for _, p := range q.Ports {
			span, ok := p.ListedIn(e)
			if !ok {
				continue
			}
			base[q.Cloud] = base[q.Cloud] || q.Feature == Base
			destination := q.Destination.In(s.Location)
			if s.Facts != nil {
				switch f := *s.Facts; {
				case !q.forCloud(cloud, s) || q.CoveredBy != "" || !c.feature(q.Feature).When.Holds(f):
					continue
				case e.unmet(q, p, f) == Condition{}:
				case q.namesAPIServer(p) && (f.Private || f.Isolated):
					destination = cmp.Or(s.APIServer, ownAPIServer)
				default:
					continue
				}
			}
			ask(q, p, destination, cloud, span)
		}
	}
	// The one rule that stood only in bullets and is about addresses.
	for _, n := range e.NetworkRules {
		if n.CoveredBy != ByAPIServerAddress || n.When.APIServerByAddress == nil || s.Facts != nil && !n.When.Holds(*s.Facts) {
			continue
		}
		q := Requirement{
			ID: n.ID, Feature: Base, Required: true, When: n.When, Destination: Destination{Kind: KindAPIServer},
			Role: RoleAPIServer, Purpose: n.Text, Lines: withLine(nil, e.ID, n.Line),
		}
		for _, p := range n.Ports {
			for _, cloud := range clouds {
				if base[cloud] && (s.Facts == nil || cloud == s.Facts.Cloud) {
					ask(q, p, q.Destination.String(), cloud, Span{Since: e.ID})
				}
			}
		}
	}
	return out
}

// forCloud reports whether a row that names cloud, or none, is for the cluster of s.
func (q Requirement) forCloud(cloud string, s Scope) bool {
	if cloud == "" {
		return s.Facts.Cloud == AzureCloud || s.NotStated || q.Cloud == s.Facts.Cloud
	}
	return cloud == s.Facts.Cloud
}

// unmet returns what e states that keeps a cluster from needing p of q.
func (e Edition) unmet(q Requirement, p Port, f Facts) Condition {
	if u := q.When.Unmet(f); u != (Condition{}) {
		return u
	}
	return p.StatedWhenIn(e).Unmet(f)
}

// knows returns the facts as far as a reader of e could know that they matter:
// network isolation counts from the first edition that speaks of it.
func (e Edition) knows(f *Facts) *Facts {
	if f == nil || slices.ContainsFunc(e.Advice, func(a Advice) bool { return a.When.Isolated != nil }) {
		return f
	}
	known := *f
	known.Isolated = false
	return &known
}

// Diff is what to change in a firewall that was set up by one edition so that
// it follows another.
type Diff struct {
	From, To Edition
	Changes  []Change

	newer   *Catalog // that holds the newer of the two
	scope   Scope
	history func() []step
}

// step is one edition between the two of a diff, newest first.
type step struct {
	edition string
	asks    map[Pair][]Row
}

// Effect is what a change does.
type Effect string

// Effects.
const (
	Open   Effect = "open"   // let through what was not asked for before
	Close  Effect = "close"  // nothing asks for it any more
	Narrow Effect = "narrow" // a wide destination made way for narrower ones under it
	Widen  Effect = "widen"  // narrower destinations made way for a wide one above them
)

// Change is one thing to do: open Opened and close Closed. An Open has one pair
// in Opened, a Close one in Closed; Narrow has the wide pair in Closed and the
// narrower ones in Opened; Widen the other way round.
type Change struct {
	Effect Effect
	Opened []Asked
	Closed []Asked
}

// Asked is a pair with the rows that ask, or asked, for it.
type Asked struct {
	Pair Pair
	Rows []Row
	// Still names a pair that asks for more than this one in the new edition, so
	// that closing or opening this one changes nothing. Zero: none does.
	Still Pair
}

// Diff compares two editions.
func (c *Catalog) Diff(from, to Edition, s Scope) Diff { return Compare(c, from, c, to, s) }

// Compare compares two editions that may stand in different catalogs.
func Compare(a *Catalog, from Edition, b *Catalog, to Edition, s Scope) Diff {
	d := diffOf(from, to, a.Asks(from, s), b.Asks(to, s))
	d.newer, d.scope = b, s
	if to.ID < from.ID {
		d.newer = a
	}
	d.history = sync.OnceValue(d.between)
	return d
}

// between returns what the editions after the older one ask for, newest first.
func (d Diff) between() []step {
	newest, oldest := max(d.From.ID, d.To.ID), min(d.From.ID, d.To.ID)
	var out []step
	for _, e := range slices.Backward(d.newer.editions) {
		if e.ID <= newest && e.ID > oldest {
			out = append(out, step{e.ID, d.newer.Asks(e, d.scope)})
		}
	}
	return out
}

func diffOf(from, to Edition, before, after map[Pair][]Row) Diff {
	var opened, closed []Asked
	for p, rows := range after {
		if _, was := before[p]; !was {
			opened = append(opened, Asked{Pair: p, Rows: rows, Still: wider(after, p, before)})
		}
	}
	for p, rows := range before {
		if _, is := after[p]; !is {
			closed = append(closed, Asked{Pair: p, Rows: rows, Still: wider(after, p, nil)})
		}
	}
	slices.SortFunc(opened, byPair)
	slices.SortFunc(closed, byPair)
	return Diff{From: from, To: to, Changes: effects(opened, closed)}
}

func byPair(a, b Asked) int {
	return cmp.Or(cmp.Compare(a.Pair.Cloud, b.Pair.Cloud), cmp.Compare(a.Pair.Feature, b.Pair.Feature),
		cmp.Compare(a.Pair.Destination, b.Pair.Destination),
		cmp.Compare(a.Pair.Protocol.String(), b.Pair.Protocol.String()), cmp.Compare(a.Pair.Port, b.Pair.Port))
}

// wider returns a pair of in, and of also when that is given, that lets
// everything through that p does.
func wider(in map[Pair][]Row, p Pair, also map[Pair][]Row) Pair {
	var found []Pair
	for w := range in {
		if _, ok := also[w]; (also == nil || ok) && w != p && w.covers(p) {
			found = append(found, w)
		}
	}
	if len(found) == 0 {
		return Pair{}
	}
	return slices.MinFunc(found, func(a, b Pair) int { return byPair(Asked{Pair: a}, Asked{Pair: b}) })
}

// covers reports whether every name of p is under the wildcard of w, on the same
// port and for the same clusters.
func (w Pair) covers(p Pair) bool {
	suffix, wild := strings.CutPrefix(w.Destination, "*")
	return wild && len(suffix) > 1 && w.Protocol == p.Protocol && w.Port == p.Port && w.Cloud == p.Cloud &&
		w.Destination != p.Destination && strings.HasSuffix(p.Destination, suffix)
}

// standsFor reports whether a is the wildcard over every API server or tunnel end
// of the region, and b the address of the cluster's own.
func (a Asked) standsFor(b Asked) bool {
	role := a.Rows[0].Role
	return (role == RoleAPIServer || role == RoleTunnel) && strings.HasPrefix(a.Pair.Destination, "*.") &&
		(b.Pair.Destination == apiServerPublicIP || b.Rows[0].namesAPIServer(b.Rows[0].Port)) && a.Pair.Protocol == b.Pair.Protocol && a.Pair.Port == b.Pair.Port &&
		a.Pair.Cloud == b.Pair.Cloud
}

// effects groups what belongs together. What is left stands alone. The pairs in
// it are those it was given, each once.
func effects(opened, closed []Asked) []Change {
	var out []Change
	usedOpen, usedClosed := make([]bool, len(opened)), make([]bool, len(closed))
	group := func(wide []Asked, usedWide []bool, narrow []Asked, usedNarrow []bool, make func(w Asked, under []Asked) Change) {
		for i, w := range wide {
			if usedWide[i] {
				continue
			}
			var under []Asked
			for j, n := range narrow {
				if !usedNarrow[j] && w.Pair.Feature == n.Pair.Feature && (w.Pair.covers(n.Pair) || w.standsFor(n)) {
					under = append(under, n)
					usedNarrow[j] = true
				}
			}
			if len(under) > 0 {
				usedWide[i] = true
				out = append(out, make(w, under))
			}
		}
	}
	group(closed, usedClosed, opened, usedOpen, func(w Asked, under []Asked) Change {
		return Change{Effect: Narrow, Closed: []Asked{w}, Opened: under}
	})
	group(opened, usedOpen, closed, usedClosed, func(w Asked, under []Asked) Change {
		return Change{Effect: Widen, Opened: []Asked{w}, Closed: under}
	})
	for i, o := range opened {
		if !usedOpen[i] {
			out = append(out, Change{Effect: Open, Opened: []Asked{o}})
		}
	}
	for i, x := range closed {
		if !usedClosed[i] {
			out = append(out, Change{Effect: Close, Closed: []Asked{x}})
		}
	}
	order := []Effect{Open, Narrow, Widen, Close}
	slices.SortStableFunc(out, func(a, b Change) int {
		return slices.Index(order, a.Effect) - slices.Index(order, b.Effect)
	})
	return out
}

// Since returns the edition that brought the change of a pair: the first from
// which on the newer of the two editions has been as it is.
func (d Diff) Since(a Asked) string {
	since := max(d.From.ID, d.To.ID)
	is := false
	for i, s := range d.history() {
		_, asks := s.asks[a.Pair]
		if i == 0 {
			is = asks
		}
		if asks != is {
			break
		}
		since = s.edition
	}
	return since
}

// Only returns the condition under which a closed pair is still asked for in To,
// zero when nothing asks for it there.
func (d Diff) Only(a Asked) Condition {
	if d.scope.Facts == nil || d.To.ID < d.From.ID {
		return Condition{}
	}
	for _, r := range a.Rows {
		q, ok := d.newer.Requirement(r.Requirement.ID)
		i := slices.IndexFunc(q.Ports, r.Port.same)
		if !ok || i < 0 {
			continue
		}
		if _, listed := q.Ports[i].ListedIn(d.To); listed {
			return d.To.unmet(q, q.Ports[i], *d.To.knows(d.scope.Facts))
		}
	}
	return Condition{}
}

// Same reports whether the two editions ask for the same.
func (d Diff) Same() bool { return len(d.Changes) == 0 }

// Opened returns every pair that is to be opened, whatever the effect it is
// part of, and Closed every pair to be closed.
func (d Diff) Opened() []Asked { return d.pairs(func(c Change) []Asked { return c.Opened }) }

// Closed returns every pair that is to be closed.
func (d Diff) Closed() []Asked { return d.pairs(func(c Change) []Asked { return c.Closed }) }

func (d Diff) pairs(of func(Change) []Asked) []Asked {
	var out []Asked
	for _, c := range d.Changes {
		out = append(out, of(c)...)
	}
	slices.SortFunc(out, byPair)
	return out
}

// Then returns the diff that does d first and next after it: from d.From to
// next.To. The two must meet in one edition. Still is not carried over, since
// it is about the last edition alone.
func (d Diff) Then(next Diff) (Diff, error) {
	if d.To.ID != next.From.ID {
		return Diff{}, fmt.Errorf("a diff to %s cannot be followed by one from %s", d.To.ID, next.From.ID)
	}
	opened, closed := make(map[Pair]Asked), make(map[Pair]Asked)
	for _, a := range d.Opened() {
		opened[a.Pair] = a
	}
	for _, a := range d.Closed() {
		closed[a.Pair] = a
	}
	for _, a := range next.Closed() {
		if _, was := opened[a.Pair]; was {
			delete(opened, a.Pair)
		} else {
			closed[a.Pair] = a
		}
	}
	for _, a := range next.Opened() {
		if _, was := closed[a.Pair]; was {
			delete(closed, a.Pair)
		} else {
			opened[a.Pair] = a
		}
	}
	flat := func(m map[Pair]Asked) []Asked {
		var out []Asked
		for _, a := range m {
			out = append(out, a)
		}
		slices.SortFunc(out, byPair)
		return out
	}
	out := Diff{From: d.From, To: next.To, Changes: effects(flat(opened), flat(closed)), newer: next.newer, scope: next.scope}
	if next.To.ID < d.From.ID {
		out.newer = d.newer
	}
	out.history = sync.OnceValue(out.between)
	return out, nil
}
