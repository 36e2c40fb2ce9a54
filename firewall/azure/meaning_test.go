// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/ruleset"
)

// one reads a classic firewall with one rule.
func one(t *testing.T, kind, rule string, opt Options) ruleset.Rule {
	t.Helper()
	text := fmt.Sprintf(`{"%sRuleCollections": [{"name": "c", "priority": 100, "action": {"type": "Allow"}, "rules": [%s]}]}`, kind, rule)
	s, err := Read([]File{{"fw.json", []byte(text)}}, opt)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Rules) != 1 {
		t.Fatalf("%d rules, want 1", len(s.Rules))
	}
	return s.Rules[0]
}

func TestStarsOfTargetsMatchAnyCharacters(t *testing.T) {
	for _, row := range []struct {
		target, name string
		want         bool
	}{
		{"x.com", "x.com", true}, {"x.com", "a.x.com", false},
		{"*.x.com", "x.com", false}, {"*.x.com", "a.x.com", true}, {"*.x.com", "a.b.x.com", true}, {"*.x.com", "evilx.com", false},
		{"*x.com", "x.com", true}, {"*x.com", "evilx.com", true}, {"*x.com", "a.b.x.com", true},
		{"ab*.x.com", "abc.d.x.com", true}, {"ab*.x.com", "b.x.com", false},
		{"a*z.x.com", "a.b.z.x.com", true}, {"*", "any.example", true}, {"X.COM.", "x.com", true},
	} {
		r := one(t, "application", fmt.Sprintf(`{"name": "r", "sourceAddresses": ["*"], "protocols": [{"protocolType": "Https", "port": 443}], "targetFqdns": [%q]}`, row.target), Options{})
		f := flowset.Flow{Src: netip.MustParseAddr("10.0.0.1"), Class: flowset.TLS, Port: 443, Name: dnsname.MustParse(row.name), Dst: netip.MustParseAddr("192.0.2.1")}
		if got := r.Sure().Contains(f); got != row.want {
			t.Errorf("%s to %s: got %t, want %t", row.target, row.name, got, row.want)
		}
	}
}

func TestAddressesInEveryNotation(t *testing.T) {
	tags, err := catalog.ReadServiceTags(strings.NewReader(`{"changeNumber": 1, "cloud": "Public", "values": [{"name": "AzureCloud.westeurope", "properties": {"addressPrefixes": ["192.0.2.0/24"]}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		text, addr   string
		sure, maybe  bool
		dead, silent bool
	}{
		{text: "*", addr: "1.2.3.4", sure: true, maybe: true},
		{text: "10.0.0.0/8", addr: "10.255.0.1", sure: true, maybe: true},
		{text: "10.0.0.7", addr: "10.0.0.8"},
		{text: "10.0.0.4-10.0.1.6", addr: "10.0.1.6", sure: true, maybe: true},
		{text: "10.0.0.4-10.0.1.6", addr: "10.0.1.7"},
		{text: "0.0.0.0-255.255.255.255", addr: "255.255.255.255", sure: true, maybe: true},
		{text: "10.0.0.9-10.0.0.4", addr: "10.0.0.5", dead: true},
		{text: "AzureCloud.westeurope", addr: "192.0.2.9", sure: true, maybe: true},
		{text: "AzureCloud.westeurope", addr: "198.51.100.1"},
		{text: "Storage", addr: "1.2.3.4", maybe: true},
		{text: "AzureCloud.*", addr: "1.2.3.4", dead: true},
		{text: "a.b.example.com", addr: "1.2.3.4", dead: true},
	} {
		r := one(t, "network", fmt.Sprintf(`{"name": "r", "sourceAddresses": ["*"], "protocols": ["Any"], "destinationPorts": ["*"], "destinationAddresses": [%q]}`, row.text), Options{Tags: tags})
		f := flowset.Flow{Src: netip.MustParseAddr("10.0.0.1"), Class: flowset.ICMP, Dst: netip.MustParseAddr(row.addr)}
		if s, m := r.Sure().Contains(f), r.Maybe().Contains(f); s != row.sure || m != row.maybe || (r.Dead != "") != row.dead {
			t.Errorf("%s to %s: sure %t, maybe %t, dead %q", row.text, row.addr, s, m, r.Dead)
		}
	}
}

func TestWhatIsNotKnownIsNeverEmpty(t *testing.T) {
	for _, rule := range []string{
		`{"name": "r", "sourceAddresses": ["*"], "protocols": ["TCP"], "destinationPorts": ["443"], "destinationAddresses": ["[parameters('x')]"]}`,
		`{"name": "r", "sourceAddresses": "[parameters('x')]", "protocols": ["TCP"], "destinationPorts": ["443"], "destinationAddresses": ["*"]}`,
		`{"name": "r", "sourceAddresses": ["*"], "protocols": ["[parameters('x')]"], "destinationPorts": ["443"], "destinationAddresses": ["*"]}`,
		`{"name": "r", "sourceAddresses": ["*"], "protocols": ["TCP"], "destinationPorts": ["[parameters('x')]"], "destinationAddresses": ["*"]}`,
		`{"name": "r", "sourceAddresses": ["*"], "protocols": ["TCP"], "destinationPorts": ["443"], "destinationFqdns": ["a.[x"], "destinationIpGroups": ["g"]}`,
		`{"name": "r"}`,
		`"[parameters('x')]"`,
	} {
		f := flowset.Flow{Src: netip.MustParseAddr("10.0.0.1"), Class: flowset.TLS, Port: 443, Dst: netip.MustParseAddr("192.0.2.1")}
		text := `{"networkRuleCollections": [{"name": "c", "priority": 100, "action": {"type": "Allow"}, "rules": [` + rule + `]}]}`
		s, err := Read([]File{{"fw.json", []byte(text)}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if e := s.Evaluate(); e.Sure.Contains(f) || !e.Maybe.Contains(f) || len(s.Rules[0].Unknown) == 0 {
			t.Errorf("%s: sure %t, maybe %t, unknown %v", rule, e.Sure.Contains(f), e.Maybe.Contains(f), s.Rules[0].Unknown)
		}
	}
}

func TestAnActionThatIsNotKnownMayDenyAndMayAllow(t *testing.T) {
	s, err := Read([]File{{"fw.json", []byte(`{"networkRuleCollections": [
		{"name": "a", "priority": 100, "action": {"type": "[parameters('x')]"}, "rules": [{"name": "r", "sourceAddresses": ["*"], "protocols": ["TCP"], "destinationPorts": ["443"], "destinationAddresses": ["*"]}]},
		{"name": "b", "priority": 200, "action": {"type": "Allow"}, "rules": [{"name": "r", "sourceAddresses": ["*"], "protocols": ["TCP"], "destinationPorts": ["443", "80"], "destinationAddresses": ["*"]}]}]}`)}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := s.Evaluate()
	f := flowset.Flow{Src: netip.MustParseAddr("10.0.0.1"), Class: flowset.TLS, Port: 443, Dst: netip.MustParseAddr("192.0.2.1")}
	if e.Sure.Contains(f) || !e.Maybe.Contains(f) {
		t.Errorf("%s: sure %t, maybe %t", f, e.Sure.Contains(f), e.Maybe.Contains(f))
	}
	f.Port = 80
	if !e.Sure.Contains(f) {
		t.Errorf("%s is not certain", f)
	}
}

func TestAParentPolicyComesFirstWhateverThePriorities(t *testing.T) {
	group := func(policy, priority string) string {
		return `{"id": "/subscriptions/0/resourceGroups/rg/providers/Microsoft.Network/firewallPolicies/` + policy + `/ruleCollectionGroups/g", "name": "g", "priority": ` + priority + `,
			"ruleCollections": [{"name": "` + policy + `", "priority": 100, "action": {"type": "Allow"}, "rules": [{"name": "r", "ruleType": "NetworkRule", "sourceAddresses": ["*"], "ipProtocols": ["TCP"], "destinationPorts": ["1"], "destinationAddresses": ["*"]}]}]}`
	}
	s, err := Read([]File{
		{"groups.json", []byte("[" + group("child", "100") + "," + group("base", "900") + "]")},
		{"policies.json", []byte(`[{"type": "Microsoft.Network/FirewallPolicies", "name": "child", "basePolicy": {"id": "/subscriptions/0/resourceGroups/rg/providers/Microsoft.Network/firewallPolicies/base"}},
			{"type": "Microsoft.Network/FirewallPolicies", "name": "base"}]`)},
	}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Rules) != 2 || s.Rules[0].Collection != "base" || s.Rules[1].Collection != "child" {
		t.Errorf("got %v", s.Rules)
	}
}

func TestARuleWithoutAnySourceIsDead(t *testing.T) {
	r := one(t, "network", `{"name": "r", "sourceAddresses": ["AzureCloud.*"], "protocols": ["TCP"], "destinationPorts": ["1"], "destinationAddresses": ["*"]}`, Options{})
	if r.Dead == "" {
		t.Errorf("got %+v", r)
	}
}

func TestALargePolicyIsReadInTime(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"networkRuleCollections": [{"name": "c", "priority": 100, "action": {"type": "Allow"}, "rules": [`)
	for i := range 10_000 {
		fmt.Fprintf(&b, `{"name": "r%d", "sourceAddresses": ["10.0.0.0/8"], "protocols": ["TCP"], "destinationPorts": ["443"], "destinationAddresses": ["10.1.%d.%d", "AzureCloud"]},`, i, i/250, i%250)
	}
	b.WriteString(`]}]}`)
	s, err := Read([]File{{"fw.json", []byte(b.String())}}, Options{})
	if err != nil || len(s.Rules) != 10_000 {
		t.Fatalf("%d rules, %v", len(s.Rules), err)
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"a.json", "{\n  \"a\": }", "a.json:2:8: "},
		{"a.json", "{\"a\": \"", "a.json:1:7: text without end"},
		{"a.tf", "resource \"x\" {\n  a = \n}", "a.tf:2:"},
		{"a.tf", strings.Repeat("[", 300), "nested too deeply"},
		{"a.json", strings.Repeat("[", 300), "nested too deeply"},
		{"a.bicep", "no bicep at all", "a.bicep:1:1: "},
		{"a.txt", "nothing", "is none of"},
		{"a.json", strings.Repeat(" ", maxFile+1), "is longer than 16 MiB"},
	} {
		_, err := Read([]File{{row.name, []byte(row.text)}}, Options{})
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s %.20q: got %v, want %s", row.name, row.text, err, row.want)
		}
	}
}

func TestFormsAreDetectedByExtensionAndContent(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"x.json", `{"$schema": "https://schema.management.azure.com/x"}`, "arm"}, {"x.json", `[]`, "az-json"},
		{"x.tf", "", "terraform"}, {"x.tfvars", "", "tfvars"}, {"x.md", "", "az-cli"}, {"x.bicep", "", "bicep"},
		{"x", "# c\naz network firewall create", "az-cli"}, {"x", "resource \"a\" \"b\" {\n}", "terraform"},
		{"x", "param x string", "bicep"}, {"x", "a = {\n}", "tfvars"}, {"x", "{}", "az-json"}, {"x", "text", ""},
	} {
		if got, _ := Detect(row.name, []byte(row.text)); got != row.want {
			t.Errorf("%s %q: got %q, want %q", row.name, row.text, got, row.want)
		}
	}
}
