// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package netset

import (
	"net/netip"
	"testing"
)

// The IANA IPv4 and IPv6 Special-Purpose Address Registries, row by row, as
// they stand with RFC 9780. The mapped addresses have a test of their own.
var registries = []string{
	"0.0.0.0/8", "0.0.0.0/32", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.0.0/29", "192.0.0.8/32", "192.0.0.9/32", "192.0.0.10/32", "192.0.0.170/32", "192.0.0.171/32", "192.0.2.0/24",
	"192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.88.99.2/32", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "255.255.255.255/32",

	"::1/128", "::/128", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001::/32", "2001:1::1/128",
	"2001:1::2/128", "2001:1::3/128", "2001:2::/48", "2001:3::/32", "2001:4:112::/48", "2001:10::/28", "2001:20::/28", "2001:30::/28",
	"2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10",
}

func TestEverySpecialRangeIsNeverOrPrivate(t *testing.T) {
	guarded := Never().Union(Private())
	for _, s := range registries {
		if p := netip.MustParsePrefix(s); !guarded.Covers(Of(p)) {
			t.Errorf("%s: %s is neither never nor private", s, Of(p).Minus(guarded))
		}
	}
	for _, s := range []string{"224.0.0.0/4", "ff00::/8", "fec0::/10", "::/96", "168.63.129.16/32"} {
		if p := netip.MustParsePrefix(s); !Never().Covers(Of(p)) {
			t.Errorf("%s is not never", s)
		}
	}
}

func TestNeverAndPrivateAreApart(t *testing.T) {
	if both := Never().Intersect(Private()); !both.IsEmpty() {
		t.Errorf("%s is both", both)
	}
}

// Each row is a way to write an address that a name must not lead to (B19).
func TestFormsOfAddresses(t *testing.T) {
	for about, tt := range map[string]struct {
		addr           string
		never, private bool
	}{
		"a private address":                     {"10.0.0.1", false, true},
		"a private address, mapped":             {"::ffff:10.0.0.1", false, true},
		"a private address, mapped in hex":      {"::ffff:a00:1", false, true},
		"a private address behind NAT64":        {"64:ff9b::10.0.0.1", true, false},
		"a private address behind local NAT64":  {"64:ff9b:1::10.0.0.1", true, false},
		"a private address in 6to4":             {"2002:0a00:0001::", true, false},
		"a private address in Teredo":           {"2001:0:a00:1::", true, false},
		"a private address, IPv4-compatible":    {"::10.0.0.1", true, false},
		"loopback":                              {"127.0.0.1", true, false},
		"loopback, mapped":                      {"::ffff:127.0.0.1", true, false},
		"loopback, IPv6":                        {"::1", true, false},
		"unspecified":                           {"0.0.0.0", true, false},
		"unspecified, mapped":                   {"::ffff:0.0.0.0", true, false},
		"unspecified, IPv6":                     {"::", true, false},
		"the metadata service":                  {"169.254.169.254", true, false},
		"the metadata service, mapped":          {"::ffff:169.254.169.254", true, false},
		"the metadata service behind NAT64":     {"64:ff9b::a9fe:a9fe", true, false},
		"Azure's platform address":              {"168.63.129.16", true, false},
		"Azure's platform address, mapped":      {"::ffff:168.63.129.16", true, false},
		"broadcast":                             {"255.255.255.255", true, false},
		"link-local, IPv6":                      {"fe80::1", true, false},
		"unique local, IPv6":                    {"fd00::1", false, true},
		"carrier-grade NAT":                     {"100.64.0.1", false, true},
		"the address before private ones":       {"9.255.255.255", false, false},
		"the address behind 172.16.0.0/12":      {"172.32.0.0", false, false},
		"a neighbour of the platform address":   {"168.63.129.17", false, false},
		"a public address":                      {"20.42.0.1", false, false},
		"a public address, mapped":              {"::ffff:20.42.0.1", false, false},
		"a public address, IPv6":                {"2603:1030::1", false, false},
		"the first address behind protocol use": {"2001:200::", false, false},
	} {
		a := netip.MustParseAddr(tt.addr)
		if Never().Contains(a) != tt.never || Private().Contains(a) != tt.private {
			t.Errorf("%s: %s never=%t private=%t, want %t and %t", about, a, Never().Contains(a), Private().Contains(a), tt.never, tt.private)
		}
	}
}
