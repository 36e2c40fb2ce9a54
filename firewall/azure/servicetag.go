// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"slices"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/nameset"
)

// registryNames are the only names that lead to the registries' own tags. Old
// data endpoints of a registry are in Storage, and Microsoft's registry hands
// its data out of AzureFrontDoor.FirstParty as well
// (learn.microsoft.com/azure/virtual-network/service-tags-overview and
// azure/container-registry/container-registry-firewall-access-rules, 2026-11-23).
var registryNames = map[string][]string{
	"azurecontainerregistry":     {"**.azurecr.io", "**.azurecr.cn", "**.azurecr.us"},
	"microsoftcontainerregistry": {"mcr.microsoft.com", "**.mcr.microsoft.com", "**.cdn.mscr.io", "**.mcr-msedge.net", "mcr.azure.cn", "**.mcr.azure.cn"},
}

// otherServices are tags of one service each whose names are many or people's
// own, so that all that is known is what is not among them: an AKS API server.
// The published list names AzureCloud.<Region> alone for its address.
var otherServices = []string{
	"azureactivedirectory", "azurefrontdoor", "azurekeyvault", "azuremonitor", "azureresourcemanager", "eventhub",
	"guestandhybridmanagement", "azurearcinfrastructure", "servicebus", "sql", "storage",
}

// apiServers are the names of API servers in every cloud.
var apiServers = []string{"**.azmk8s.io", "**.azk8s.cn", "**.aks.containerservice.azure.us"}

// tagNames returns the names that may lead to the addresses behind a service tag
// whose ranges are not at hand.
func (r *reader) tagNames(tag string) nameset.Set {
	service, _, _ := strings.Cut(strings.ToLower(tag), ".") // the rest is a region or a part
	if globs, ok := registryNames[service]; ok {
		return namesOf(globs)
	}
	if slices.Contains(otherServices, service) {
		return notAPIServers()
	}
	return r.anyName
}

var notAPIServers = sync.OnceValue(func() nameset.Set { return nameset.All().Minus(namesOf(apiServers)) })

func namesOf(texts []string) nameset.Set {
	var globs []nameset.Glob
	for _, t := range texts {
		g, err := nameset.Parse(t)
		if err != nil {
			panic(err) // the tables above
		}
		globs = append(globs, g)
	}
	return nameset.Of(globs...)
}
