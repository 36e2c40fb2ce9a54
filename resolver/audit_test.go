// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/program"
)

// watching is a rig in audit mode.
func watching(t *testing.T, records ...string) *rig {
	r := newRig(t, records...)
	r.cfg.Audit = true
	return r
}

func TestAuditAnswersWhatIsDeniedAsUpstreamsDo(t *testing.T) {
	for about, tt := range map[string]struct {
		name   string
		typ    uint16
		class  uint16
		want   string // in the one record of the answer
		reason flow.Reason
		bound  bool
	}{
		"a name without a rule":     {"evil.example.", dns.TypeA, dns.ClassINET, "20.1.1.1", flow.NameNotAllowed, true},
		"another type of it":        {"evil.example.", dns.TypeTXT, dns.ClassINET, "proof", flow.NameNotAllowed, false},
		"a type that is refused":    {"a.example.", dns.TypeTXT, dns.ClassINET, "words", flow.TypeNotAllowed, false},
		"a private address":         {"a.example.", dns.TypeA, dns.ClassINET, "10.9.9.9", flow.PrivateAddress, false},
		"a name that is no host's":  {"_x y.example.", dns.TypeTXT, dns.ClassINET, "odd", flow.InvalidName, false},
		"a name above allowed ones": {"down.example.", dns.TypeA, dns.ClassINET, "20.1.1.2", flow.NotDecided, true},
		"another class":             {"evil.example.", dns.TypeTXT, dns.ClassCHAOS, "proof", flow.NotDecided, false},
	} {
		t.Run(about, func(t *testing.T) {
			r := watching(t, "evil.example. 60 IN A 20.1.1.1", `evil.example. 60 IN TXT "proof"`, `a.example. 60 IN TXT "words"`,
				"a.example. 60 IN A 10.9.9.9", `_x\032y.example. 60 IN TXT "odd"`, "down.example. 60 IN A 20.1.1.2")
			q := new(dns.Msg)
			q.SetQuestion(tt.name, tt.typ)
			if tt.reason == flow.InvalidName {
				q.Question[0].Name = `_x\032y.example.`
			}
			q.Question[0].Qclass = tt.class
			m := r.answer(q, client)
			if m.Id != q.Id || m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
				t.Fatalf("answer %v", m)
			}
			got := ""
			switch rr := m.Answer[0].(type) {
			case *dns.A:
				got = rr.A.String()
			case *dns.TXT:
				got = rr.Txt[0]
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if tt.reason == flow.NotDecided {
				r.wantReasons()
			} else {
				r.wantReasons(tt.reason)
			}
			if (len(r.bound) > 0) != tt.bound {
				t.Errorf("bound %v", r.bound)
			}
		})
	}
}

// The client is told what the upstream says of a name that is not there, and whom
// to ask is up to the zone.
func TestAuditAsksTheUpstreamsOfTheZone(t *testing.T) {
	r := watching(t)
	zone := netip.MustParseAddrPort("10.1.1.1:53")
	r.res.Zones = []program.Zone{{Apex: dnsname.MustParse("corp.example"), Upstreams: []netip.AddrPort{zone}}}
	if m := r.ask("x.corp.example.", dns.TypeA); m.Rcode != dns.RcodeNameError {
		t.Errorf("answer %v", m)
	}
	if want := []string{zone.String() + " x.corp.example. A"}; !slices.Equal(r.asked, want) {
		t.Errorf("asked %v, want %v", r.asked, want)
	}
	r.ask("_ldap._tcp.corp.example.", dns.TypeSRV)
	if want := zone.String() + " _ldap._tcp.corp.example. SRV"; r.asked[1] != want {
		t.Errorf("asked %v, want %s", r.asked[1], want)
	}
	r.wantReasons(flow.NameNotAllowed, flow.InvalidName)
	r.down(errDown)
	if m := r.ask("x.corp.example.", dns.TypeA); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("answer %v", m)
	}
}

// Whoever asks for one name after the other fills no table with them.
func TestAuditBindsNoMoreThanASourcesShare(t *testing.T) {
	r := watching(t)
	for i := range newBurst + 50 {
		name := fmt.Sprintf("n%d.evil.example.", i)
		rr, _ := dns.NewRR(name + " 60 IN A 20.1.1.1")
		r.zone = []dns.RR{rr}
		for range 3 { // again within its time, it is bound already
			if m := r.ask(name, dns.TypeA); len(addrs(m)) != 1 {
				t.Fatalf("answer %v", m)
			}
		}
	}
	if len(r.bound) != newBurst {
		t.Errorf("bound %d times, want %d", len(r.bound), newBurst)
	}
	if m := r.ask("x.c.example.", dns.TypeA); m.Rcode != dns.RcodeNameError {
		t.Errorf("an allowed name: %v", m)
	}
}
