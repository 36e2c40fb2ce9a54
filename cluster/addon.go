// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"strings"

	"github.com/sallyport/sallyport/internal/meant"
)

// AddOn is an AKS add-on, or a feature like one, that the published list of
// requirements names. Those it does not name need only the core rows.
type AddOn string

// The add-ons. All but Istio and AppRouting have rows of their own; these two
// need those of KeyVaultCSI when their certificates are in Key Vault ("Outbound
// network and FQDN rules for AKS clusters", learn.microsoft.com, 2026-06-18).
const (
	AppRouting        AddOn = "app-routing"
	AzurePolicy       AddOn = "azure-policy"
	ClusterExtensions AddOn = "cluster-extensions"
	CostAnalysis      AddOn = "cost-analysis"
	Defender          AddOn = "defender"
	DevSpaces         AddOn = "dev-spaces"
	Istio             AddOn = "istio"
	KeyVaultCSI       AddOn = "keyvault-csi"
	Monitoring        AddOn = "monitoring"
	WorkloadIdentity  AddOn = "workload-identity"
)

// addOnSpellings is the add-ons in the order they are listed in for people, with
// the other spellings Azure has: the keys of addonProfiles, the names "az aks
// enable-addons" takes, and the fields of az aks show.
var addOnSpellings = []struct {
	addOn  AddOn
	others []string
}{
	{Monitoring, []string{"omsagent", "containerInsights", "azureMonitor", "azure-monitor"}},
	{AzurePolicy, []string{"azurepolicy"}},
	{KeyVaultCSI, []string{"azureKeyvaultSecretsProvider", "azure-keyvault-secrets-provider"}},
	{WorkloadIdentity, []string{"workloadIdentity"}},
	{Defender, []string{"azureDefender", "azure-defender"}},
	{CostAnalysis, []string{"costAnalysis"}},
	{ClusterExtensions, []string{"extensionManager"}},
	{Istio, []string{"azure-service-mesh"}},
	{AppRouting, []string{"webAppRouting", "web_application_routing"}},
	{DevSpaces, nil},
}

// AddOns returns the add-ons that are known, in the order they are listed in for
// people.
func AddOns() []AddOn {
	out := make([]AddOn, len(addOnSpellings))
	for i, s := range addOnSpellings {
		out[i] = s.addOn
	}
	return out
}

// ParseAddOn reads the name of an add-on, in any case and in any of the
// spellings Azure has for it.
func ParseAddOn(s string) (a AddOn, ok bool) {
	for _, known := range addOnSpellings {
		for _, name := range append([]string{string(known.addOn)}, known.others...) {
			if strings.EqualFold(s, name) {
				return known.addOn, true
			}
		}
	}
	return "", false
}

// addOnWords returns every spelling, the canonical ones first.
func addOnWords() []string {
	var first, rest []string
	for _, s := range addOnSpellings {
		first, rest = append(first, string(s.addOn)), append(rest, s.others...)
	}
	return append(first, rest...)
}

// addOnHint says what to write for s, which is no add-on's name.
func addOnHint(s string) string {
	words := addOnWords()
	if w := meant.Nearest(s, words); w != "" {
		addOn, _ := ParseAddOn(w)
		return "did you mean " + string(addOn) + "?"
	}
	return "write one of " + strings.Join(words[:len(addOnSpellings)], ", ") +
		"; leave out any other, since the core rows cover it"
}
