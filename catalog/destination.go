// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/dnsname"
)

// Kind is a form in which the list writes a destination.
type Kind string

// Kinds, narrowest first as far as they are forms of one row.
const (
	KindName        Kind = "name"         // a name or wildcard, possibly with placeholders
	KindAPIServer   Kind = "api-server"   // the API server's address
	KindCustomDNS   Kind = "custom-dns"   // the addresses of the cluster's own DNS servers
	KindRegionCIDRs Kind = "region-cidrs" // the address ranges of the region
	KindServiceTag  Kind = "service-tag"  // a named set of address ranges
	KindAny         Kind = "any"          // any address
)

// How the list spells what is neither a name nor a service tag.
const (
	anyAddress        = "*"
	apiServerPublicIP = "APIServerPublicIP"
	customDNSIP       = "CustomDNSIP"
	regionCIDRs       = "RegionCIDRs"
)

// Destination is where a requirement leads, in one of the list's forms. The
// zero Destination is none.
type Destination struct {
	Kind Kind
	Name Template // of KindName
	Tag  string   // of KindServiceTag, such as "AzureCloud.<Region>"
}

// ParseDestination reads a destination as the list prints it.
func ParseDestination(s string) (Destination, error) {
	switch s {
	case "":
		return Destination{}, fmt.Errorf("the destination is missing")
	case anyAddress:
		return Destination{Kind: KindAny}, nil
	case apiServerPublicIP:
		return Destination{Kind: KindAPIServer}, nil
	case customDNSIP:
		return Destination{Kind: KindCustomDNS}, nil
	case regionCIDRs:
		return Destination{Kind: KindRegionCIDRs}, nil
	}
	if isServiceTag(s) {
		return Destination{Kind: KindServiceTag, Tag: s}, nil
	}
	t, err := ParseTemplate(s)
	if err != nil {
		return Destination{}, err
	}
	return Destination{Kind: KindName, Name: t}, nil
}

// isServiceTag reports whether s is spelt as Azure's service tags are: capital
// letters first, at most one dot with a region behind it.
func isServiceTag(s string) bool {
	tag, region, dotted := strings.Cut(s, ".")
	if tag == "" || tag[0] < 'A' || tag[0] > 'Z' || strings.ContainsFunc(tag, notAlphanumeric) {
		return false
	}
	return !dotted || region == "<Region>" || region != "" && !strings.ContainsFunc(region, notAlphanumeric) && !knownTLD[strings.ToLower(region)]
}

// knownTLD keeps a capitalised name such as Example.com from being read as a
// tag with a region.
var knownTLD = map[string]bool{"com": true, "net": true, "org": true, "io": true, "cn": true, "us": true, "de": true}

func notAlphanumeric(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
}

// String writes the destination as the list does.
func (d Destination) String() string {
	switch d.Kind {
	case KindName:
		return d.Name.String()
	case KindServiceTag:
		return d.Tag
	case KindAny:
		return anyAddress
	case KindAPIServer:
		return apiServerPublicIP
	case KindCustomDNS:
		return customDNSIP
	case KindRegionCIDRs:
		return regionCIDRs
	}
	return ""
}

// IsZero reports whether d is none.
func (d Destination) IsZero() bool { return d.Kind == "" }

// In writes the destination for a location: placeholders that stand for the
// region are filled, others stay.
func (d Destination) In(location string) string {
	if location == "" {
		return d.String()
	}
	s := d.String()
	for _, p := range []string{Location, Region, ClusterRegion, "Region"} {
		s = strings.ReplaceAll(s, "<"+p+">", location)
	}
	return s
}

// Template is a name pattern with placeholders in angle brackets, such as
// "*.hcp.<location>.azmk8s.io".
type Template struct{ text string }

// Placeholders that a Template may hold.
const (
	Location      = "location"            // region of the cluster
	Region        = "region"              // the same, as cluster extensions spell it
	ClusterRegion = "cluster-region-name" // the same, as Azure Monitor spells it
	GUID          = "guid"                // id of the Dev Spaces controller
)

// ParseTemplate reads a template and checks that it makes a valid pattern once
// its placeholders are filled.
func ParseTemplate(s string) (Template, error) {
	t := Template{s}
	for _, p := range t.Placeholders() {
		switch p {
		case Location, Region, ClusterRegion, GUID:
		default:
			return Template{}, fmt.Errorf("destination %q has the unknown placeholder <%s>", s, p)
		}
	}
	if _, err := t.Fill(Values("x", "x")); err != nil {
		return Template{}, err
	}
	return t, nil
}

// Values returns what the placeholders of templates stand for in a cluster; ""
// stands for not known.
func Values(location, guid string) map[string]string {
	return map[string]string{Location: location, Region: location, ClusterRegion: location, GUID: guid}
}

// String returns the template as it was written.
func (t Template) String() string { return t.text }

// IsZero reports whether t is empty.
func (t Template) IsZero() bool { return t.text == "" }

// Placeholders returns the names between angle brackets, in order.
func (t Template) Placeholders() []string {
	var out []string
	for rest := t.text; ; {
		_, after, ok := strings.Cut(rest, "<")
		if !ok {
			return out
		}
		name, tail, ok := strings.Cut(after, ">")
		if !ok {
			return append(out, after)
		}
		out, rest = append(out, name), tail
	}
}

// Fill puts values in the place of placeholders. A placeholder without a value
// is an error of type *MissingError.
func (t Template) Fill(values map[string]string) (dnsname.Pattern, error) {
	s := t.text
	for _, p := range t.Placeholders() {
		v := values[p]
		if v == "" {
			return dnsname.Pattern{}, &MissingError{Template: t.text, Placeholder: p}
		}
		s = strings.ReplaceAll(s, "<"+p+">", v)
	}
	return dnsname.ParsePattern(s)
}

// MissingError says which placeholder of a template has no value yet.
type MissingError struct{ Template, Placeholder string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s needs a value for <%s>", e.Template, e.Placeholder)
}
