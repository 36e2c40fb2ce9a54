// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
)

// want is a rule before merging, and the row it comes from.
type want struct {
	rule program.Rule
	row  int // index in Rows, -1 for the owner's rules
}

// What rows may wait for, each with where it is written and how to find out.
var (
	needAPIServer = program.Pending{
		Missing: "the API server's addresses, or at least its name",
		Key:     "apiServer.addresses",
		Command: "az aks show -g GROUP -n CLUSTER --query fqdn -o tsv | xargs nslookup",
	}
	needAPIAddress = program.Pending{
		Missing: "the API server's addresses",
		Key:     "apiServer.addresses",
		Command: "az aks show -g GROUP -n CLUSTER --query fqdn -o tsv | xargs nslookup",
	}
	needAPIName = program.Pending{
		Missing: "the API server's private name",
		Key:     "apiServer.name",
		Command: "az aks show -g GROUP -n CLUSTER --query privateFqdn -o tsv",
	}
	needDestination = program.Pending{
		Missing: "a destination: the list says only that the port must be open",
		Key:     "allow",
		Command: "sallyport schema | less +/allow",
	}
	needController = program.Pending{
		Missing: "the name of the Dev Spaces controller",
		Key:     "devSpaces.name",
		Command: "az aks show -g GROUP -n CLUSTER --query \"addonProfiles\" -o json; the name is dataplaneFqdn in .azds/settings.json",
	}
)

// needRanges says that a service tag or a region stands for addresses that only
// the file of service tags tells.
func (b *builder) needRanges(d catalog.Destination) *program.Pending {
	location := b.cluster.Location
	missing := "the address ranges of " + d.In(location)
	if b.tags != nil {
		missing += ", which the file of service tags does not have"
	}
	return &program.Pending{
		Missing: missing,
		Key:     "--service-tags FILE",
		Command: "az network list-service-tags --location " + location + " -o json > service-tags.json",
	}
}

// ranges returns the addresses behind a service tag or the region, empty when
// no file of service tags tells them.
func (b *builder) ranges(d catalog.Destination) netset.Set {
	if b.tags == nil {
		return netset.Set{}
	}
	prefixes, _ := b.tags.Prefixes(d, b.cluster.Location)
	return netset.Of(prefixes...)
}

// rows turns what the edition states into rows, and into wants where the
// destination is known.
func (b *builder) rows() {
	rows := b.catalog.Rows(b.edition, b.facts)
	for _, r := range rows.Stated {
		b.row(r, false)
	}
	for _, r := range rows.NotStated {
		if b.cluster.IncludeNotStated {
			b.row(r, true)
			continue
		}
		b.p.NotStated = append(b.p.NotStated, b.rowOf(r, true))
	}
	for _, r := range rows.APIServer {
		b.privateAPIServer(r)
	}
	for _, r := range rows.NotNeeded {
		b.p.NotNeeded = append(b.p.NotNeeded, b.rowOf(r, false))
	}
	for _, n := range b.edition.NetworkRules {
		if n.ID == "net-api-server" && n.When.Holds(b.facts) {
			b.apiServerByAddress(n)
		}
	}
}

// privateAPIServer keeps the row of a private API server's name, which the list
// does not ask for: the traffic stays on private networks, but the name is
// resolved by the gateway, and the traffic may pass it. Only the exact name is
// let through.
func (b *builder) privateAPIServer(r catalog.Row) {
	row := b.rowOf(r, false)
	row.Note = "The list does not ask for this in a private or isolated cluster. The nodes still need the API server's name, which this gateway resolves."
	if b.cluster.APIServer.Name.IsZero() {
		b.add(row, program.Rule{}, &needAPIName)
		return
	}
	rule := program.Rule{Protocol: r.Port.Protocol, Ports: portset.Of(r.Port.Port), Pattern: dnsname.Exact(b.cluster.APIServer.Name)}
	row.Probe = b.cluster.APIServer.Name
	b.add(row, rule, nil)
}

func (b *builder) rowOf(r catalog.Row, notStated bool) program.Row {
	o := program.Origin{
		Requirement: r.Requirement.ID, Feature: r.Feature, Required: r.Required, NotStated: notStated,
		Stated: r.StatedDestination(), Only: r.Unmet(b.facts), Port: r.Port.String(), Purpose: r.Purpose, ExitCodes: r.ExitCodes,
		Since: catalog.Day(r.Span.Since), Until: catalog.Day(r.Span.Until), ReplacedBy: r.ReplacedBy,
		Note: r.NoteIn(b.edition), Citation: b.cite(r.Lines[b.edition.ID]),
	}
	for _, d := range r.AlsoIn(b.edition) {
		o.Also = append(o.Also, d.In(b.cluster.Location))
	}
	if r.Source.Overlay {
		o.Overlay = r.Source.String()
	}
	return program.Row{ID: r.ID(), Protocol: r.Port.Protocol, PortNumber: r.Port.Port, Origin: o}
}

func (b *builder) cite(line int) program.Citation {
	return program.Citation{Document: b.edition.Title, Edition: b.edition.ID, Line: line}
}

// row adds one row, and the rule it wants or what it waits for.
func (b *builder) row(r catalog.Row, notStated bool) {
	row := b.rowOf(r, notStated)
	if r.CoveredBy != "" {
		row.Covered = coverageText[r.CoveredBy]
		b.p.Rows = append(b.p.Rows, row)
		return
	}
	rule, missing := b.ruleFor(r, &row)
	b.add(row, rule, missing)
}

// add appends row; missing is nil when rule is what it wants.
func (b *builder) add(row program.Row, rule program.Rule, missing *program.Pending) {
	if missing != nil {
		row.Pending = missing.Missing
		b.p.Rows = append(b.p.Rows, row)
		b.pend(*missing, row.ID)
		return
	}
	row.Destination = rule.Destination()
	rule.Required = row.Required
	rule.Origins = []program.Origin{row.Origin}
	rule.Sources, rule.Groups = b.everyone()
	rule.ID = flow.RuleID(row.Requirement + "/" + rule.Protocol.String())
	b.p.Rows = append(b.p.Rows, row)
	b.wants = append(b.wants, want{rule, len(b.p.Rows) - 1})
}

// ruleFor returns the rule that r wants, with its destination as narrow as the
// cluster description allows, or what is missing for it.
func (b *builder) ruleFor(r catalog.Row, row *program.Row) (program.Rule, *program.Pending) {
	rule := program.Rule{Protocol: r.Port.Protocol, Ports: portset.Of(r.Port.Port)}
	api := b.cluster.APIServer
	switch {
	case r.Role == catalog.RoleAPIServer && rule.Protocol.App != flow.Raw && !api.Name.IsZero():
		rule.Pattern, row.Probe = dnsname.Exact(api.Name), api.Name
		return rule, nil

	case (r.Role == catalog.RoleAPIServer || r.Role == catalog.RoleTunnel) && rule.Protocol.App == flow.Raw:
		// The tunnel ports. The source lets them be narrowed to the API server's
		// addresses; a wildcard on a raw port would prove nothing at all.
		switch {
		case len(api.Addresses) > 0:
			rule.Prefixes = netset.OfAddrs(api.Addresses...)
			return rule, nil
		case r.Destination.Kind == catalog.KindAPIServer && r.Role == catalog.RoleAPIServer:
			return rule, &needAPIAddress
		case !api.Name.IsZero():
			rule.Pattern, row.Probe = dnsname.Exact(api.Name), api.Name
			return rule, nil
		}
		for _, d := range r.AlsoIn(b.edition) {
			if rule.Prefixes = b.ranges(d); !rule.Prefixes.IsEmpty() {
				return rule, nil
			}
		}
		missing := needAPIServer
		if b.tags != nil && len(r.AlsoIn(b.edition)) > 0 {
			missing.Missing += "; the file of service tags has no ranges for " + b.cluster.Location
		}
		return rule, &missing

	case r.Role == catalog.RoleController && !b.cluster.DevSpacesName.IsZero():
		rule.Pattern, row.Probe = dnsname.Exact(b.cluster.DevSpacesName), b.cluster.DevSpacesName
		return rule, nil
	}
	switch d := r.Destination; d.Kind {
	case catalog.KindServiceTag, catalog.KindRegionCIDRs:
		if rule.Prefixes = b.ranges(d); rule.Prefixes.IsEmpty() {
			return rule, b.needRanges(d)
		}
		return rule, nil
	case catalog.KindAPIServer:
		if rule.Prefixes = netset.OfAddrs(api.Addresses...); rule.Prefixes.IsEmpty() {
			return rule, &needAPIAddress
		}
		return rule, nil
	case catalog.KindAny, catalog.KindCustomDNS:
		return rule, &needDestination
	}
	values := catalog.Values(b.cluster.Location, "")
	pattern, err := r.Destination.Name.Fill(values)
	if missing := (*catalog.MissingError)(nil); errors.As(err, &missing) {
		return rule, &needController
	}
	if err != nil {
		// The catalog's lint filled the same template; the location was checked.
		panic(fmt.Sprintf("compile: %s: %v", r.ID(), err))
	}
	rule.Pattern = pattern
	if n, exact := pattern.Name(); exact {
		row.Probe = n
	} else if probe, err := r.Probe.Fill(values); err == nil {
		row.Probe, _ = probe.Name()
	}
	return rule, nil
}

// apiServerByAddress adds the row for workloads that talk to the API server by
// its address and so name nothing.
func (b *builder) apiServerByAddress(n catalog.NetworkRule) {
	for _, p := range n.Ports {
		row := program.Row{
			ID: fmt.Sprintf("%s/%s-%d", n.ID, p.Protocol, p.Port), Protocol: p.Protocol, PortNumber: p.Port,
			Origin: program.Origin{
				Requirement: n.ID, Feature: catalog.Base, Required: true, Stated: "[IPAddrOfYourAPIServer]",
				Port: p.String(), Purpose: n.Text, Since: b.edition.Published, Citation: b.cite(n.Line),
			},
		}
		rule := program.Rule{
			Protocol: p.Protocol, Ports: portset.Of(p.Port),
			Prefixes: netset.OfAddrs(b.cluster.APIServer.Addresses...),
		}
		if rule.Prefixes.IsEmpty() {
			b.add(row, rule, &needAPIAddress)
		} else {
			b.add(row, rule, nil)
		}
	}
}

// pend notes that a row waits for something.
func (b *builder) pend(missing program.Pending, row string) {
	for i := range b.p.Pending {
		if b.p.Pending[i].Missing == missing.Missing {
			b.p.Pending[i].Rows = append(b.p.Pending[i].Rows, row)
			return
		}
	}
	missing.Rows = []string{row}
	b.p.Pending = append(b.p.Pending, missing)
}

// owner adds the owner's own rules.
func (b *builder) owner() {
	everyone, everyGroup := b.everyone()
	b.wants = slices.Grow(b.wants, len(b.cluster.Allow))
	for _, a := range b.cluster.Allow {
		sources, names := everyone, everyGroup
		if len(a.Sources) > 0 {
			sources, names = netset.Set{}, nil
			for _, s := range a.Sources {
				if s.Group == "" {
					sources = sources.Union(netset.Of(s.Prefix))
					names = append(names, s.Prefix.String())
				} else if g, ok := b.p.Group(s.Group); ok {
					sources = sources.Union(g.Set)
					names = append(names, g.Name)
				}
			}
		}
		for _, p := range a.Ports {
			id := a.ID
			if len(a.Ports) > 1 {
				id += "/" + strings.ReplaceAll(fmt.Sprintf("%s-%s", p.Protocol, p.Ports), ",", "+")
			}
			rule := program.Rule{
				ID: flow.RuleID(id), Pattern: a.Pattern, Prefixes: netset.Of(a.Prefixes...), Protocol: p.Protocol,
				Ports: p.Ports, Sources: sources, Groups: names, Until: a.Until, Strict: a.Strict,
			}
			origin := program.Origin{
				Requirement: a.ID, Feature: program.FeatureOwner, Stated: rule.Destination(),
				Port: fmt.Sprintf("%s/%s", p.Protocol, p.Ports), Purpose: a.Reason,
				Citation: program.Citation{Document: b.cluster.File, Line: a.Line},
			}
			if n, exact := a.Pattern.Name(); exact {
				origin.Probe = n
			} else if apex, wild := a.Pattern.Apex(); wild {
				origin.Probe = dnsname.MustParse("sallyport-probe." + apex.String())
			}
			rule.Origins = []program.Origin{origin}
			b.wants = append(b.wants, want{rule, -1})
		}
	}
}
