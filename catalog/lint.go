// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/flow"
)

// lint returns every fault of the loaded data, joined: what would make a rule
// wrong or leave it without its source.
func (c *Catalog) lint() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.editions) == 0 {
		fault("the catalog holds no edition")
	}
	if _, err := time.Parse(time.DateOnly, c.newestKnown); err != nil {
		fault("newestKnown %q is not a date", c.newestKnown)
	}
	for _, e := range c.editions {
		if e.Document == "" || e.Title == "" {
			fault("edition %s has no document or title", e.ID)
		}
		c.lintStatements(e, fault)
	}
	clouds := []string{"", AzureCloud, AzureChinaCloud, AzureUSGovernment}
	ids := make(map[string]bool)
	pairs := make(map[string]string)
	for _, q := range c.requirements {
		if q.ID == "" || ids[q.ID] {
			fault("requirement id %q is empty or not unique", q.ID)
		}
		ids[q.ID] = true
		if !slices.Contains(clouds, q.Cloud) {
			fault("%s: cloud %q is not known", q.ID, q.Cloud)
		}
		if q.Purpose == "" || q.Line <= 0 {
			fault("%s: has no purpose or no line", q.ID)
		}
		if len(q.Ports) == 0 {
			fault("%s: has no port", q.ID)
		}
		if q.Destination.IsZero() {
			fault("%s: has no destination", q.ID)
			continue
		}
		values := map[string]string{Location: "westeurope", GUID: "0a1b"}
		dest, err := q.Destination.Fill(values)
		if err != nil {
			fault("%s: %w", q.ID, err)
			continue
		}
		if _, wild := dest.Apex(); wild != !q.Probe.IsZero() {
			fault("%s: a wildcard needs a probe name, and only a wildcard does", q.ID)
		}
		if !q.Probe.IsZero() {
			probe, err := q.Probe.Fill(values)
			if n, exact := probe.Name(); err != nil || !exact || !dest.Contains(n) {
				fault("%s: probe %s is not a name under %s", q.ID, q.Probe, q.Destination)
			}
		}
		for _, p := range q.Ports {
			if p.Port == 0 || p.Protocol == (flow.Protocol{}) {
				fault("%s: port %s is not one", q.ID, p)
			}
			if len(p.Listed) == 0 {
				fault("%s: %s was never listed", q.ID, p)
			}
			for i := 1; i < len(p.Listed); i++ {
				if before := p.Listed[i-1].Until; before.IsZero() || !before.Before(p.Listed[i].Since) {
					fault("%s: %s: its spans overlap or touch", q.ID, p)
				}
			}
			key := fmt.Sprint(q.Feature, " ", q.Cloud, " ", q.Destination, " ", p)
			if other := pairs[key]; other != "" {
				fault("%s and %s state the same pair %s", other, q.ID, key)
			}
			pairs[key] = q.ID
		}
	}
	return errors.Join(errs...)
}

func (c *Catalog) lintStatements(e Edition, fault func(string, ...any)) {
	check := func(what, id string, s Statement) {
		if id == "" || s.Text == "" || s.Line <= 0 {
			fault("edition %s: %s %q has no id, text or line", e.ID, what, id)
		}
	}
	check("narrowing", "narrowing", e.Narrowing)
	for _, n := range e.NetworkRules {
		check("network rule", n.ID, n.Statement)
		if n.CoveredBy != ByNames && n.CoveredBy != ByAPIServerAddress && n.CoveredBy != ByResolver {
			fault("edition %s: network rule %s is covered by %q, which is not known", e.ID, n.ID, n.CoveredBy)
		}
	}
	for _, p := range e.Prerequisites {
		check("prerequisite", p.ID, p.Statement)
	}
	for _, d := range e.Deprecations {
		check("deprecation", fmt.Sprint(d.Destinations), d.Statement)
	}
	for _, a := range e.Advice {
		check("advice", a.ID, a.Statement)
		if a.Kind != "important" && a.Kind != "caution" && a.Kind != "note" {
			fault("edition %s: advice %s has the unknown kind %q", e.ID, a.ID, a.Kind)
		}
	}
}
