// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/portset"
)

//go:embed data/*.yaml
var embedded embed.FS

// featureFiles lists the data files in the order their rows are shown.
var featureFiles = []string{
	"base.yaml", "optional.yaml", "gpu.yaml", "monitoring.yaml",
	"dev-spaces.yaml", "azure-policy.yaml", "windows.yaml",
}

// Default returns the catalog that is built in. Its data is linted by this
// package's tests, so a fault in it is a bug and panics.
var Default = sync.OnceValue(func() *Catalog {
	sub, err := fs.Sub(embedded, "data")
	if err == nil {
		var c *Catalog
		if c, err = Load(sub); err == nil {
			return c
		}
	}
	panic("catalog: built-in data: " + err.Error())
})

// Load reads a catalog from a directory of data files and reports every fault
// it finds, joined.
func Load(dir fs.FS) (*Catalog, error) {
	c := &Catalog{titles: make(map[string]string)}
	var errs []error
	if err := c.loadEditions(dir, "editions.yaml"); err != nil {
		errs = append(errs, err)
	}
	for _, name := range featureFiles {
		if err := c.loadFeature(dir, name); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		errs = append(errs, c.lint())
	}
	return c, errors.Join(errs...)
}

type rawEditions struct {
	NewestKnown string `yaml:"newestKnown"`
	Editions    []struct {
		ID           string `yaml:"id"`
		Alias        string `yaml:"alias"`
		Title        string `yaml:"title"`
		Document     string `yaml:"document"`
		MSDate       string `yaml:"msDate"`
		NetworkRules []struct {
			rawStatement `yaml:",inline"`
			ID           string    `yaml:"id"`
			Ports        []string  `yaml:"ports"`
			When         Condition `yaml:"when"`
			CoveredBy    Coverage  `yaml:"coveredBy"`
		} `yaml:"networkRules"`
		Narrowing struct {
			rawStatement `yaml:",inline"`
			Ports        []string `yaml:"ports"`
		} `yaml:"narrowing"`
		Prerequisites []struct {
			rawStatement `yaml:",inline"`
			ID           string `yaml:"id"`
			Minimum      string `yaml:"minimum"`
			Check        string `yaml:"check"`
		} `yaml:"prerequisites"`
		Deprecations []struct {
			rawStatement `yaml:",inline"`
			Destinations []string `yaml:"destinations"`
			ReplacedBy   string   `yaml:"replacedBy"`
			Clouds       []string `yaml:"clouds"`
		} `yaml:"deprecations"`
		Advice []struct {
			rawStatement `yaml:",inline"`
			ID           string    `yaml:"id"`
			Kind         string    `yaml:"kind"`
			When         Condition `yaml:"when"`
		} `yaml:"advice"`
	} `yaml:"editions"`
}

type rawStatement struct {
	Text string `yaml:"text"`
	Line int    `yaml:"line"`
	Note string `yaml:"note"`
}

func (s rawStatement) statement() Statement { return Statement(s) }

func (c *Catalog) loadEditions(dir fs.FS, name string) error {
	var raw rawEditions
	if err := decode(dir, name, &raw); err != nil {
		return err
	}
	c.newestKnown = raw.NewestKnown
	for _, r := range raw.Editions {
		day, err := time.Parse(time.DateOnly, r.ID)
		if err != nil {
			return fmt.Errorf("%s: edition id %q is not a date", name, r.ID)
		}
		e := Edition{
			ID: r.ID, Alias: r.Alias, Published: day, Title: r.Title, Document: r.Document, MSDate: r.MSDate,
			Narrowing: r.Narrowing.statement(),
		}
		for _, n := range r.NetworkRules {
			rule := NetworkRule{Statement: n.statement(), ID: n.ID, When: n.When, CoveredBy: n.CoveredBy}
			for _, s := range n.Ports {
				p, err := parsePort(s)
				if err != nil {
					return fmt.Errorf("%s: %s: %w", name, n.ID, err)
				}
				rule.Ports = append(rule.Ports, p)
			}
			e.NetworkRules = append(e.NetworkRules, rule)
		}
		for _, p := range r.Prerequisites {
			e.Prerequisites = append(e.Prerequisites, Prerequisite{p.statement(), p.ID, p.Minimum, p.Check})
		}
		for _, d := range r.Deprecations {
			e.Deprecations = append(e.Deprecations, Deprecation{d.statement(), d.Destinations, d.ReplacedBy, d.Clouds})
		}
		for _, a := range r.Advice {
			e.Advice = append(e.Advice, Advice{a.statement(), a.ID, a.Kind, a.When})
		}
		c.editions = append(c.editions, e)
	}
	slices.SortFunc(c.editions, func(a, b Edition) int { return a.Published.Compare(b.Published) })
	return nil
}

type rawFeature struct {
	Feature      string    `yaml:"feature"`
	Title        string    `yaml:"title"`
	Required     bool      `yaml:"required"`
	When         Condition `yaml:"when"`
	Requirements []struct {
		ID          string    `yaml:"id"`
		Cloud       string    `yaml:"cloud"`
		Destination string    `yaml:"destination"`
		Role        Role      `yaml:"role"`
		Purpose     string    `yaml:"purpose"`
		Note        string    `yaml:"note"`
		Line        int       `yaml:"line"`
		Probe       string    `yaml:"probe"`
		ExitCodes   []int     `yaml:"exitCodes"`
		ReplacedBy  string    `yaml:"replacedBy"`
		When        Condition `yaml:"when"`
		Ports       []struct {
			Port   string    `yaml:"port"`
			Listed []string  `yaml:"listed"`
			When   Condition `yaml:"when"`
		} `yaml:"ports"`
	} `yaml:"requirements"`
}

func (c *Catalog) loadFeature(dir fs.FS, name string) error {
	var raw rawFeature
	if err := decode(dir, name, &raw); err != nil {
		return err
	}
	c.titles[raw.Feature] = raw.Title
	var errs []error
	for _, r := range raw.Requirements {
		q := Requirement{
			ID: r.ID, Feature: raw.Feature, Cloud: r.Cloud, Required: raw.Required, When: raw.When, Role: r.Role,
			ExitCodes: r.ExitCodes, ReplacedBy: r.ReplacedBy, Purpose: r.Purpose, Note: r.Note, Line: r.Line,
		}
		if r.When != (Condition{}) {
			if q.When != (Condition{}) {
				errs = append(errs, fmt.Errorf("%s: %s: the feature has a condition already", name, r.ID))
			}
			q.When = r.When
		}
		var err error
		if q.Destination, err = ParseTemplate(r.Destination); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", name, r.ID, err))
		}
		if r.Probe != "" {
			if q.Probe, err = ParseTemplate(r.Probe); err != nil {
				errs = append(errs, fmt.Errorf("%s: %s: probe: %w", name, r.ID, err))
			}
		}
		for _, rp := range r.Ports {
			p, err := parsePort(rp.Port)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %s: %w", name, r.ID, err))
				continue
			}
			p.When = rp.When
			for _, l := range rp.Listed {
				span, err := parseSpan(l)
				if err != nil {
					errs = append(errs, fmt.Errorf("%s: %s: %w", name, r.ID, err))
				}
				p.Listed = append(p.Listed, span)
			}
			q.Ports = append(q.Ports, p)
		}
		c.requirements = append(c.requirements, q)
	}
	return errors.Join(errs...)
}

func decode(dir fs.FS, name string, into any) error {
	data, err := fs.ReadFile(dir, name)
	if err != nil {
		return err
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// parsePort reads "https/443".
func parsePort(s string) (Port, error) {
	proto, num, _ := strings.Cut(s, "/")
	p, err := flow.ParseProtocol(proto)
	if err != nil {
		return Port{}, err
	}
	set, err := portset.Parse(num)
	if err != nil {
		return Port{}, err
	}
	n, _ := set.Witness()
	if set.Len() != 1 {
		return Port{}, fmt.Errorf("port %q is not a single one", s)
	}
	return Port{Protocol: p, Port: n}, nil
}

// parseSpan reads "2019-06-06..2020-07-01" or, still listed, "2019-06-06..".
func parseSpan(s string) (Span, error) {
	from, to, ok := strings.Cut(s, "..")
	if !ok {
		return Span{}, fmt.Errorf("span %q is not two dates with .. between", s)
	}
	since, err := time.Parse(time.DateOnly, from)
	if err != nil {
		return Span{}, fmt.Errorf("span %q does not begin with a date", s)
	}
	span := Span{Since: since}
	if to != "" {
		if span.Until, err = time.Parse(time.DateOnly, to); err != nil || !span.Until.After(since) {
			return Span{}, fmt.Errorf("span %q does not end with a later date", s)
		}
	}
	return span, nil
}
