// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"context"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/program"
)

func TestPublishesECH(t *testing.T) {
	const keys = " ech=AEX+DQBBpQAgACAq"
	for about, tt := range map[string]struct {
		zone []string
		want bool
		err  error
	}{
		"no record":                          {},
		"an address alone":                   {zone: []string{"a.example. 60 IN A 20.0.0.1"}},
		"a record without keys":              {zone: []string{"a.example. 60 IN HTTPS 1 . alpn=h2"}},
		"a record with keys":                 {zone: []string{"a.example. 60 IN HTTPS 1 . alpn=h2" + keys}, want: true},
		"the second record with keys":        {zone: []string{"a.example. 60 IN HTTPS 1 . alpn=h2", "a.example. 60 IN HTTPS 2 ." + keys}, want: true},
		"behind a CNAME":                     {zone: []string{"a.example. 60 IN CNAME cdn.example.", "cdn.example. 60 IN HTTPS 1 ." + keys}, want: true},
		"behind an alias record":             {zone: []string{"a.example. 60 IN HTTPS 0 cdn.example.", "cdn.example. 60 IN HTTPS 1 ." + keys}, want: true},
		"an alias to a name without records": {zone: []string{"a.example. 60 IN HTTPS 0 cdn.example."}},
		"an upstream that is down":           {err: errDown},
	} {
		t.Run(about, func(t *testing.T) {
			r := newRig(t, tt.zone...)
			r.down(tt.err)
			got, err := r.PublishesECH(t.Context(), dnsname.MustParse("a.example"))
			if got != tt.want || (err != nil) != (tt.err != nil) {
				t.Errorf("got %t, %v, want %t, %v", got, err, tt.want, tt.err)
			}
			r.wantUnbound()
		})
	}
}

func TestPublishesECHEndsInALoop(t *testing.T) {
	r := newRig(t, "a.example. 60 IN HTTPS 0 b.example.", "b.example. 60 IN HTTPS 0 a.example.")
	if got, err := r.PublishesECH(t.Context(), dnsname.MustParse("a.example")); got || err == nil {
		t.Errorf("got %t, %v, want an error", got, err)
	}
}

func TestUpstreamsWithoutTheTypePublishNothing(t *testing.T) {
	r := newRig(t)
	servers := r.cfg.Resolve().Upstreams
	for about, tt := range map[string]struct {
		first, second int
		known         bool
	}{
		"do not know it":              {dns.RcodeNotImplemented, dns.RcodeNotImplemented, true},
		"refuse it":                   {dns.RcodeRefused, dns.RcodeNotImplemented, true},
		"fail":                        {dns.RcodeServerFailure, dns.RcodeServerFailure, false},
		"one refuses it, one fails":   {dns.RcodeRefused, dns.RcodeServerFailure, false},
		"one refuses it, one answers": {dns.RcodeRefused, dns.RcodeNameError, true},
	} {
		two := []netip.AddrPort{servers[0], netip.MustParseAddrPort("192.0.2.54:53")}
		r.cfg.Resolve = func() program.Resolve { return program.Resolve{Upstreams: two} }
		r.cfg.Exchange = func(_ context.Context, s netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
			if s == two[0] {
				return new(dns.Msg).SetRcode(q, tt.first), nil
			}
			return new(dns.Msg).SetRcode(q, tt.second), nil
		}
		if got, err := r.PublishesECH(t.Context(), dnsname.MustParse("a.example")); got || (err == nil) != tt.known {
			t.Errorf("upstreams %s: got %t, %v", about, got, err)
		}
	}
}
