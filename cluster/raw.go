// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

// The raw form of cluster.yaml: what may be written, before anything of it is
// understood. The decoder, the JSON Schema and the draft of "sallyport init" all
// follow these types, by their tags:
//
//	json   the key
//	doc    what it is, for editors and drafts
//	need   what to write when it is missing, for keys without which a description is refused
//	words  the vocabulary its values are from
//	shape  a regular expression its values match, for editors
//	empty  "ok" when a list may be written without entries

type rawCluster struct {
	Provider         text         `json:"provider" words:"provider" doc:"Who runs the control plane. Default aks."`
	Cloud            text         `json:"cloud" need:"write AzureCloud, AzureChinaCloud or AzureUSGovernment, as az cloud show prints" words:"cloud" doc:"The Azure cloud, as az cloud list spells it."`
	Location         text         `json:"location" need:"write the location as az aks show prints it, such as westeurope" shape:"^[a-z0-9]+$" doc:"The Azure location as az prints it, such as westeurope."`
	Edition          text         `json:"edition" shape:"^(newest|seed|[0-9]{4}-[0-9]{2}-[0-9]{2}[-.a-z0-9]*)$" doc:"The edition of the egress list: newest, seed, or its day, with .1 or .2 where a day has two. Without it and asOf, the newest of the catalog holds."`
	AsOf             text         `json:"asOf" shape:"^[0-9]{4}-[0-9]{2}-[0-9]{2}$" doc:"Instead of an edition, a day, YYYY-MM-DD: the egress list as it was published then."`
	APIServer        rawAPIServer `json:"apiServer" doc:"Where the control plane answers. Without it the rules admit every API server of the location."`
	Tunnel           text         `json:"tunnel" words:"tunnel" doc:"How the control plane reaches the nodes. Default konnectivity."`
	Network          rawNetwork   `json:"network" need:"write it with plugin, mode and nodes" doc:"How nodes, pods and services are addressed."`
	Nodes            rawNodes     `json:"nodes" doc:"What kinds of node there are."`
	AddOns           texts        `json:"addOns" words:"addOns" empty:"ok" doc:"The add-ons that are on. Those that cannot be written here need only the core rows."`
	DevSpaces        rawDevSpaces `json:"devSpaces" doc:"The Azure Dev Spaces controller."`
	DNS              rawDNS       `json:"dns" doc:"Whom the gateway asks for names."`
	AllowPrivate     texts        `json:"allowPrivate" empty:"ok" doc:"Private prefixes that names may lead to, such as those of private endpoints."`
	LoadBalancers    texts        `json:"loadBalancers" empty:"ok" doc:"Public addresses of the cluster's load balancers."`
	Gateway          rawGateway   `json:"gateway" doc:"The gateway's own addresses."`
	Optional         toggle       `json:"optional" doc:"Whether recommended destinations are wanted beside the required ones. Default false."`
	IncludeNotStated toggle       `json:"includeNotStated" doc:"Outside AzureCloud, whether the rows of add-ons are wanted although the source does not state them for this cloud. Default false."`
	Allow            []rawAllow   `json:"allow" empty:"ok" doc:"What the owner allows beyond what the cluster requires."`
}

type rawAPIServer struct {
	At        place  `json:"-"`
	Name      text   `json:"name" doc:"Its exact name, such as shop-1a2b3c4d.hcp.westeurope.azmk8s.io."`
	Addresses texts  `json:"addresses" empty:"ok" doc:"Its addresses."`
	Private   toggle `json:"private" doc:"Whether it is reached through a private endpoint. Default false."`
	ByAddress toggle `json:"byAddress" doc:"Whether pods talk to it by address. Default false."`
}

type rawNetwork struct {
	At           place  `json:"-"`
	Plugin       text   `json:"plugin" need:"write azure, kubenet or none; az aks show tells it as networkPlugin" words:"plugin" doc:"The network plugin, as AKS spells it."`
	Mode         text   `json:"mode" words:"mode" doc:"Where the azure plugin takes pod addresses from. Required for it, absent for others."`
	Nodes        texts  `json:"nodes" need:"write the prefixes of the node subnets; az network vnet subnet show tells them as addressPrefixes" doc:"The prefixes of the node subnets."`
	Pods         texts  `json:"pods" doc:"The prefixes pods have addresses from. Required when they leave with them."`
	Services     texts  `json:"services" doc:"The prefixes services have addresses from."`
	PodSNAT      toggle `json:"podSNAT" doc:"Whether pods leave with their node's address. Default true, but false for pod-subnet."`
	OutboundType text   `json:"outboundType" words:"outboundType" doc:"The way out that AKS set up; with none or block the cluster is network isolated. Default userDefinedRouting."`
}

type rawNodes struct {
	At        place  `json:"-"`
	OS        texts  `json:"os" words:"os" doc:"The operating systems of the nodes. Default linux."`
	GPU       toggle `json:"gpu" doc:"Whether a node has a GPU. Default false."`
	ImageDate text   `json:"imageDate" shape:"^[0-9]{4}-[0-9]{2}-[0-9]{2}$" doc:"The date of the oldest node image, YYYY-MM-DD; nodes provisioned before March 2021 need a time server. Default: current."`
}

type rawDevSpaces struct {
	At   place `json:"-"`
	Name text  `json:"name" doc:"The dataplaneFqdn of the controller, such as azds-1a2b3c.westeurope.azds.io."`
}

type rawDNS struct {
	At           place     `json:"-"`
	Servers      texts     `json:"servers" doc:"The upstream servers, as address or address:port. Default 168.63.129.16."`
	PrivateZones []rawZone `json:"privateZones" empty:"ok" doc:"Zones that only some servers know."`
}

type rawZone struct {
	At      place `json:"-"`
	Zone    text  `json:"zone" need:"write the name of the zone, such as corp.example" doc:"The zone, such as corp.example."`
	Servers texts `json:"servers" empty:"ok" doc:"The servers that know it. Default: those of dns.servers."`
}

type rawGateway struct {
	At              place `json:"-"`
	PrivateAddress  text  `json:"privateAddress" doc:"IPv4 address of its interface in the virtual network: the next hop of the routes."`
	PrivateAddress6 text  `json:"privateAddress6" doc:"IPv6 address of its interface in the virtual network."`
	PublicAddress   text  `json:"publicAddress" doc:"IPv4 address that the Internet sees."`

	Publish []rawPublish `json:"publish" empty:"ok" doc:"The ports of the gateway that lead on into the cluster. Default: none."`
}

type rawPublish struct {
	At     place `json:"-"`
	Port   text  `json:"port" need:"write for example tcp/443" shape:"^(tcp|udp)/[0-9]+$" doc:"The port of the gateway, such as tcp/443."`
	To     text  `json:"to" need:"write the address of a load balancer, with :port when it is another one" doc:"Where it leads: an address of loadBalancers, or a private one of an internal load balancer or a node; with a port when it is not the same one."`
	From   texts `json:"from" need:"write prefixes, or Internet for everybody there" doc:"Who may: prefixes, or Internet for every public address."`
	Reason text  `json:"reason" need:"say in one line why it is published" doc:"Why, in one line."`
}

type rawAllow struct {
	At      place  `json:"-"`
	ID      text   `json:"id" shape:"^[a-z0-9][a-z0-9._-]{0,62}$" doc:"A name for the rule in records. Default: made from its content."`
	Name    text   `json:"name" doc:"The host name it is about, or *.zone for every name under a zone."`
	CIDR    texts  `json:"cidr" doc:"The addresses or prefixes it is about."`
	Ports   texts  `json:"ports" need:"write for example https, https/8443, tcp/22 or udp/1000-2000" shape:"^(https|http|(https|http|tcp|udp)/[0-9*, -]+)$" doc:"Protocol and ports: https, http, https/8443, tcp/22, udp/1000-2000."`
	Sources texts  `json:"sources" doc:"Who may: nodes, pods, or prefixes. Default: all of the cluster that the gateway can see."`
	Strict  toggle `json:"strict" doc:"Whether the gateway's proxy dials what the name resolves to, in place of the address that the client chose; for https by name. Default false."`
	Reason  text   `json:"reason" need:"say in one line why it is allowed" doc:"Why, in one line."`
	Until   text   `json:"until" shape:"^[0-9]{4}-[0-9]{2}-[0-9]{2}$" doc:"The last day it holds, YYYY-MM-DD, until 24:00 UTC. Default: no end."`
}

// vocabulary returns the words that may stand where a words tag says name.
func vocabulary(name string) []string {
	switch name {
	case "provider":
		return []string{"aks"}
	case "cloud":
		return cloudSpellings()
	case "tunnel":
		return []string{string(Konnectivity), string(TunnelFront)}
	case "plugin":
		return []string{string(AzureCNI), string(Kubenet), string(PluginNone)}
	case "mode":
		return []string{string(Overlay), string(NodeSubnet), string(PodSubnet)}
	case "outboundType":
		return []string{"userDefinedRouting", "loadBalancer", "managedNATGateway", "userAssignedNATGateway", "none", "block"}
	case "os":
		return []string{"linux", "windows"}
	case "addOns":
		return addOnWords()
	}
	return nil
}
