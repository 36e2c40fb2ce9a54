// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
)

// one is a lab whose gateway has one interface.
func one(o *lab.Options) { o.Single = true }

// TestOneInterfaceTellsTheSidesApartByAddress asks and sends from an address that
// is none of the cluster's, on the very wire that the cluster is on.
func TestOneInterfaceTellsTheSidesApartByAddress(t *testing.T) {
	need(t, "dig", "curl", "nft")
	s := newSite(t, example(t, "seed.yaml"), one)
	// The kernel's own default, which the lab has changed.
	s.script(s.Gateway, "sysctl -qw net.ipv4.conf.all.send_redirects=1 net.ipv4.conf.eth0.send_redirects=1")
	before := s.hostState()
	s.start()
	gw := s.Plan.Gateway.String()
	internet := func(argv ...string) lab.Result {
		t.Helper()
		r, err := s.Internet.Run(t.Context(), lab.Cmd{Argv: argv})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, proto := range []string{"+notcp", "+tcp"} {
		if r := internet("dig", proto, "+time=1", "+tries=1", "@"+gw, "mcr.microsoft.com"); r.Code == 0 {
			t.Errorf("the resolver answers a stranger, %s: %s", proto, r.Stdout)
		}
		if r := s.run("dig", proto, "+time=1", "+tries=1", "-b", s.Plan.Sources[0].String(), "@"+gw, "mcr.microsoft.com"); r.Code != 0 {
			t.Errorf("the resolver does not answer the node, %s: %s", proto, r.Stdout)
		}
	}
	if r := internet("curl", "-sS", "--max-time", "1", "http://"+gw+":7180/"); r.Code != 28 {
		t.Errorf("the proxy answers a stranger: %d %s%s", r.Code, r.Stdout, r.Stderr)
	}
	s.reach("HTTPS", client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443}, true)
	s.reach("HTTP", client.Target{Kind: client.HTTP, Name: "security.ubuntu.com", Port: 80}, true)
	s.reach("NTP", client.Target{Kind: client.NTP, Name: "ntp.ubuntu.com", Port: 123}, true)
	s.reach("the attacker", client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Addr: s.Plan.Attacker, Port: 443}, false)

	// Whoever is neither the cluster nor its servers is forwarded nowhere: neither
	// to the cluster nor past it.
	node := s.Plan.Sources[0].String()
	s.script(s.Internet.Agent, "ip addr add 192.0.2.9/32 dev lo")
	s.script(s.Gateway, "ip route add 192.0.2.9 dev eth0")
	s.script(s.Internet.Agent, "ip route replace "+node+" via "+gw+" dev gw0 onlink; ip route add 203.0.113.77 via "+gw+" dev gw0 onlink")
	for _, to := range []string{node, "203.0.113.77"} {
		internet("curl", "-sS", "--interface", "192.0.2.9", "--max-time", "0.5", "http://"+to+":8080/")
	}
	s.awaitRecord("the stranger", func(r lab.Record) bool {
		return r.Reason == "source-not-allowed" && strings.HasPrefix(r.Source, "192.0.2.9:") && r.Dest == "203.0.113.77:8080"
	})
	if counted := s.script(s.Gateway, "nft list counter inet sallyport unsolicited"); strings.Contains(counted, "packets 0 ") {
		t.Errorf("what was sent to the node is not counted: %s", counted)
	}
	// Nobody is told of the way around it.
	if told := s.script(s.Gateway, "grep -o OutType5 /proc/net/snmp || true"); told != "" {
		t.Error("the gateway has sent redirects")
	}
	s.script(s.Gateway, "ip route del 192.0.2.9")
	if err := s.gateway.Off(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.sameHost(t, before)
}

// TestOneInterfacePublishes leads ports on to the load balancer and to the node.
func TestOneInterfacePublishes(t *testing.T) {
	need(t, "curl", "nft")
	s := newSite(t, withPorts(t), one)
	s.balanced()
	s.start()
	s.seen("by the gateway", s.visit(visitor, "https://"+public+"/"), public)
	s.seen("to a private address", s.visit(visitor, "https://"+public+":9443/"), s.Plan.Gateway.String())
	if r := s.visit(stranger, "https://"+public+"/"); r.Code != 28 {
		t.Errorf("a source outside from: %d %s", r.Code, r.Stdout)
	}
	s.awaitRecord("the stranger", func(r lab.Record) bool {
		return r.Reason == "source-not-allowed" && r.Rule == "publish-tcp-443" && strings.HasPrefix(r.Source, stranger+":")
	})
	if r := s.visit(visitor, "https://"+balancer+"/"); r.Code != 28 {
		t.Errorf("with the reply through the firewall: %d %s%s, want a time-out", r.Code, r.Stdout, r.Stderr)
	}
	s.awaitRecord("the reply that took the other way", func(r lab.Record) bool { return r.Reason == "asymmetric-routing" })
	for _, to := range []string{s.Plan.Gateway.String() + ":443", s.Plan.Gateway.String() + ":9443"} {
		if r := s.run("curl", "-sSk", "--interface", s.Plan.Sources[0].String(), "--max-time", "1", "https://"+to+"/"); r.Code == 0 {
			t.Errorf("the node reaches %s: %s", to, r.Stdout)
		}
	}
	s.reach("beside it", client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443}, true)
}
