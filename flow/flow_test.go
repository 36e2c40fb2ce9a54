// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package flow

import (
	"net/netip"
	"regexp"
	"testing"

	"github.com/sallyport/sallyport/dnsname"
)

func TestTheZeroValuesAreTheSafest(t *testing.T) {
	if d := (Decision{}); d.Verdict != Deny || d.Reason != NotDecided {
		t.Errorf("the zero Decision is %+v", d)
	}
	for _, app := range []App{Raw, TLS, HTTP} {
		if Unproved.Proves(app) {
			t.Errorf("no proof proves a name over %s", app)
		}
	}
}

func TestEveryReasonHasASpellingOfItsOwnAndAText(t *testing.T) {
	spelling := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	seen := make(map[string]Reason)
	for _, r := range Reasons() {
		s := r.String()
		if !spelling.MatchString(s) || r.Text() == "" {
			t.Errorf("reason %d is spelt %q and says %q", r, s, r.Text())
		}
		if other, twice := seen[s]; twice {
			t.Errorf("reasons %d and %d are both spelt %q", other, r, s)
		}
		seen[s] = r
	}
	if got := Reason(200).String(); got != "reason200" {
		t.Errorf("an unknown reason is spelt %q", got)
	}
}

func TestAProofIsGoodForOneProtocolOnly(t *testing.T) {
	want := map[App][]Proof{Raw: {ByDNS}, TLS: {BySNI, ByConnect}, HTTP: {ByHost}}
	for app, proofs := range want {
		for p := Unproved; p <= ByConnect; p++ {
			good := false
			for _, w := range proofs {
				good = good || w == p
			}
			if p.Proves(app) != good {
				t.Errorf("%s proves a name over %s: %v, want %v", p, app, p.Proves(app), good)
			}
		}
	}
}

func TestProtocolsAreReadAndWrittenTheSame(t *testing.T) {
	for _, s := range []string{"https", "http", "tcp", "udp"} {
		p, err := ParseProtocol(s)
		if err != nil || p.String() != s {
			t.Errorf("%q became %q, %v", s, p, err)
		}
	}
	if _, err := ParseProtocol("gopher"); err == nil || err.Error() != `protocol "gopher" is not one of https, http, tcp, udp` {
		t.Errorf("gopher: %v", err)
	}
}

func TestAFlowReadsAsOneLine(t *testing.T) {
	for want, f := range map[string]Flow{
		"10.240.0.4 -> https/mcr.microsoft.com(20.40.0.1):443": {
			Src: netip.MustParseAddr("10.240.0.4"), Dst: netip.MustParseAddr("20.40.0.1"), Port: 443, Transport: TCP, App: TLS,
			Name: dnsname.MustParse("mcr.microsoft.com")},
		"udp/1.2.3.4:123":             {Dst: netip.MustParseAddr("1.2.3.4"), Port: 123, Transport: UDP},
		"tcp/[2001:db8::1]:22":        {Dst: netip.MustParseAddr("2001:db8::1"), Port: 22, Transport: TCP},
		"http/security.ubuntu.com:80": {Port: 80, Transport: TCP, App: HTTP, Name: dnsname.MustParse("security.ubuntu.com")},
	} {
		if got := f.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
