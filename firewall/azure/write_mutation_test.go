// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
)

// plainProgram has a rule of each kind.
func plainProgram() *program.Program {
	rule := func(id, pattern string, proto flow.Protocol, port uint16) program.Rule {
		return program.Rule{ID: flow.RuleID(id), Pattern: dnsname.MustParsePattern(pattern), Protocol: proto, Ports: portset.Of(port),
			Sources: netset.Of(netip.MustParsePrefix("10.1.0.0/16")), Origins: []program.Origin{{Purpose: "a test"}}}
	}
	addresses := rule("addresses", "x", flow.ProtoTCP, 9000)
	addresses.Pattern, addresses.Prefixes = dnsname.Pattern{}, netset.Of(netip.MustParsePrefix("20.1.0.0/16"))
	return &program.Program{Edition: program.Edition{ID: "2026-07-03"}, Rules: []program.Rule{
		rule("wild", "*.a.com", flow.ProtoHTTPS, 443), rule("exact", "b.org", flow.ProtoHTTP, 80),
		rule("time", "ntp.c.net", flow.ProtoUDP, 123), addresses,
	}}
}

// mutations are what a careless writer would write: what stands there, and what
// is planted, in every form or, apart, in ARM, Terraform, az and Bicep.
var mutations = []struct {
	name     string
	old, new [4]string
	wider    bool
	narrower bool
}{
	{"star_without_dot", every("*.a.com"), every("*a.com"), true, false},
	{"apex_for_all", every("*.a.com"), every("a.com"), true, true},
	{"star_alone", every("*.a.com"), every("*"), true, false},
	{"one_name_for_all", every("*.a.com"), every("x.a.com"), false, true},
	{"another_apex", every("*.a.com"), every("*.a.co"), true, true},
	{"star_for_one_name", every("b.org"), every("*.b.org"), true, true},
	{"suffix_for_one_name", every("b.org"), every("*b.org"), true, false},
	{"wildcard_in_network_rule", every("ntp.c.net"), every("*.c.net"), false, true},
	{"application_port", [4]string{`"port": 443`, `port = 443`, `Https=443`, `port: 443`}, [4]string{`"port": 8443`, `port = 8443`, `Https=8443`, `port: 8443`}, true, true},
	{"network_port", [4]string{`"9000"`, `"9000"`, `--destination-ports 9000`, `'9000'`}, [4]string{`"9001"`, `"9001"`, `--destination-ports 9001`, `'9001'`}, true, true},
	{"every_network_port", [4]string{`"9000"`, `"9000"`, `--destination-ports 9000`, `'9000'`}, [4]string{`"*"`, `"*"`, `--destination-ports '*'`, `'*'`}, true, false},
	{"source_widened", every("10.1.0.0/16"), every("10.0.0.0/15"), true, false},
	{"source_narrowed", every("10.1.0.0/16"), every("10.1.0.0/17"), false, true},
	{"every_source", [4]string{`"10.1.0.0/16"`, `"10.1.0.0/16"`, `10.1.0.0/16`, `'10.1.0.0/16'`}, [4]string{`"*"`, `"*"`, `'*'`, `'*'`}, true, false},
	{"destination_widened", every("20.1.0.0/16"), every("20.0.0.0/8"), true, false},
	{"deny_for_allow", [4]string{`"Allow"`, `"Allow"`, `--action Allow`, `'Allow'`}, [4]string{`"Deny"`, `"Deny"`, `--action Deny`, `'Deny'`}, false, true},
	{"http_for_https", every("Https"), every("Http"), true, true},
	{"tcp_for_udp", every("UDP"), every("TCP"), true, true},
	{"any_protocol", every("UDP"), every("Any"), true, false},
}

func every(s string) [4]string { return [4]string{s, s, s, s} }

func TestAMutationOfAnyFormIsSeen(t *testing.T) {
	p := plainProgram()
	for i, form := range forms {
		text, left := form.write(p, DefaultLayout)
		want := effectOf(t, form.file, text).Sure
		if len(left) > 0 || want.IsEmpty() {
			t.Fatalf("%s: left %v", form.name, left)
		}
		for _, m := range mutations {
			// The first place alone: one wrong word among many is the hardest to see.
			mutated := strings.Replace(string(text), m.old[i], m.new[i], 1)
			if mutated == string(text) {
				t.Errorf("%s: %s: %q is not in\n%s", form.name, m.name, m.old[i], text)
				continue
			}
			s, err := Read([]File{{form.file, []byte(mutated)}}, Options{})
			if err != nil {
				t.Fatalf("%s: %s: %v", form.name, m.name, err)
			}
			got := s.Evaluate()
			_, wider := got.Maybe.Minus(want).Witness()
			_, narrower := want.Minus(got.Sure).Witness()
			if wider != m.wider || narrower != m.narrower {
				t.Errorf("%s: %s: wider %t, narrower %t, want %t and %t", form.name, m.name, wider, narrower, m.wider, m.narrower)
			}
		}
	}
}
