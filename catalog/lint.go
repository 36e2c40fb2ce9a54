// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/flow"
)

var clouds = []string{AzureCloud, AzureChinaCloud, AzureUSGovernment}

// knownCloud reports whether s is a cloud, or "" for none.
func knownCloud(s string) bool { return s == "" || slices.Contains(clouds, s) }

// lint records every fault of the data as a whole: what would make a rule wrong
// or leave it without its source.
func (l *loader) lint() {
	c := l.c
	if len(c.editions) == 0 {
		l.fault(Source{File: "data"}, "the catalog holds no edition")
		return
	}
	aliases := make(map[string]bool)
	for _, e := range c.editions {
		if e.Document == "" {
			l.fault(e.Source, "edition %s has no document", e.ID)
		}
		if e.Alias != "" && (aliases[e.Alias] || e.Alias == Newest) {
			l.fault(e.Source, "edition %s: alias %q is taken", e.ID, e.Alias)
		}
		if parseID(e.Alias) == nil {
			l.fault(e.Source, "edition %s: alias %q could be an edition", e.ID, e.Alias)
		}
		aliases[e.Alias] = true
	}
	pairs := make(map[string]Requirement)
	for _, q := range c.requirements {
		l.lintRequirement(q)
		for _, p := range q.Ports {
			key := fmt.Sprint(q.Feature, " ", q.Cloud, " ", q.StatedDestination(), " ", p)
			if other, twice := pairs[key]; twice {
				l.fault(q.Source, "%s states the pair %s, which %s (%s) states", q.ID, key, other.ID, other.Source)
			}
			pairs[key] = q
		}
	}
}

func (l *loader) lintRequirement(q Requirement) {
	fault := func(format string, args ...any) {
		l.fault(q.Source, "%s: %w", q.ID, fmt.Errorf(format, args...))
	}
	if q.ID == "" || strings.ContainsFunc(q.ID, func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9') }) {
		fault("id %q is not lower-case letters, digits and dashes", q.ID)
	}
	if !knownCloud(q.Cloud) {
		fault("cloud %q is not known; write one of %s", q.Cloud, strings.Join(clouds, ", "))
	}
	if q.Purpose == "" {
		fault("has no purpose")
	}
	if len(q.Ports) == 0 {
		fault("has no port")
	}
	if q.CoveredBy != "" && !q.CoveredBy.known() {
		fault("covered by %q, which is not known; write one of %s, %s, %s", q.CoveredBy, ByNames, ByAPIServerAddress, ByResolver)
	}
	for _, code := range q.ExitCodes {
		if code < 1 || code > 255 {
			fault("exit code %d is none", code)
		}
	}
	if q.ReplacedBy != "" {
		if _, err := ParseDestination(q.ReplacedBy); err != nil {
			fault("replacedBy: %w", err)
		}
	}
	l.lintAddOn(q.When, fault)
	if newest := l.c.editions[len(l.c.editions)-1]; q.Source.Overlay && !q.everListed(newest) {
		fault("is listed from %s on, after the newest edition, %s: nothing asks for it yet", q.Ports[0].Listed[0].Since, newest.ID)
	}
	switch q.Role {
	case NoRole, RoleAPIServer, RoleTunnel, RoleController:
	default:
		fault("role %q is not known", q.Role)
	}
	for id, line := range q.Lines {
		if line <= 0 || parseID(id) != nil {
			fault("line %d of edition %q is none", line, id)
		}
	}
	if q.CloudUnstatedBefore != "" && parseID(q.CloudUnstatedBefore) != nil {
		fault("cloudUnstatedBefore %q is not a date", q.CloudUnstatedBefore)
	}
	l.lintDestination(q, fault)
	l.lintSpans(q.AlsoListed, "other forms", fault)
	for i, p := range q.Ports {
		if p.Port == 0 || p.Protocol == (flow.Protocol{}) {
			fault("port %s is not one", p)
		}
		if slices.ContainsFunc(q.Ports[:i], p.same) {
			fault("%s stands there twice", p)
		}
		l.lintSpans(p.Listed, p.String(), fault)
		l.lintAddOn(p.When, fault)
		if p.WhenSince != "" && parseID(p.WhenSince) != nil {
			fault("%s: whenSince %q is not a date", p, p.WhenSince)
		}
	}
}

// lintAddOn checks that a cluster can have the add-on that a condition waits for.
func (l *loader) lintAddOn(c Condition, fault func(string, ...any)) {
	if c.AddOn == "" {
		return
	}
	if have := l.c.AddOns(); !slices.Contains(have, c.AddOn) {
		fault("addOn %q is not known; write one of %s", c.AddOn, strings.Join(have, ", "))
	}
}

// everListed reports whether some port of q was listed by the time of e.
func (q Requirement) everListed(e Edition) bool {
	return len(q.Ports) == 0 || slices.ContainsFunc(q.Ports, func(p Port) bool {
		return len(p.Listed) == 0 || p.Listed[0].Since <= e.ID
	})
}

func (l *loader) lintSpans(spans []Span, what string, fault func(string, ...any)) {
	for i := 1; i < len(spans); i++ {
		if before := spans[i-1].Until; before == "" || before >= spans[i].Since {
			fault("%s: its spans overlap or touch", what)
		}
	}
}

// lintDestination checks a name, and that its probe lies under it.
func (l *loader) lintDestination(q Requirement, fault func(string, ...any)) {
	if q.Destination.Kind != KindName {
		if !q.Probe.IsZero() {
			fault("a probe needs a name to stand for")
		}
		return
	}
	values := Values("westeurope", "0a1b")
	dest, err := q.Destination.Name.Fill(values)
	if err != nil {
		fault("%w", err)
		return
	}
	if _, wild := dest.Apex(); wild != !q.Probe.IsZero() {
		fault("a wildcard needs a probe name, and only a wildcard does")
	}
	if !q.Probe.IsZero() {
		probe, err := q.Probe.Fill(values)
		if n, exact := probe.Name(); err != nil || !exact || !dest.Contains(n) {
			fault("probe %s is not a name under %s", q.Probe, q.Destination)
		}
	}
}
