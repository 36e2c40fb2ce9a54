// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
)

// TestIPv6 goes the same ways as IPv4: bound, held, verified, released.
func TestIPv6(t *testing.T) {
	need(t, "curl", "dig")
	s := withGateway(t, example(t, "seed-all.yaml"))
	i := slices.IndexFunc(s.Plan.Sources, netip.Addr.Is6)
	if i < 0 {
		t.Fatal("the lab has no IPv6")
	}
	source := s.Plan.Sources[i]
	six := func(name string) netip.Addr {
		t.Helper()
		a, err := s.Ask(t.Context(), client.Question{Name: name, Type: "AAAA"})
		if err != nil || len(a.Addrs) == 0 {
			t.Fatalf("AAAA of %s: %+v, %v", name, a, err)
		}
		return a.Addrs[0]
	}
	for _, row := range []struct {
		name   string
		target client.Target
		ok     bool
		reason string
	}{
		{"HTTPS", client.Target{Kind: client.HTTPS, Name: "packages.microsoft.com", Addr: six("packages.microsoft.com"), Port: 443}, true, ""},
		{"HTTPS_in_40_segments", client.Target{
			Kind: client.HTTPS, Name: "packages.microsoft.com", Addr: six("packages.microsoft.com"), Port: 443, Split: slices.Repeat([]int{1}, 40),
		}, true, ""},
		{"HTTP", client.Target{Kind: client.HTTP, Name: "security.ubuntu.com", Addr: six("security.ubuntu.com"), Port: 80}, true, ""},
		{"NTP", client.Target{Kind: client.NTP, Name: "ntp.ubuntu.com", Addr: six("ntp.ubuntu.com"), Port: 123}, true, ""},
		{"another_name", client.Target{Kind: client.HTTPS, Name: "evil.example", Addr: six("packages.microsoft.com"), Port: 443}, false, "name-not-allowed"},
		{"another_host", client.Target{Kind: client.HTTP, Name: "evil.example", Addr: six("security.ubuntu.com"), Port: 80}, false, "name-not-allowed"},
		{"the_attacker", client.Target{Kind: client.HTTPS, Name: "packages.microsoft.com", Addr: s.Plan.Attackers[1], Port: 443}, false, "unbound-address"},
		{"the_attacker_over_UDP", client.Target{Kind: client.UDP, Addr: s.Plan.Attackers[1], Port: 1194}, false, "unbound-address"},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.target.Source, row.target.Timeout = source, 3*time.Second
			target, got := s.Reach(t.Context(), row.target)
			if got.OK != row.ok || !row.ok && !got.Refused && got.Status != 403 {
				t.Errorf("%+v, want it to pass: %v", got, row.ok)
			}
			if at, leaked := s.Internet.Arrived(t.Context(), []byte(target.Nonce), 0); !row.ok && leaked {
				t.Errorf("payload arrived at %s", at)
			}
			if !row.ok {
				s.awaitRecord(row.reason, func(r lab.Record) bool {
					return r.Reason == row.reason && strings.HasPrefix(r.Source, "["+source.String()+"]")
				})
			}
		})
	}
	if r := s.run("curl", "-6", "-sS", "--max-time", "5", "--cacert", s.CAFile(), "-o", "/dev/null", "-w", "%{http_code} %{remote_ip}", "https://packages.microsoft.com/"); !strings.HasPrefix(string(r.Stdout), "200 2a01:") {
		t.Errorf("curl -6: %d %s %s", r.Code, r.Stdout, r.Stderr)
	}
}

// TestWithoutAnIPv6WayOutThereAreNoIPv6Answers keeps clients from waiting for
// what cannot come.
func TestWithoutAnIPv6WayOutThereAreNoIPv6Answers(t *testing.T) {
	s := withGateway(t, example(t, "seed.yaml"))
	a, err := s.Ask(t.Context(), client.Question{Name: "mcr.microsoft.com", Type: "AAAA"})
	if err != nil || a.Rcode != "NOERROR" || len(a.Addrs) != 0 {
		t.Errorf("%+v, %v", a, err)
	}
}
