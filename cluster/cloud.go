// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"strings"

	"github.com/sallyport/sallyport/dnsname"
)

// Cloud is an Azure cloud, spelt as "az cloud list" prints it.
type Cloud string

// The clouds.
const (
	AzureCloud        Cloud = "AzureCloud"
	AzureChinaCloud   Cloud = "AzureChinaCloud"
	AzureUSGovernment Cloud = "AzureUSGovernment"
)

// cloudFacts is what a description is checked against. The domains are those of
// the AKS egress documentation since 2019-11-25; the location prefixes those of
// "az account list-locations" in each cloud.
type cloudFacts struct {
	cloud    Cloud
	others   []string // spellings of the Azure SDKs, Terraform and people
	domain   string   // under which the zones of every location stand
	prefixes []string // with which every location begins; none for the public cloud
}

var clouds = []cloudFacts{
	{AzureCloud, []string{"AzurePublicCloud", "AzurePublic", "AzureGlobal", "public", "global"},
		"azmk8s.io", nil},
	{AzureChinaCloud, []string{"AzureChina", "chinacloud", "china"},
		"cx.prod.service.azk8s.cn", []string{"china"}},
	{AzureUSGovernment, []string{"AzureUSGovernmentCloud", "AzureUSGov", "usgovernmentcloud", "usgovernment", "usgov"},
		"cx.aks.containerservice.azure.us", []string{"usgov", "usdod"}},
}

// ParseCloud reads the name of a cloud, in any case and in any of the spellings
// in use.
func ParseCloud(s string) (cloud Cloud, ok bool) {
	for _, f := range clouds {
		for _, name := range append([]string{string(f.cloud)}, f.others...) {
			if strings.EqualFold(s, name) {
				return f.cloud, true
			}
		}
	}
	return "", false
}

// cloudSpellings returns every spelling, the canonical ones first.
func cloudSpellings() []string {
	var first, rest []string
	for _, f := range clouds {
		first, rest = append(first, string(f.cloud)), append(rest, f.others...)
	}
	return append(first, rest...)
}

func factsOf(c Cloud) cloudFacts {
	for _, f := range clouds {
		if f.cloud == c {
			return f
		}
	}
	return cloudFacts{}
}

// cloudOfLocation returns the cloud a location must belong to by its prefix.
func cloudOfLocation(location string) Cloud {
	for _, f := range clouds {
		for _, p := range f.prefixes {
			if strings.HasPrefix(location, p) {
				return f.cloud
			}
		}
	}
	return AzureCloud
}

// zoneKinds are the labels between an API server's own labels and its location:
// public; behind a private endpoint; private by virtual network integration
// ("Create a private AKS cluster" and "API Server VNet Integration",
// learn.microsoft.com).
var zoneKinds = []string{"hcp", "privatelink", "private"}

// apiZones returns the zones in which the API servers of a location stand.
func (f cloudFacts) apiZones(location string) []string {
	zones := make([]string, len(zoneKinds))
	for i, k := range zoneKinds {
		zones[i] = k + "." + location + "." + f.domain
	}
	return zones
}

// apiServerPlace splits an API server's name: its cloud, its location and the
// kind of its zone. ok is false when it is in no cloud's domain.
func apiServerPlace(n dnsname.Name) (cloud Cloud, location, kind string, ok bool) {
	for _, f := range clouds {
		rest, found := strings.CutSuffix(n.String(), "."+f.domain)
		if !found {
			continue
		}
		labels := strings.Split(rest, ".")
		if len(labels) < 3 {
			return "", "", "", false
		}
		kind, location = labels[len(labels)-2], labels[len(labels)-1]
		for _, k := range zoneKinds {
			if k == kind {
				return f.cloud, location, kind, true
			}
		}
	}
	return "", "", "", false
}
