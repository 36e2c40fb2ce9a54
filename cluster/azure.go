// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// azureCluster is what is read of a managed cluster as "az aks show -o json"
// prints it (Microsoft.ContainerService/managedClusters, API 2024-09-01 and
// later; the fields are the same since 2020 where older ones had them).
type azureCluster struct {
	ID                     string `json:"id"`
	Name                   string `json:"name"`
	Type                   string `json:"type"`
	Location               string `json:"location"`
	ResourceGroup          string `json:"resourceGroup"`
	NodeResourceGroup      string `json:"nodeResourceGroup"`
	FQDN                   string `json:"fqdn"`
	PrivateFQDN            string `json:"privateFqdn"`
	AzurePortalFQDN        string `json:"azurePortalFqdn"`
	APIServerAccessProfile *struct {
		EnablePrivateCluster *bool `json:"enablePrivateCluster"`
	} `json:"apiServerAccessProfile"`
	NetworkProfile *azureNetwork `json:"networkProfile"`
	AgentPools     []azurePool   `json:"agentPoolProfiles"`
	AddOns         map[string]*struct {
		Enabled bool `json:"enabled"`
	} `json:"addonProfiles"`
	ServiceMeshProfile *struct {
		Mode string `json:"mode"`
	} `json:"serviceMeshProfile"`
	azureSwitches
}

type azureNetwork struct {
	Plugin              string   `json:"networkPlugin"`
	PluginMode          string   `json:"networkPluginMode"`
	PodCIDR             string   `json:"podCidr"`
	PodCIDRs            []string `json:"podCidrs"`
	ServiceCIDR         string   `json:"serviceCidr"`
	ServiceCIDRs        []string `json:"serviceCidrs"`
	OutboundType        string   `json:"outboundType"`
	LoadBalancerProfile *struct {
		EffectiveOutboundIPs []azureRef `json:"effectiveOutboundIPs"`
	} `json:"loadBalancerProfile"`
}

type azureRef struct {
	ID string `json:"id"`
}

type azurePool struct {
	OSType       string `json:"osType"`
	VMSize       string `json:"vmSize"`
	VNetSubnetID string `json:"vnetSubnetId"`
	// The SDKs and ARM spell it with a capital ID; encoding/json takes both.
	PodSubnetID      string `json:"podSubnetId"`
	NodeImageVersion string `json:"nodeImageVersion"` // such as "AKSUbuntu-2204gen2containerd-202403.25.0"
}

// FromAzure reads what "az aks show -o json" prints, or "az aks list" when
// there is one cluster, and returns what it tells and what it lacks.
func FromAzure(data []byte) (*Draft, error) {
	c, err := readAzure(data)
	if err != nil {
		return nil, err
	}
	d := &Draft{Source: "az aks show", known: map[string][]string{}, notes: map[string][]string{}, azure: c}
	d.set("provider", "aks")
	d.set("cloud", string(c.cloud()))
	d.set("location", strings.ToLower(strings.ReplaceAll(c.Location, " ", "")))
	d.set("apiServer.name", c.apiServer())
	private := c.private()
	d.setBool("apiServer.private", &private)
	if n := c.NetworkProfile; n != nil {
		plugin := strings.ToLower(n.Plugin)
		d.set("network.plugin", plugin)
		mode := c.mode()
		d.set("network.mode", string(mode))
		if mode == "" || mode == Overlay { // otherwise pods live in subnets, whatever stands here
			d.set("network.pods", either(n.PodCIDRs, n.PodCIDR)...)
		}
		d.set("network.services", either(n.ServiceCIDRs, n.ServiceCIDR)...)
		d.set("network.outboundType", n.OutboundType)
	}
	c.pools(d)
	c.addOns(d)
	d.lack()
	return d, nil
}

// readAzure decodes the cluster of data.
func readAzure(data []byte) (c azureCluster, err error) {
	if len(data) > MaxSize {
		return c, errors.New("az output is longer than 1 MiB; give that of one cluster: az aks show -g RESOURCE_GROUP -n CLUSTER -o json")
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // PowerShell writes one
	trimmed := bytes.TrimSpace(data)
	if len(trimmed) == 0 {
		return c, errors.New("az output is empty; is az logged in? give what this prints: az aks show -g RESOURCE_GROUP -n CLUSTER -o json")
	}
	if trimmed[0] == '[' {
		var list []azureCluster
		if err := json.Unmarshal(data, &list); err != nil {
			return c, azureError(data, err)
		}
		if len(list) != 1 {
			var names []string
			for _, c := range list[:min(len(list), 10)] {
				names = append(names, fmt.Sprintf("%q", c.Name))
			}
			what := "has no cluster"
			if len(list) > 1 {
				what = fmt.Sprintf("has %d clusters (%s)", len(list), strings.Join(names, ", "))
			}
			return c, errors.New("az output " + what + "; give that of one: az aks show -g RESOURCE_GROUP -n CLUSTER -o json")
		}
		c = list[0]
	} else if err := json.Unmarshal(data, &c); err != nil {
		return c, azureError(data, err)
	}
	if c.NetworkProfile == nil && c.AgentPools == nil ||
		c.Type != "" && !strings.EqualFold(c.Type, "Microsoft.ContainerService/ManagedClusters") {
		return c, errors.New("az output is not about an AKS cluster; give what this prints: az aks show -g RESOURCE_GROUP -n CLUSTER -o json")
	}
	return c, c.clean()
}

// azureError says where in data the JSON is wrong.
func azureError(data []byte, err error) error {
	offset := int64(len(data))
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind):
		offset = kind.Offset
		err = fmt.Errorf("%s is %s where %s is expected", oneLine(kind.Field), kind.Value, kind.Type.Kind())
	}
	before := data[:max(0, min(offset, int64(len(data))))]
	line := 1 + bytes.Count(before, []byte{'\n'})
	col := len(before) - bytes.LastIndexByte(before, '\n') - 1
	return fmt.Errorf("az output, line %d, column %d: %w; give what -o json prints", line, max(col, 1), err)
}

// clean refuses values that no Azure resource has: they go into a file and into
// commands that people paste.
func (c azureCluster) clean() error {
	values := []string{c.ID, c.Name, c.Location, c.ResourceGroup, c.NodeResourceGroup, c.FQDN, c.PrivateFQDN, c.AzurePortalFQDN}
	for _, p := range c.AgentPools {
		values = append(values, p.OSType, p.VMSize)
	}
	if n := c.NetworkProfile; n != nil {
		values = append(values, n.Plugin, n.PluginMode, n.PodCIDR, n.ServiceCIDR, n.OutboundType)
		values = append(append(values, n.PodCIDRs...), n.ServiceCIDRs...)
	}
	ids := append(slices.Concat(c.subnets(nodeSubnet), c.subnets(podSubnet)), c.outboundIPs()...)
	for _, id := range ids {
		if !strings.HasPrefix(id, "/") {
			return fmt.Errorf("az output holds %.80q, which is no Azure resource id", id)
		}
	}
	for _, v := range append(values, ids...) {
		if v != oneLine(v) || strings.HasPrefix(v, "-") {
			return fmt.Errorf("az output holds %.80q, which is no Azure name", v)
		}
	}
	_, err := c.on()
	return err
}

// cloud tells the cloud by the domain of the API server's names.
func (c azureCluster) cloud() Cloud {
	for _, name := range []string{c.FQDN, c.PrivateFQDN, c.AzurePortalFQDN} {
		for _, f := range clouds {
			if strings.HasSuffix(strings.ToLower(name), "."+f.domain) {
				return f.cloud
			}
		}
	}
	return ""
}

func (c azureCluster) private() bool {
	p := c.APIServerAccessProfile
	return p != nil && p.EnablePrivateCluster != nil && *p.EnablePrivateCluster
}

// apiServer returns the name by which nodes reach the API server.
func (c azureCluster) apiServer() string {
	if c.private() && c.PrivateFQDN != "" {
		return c.PrivateFQDN
	}
	return c.FQDN
}

func (c azureCluster) mode() Mode {
	n := c.NetworkProfile
	switch {
	case n == nil || !strings.EqualFold(n.Plugin, string(AzureCNI)):
		return ""
	case strings.EqualFold(n.PluginMode, string(Overlay)):
		return Overlay
	case len(c.subnets(podSubnet)) > 0:
		return PodSubnet
	}
	return NodeSubnet
}

func nodeSubnet(p azurePool) string { return p.VNetSubnetID }
func podSubnet(p azurePool) string  { return p.PodSubnetID }

// subnets returns the ids of the pools' subnets, each once, in the order met.
func (c azureCluster) subnets(of func(azurePool) string) []string {
	var ids []string
	for _, p := range c.AgentPools {
		if id := of(p); id != "" && !slices.ContainsFunc(ids, func(s string) bool { return strings.EqualFold(s, id) }) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (c azureCluster) outboundIPs() []string {
	if c.NetworkProfile == nil || c.NetworkProfile.LoadBalancerProfile == nil {
		return nil
	}
	var ids []string
	for _, ip := range c.NetworkProfile.LoadBalancerProfile.EffectiveOutboundIPs {
		if ip.ID != "" {
			ids = append(ids, ip.ID)
		}
	}
	return ids
}

// pools tells the operating systems and whether a node has a GPU: the sizes of
// the N family do ("Sizes for virtual machines in Azure", learn.microsoft.com).
func (c azureCluster) pools(d *Draft) {
	if len(c.AgentPools) == 0 {
		return
	}
	var os []string
	gpu := false
	for _, p := range c.AgentPools {
		os = append(os, strings.ToLower(p.OSType))
		gpu = gpu || strings.HasPrefix(strings.ToLower(p.VMSize), "standard_n")
	}
	slices.Sort(os)
	d.set("nodes.os", slices.DeleteFunc(slices.Compact(os), func(s string) bool { return s == "" })...)
	d.setBool("nodes.gpu", &gpu)
	d.set("nodes.imageDate", c.imageDate())
}

// imageVersion ends with the image's date: older images write "2020.06.30", newer
// ones "202403.25.0", with a number behind the day.
var imageVersion = regexp.MustCompile(`-([0-9]{4})\.?([0-9]{2})\.([0-9]{2})(\.[0-9]+)?$`)

// imageDate returns the date of the oldest image of the Linux pools, or "" when
// one does not tell it. Windows images are named by their build, and the rows
// that depend on the date are about Linux.
func (c azureCluster) imageDate() string {
	oldest := ""
	for _, p := range c.AgentPools {
		if strings.EqualFold(p.OSType, "windows") {
			continue
		}
		m := imageVersion.FindStringSubmatch(p.NodeImageVersion)
		if m == nil {
			return ""
		}
		date := m[1] + "-" + m[2] + "-" + m[3]
		if day, err := time.Parse(time.DateOnly, date); err != nil || day.Before(firstImage) {
			return ""
		}
		if oldest == "" || date < oldest {
			oldest = date
		}
	}
	return oldest
}

// either returns the list, or the one value that older API versions have.
func either(list []string, one string) []string {
	if len(list) > 0 {
		return list
	}
	return []string{one}
}
