// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package panos

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/ruleset"
)

// Restrictions of the dialect.
const (
	// HTTPOnly: URL categories are looked up for HTTP and TLS alone
	// (knowledgebase.paloaltonetworks.com kA10g000000ClzlCAC, 2026-11-23).
	HTTPOnly = "panos-category-http-tls"
	// LongName: an entry of a URL list has at most 255 characters.
	LongName = "panos-entry-length"
	// IPv6HoldsIPv4: IPv6 prefixes that begin with 96 bits of zero match IPv4.
	IPv6HoldsIPv4 = "panos-ipv6-holds-ipv4"
	// AppShift: what App-ID knows as a more specific application is neither ssl nor
	// web-browsing and is not let through; no rule is left out for it, since which
	// connections those are changes with each content update
	// (knowledgebase.paloaltonetworks.com kA10g000000Cm4ICAS, 2026-11-23).
	AppShift = "panos-app-shift"
)

// Limits of PAN-OS (docs.paloaltonetworks.com, "Guidelines for URL Category
// Exceptions" and "Create a Custom URL Category for Cloud NGFW on AWS" for 255
// and nine; apis.io/schemas/palo-alto-networks/pan-os-security-rule for 63,
// 2026-11-23).
const (
	maxName        = 63
	maxEntry       = 255
	maxCarets      = 9 // side by side; none are written
	maxDescription = 1023
)

// writer writes each object once.
type writer struct {
	objects  strings.Builder
	rules    strings.Builder
	written  map[string]bool
	services map[string]string // ports to the name of a service
}

// Write translates the rules of p into set commands. It leaves zones open ("any")
// and denies what else the sources of p ask for: rules that come after stay
// without effect for them. Zone names belong to the site.
func Write(p *program.Program) (conf []byte, left []ruleset.Left) {
	w := &writer{written: make(map[string]bool), services: make(map[string]string)}
	var sources netset.Set
	n := 0
	for _, r := range p.Rules {
		if !v6HoldsNoV4(r.Sources) {
			// Left out of the final rule too, which would deny IPv4.
			left = append(left, ruleset.Left{Rule: r.ID, Restriction: IPv6HoldsIPv4})
			continue
		}
		sources = sources.Union(r.Sources)
		switch {
		case r.ByName() && r.Protocol != flow.ProtoHTTPS && r.Protocol != flow.ProtoHTTP:
			left = append(left, ruleset.Left{Rule: r.ID, Restriction: HTTPOnly})
			continue
		case r.ByName() && len(entry(r.Pattern)) > maxEntry:
			left = append(left, ruleset.Left{Rule: r.ID, Restriction: LongName})
			continue
		case !r.ByName() && !v6HoldsNoV4(r.Prefixes):
			left = append(left, ruleset.Left{Rule: r.ID, Restriction: IPv6HoldsIPv4})
			continue
		}
		n++
		w.rule(n, r)
	}
	if !sources.IsEmpty() {
		fmt.Fprintf(&w.rules, "set rulebase security rules sallyport-rest from any to any source %s destination any source-user any category any"+
			" application any service any action deny log-end yes tag sallyport description %s\n", w.addresses(sources), quoted("what no rule of the list asks for"))
	}
	head := "set tag sallyport comments " + quoted("Written by sallyport from edition "+p.Edition.ID+" of the list") + "\n"
	return []byte(head + w.objects.String() + w.rules.String()), left
}

// v6HoldsNoV4 reports whether the IPv6 part of s, which rules see as holding the
// IPv4 addresses under ::/96, adds none to s.
func v6HoldsNoV4(s netset.Set) bool {
	return !s.Overlaps(netset.Of(v4Inside)) || s.Covers(allV4)
}

// rule writes one rule and the objects it needs.
func (w *writer) rule(n int, r program.Rule) {
	name := fit(fmt.Sprintf("sallyport-%d-%s", n, r.ID))
	destination, category, application := "any", "any", "any"
	if r.ByName() {
		category = name
		fmt.Fprintf(&w.objects, "set profiles custom-url-category %s type \"URL List\"\nset profiles custom-url-category %s list [ %s ]\n", name, name, entry(r.Pattern))
		application = "ssl"
		if r.Protocol == flow.ProtoHTTP {
			application = "web-browsing"
		}
	} else {
		destination = w.addresses(r.Prefixes)
	}
	why := string(r.ID)
	if len(r.Origins) > 0 {
		why += ": " + r.Origins[0].Purpose
		if c := r.Origins[0].Citation; c.Document != "" {
			why += fmt.Sprintf(" (%s, %s:%d)", c.Document, c.Edition, c.Line)
		}
	}
	fmt.Fprintf(&w.rules, "set rulebase security rules %s from any to any source %s destination %s source-user any category %s"+
		" application %s service %s action allow log-end yes tag sallyport description %s\n",
		name, w.addresses(r.Sources), destination, category, application, w.service(r.Protocol.Transport, r.Ports), quoted(why))
}

// addresses writes address objects and returns them as a list.
func (w *writer) addresses(s netset.Set) string {
	if s.Equal(netset.All()) {
		return "any"
	}
	var names []string
	for _, text := range s.Texts() {
		name := "sp-" + strings.NewReplacer(":", "_", "/", "-").Replace(text)
		if !w.written[name] {
			w.written[name] = true
			fmt.Fprintf(&w.objects, "set address %s ip-netmask %s\n", name, text)
		}
		names = append(names, name)
	}
	return "[ " + strings.Join(names, " ") + " ]"
}

// service writes a service object and returns its name.
func (w *writer) service(t flow.Transport, ports portset.Set) string {
	text := strings.Join(ports.Texts(), ",")
	key := t.String() + " " + text
	name, ok := w.services[key]
	if !ok {
		name = "sp-" + t.String() + "-" + strings.ReplaceAll(text, ",", "_")
		if len(name) > maxName {
			name = fmt.Sprintf("sp-%s-ports-%d", t, len(w.services)+1)
		}
		w.services[key] = name
		fmt.Fprintf(&w.objects, "set service %s protocol %s port %s\n", name, t, text)
	}
	return name
}

// fit makes a name of letters, digits, hyphens, dots and underscores of at most
// 63 characters. The number near its beginning keeps it apart from others.
func fit(s string) string {
	s = strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.", c) {
			return c
		}
		return '-'
	}, s)
	return s[:min(len(s), maxName)]
}

// quoted writes a text in quotes, in ASCII and without quotes of its own.
func quoted(s string) string {
	s = strings.Map(func(c rune) rune {
		if c == '"' || c == '\'' || c == '\\' {
			return '`'
		}
		if c < ' ' || c > '~' {
			return ' '
		}
		return c
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	return `"` + s[:min(len(s), maxDescription)] + `"`
}
