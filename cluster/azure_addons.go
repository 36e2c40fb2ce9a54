// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// azureSwitches is the parts of a managed cluster, beside addonProfiles, where
// add-ons are switched: by a field "enabled" at some depth. They are kept as
// they come, so that what is on there and not known can be said.
type azureSwitches struct {
	AIToolchainOperatorProfile map[string]any `json:"aiToolchainOperatorProfile"`
	AzureMonitorProfile        map[string]any `json:"azureMonitorProfile"`
	IngressProfile             map[string]any `json:"ingressProfile"`
	MetricsProfile             map[string]any `json:"metricsProfile"`
	SecurityProfile            map[string]any `json:"securityProfile"`
	WorkloadAutoScalerProfile  map[string]any `json:"workloadAutoScalerProfile"`
}

// azureAddOnsQuery prints all that add-ons are read from.
const azureAddOnsQuery = "'{addOns:addonProfiles,security:securityProfile,metrics:metricsProfile,ingress:ingressProfile," +
	"mesh:serviceMeshProfile.mode,monitor:azureMonitorProfile}'"

// azureAddOns is what each switch turns on. What ends in a dot is about
// everything below. The fields are those of the containerservice models, the
// keys of addonProfiles those of ADDONS in azure-cli (both looked at 2026-11-23);
// extensionManager is what clusters with extensions show beside them.
var azureAddOns = []struct {
	path  string
	addOn AddOn
}{
	{"addonProfiles.omsagent", Monitoring},
	{"addonProfiles.azurepolicy", AzurePolicy},
	{"addonProfiles.azureKeyvaultSecretsProvider", KeyVaultCSI},
	{"addonProfiles.extensionManager", ClusterExtensions},
	{"azureMonitorProfile.", Monitoring}, // Prometheus, Container insights, autoinstrumentation: one table in the list
	{"ingressProfile.webAppRouting", AppRouting},
	{"metricsProfile.costAnalysis", CostAnalysis},
	{"securityProfile.defender.securityMonitoring", Defender},
	{"securityProfile.workloadIdentity", WorkloadIdentity},
	{"serviceMeshProfile.Istio", Istio},
}

// azureAddOn returns the add-on that the switch at path turns on.
func azureAddOn(path string) (a AddOn, ok bool) {
	for _, known := range azureAddOns {
		under := strings.HasSuffix(known.path, ".") && len(path) > len(known.path) &&
			strings.EqualFold(path[:len(known.path)], known.path)
		if under || strings.EqualFold(path, known.path) {
			return known.addOn, true
		}
	}
	return "", false
}

// on returns the paths of everything that is on, sorted.
func (c azureCluster) on() ([]string, error) {
	var on []string
	for name, p := range c.AddOns {
		if p != nil && p.Enabled {
			on = append(on, "addonProfiles."+name)
		}
	}
	if m := c.ServiceMeshProfile; m != nil && m.Mode != "" && !strings.EqualFold(m.Mode, "Disabled") {
		on = append(on, "serviceMeshProfile."+m.Mode)
	}
	s := c.azureSwitches
	for name, profile := range map[string]map[string]any{
		"aiToolchainOperatorProfile": s.AIToolchainOperatorProfile,
		"azureMonitorProfile":        s.AzureMonitorProfile,
		"ingressProfile":             s.IngressProfile,
		"metricsProfile":             s.MetricsProfile,
		"securityProfile":            s.SecurityProfile,
		"workloadAutoScalerProfile":  s.WorkloadAutoScalerProfile,
	} {
		below, err := switchedOn(name, profile)
		if err != nil {
			return nil, err
		}
		on = append(on, below...)
	}
	slices.Sort(on)
	return on, nil
}

// switchedOn returns the paths in profile, which stands at path, that are
// enabled. Below one that is not, nothing is.
func switchedOn(path string, profile map[string]any) ([]string, error) {
	var on []string
	for _, key := range slices.Sorted(maps.Keys(profile)) {
		if !strings.EqualFold(key, "enabled") || profile[key] == nil {
			continue
		}
		enabled, ok := profile[key].(bool)
		switch {
		case !ok:
			return nil, fmt.Errorf("az output: %s is neither true nor false; give what -o json prints", oneLine(join(path, key)))
		case !enabled:
			return nil, nil
		}
		on = append(on, path)
	}
	for _, key := range slices.Sorted(maps.Keys(profile)) {
		if inner, ok := profile[key].(map[string]any); ok {
			below, err := switchedOn(join(path, key), inner)
			if err != nil {
				return nil, err
			}
			on = append(on, below...)
		}
	}
	return on, nil
}

// addOns tells the add-ons that are on, and notes those that cannot be written.
func (c azureCluster) addOns(d *Draft) {
	on, known := []string{}, map[AddOn]bool{}
	paths, _ := c.on() // clean has said the error
	for _, path := range paths {
		if a, ok := azureAddOn(path); ok {
			known[a] = true
			continue
		}
		what := path + " is on: the published list has no rows for it beside the core rows"
		if name, ok := strings.CutPrefix(path, "addonProfiles."); ok {
			what = name + " is on: the published list has no rows for it, the core rows cover it"
		}
		d.notes["addOns"] = append(d.notes["addOns"], what)
	}
	for a := range known {
		on = append(on, string(a))
	}
	slices.Sort(on)
	d.known["addOns"] = on
	if !known[ClusterExtensions] {
		d.notes["addOns"] = append(d.notes["addOns"],
			"cluster-extensions belongs there too when this prints any: az k8s-extension list "+c.extensionsOf())
	}
}

// extensionsOf says which cluster is meant, for az k8s-extension.
func (c azureCluster) extensionsOf() string {
	return "-g " + word(c.ResourceGroup, "RESOURCE_GROUP") + " -c " + word(c.Name, "CLUSTER") + " -t managedClusters -o table"
}
