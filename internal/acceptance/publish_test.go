// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
)

// serviceArg makes this test binary a service of the cluster: over TLS on port
// 8443, and over UDP on 8125, it tells each client the address it sees; below
// /slow/ it goes on telling for a while.
const serviceArg = "service-of-the-cluster"

func service() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"shop.example"}}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	c, err := net.ListenPacket("udp", ":8125")
	if err != nil {
		return err
	}
	go func() {
		b := make([]byte, 1500)
		for {
			_, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo([]byte(from.String()+"\n"), from)
		}
	}()
	srv := &http.Server{
		Addr:      ":8443",
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			fmt.Fprintln(w, "seen", host)
			n, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/slow/"))
			for range n {
				if http.NewResponseController(w).Flush() != nil {
					return
				}
				time.Sleep(50 * time.Millisecond)
				fmt.Fprintln(w, "more")
			}
		}),
	}
	return srv.ListenAndServeTLS("", "")
}

// The surroundings of a published service. The balancer stands in the internet's
// namespace; it translates to the node and leaves the source alone, as Azure's
// does. The fabric knows the gateway by its public address: it translates that to
// the one that the gateway has outside, which never sees the public one.
const (
	visitor  = "198.51.100.7" // a client in the internet
	stranger = "198.51.100.99"
	balancer = "20.50.140.9"
	public   = "20.50.141.20"
)

// withPorts is the seed's cluster with ports of its gateway that lead inwards.
func withPorts(t *testing.T) string {
	t.Helper()
	const gateway = "  publicAddress: " + public + "\n"
	text := example(t, "seed.yaml")
	if !strings.Contains(text, gateway) || !strings.Contains(text, "loadBalancers: ["+balancer+"]") {
		t.Fatal("the example has another gateway or balancer")
	}
	return strings.Replace(text, gateway, gateway+`  publish:
  - {port: tcp/443, to: 20.50.140.9, from: [198.51.100.0/26], reason: the shop}
  - {port: tcp/9443, to: "10.240.0.4:8443", from: [198.51.100.0/26], reason: an internal load balancer}
  - {port: udp/8125, to: 10.240.0.4, from: [198.51.100.0/26], reason: counters}
`, 1)
}

// script runs commands on a host of the lab, one a line.
func (s *site) script(at *lab.Agent, lines string) string {
	s.t.Helper()
	r, err := at.Run(s.t.Context(), lab.Cmd{Argv: []string{"sh", "-ec", lines}})
	if err != nil || r.Code != 0 {
		s.t.Fatalf("%s: %v %d %s\n%s", at.Name, err, r.Code, r.Stderr, lines)
	}
	return string(r.Stdout)
}

// balanced gives the node a service and the fabric a balancer before it. The
// node's default route leads to the gateway, and only to the gateway's public
// address around it.
func (s *site) balanced() {
	s.t.Helper()
	node, outside := s.Plan.Sources[0].String(), s.Plan.Outside[0].String()
	s.script(s.Node, fmt.Sprintf(`
ip link add eth1 type veth peer name lb0 netns %d
ip link set eth1 up
ip addr add 10.240.0.250/32 dev eth1
sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth1.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0
ip route add 100.65.0.1 dev eth1
ip route add %s via 100.65.0.1 dev eth1 onlink`, s.Internet.PID, public))
	s.script(s.Internet.Agent, fmt.Sprintf(`
ip link set lb0 up
ip addr add 100.65.0.1/32 dev lb0
for a in %[1]s %[2]s %[3]s %[4]s; do ip addr add $a/32 dev lo; done
ip route add %[5]s dev lb0
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.lb0.rp_filter=0 net.ipv4.conf.gw0.rp_filter=0
nft -f - <<-END
	table ip fabric {
		chain in { type nat hook prerouting priority dstnat;
			ip daddr %[3]s tcp dport 443 dnat to %[5]s:8443
		}
		chain out { type nat hook output priority -100;
			ip daddr %[3]s tcp dport 443 dnat to %[5]s:8443
			ip daddr %[4]s dnat to %[6]s
		}
		chain known { type nat hook postrouting priority srcnat;
			oifname lb0 ip saddr %[6]s snat to %[4]s
		}
	}
END`, visitor, stranger, balancer, public, node, outside))
	s.serves()
}

// serves starts the service on the node.
func (s *site) serves() {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.Node.Start(s.t.Context(), lab.Cmd{Argv: []string{self, serviceArg}}); err != nil {
		s.t.Fatal(err)
	}
	for range 200 {
		if r, err := s.Node.Run(s.t.Context(), lab.Cmd{Argv: []string{"grep", "-q", ":20FB ", "/proc/net/tcp6"}}); err == nil && r.Code == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatal("the service does not listen")
}

// visit runs curl in the internet.
func (s *site) visit(from, url string, more ...string) lab.Result {
	s.t.Helper()
	argv := append([]string{"curl", "-sSk", "--interface", from, "--max-time", "2", url}, more...)
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	r, err := s.Internet.Run(ctx, lab.Cmd{Argv: argv})
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// seen fails when the service does not see a visitor as the address wanted.
func (s *site) seen(what string, r lab.Result, want string) {
	s.t.Helper()
	if r.Code != 0 || string(r.Stdout) != "seen "+want+"\n" {
		s.t.Errorf("%s: %d %q %s; want the service to see %s", what, r.Code, r.Stdout, r.Stderr, want)
	}
}

// TestAPublicLoadBalancerBehindADefaultRoute is the seed's own case (line 36 of
// the edition of 2020-05-26).
func TestAPublicLoadBalancerBehindADefaultRoute(t *testing.T) {
	need(t, "curl", "openssl", "nft", "conntrack")
	s := newSite(t, withPorts(t), nil)
	s.balanced()

	// Without a default route to the firewall the balancer does its work.
	s.script(s.Node, "ip route add "+visitor+" via 100.65.0.1 dev eth1 onlink")
	s.seen("before there is a firewall", s.visit(visitor, "https://"+balancer+"/"), visitor)
	s.script(s.Node, "ip route del "+visitor)

	s.start()
	if r := s.visit(visitor, "https://"+balancer+"/"); r.Code != 28 {
		t.Errorf("with the reply through the firewall: %d %s%s, want a time-out", r.Code, r.Stdout, r.Stderr)
	}
	s.awaitRecord("the reply that took the other way", func(r lab.Record) bool {
		return r.Reason == "asymmetric-routing" && r.Verdict == "deny" && strings.HasPrefix(r.Dest, visitor+":")
	})
	if counted := s.script(s.Gateway, "nft list counter inet sallyport invalid"); strings.Contains(counted, "packets 0 ") {
		t.Errorf("the reply is not counted: %s", counted)
	}

	// By the gateway's public address it works, and so does what lies behind the inside.
	s.seen("by the gateway", s.visit(visitor, "https://"+public+"/"), public)
	s.seen("to a private address", s.visit(visitor, "https://"+public+":9443/"), s.Plan.Gateway.String())
	r, err := s.Internet.Run(t.Context(), lab.Cmd{
		Argv:  []string{"timeout", "5", "openssl", "s_client", "-quiet", "-connect", public + ":443", "-bind", visitor},
		Stdin: []byte("GET / HTTP/1.0\r\n\r\n"),
	})
	if err != nil || !strings.Contains(string(r.Stdout), "seen "+public) {
		t.Errorf("openssl: %v %d %s%s", err, r.Code, r.Stdout, r.Stderr)
	}
	allowed := s.awaitRecord("the visit", func(r lab.Record) bool {
		return r.Reason == "published" && r.Verdict == "allow" && r.Rule == "publish-tcp-443" &&
			strings.HasPrefix(r.Source, visitor+":") && r.Dest == s.Plan.Outside[0].String()+":443"
	})
	s.script(s.Gateway, "conntrack -D -p tcp --dport 443 >/dev/null")
	s.awaitRecord("its end", func(r lab.Record) bool { return r.Schema == "sallyport.close/1" && r.Flow == allowed.Flow && r.Counted })

	for _, row := range []struct{ what, from, url string }{
		{"a source outside from", stranger, "https://" + public + "/"},
		{"a source outside from, to the private address", stranger, "https://" + public + ":9443/"},
	} {
		if r := s.visit(row.from, row.url); r.Code != 28 {
			t.Errorf("%s: %d %s", row.what, r.Code, r.Stdout)
		}
	}
	s.awaitRecord("the stranger", func(r lab.Record) bool {
		return r.Reason == "source-not-allowed" && r.Rule == "publish-tcp-443" && strings.HasPrefix(r.Source, stranger+":")
	})
	if r := s.visit(visitor, "https://"+public+":8443/"); r.Code == 0 {
		t.Errorf("a port that is not published: %s", r.Stdout)
	}
	// The cluster's own address, and the service itself, are not reached from outside.
	s.script(s.Internet.Agent, "ip route replace 10.240.0.4 via "+s.Plan.Outside[0].String()+" dev gw0 onlink")
	if r := s.visit(visitor, "https://10.240.0.4:8443/"); r.Code != 28 {
		t.Errorf("straight to the node: %d %s", r.Code, r.Stdout)
	}
	s.script(s.Internet.Agent, "ip route replace 10.240.0.4 dev lb0")

	// The cluster gains nothing: neither the balancer nor the published ports.
	for _, to := range []string{balancer + ":443", s.Plan.Gateway.String() + ":443", s.Plan.Outside[0].String() + ":443"} {
		if r := s.run("curl", "-sSk", "--interface", s.Plan.Sources[0].String(), "--max-time", "1", "https://"+to+"/"); r.Code == 0 {
			t.Errorf("the node reaches %s: %s", to, r.Stdout)
		}
	}
	// Datagrams go the same way.
	if got := s.datagram(visitor); !strings.HasPrefix(got, s.Plan.Gateway.String()+":") {
		t.Errorf("over UDP the service sees %q", got)
	}
	s.reach("beside it", client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443}, true)
}

// datagram asks the service over UDP who asks.
func (s *site) datagram(from string) string {
	s.t.Helper()
	var h client.Heard
	err := s.Internet.Call(s.t.Context(), "say", client.Raw{
		UDP: true, Source: netip.MustParseAddr(from), To: netip.MustParseAddrPort(public + ":8125"), Chunks: [][]byte{[]byte("?")},
	}, &h)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(h.Data)
}

// TestWhatIsPublishedNoMoreIsCut takes a port out of the description while it is
// in use, and puts it back.
func TestWhatIsPublishedNoMoreIsCut(t *testing.T) {
	need(t, "curl", "nft")
	with := withPorts(t)
	s := newSite(t, with, nil)
	s.balanced()
	s.start()
	visits := map[string]chan lab.Result{}
	for name, url := range map[string]string{"gone": "https://" + public + "/slow/100", "kept": "https://" + public + ":9443/slow/100"} {
		done := make(chan lab.Result, 1)
		visits[name] = done
		go func() { done <- s.visit(visitor, url, "--max-time", "15", "-N") }()
	}
	for _, rule := range []string{"publish-tcp-443", "publish-tcp-9443"} {
		s.awaitRecord(rule, func(r lab.Record) bool { return r.Rule == rule && r.Verdict == "allow" })
	}
	time.Sleep(300 * time.Millisecond) // under way
	var without []string
	for line := range strings.Lines(with) {
		if !strings.Contains(line, "port: tcp/443,") && !strings.Contains(line, "port: udp/8125,") {
			without = append(without, line)
		}
	}
	// Datagrams are under way from one socket.
	talk := make(chan client.Heard, 1)
	go func() {
		var h client.Heard
		_ = s.Internet.Call(t.Context(), "say", client.Raw{
			UDP: true, Source: netip.MustParseAddr(visitor), To: netip.MustParseAddrPort(public + ":8125"), Delay: 100 * time.Millisecond,
			Chunks: slices.Repeat([][]byte{[]byte("?")}, 60),
		}, &h)
		talk <- h
	}()
	s.awaitRecord("publish-udp-8125", func(r lab.Record) bool { return r.Rule == "publish-udp-8125" && r.Verdict == "allow" })
	s.write(strings.Join(without, ""))
	s.awaitLog("new rules in force", 1)
	if r := <-visits["gone"]; r.Code != 56 || !strings.Contains(string(r.Stderr), "reset") {
		t.Errorf("gone: %d %s; want it cut, and the client told", r.Code, r.Stderr)
	}
	for _, port := range []string{":443", ":8125"} {
		s.awaitRecord("the cut", func(r lab.Record) bool {
			return r.Path == "sweep" && r.Reason == "not-published" && strings.HasSuffix(r.Dest, port)
		})
	}
	if h := <-talk; !h.Refused || h.Sent == 0 {
		t.Errorf("datagrams: %+v; want some, and then that the client is told", h)
	}
	if r := s.visit(visitor, "https://"+public+"/"); r.Code == 0 {
		t.Errorf("a new visit: %s", r.Stdout)
	}
	if r := <-visits["kept"]; r.Code != 0 || strings.Count(string(r.Stdout), "more") != 100 {
		t.Errorf("kept: %d %s", r.Code, r.Stderr)
	}
	s.write(with)
	s.awaitLog("new rules in force", 2)
	s.seen("published again", s.visit(visitor, "https://"+public+"/"), public)
}

// TestPublishedPortsNeedNoProcess kills the gateway: what the kernel decides goes
// on, and nothing more comes in than before.
func TestPublishedPortsNeedNoProcess(t *testing.T) {
	need(t, "curl", "nft")
	s := newSite(t, withPorts(t), nil)
	s.balanced()
	s.start()
	done := make(chan lab.Result, 1)
	go func() { done <- s.visit(visitor, "https://"+public+"/slow/60", "--max-time", "15", "-N") }()
	s.awaitRecord("the visit", func(r lab.Record) bool { return r.Rule == "publish-tcp-443" && r.Verdict == "allow" })
	if err := s.gateway.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.seen("without a process", s.visit(visitor, "https://"+public+"/"), public)
	if r := s.visit(stranger, "https://"+public+"/"); r.Code != 28 {
		t.Errorf("a source outside from: %d %s", r.Code, r.Stdout)
	}
	s.start()
	if r := <-done; r.Code != 0 || strings.Count(string(r.Stdout), "more") != 60 {
		t.Errorf("what was under way: %d %s", r.Code, r.Stderr)
	}
}

// TestPublishedOverIPv6 leads a port on to the node's IPv6 address.
func TestPublishedOverIPv6(t *testing.T) {
	need(t, "curl")
	for name, change := range map[string]func(*lab.Options){"two_interfaces": nil, "one": one} {
		t.Run(name, func(t *testing.T) {
			text := example(t, "seed-all.yaml")
			_, p := compiled(t, text)
			nodes, _ := p.Group("nodes")
			var node netip.Addr
			for _, prefix := range nodes.Set.Prefixes() {
				if prefix.Addr().Is6() {
					node = prefix.Addr().Next().Next().Next().Next()
				}
			}
			const gateway = "\ngateway:\n"
			if !strings.Contains(text, gateway) || !node.IsValid() {
				t.Fatal("the example has no gateway, or no IPv6")
			}
			s := newSite(t, strings.Replace(text, gateway, gateway+fmt.Sprintf(
				"  publish:\n  - {port: tcp/9443, to: \"[%s]:8443\", from: [\"2001:db8:7::/48\"], reason: test}\n", node), 1), change)
			s.serves()
			s.start()
			s.script(s.Internet.Agent, "ip addr add 2001:db8:7::7/128 dev lo nodad; ip addr add 2001:db8:8::9/128 dev lo nodad")
			url := "https://[" + s.Plan.Outside[1].String() + "]:9443/"
			// The gateway's own link-local address is not settled in the first second or
			// two of a link, and without it the host asks nobody for a neighbour.
			s.seen("by the gateway", s.visit("2001:db8:7::7", url, "--max-time", "10"), s.Plan.Gateway6.String())
			s.awaitRecord("the visit", func(r lab.Record) bool {
				return r.Rule == "publish-tcp-9443-ipv6" && r.Verdict == "allow" && strings.HasPrefix(r.Source, "[2001:db8:7::7]:")
			})
			if r := s.visit("2001:db8:8::9", url); r.Code != 28 {
				t.Errorf("a source outside from: %d %s", r.Code, r.Stdout)
			}
			s.awaitRecord("the stranger", func(r lab.Record) bool {
				return r.Reason == "source-not-allowed" && strings.HasPrefix(r.Source, "[2001:db8:8::9]:")
			})
		})
	}
}
