// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
)

// hostState returns everything of the gateway's host that a gateway may change:
// ruleset, sysctls, routes, rules and links.
func (s *site) hostState() string {
	s.t.Helper()
	// The kernel adds link-local and multicast entries when it likes.
	const script = `nft list ruleset 2>/dev/null
{ ip -o link; ip -o addr; ip rule; ip -6 rule; ip route show table all; ip -6 route show table all; } | grep -v -e fe80: -e ff00:
cd /proc/sys/net && grep -r . ipv4/ip_forward ipv4/conf/all/accept_redirects ipv6/conf/*/accept_ra ipv4/conf/*/rp_filter ipv4/conf/*/forwarding ipv6/conf/*/forwarding ipv4/conf/*/send_redirects netfilter/nf_conntrack_tcp_loose netfilter/nf_conntrack_acct 2>/dev/null`
	r, err := s.Gateway.Run(s.t.Context(), lab.Cmd{Argv: []string{"sh", "-c", script}})
	if err != nil {
		s.t.Fatal(err)
	}
	return string(r.Stdout)
}

// sameHost fails when the host is not as it was.
func (s *site) sameHost(t *testing.T, before string) {
	t.Helper()
	if after := s.hostState(); after != before {
		t.Errorf("the host was changed; before:\n%s\nafter:\n%s", before, after)
	}
}

func TestTheHostIsLeftAsItWasWhenTheGatewayCannotStart(t *testing.T) {
	need(t, "nft", "setpriv")
	good := example(t, "seed.yaml")
	for _, row := range []struct {
		name string
		argv func(s *site) []string
		want string // in what the user reads
	}{
		{name: "an_interface_that_does_not_exist", argv: func(s *site) []string {
			return []string{binary, "gateway", "-c", s.file, "--inside", "eth7", "--outside", lab.OutsideLink, "--state", s.gateway.State}
		}, want: `--inside: there is no interface "eth7"; this host has lo, inside, outside`},
		{name: "a_published_port_that_leads_to_the_host_itself", argv: func(s *site) []string {
			s.write(strings.Replace(good, "  publicAddress: ", "  publish: [{port: tcp/22, to: "+s.Plan.Outside[0].String()+", from: Internet, reason: test}]\n  publicAddress: ", 1))
			return s.argv()
		}, want: "tcp/22 leads to 100.64.7.2:22, which is this host itself"},
		{name: "a_published_port_of_a_family_it_does_not_have", argv: func(s *site) []string {
			s.write(strings.Replace(good, "  publicAddress: ", "  publish: [{port: tcp/22, to: \"fd00::9\", from: \"::/0\", reason: test}]\n  publicAddress: ", 1))
			return s.argv()
		}, want: "tcp/22 leads to [fd00::9]:22, but outside this host has no address of that family"},
		{name: "no_privileges", argv: func(s *site) []string {
			return append([]string{"setpriv", "--bounding-set=-all", "--inh-caps=-all"}, s.argv()...)
		}, want: "no permission to change nftables: run as root, or with CAP_NET_ADMIN and CAP_NET_RAW"},
		{name: "port_53_taken", argv: func(s *site) []string { return s.argv() },
			want: ":53/udp is taken: another program listens there; see which with: ss -lnp 'sport = :53'"},
		{name: "a_description_with_an_error", argv: func(s *site) []string {
			s.write(strings.Replace(good, "westeurope", "West Europe", 1))
			return s.argv()
		}, want: `cluster.yaml:6:11: location: "West Europe" has a space; write westeurope`},
		{name: "no_description", argv: func(s *site) []string {
			_ = os.Remove(s.file)
			return s.argv()
		}, want: "sallyport init"},
		{name: "a_state_directory_that_cannot_be_made", argv: func(s *site) []string {
			return append(s.argv(), "--state", "/proc/sallyport")
		}, want: "make state directory"},
		{name: "records_that_cannot_be_written", argv: func(s *site) []string {
			return append(s.argv(), "--records", s.Dir)
		}, want: "is a folder: name a file in it"},
		{name: "interfaces_the_wrong_way_round", argv: func(s *site) []string {
			return append(s.argv(), "--inside", s.OutsideLink(), "--outside", s.InsideLink())
		}, want: "are they the wrong way round? Try --inside " + lab.InsideLink + " --outside " + lab.OutsideLink},
		{name: "resets_not_allowed", argv: func(s *site) []string {
			return append([]string{"setpriv", "--bounding-set=-net_raw", "--inh-caps=-all"}, s.argv()...)
		}, want: "no permission to send resets: run as root, or with CAP_NET_RAW"},
		{name: "a_port_of_the_proxy_that_is_taken", argv: func(s *site) []string {
			return append(s.argv(), "--metrics", "127.0.0.1:7180")
		}, want: "--proxy-port: :7180/tcp is taken: another program listens there; see which with: ss -lnp 'sport = :7180'"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSite(t, good, nil)
			if row.name == "port_53_taken" {
				s.takePort53(t)
			}
			before := s.hostState()
			ctx := t.Context()
			r, err := s.Gateway.Run(ctx, lab.Cmd{Argv: row.argv(s)})
			if err != nil {
				t.Fatal(err)
			}
			if r.Code != 2 || !strings.Contains(string(r.Stderr), row.want) {
				t.Errorf("ended with %d, want 2 with %q:\n%s", r.Code, row.want, r.Stderr)
			}
			s.sameHost(t, before)
		})
	}
}

// takePort53 runs somebody else's resolver on the gateway's host.
func (s *site) takePort53(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Gateway.Start(t.Context(), lab.Cmd{Argv: []string{self, resolverArg}}); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		r, err := s.Gateway.Run(t.Context(), lab.Cmd{Argv: []string{"grep", "-q", ":0035 ", "/proc/net/udp"}})
		if err == nil && r.Code == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("port 53 is not taken")
}

// resolverArg makes this test binary a process that holds UDP port 53.
const resolverArg = "another-resolver"

func anotherResolver() error {
	c, err := net.ListenPacket("udp4", ":53")
	if err != nil {
		return err
	}
	_, _, err = c.ReadFrom(make([]byte, 512))
	return err
}

func TestOffRemovesEverythingThatIsOurs(t *testing.T) {
	need(t, "nft")
	s := newSite(t, example(t, "seed.yaml"), nil)
	// Somebody else's table, rule and mark stay.
	foreign := []string{
		"nft add table ip other", "nft add chain ip other c '{ type filter hook forward priority 10; }'",
		"ip rule add fwmark 0x4000 lookup 100", "ip route add 192.0.2.0/24 dev outside table 100",
	}
	for _, f := range foreign {
		if r, err := s.Gateway.Run(t.Context(), lab.Cmd{Argv: []string{"sh", "-c", f}}); err != nil || r.Code != 0 {
			t.Fatalf("%s: %v %s", f, err, r.Stderr)
		}
	}
	before := s.hostState()
	off := func(t *testing.T, says string) {
		t.Helper()
		r, err := s.Gateway.Run(t.Context(), lab.Cmd{Argv: []string{binary, "gateway", "--off", "--state", s.gateway.State}})
		if err != nil || r.Code != 0 {
			t.Fatalf("gateway --off: %v %d %s", err, r.Code, r.Stderr)
		}
		if !strings.Contains(string(r.Stderr), says) {
			t.Errorf("it says %q, want %q in it", r.Stderr, says)
		}
		s.sameHost(t, before)
		if _, err := os.Stat(s.gateway.State); err == nil {
			t.Errorf("%s is still there", s.gateway.State)
		}
	}
	t.Run("while_it_runs", func(t *testing.T) {
		s.start()
		if s.hostState() == before {
			t.Fatal("a gateway that runs has changed nothing, so this test shows nothing")
		}
		off(t, "off: the table is gone, and this host's settings are as they were")
		if log := mustRead(t, s.gateway.Log); !strings.Contains(log, "ended; the rules stay in the kernel") {
			t.Errorf("it ended without a word:\n%s", log)
		}
	})
	t.Run("after_a_kill", func(t *testing.T) {
		s.start()
		if err := s.gateway.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		off(t, "off: the table is gone, and this host's settings are as they were")
	})
	t.Run("when_somebody_starts_it_again", func(t *testing.T) {
		manager, err := s.Gateway.Start(t.Context(), lab.Cmd{Argv: append([]string{"sh", "-c", `until "$@"; [ -e "$0" ]; do sleep 1; done`, s.Dir + "/enough"}, s.argv()...), Stdout: s.gateway.Log, Stderr: s.gateway.Log})
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			if _, err := os.Stat(s.gateway.State + "/ready"); err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("it does not start")
			}
		}
		off := []string{binary, "gateway", "--off", "--state", s.gateway.State}
		r, err := s.Gateway.Run(t.Context(), lab.Cmd{Argv: off})
		if err != nil || r.Code != 1 || !strings.Contains(string(r.Stderr), "the gateway runs again, as process ") || !strings.Contains(string(r.Stderr), "systemctl disable --now sallyport-gateway && sallyport gateway --off") {
			t.Errorf("%v %d %s", err, r.Code, r.Stderr)
		}
		write(t, s.Dir+"/enough", nil)
		if r, err = s.Gateway.Run(t.Context(), lab.Cmd{Argv: off}); err != nil || r.Code != 0 {
			t.Errorf("told not to start it again: %v %d %s", err, r.Code, r.Stderr)
		}
		if _, err := manager.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		s.sameHost(t, before)
	})
	t.Run("what_does_not_go_with_it", func(t *testing.T) {
		for _, flag := range []string{"--check", "--audit"} {
			r, err := s.Gateway.Run(t.Context(), lab.Cmd{Argv: []string{binary, "gateway", "--off", flag, "--state", s.gateway.State}})
			if err != nil || r.Code != 2 || !strings.Contains(string(r.Stderr), "--off takes a gateway away, and goes neither with --check nor with --audit") {
				t.Errorf("%s: %v %d %s", flag, err, r.Code, r.Stderr)
			}
		}
	})
	t.Run("when_there_is_nothing", func(t *testing.T) { off(t, "there was no gateway to take away") })
}

func TestASecondGatewayWithTheSameStateIsRefused(t *testing.T) {
	s := withGateway(t, example(t, "seed.yaml"))
	r, err := s.Gateway.Run(t.Context(), lab.Cmd{Argv: s.argv()})
	if err != nil || r.Code != 2 || !strings.Contains(string(r.Stderr), "runs already, as process") {
		t.Errorf("%v %d %s", err, r.Code, r.Stderr)
	}
	if _, got := s.Reach(t.Context(), client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443}); !got.OK {
		t.Errorf("the first one suffers: %+v", got)
	}
}

// A rule for tcp would let every name on the address through.
func TestARecordSuggestsTheProtocolThatThePortMostLikelyHas(t *testing.T) {
	need(t, "curl")
	s := withGateway(t, example(t, "seed.yaml"))
	if r := s.run("curl", "-sS", "--max-time", "5", "http://mcr.microsoft.com/"); r.Code == 0 {
		t.Error("a name that is allowed for https was reached over http")
	}
	r := s.awaitRecord("the denial", func(r lab.Record) bool { return r.Reason == "port-not-allowed" })
	if r.Name != "mcr.microsoft.com" || !strings.Contains(r.Allow, "ports: [http/80]") {
		t.Errorf("%+v", r)
	}
}

// TestOurOwnPortsAreClosedToTheOutside asks the resolver and the proxy from the
// internet's side.
func TestOurOwnPortsAreClosedToTheOutside(t *testing.T) {
	need(t, "dig", "curl")
	s := withGateway(t, example(t, "seed.yaml"))
	outside := func(argv ...string) lab.Result {
		t.Helper()
		r, err := s.Internet.Run(t.Context(), lab.Cmd{Argv: argv})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	outside("ip", "route", "add", s.Plan.Gateway.String(), "via", s.Plan.Outside[0].String(), "dev", "gw0", "onlink")
	if r := outside("dig", "+time=1", "+tries=1", "@"+s.Plan.Gateway.String(), "mcr.microsoft.com"); r.Code == 0 {
		t.Errorf("the resolver answers the outside: %s", r.Stdout)
	}
	if r := outside("curl", "-sS", "--max-time", "1", "http://"+s.Plan.Outside[0].String()+":7180/"); r.Code != 28 {
		t.Errorf("the proxy answers the outside: %d %s%s", r.Code, r.Stdout, r.Stderr)
	}
}
