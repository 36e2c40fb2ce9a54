// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package armcheck

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v9"
	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/firewall/azure"
	"github.com/sallyport/sallyport/internal/exampletest"
	"github.com/sallyport/sallyport/netset"
)

// template is what of an ARM template is looked at.
type template struct {
	Resources []struct {
		Type, APIVersion string
		Name             string
		Properties       json.RawMessage
	}
}

// TestTheVendorsTypesLoseNothing: what the types do not know they drop, and what
// they know under another kind they refuse.
func TestTheVendorsTypesLoseNothing(t *testing.T) {
	small := azure.DefaultLayout
	small.Limits.GroupBytes = 4000
	rules := 0
	for name, p := range exampletest.Programs(t) {
		for _, layout := range []azure.Layout{azure.DefaultLayout, small} {
			text, left := azure.ARM(p, layout)
			t.Logf("%s: %d of %d rules are left out, or a part of them", name, len(left), len(p.Rules))
			var doc template
			if err := json.Unmarshal(text, &doc); err != nil {
				t.Fatal(err)
			}
			if len(doc.Resources) == 0 || layout.Limits.GroupBytes == 4000 && len(doc.Resources) < 2 {
				t.Fatalf("%s: %d groups", name, len(doc.Resources))
			}
			for _, r := range doc.Resources {
				in, err := json.Marshal(map[string]any{"properties": r.Properties})
				if err != nil {
					t.Fatal(err)
				}
				var g armnetwork.FirewallPolicyRuleCollectionGroup
				if err := json.Unmarshal(in, &g); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				out, err := json.Marshal(g)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(decode(t, in), decode(t, out)); diff != "" {
					t.Fatalf("%s: -written +through the vendor's types:\n%s", name, diff)
				}
				rules += check(t, g.Properties)
			}
		}
	}
	t.Logf("%d rules went through", rules)
	if rules == 0 {
		t.Error("no rule was looked at")
	}
}

func decode(t *testing.T, data []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// check asserts that each enumeration has a value that the vendor knows, and
// returns the number of rules.
func check(t *testing.T, p *armnetwork.FirewallPolicyRuleCollectionGroupProperties) (rules int) {
	t.Helper()
	if *p.Priority < 100 || *p.Priority > 65000 {
		t.Errorf("priority %d", *p.Priority)
	}
	for _, any := range p.RuleCollections {
		c, ok := any.(*armnetwork.FirewallPolicyFilterRuleCollection)
		if !ok {
			t.Fatalf("a collection is a %T", any)
		}
		known(t, *c.Action.Type, armnetwork.PossibleFirewallPolicyFilterRuleCollectionActionTypeValues())
		known(t, *c.RuleCollectionType, armnetwork.PossibleFirewallPolicyRuleCollectionTypeValues())
		for _, any := range c.Rules {
			rules++
			switch r := any.(type) {
			case *armnetwork.Rule: // by address
				known(t, *r.RuleType, armnetwork.PossibleFirewallPolicyRuleTypeValues())
				for _, p := range r.IPProtocols {
					known(t, *p, armnetwork.PossibleFirewallPolicyRuleNetworkProtocolValues())
				}
				if len(r.SourceAddresses) == 0 || len(r.DestinationPorts) == 0 || len(r.DestinationAddresses)+len(r.DestinationFqdns) == 0 {
					t.Errorf("%s: an empty list means any", *r.Name)
				}
				prefixes(t, r.SourceAddresses, r.DestinationAddresses)
			case *armnetwork.ApplicationRule:
				known(t, *r.RuleType, armnetwork.PossibleFirewallPolicyRuleTypeValues())
				for _, p := range r.Protocols {
					known(t, *p.ProtocolType, armnetwork.PossibleFirewallPolicyRuleApplicationProtocolTypeValues())
					if *p.Port < 1 || *p.Port > 64000 {
						t.Errorf("%s: port %d", *r.Name, *p.Port)
					}
				}
				if len(r.SourceAddresses) == 0 || len(r.Protocols) == 0 || len(r.TargetFqdns) == 0 {
					t.Errorf("%s: an empty list", *r.Name)
				}
				prefixes(t, r.SourceAddresses)
			default:
				t.Fatalf("a rule is a %T", any)
			}
		}
	}
	return rules
}

func known[E comparable](t *testing.T, got E, values []E) {
	t.Helper()
	if !slices.Contains(values, got) {
		t.Errorf("%v is none of %v", got, values)
	}
}

func prefixes(t *testing.T, lists ...[]*string) {
	t.Helper()
	for _, list := range lists {
		for _, s := range list {
			if p, err := netset.ParsePrefix(*s); err != nil || !p.Addr().Is4() {
				t.Errorf("%s is no IPv4 prefix: %v", *s, err)
			}
		}
	}
}

// TestALossWouldBeSeen guards the check itself: a misspelt key is dropped.
func TestALossWouldBeSeen(t *testing.T) {
	in := []byte(`{"properties": {"priority": 100, "ruleCollections": [{"ruleCollectionType": "FirewallPolicyFilterRuleCollection", "rules": [
		{"ruleType": "ApplicationRule", "name": "r", "targetFqdn": ["a.com"]}]}]}}`)
	var g armnetwork.FirewallPolicyRuleCollectionGroup
	if err := json.Unmarshal(in, &g); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	if cmp.Equal(decode(t, in), decode(t, out)) {
		t.Error("a key that Azure does not have went through")
	}
}
