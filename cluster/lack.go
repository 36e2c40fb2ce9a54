// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"regexp"
	"slices"
	"strings"
)

// lack lists what the draft does not have, with the command that tells each.
// Ids and names come from what az printed; where it had none, capitals stand
// for them.
func (d *Draft) lack() {
	d.Lacks = nil
	for _, l := range d.azure.questions(d) {
		if !d.has(l.Key) {
			d.Lacks = append(d.Lacks, l)
		}
	}
}

func (d *Draft) has(key string) bool { _, ok := d.known[key]; return ok }

// known1 returns the first value of key, or "".
func (d *Draft) known1(key string) string {
	if v := d.known[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// questions returns everything a description wants to know of the cluster, in
// the order of the file.
func (c azureCluster) questions(d *Draft) []Lack {
	aks := "az aks show " + c.where() + " --query "
	plugin, mode := Plugin(d.known1("network.plugin")), Mode(d.known1("network.mode"))
	qs := []Lack{
		{"cloud", "the Azure cloud", "az cloud show --query name -o tsv", true},
		{"location", "the Azure location", aks + "location -o tsv", true},
		{"apiServer.name", "the name of the API server; without it every API server of the location is admitted",
			aks + "'[fqdn,privateFqdn]' -o tsv", false},
		{"apiServer.addresses", "the addresses of the API server", c.apiAddresses(d), false},
		{"apiServer.private", "whether the API server is reached through a private endpoint",
			aks + "apiServerAccessProfile.enablePrivateCluster -o tsv", false},
		{"apiServer.byAddress", "whether pods talk to the API server by address: some do when a service account outside kube-system has rights",
			"kubectl get rolebindings,clusterrolebindings -A -o wide", false},
		{"tunnel", "how the control plane reaches the nodes: konnectivity or tunnel-front, by which of them runs",
			"kubectl -n kube-system get deployments konnectivity-agent tunnelfront --ignore-not-found", false},
		{"network.plugin", "the network plugin", aks + "networkProfile.networkPlugin -o tsv", true},
	}
	if plugin == "" || plugin == AzureCNI {
		qs = append(qs, Lack{"network.mode", "overlay, or pod-subnet when pools have a podSubnetId, else node-subnet",
			aks + "'{mode:networkProfile.networkPluginMode,pods:agentPoolProfiles[].podSubnetId}'", plugin == AzureCNI})
	}
	qs = append(qs, Lack{"network.nodes", "the prefixes of the node subnets", c.prefixesOf(nodeSubnet), true})
	if mode != NodeSubnet {
		command := aks + "networkProfile.podCidrs -o tsv"
		if mode == PodSubnet {
			command = c.prefixesOf(podSubnet)
		}
		visible := d.known1("network.podSNAT") == "false" || mode == PodSubnet && !d.has("network.podSNAT")
		qs = append(qs, Lack{"network.pods", "the prefixes pods have addresses from", command, visible})
	}
	vnet := "az network vnet show " + c.vnet() + " --query dhcpOptions.dnsServers -o tsv"
	qs = append(qs,
		Lack{"network.services", "the prefixes services have addresses from", aks + "networkProfile.serviceCidrs -o tsv", false},
		Lack{"network.podSNAT", "whether pods leave with their node's address, by what ip-masq-agent is told",
			"kubectl -n kube-system get configmaps -l component=ip-masq-agent -o yaml", false},
		Lack{"network.outboundType", "the way out that AKS set up", aks + "networkProfile.outboundType -o tsv", false},
		Lack{"nodes.os", "the operating systems of the nodes", aks + "'agentPoolProfiles[].osType' -o tsv", false},
		Lack{"nodes.gpu", "whether a node has a GPU: sizes Standard_N... do", aks + "'agentPoolProfiles[].vmSize' -o tsv", false},
		Lack{"nodes.imageDate", "the date of the oldest node image; nodes provisioned before March 2021 need a time server",
			aks + "'agentPoolProfiles[].nodeImageVersion' -o tsv", false},
		Lack{"addOns", "the add-ons that are on", aks + azureAddOnsQuery, false})
	if slices.Contains(d.known["addOns"], string(DevSpaces)) {
		qs = append(qs, Lack{"devSpaces.name", "the dataplaneFqdn of the Dev Spaces controller", "grep dataplaneFqdn ~/.azds/settings.json", false})
	}
	return append(qs,
		Lack{"dns.servers", "the DNS servers of the virtual network; none means 168.63.129.16", vnet, false},
		Lack{"allowPrivate", "the addresses of private endpoints that names lead to",
			"az network private-endpoint list --query '[].customDnsConfigs[].ipAddresses[]' -o tsv", false},
		Lack{"loadBalancers", "the public addresses of the cluster's load balancers", c.publicIPs(), false},
		Lack{"gateway.privateAddress", "the gateway's address in the virtual network",
			`az network route-table list --query "[].routes[?addressPrefix=='0.0.0.0/0'].nextHopIpAddress[]" -o tsv`, false},
		Lack{"gateway.publicAddress", "the gateway's address on the Internet",
			"az network public-ip list --query '[].[name,ipAddress]' -o tsv", false},
	)
}

// where says which cluster is meant, for az aks.
func (c azureCluster) where() string {
	return "-g " + word(c.ResourceGroup, "RESOURCE_GROUP") + " -n " + word(c.Name, "CLUSTER")
}

func (c azureCluster) nodeGroup() string { return word(c.NodeResourceGroup, "NODE_RESOURCE_GROUP") }

// prefixesOf returns the command for the prefixes of the pools' subnets. A
// subnet has one or several, under two names.
func (c azureCluster) prefixesOf(of func(azurePool) string) string {
	const query = " --query '[addressPrefix,addressPrefixes]'"
	var commands []string
	for _, id := range c.subnets(of) {
		commands = append(commands, "az network vnet subnet show --ids "+word(id, "")+query)
	}
	if len(commands) > 0 {
		return strings.Join(commands, "; ")
	}
	if c.NodeResourceGroup != "" { // AKS made the virtual network
		return "az network vnet list -g " + c.nodeGroup() + " --query '[].subnets[].[addressPrefix,addressPrefixes]'"
	}
	return "az network vnet subnet show --ids SUBNET_ID" + query
}

var subnetsPart = regexp.MustCompile("(?i)/subnets/")

// vnet says which virtual network the nodes are in.
func (c azureCluster) vnet() string {
	for _, id := range c.subnets(nodeSubnet) {
		if at := subnetsPart.FindStringIndex(id); at != nil && at[0] > 0 {
			return "--ids " + word(id[:at[0]], "")
		}
	}
	if c.NodeResourceGroup != "" {
		return "--ids $(az network vnet list -g " + c.nodeGroup() + " --query '[].id' -o tsv)"
	}
	return "--ids VNET_ID"
}

// apiAddresses returns the command for the API server's addresses. The private
// endpoint of a private cluster is named kube-apiserver and stands in the node
// resource group.
func (c azureCluster) apiAddresses(d *Draft) string {
	if c.private() && c.NodeResourceGroup != "" {
		return "az network nic show --ids $(az network private-endpoint show -g " + c.nodeGroup() +
			" -n kube-apiserver --query 'networkInterfaces[0].id' -o tsv) --query 'ipConfigurations[].privateIPAddress' -o tsv"
	}
	return "nslookup " + word(d.known1("apiServer.name"), "API_SERVER_NAME")
}

func (c azureCluster) publicIPs() string {
	list := "az network public-ip list -g " + c.nodeGroup() + " --query '[].ipAddress' -o tsv"
	for _, id := range c.outboundIPs() {
		if !strings.Contains(strings.ToLower(id), "/resourcegroups/"+strings.ToLower(c.NodeResourceGroup)+"/") {
			list += "; az network public-ip show --ids " + word(id, "") + " --query ipAddress -o tsv"
		}
	}
	return list
}

var safeWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

// word writes s as one word of a POSIX shell, or the stand-in when it is empty.
func word(s, standIn string) string {
	switch {
	case s == "":
		return standIn
	case safeWord.MatchString(s) && s[0] != '-':
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
