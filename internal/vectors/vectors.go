// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package vectors is the table of flows that every outlet must agree about: the
// slow judge, its fast twin, and real packets through a real gateway. The flows
// are about the cluster of examples/seed.yaml.
package vectors

import (
	"net/netip"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
)

// Example is the cluster description that the vectors are about.
const Example = "seed.yaml"

// Place is where a flow goes.
type Place uint8

// Places.
const (
	Resolved  Place = iota // where the name of At, or else of Host, leads
	APIServer              // the API server's address
	Attacker               // an address that no rule knows and no allowed name leads to
	Partner                // inside the owner's rule by address
	Beside                 // the first address behind the end of that rule
)

// Addresses of places that are fixed. Resolved is not.
var addresses = map[Place]netip.Addr{
	APIServer: netip.MustParseAddr("20.50.132.7"),
	Attacker:  netip.MustParseAddr("45.137.21.9"),
	Partner:   netip.MustParseAddr("20.60.7.4"),
	Beside:    netip.MustParseAddr("20.60.7.16"),
}

// Address returns the address of p; ok is false for Resolved.
func (p Place) Address() (addr netip.Addr, ok bool) {
	addr, ok = addresses[p]
	return addr, ok
}

// Vector is one flow and what every outlet must say of it.
type Vector struct {
	Name     string // a sentence
	Protocol flow.Protocol
	Host     string // what the client names in its first bytes or asked the resolver for; "" nothing
	At       string // a name whose address is taken instead of Host's own; "" Host's
	To       Place
	Port     uint16
	Stranger bool // from an address outside the cluster instead of a node

	Verdict flow.Verdict
	Reason  flow.Reason // what the judge says
	// Wire is what the gateway's record says where it sees something else than
	// the judge: it may refuse before it has read a name. NotDecided: the same.
	Wire flow.Reason
}

// Node and Stranger are the sources of flows.
var (
	Node     = netip.MustParseAddr("10.240.0.4")
	Outsider = netip.MustParseAddr("192.168.7.7")
)

// anyResolved stands for the address that a name leads to where no resolver is
// at hand.
var anyResolved = netip.MustParseAddr("20.40.0.1")

// Flow returns the flow as the judge sees it: with the proof that the gateway
// would find.
func (v Vector) Flow() flow.Flow {
	f := flow.Flow{Src: Node, Port: v.Port, Transport: v.Protocol.Transport, App: v.Protocol.App}
	if v.Stranger {
		f.Src = Outsider
	}
	addr, fixed := v.To.Address()
	if !fixed {
		addr = anyResolved
	}
	f.Dst = addr
	if v.Host == "" {
		return f
	}
	f.Name = dnsname.MustParse(v.Host)
	if fixed || v.At != "" {
		return f // the name does not lead there
	}
	f.Proof = map[flow.App]flow.Proof{flow.Raw: flow.ByDNS, flow.TLS: flow.BySNI, flow.HTTP: flow.ByHost}[f.App]
	return f
}

// All is the table.
var All = []Vector{
	{Name: "a_required_name_over_TLS", Protocol: flow.ProtoHTTPS, Host: "mcr.microsoft.com", Port: 443,
		Verdict: flow.Allow, Reason: flow.RuleMatched},
	{Name: "a_name_under_a_wildcard", Protocol: flow.ProtoHTTPS, Host: "eastus.data.mcr.microsoft.com", Port: 443,
		Verdict: flow.Allow, Reason: flow.RuleMatched},
	{Name: "a_name_two_labels_under_a_wildcard", Protocol: flow.ProtoHTTPS, Host: "a.b.data.mcr.microsoft.com", Port: 443,
		Verdict: flow.Allow, Reason: flow.RuleMatched},
	{Name: "the_apex_of_a_wildcard", Protocol: flow.ProtoHTTPS, Host: "data.mcr.microsoft.com", At: "mcr.microsoft.com", Port: 443,
		Reason: flow.NameNotAllowed},
	{Name: "a_name_that_ends_like_an_allowed_one", Protocol: flow.ProtoHTTPS, Host: "evilmcr.microsoft.com", At: "mcr.microsoft.com", Port: 443,
		Reason: flow.NameNotAllowed},
	{Name: "another_name_on_an_allowed_address", Protocol: flow.ProtoHTTPS, Host: "evil.example", At: "mcr.microsoft.com", Port: 443,
		Reason: flow.NameNotAllowed},
	{Name: "an_allowed_name_on_another_allowed_name's_address", Protocol: flow.ProtoHTTPS, Host: "mcr.microsoft.com", At: "packages.microsoft.com", Port: 443,
		Reason: flow.NameUnproved, Wire: flow.NameAddressMismatch},
	{Name: "an_allowed_name_at_the_attacker's_address", Protocol: flow.ProtoHTTPS, Host: "mcr.microsoft.com", To: Attacker, Port: 443,
		Reason: flow.NameUnproved, Wire: flow.UnboundAddress},
	{Name: "a_hello_without_a_name", Protocol: flow.ProtoHTTPS, At: "mcr.microsoft.com", Port: 443,
		Reason: flow.AddressNotAllowed, Wire: flow.NoName},
	{Name: "an_allowed_name_on_another_port", Protocol: flow.ProtoHTTPS, Host: "mcr.microsoft.com", Port: 8443,
		Reason: flow.PortNotAllowed},
	{Name: "the_API_server_by_name", Protocol: flow.ProtoHTTPS, Host: "shop-7f3a9c21.hcp.westeurope.azmk8s.io", Port: 443,
		Verdict: flow.Allow, Reason: flow.RuleMatched, Wire: flow.AddressMatched},
	{Name: "the_API_server_by_address_and_without_a_name", Protocol: flow.ProtoHTTPS, To: APIServer, Port: 443,
		Verdict: flow.Allow, Reason: flow.AddressMatched},
	{Name: "the_tunnel_to_the_API_server_over_TCP", Protocol: flow.ProtoTCP, To: APIServer, Port: 9000,
		Verdict: flow.Allow, Reason: flow.AddressMatched},
	{Name: "SSH_to_the_API_server,_where_the_server_speaks_first", Protocol: flow.ProtoTCP, To: APIServer, Port: 22,
		Verdict: flow.Allow, Reason: flow.AddressMatched},
	{Name: "the_tunnel_to_the_API_server_over_UDP", Protocol: flow.ProtoUDP, To: APIServer, Port: 1194,
		Verdict: flow.Allow, Reason: flow.AddressMatched},
	{Name: "the_tunnel_port_to_the_attacker", Protocol: flow.ProtoTCP, To: Attacker, Port: 9000,
		Reason: flow.AddressNotAllowed, Wire: flow.UnboundAddress},
	{Name: "SSH_to_the_attacker", Protocol: flow.ProtoTCP, To: Attacker, Port: 22,
		Reason: flow.AddressNotAllowed, Wire: flow.UnboundAddress},
	{Name: "1194_to_the_attacker", Protocol: flow.ProtoUDP, To: Attacker, Port: 1194,
		Reason: flow.AddressNotAllowed, Wire: flow.UnboundAddress},
	{Name: "time_from_its_name", Protocol: flow.ProtoUDP, Host: "ntp.ubuntu.com", Port: 123,
		Verdict: flow.Allow, Reason: flow.RuleMatched},
	{Name: "time_from_the_attacker", Protocol: flow.ProtoUDP, To: Attacker, Port: 123,
		Reason: flow.AddressNotAllowed, Wire: flow.UnboundAddress},
	{Name: "updates_over_HTTP", Protocol: flow.ProtoHTTP, Host: "security.ubuntu.com", Port: 80,
		Verdict: flow.Allow, Reason: flow.RuleMatched},
	{Name: "another_host_over_HTTP", Protocol: flow.ProtoHTTP, Host: "evil.example", At: "security.ubuntu.com", Port: 80,
		Reason: flow.NameNotAllowed},
	{Name: "an_HTTP_name_over_TLS", Protocol: flow.ProtoHTTPS, Host: "security.ubuntu.com", Port: 443,
		Reason: flow.PortNotAllowed},
	{Name: "a_TLS_name_over_HTTP", Protocol: flow.ProtoHTTP, Host: "mcr.microsoft.com", Port: 80,
		Reason: flow.PortNotAllowed},
	{Name: "the_owner's_database_by_address", Protocol: flow.ProtoTCP, To: Partner, Port: 5432,
		Verdict: flow.Allow, Reason: flow.AddressMatched},
	{Name: "one_address_beside_the_owner's_range", Protocol: flow.ProtoTCP, To: Beside, Port: 5432,
		Reason: flow.AddressNotAllowed, Wire: flow.UnboundAddress},
	{Name: "a_private_endpoint_that_the_owner_allows", Protocol: flow.ProtoHTTPS, Host: "shop.privatelink.vaultcore.azure.net", Port: 443,
		Verdict: flow.Allow, Reason: flow.RuleMatched},
	{Name: "a_resolver_of_its_own_over_TCP", Protocol: flow.ProtoTCP, To: Attacker, Port: 53,
		Reason: flow.AddressNotAllowed, Wire: flow.OtherResolver},
	{Name: "DNS_over_TLS_to_the_attacker", Protocol: flow.ProtoTCP, To: Attacker, Port: 853,
		Reason: flow.AddressNotAllowed, Wire: flow.OtherResolver},
	{Name: "an_allowed_name_from_outside_the_cluster", Protocol: flow.ProtoHTTPS, Host: "mcr.microsoft.com", Port: 443, Stranger: true,
		Reason: flow.SourceNotAllowed},
}
