// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/firewall"
	"github.com/sallyport/sallyport/firewall/azure"
	"github.com/sallyport/sallyport/internal/exampletest"
	"github.com/sallyport/sallyport/program"
)

func TestTLSInspectionOfTheAPIServerIsFoundAndTurnedOff(t *testing.T) {
	p := compiled(t, "westeurope")
	for name, change := range map[string][2]string{
		"azure-arm":       {`"ruleType": "ApplicationRule",`, `"ruleType": "ApplicationRule", "terminateTLS": true,`},
		"azure-terraform": {"destination_fqdns", "terminate_tls = true\n      destination_fqdns"},
	} {
		d, _ := firewall.Find(name)
		tr, err := firewall.Translate(d, p)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(string(tr.Files[0].Data), change[0], change[1], -1)
		f := azure.File{Name: tr.Files[0].Name, Data: []byte(text)}
		r := run(t, p, f)
		if got := found(r); !slices.Equal(got, []string{"tls-inspection *.hcp.westeurope.azmk8s.io"}) {
			t.Errorf("%s: %v", name, got)
		}
		if patched, all := applied(t, p, f); patched != all || all == 0 {
			t.Errorf("%s: %d of %d patched", name, patched, all)
		}
	}
}

func TestAnExceptionWhoseTimeIsOverIsFound(t *testing.T) {
	described := func(until string) *program.Program {
		_, p := exampletest.Compile(t, "c.yaml", []byte(`cloud: AzureCloud
location: westeurope
network: {plugin: azure, mode: overlay, nodes: [10.240.0.0/16]}
allow:
- {name: vendor.example.com, ports: [https/443], sources: [nodes], reason: migration, until: `+until+`}
`))
		return p
	}
	then := described("2199-01-01")
	d, _ := firewall.Find("azure-bicep")
	tr, err := firewall.Translate(d, then)
	if err != nil {
		t.Fatal(err)
	}
	now := described("2026-01-31")
	f := azure.File{Name: tr.Files[0].Name, Data: tr.Files[0].Data}
	r := run(t, now, f)
	if got := found(r); !slices.Equal(got, []string{"expired vendor.example.com"}) || r.Findings[0].Check != audit.Expired {
		t.Errorf("%v", got)
	}
	if patched, all := applied(t, now, f); patched != 1 || all != 1 {
		t.Errorf("%d of %d patched", patched, all)
	}
}

func TestAStarThatIsWrittenAsAnEscapeIsAStar(t *testing.T) {
	p := compiled(t, "westeurope")
	d, _ := firewall.Find("azure-bicep")
	tr, err := firewall.Translate(d, p)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(tr.Files[0].Data), "'login.microsoftonline.com'", `'\u{2a}.microsoftonline.com'`, 1)
	if got := found(run(t, p, azure.File{Name: "main.bicep", Data: []byte(text)})); !slices.Equal(got, []string{"too-wide *.microsoftonline.com"}) {
		t.Errorf("%v", got)
	}
}

func TestWhatIsLetThroughForOthersAloneIsMissedWithTheirAddresses(t *testing.T) {
	p := compiled(t, "westeurope")
	d, _ := firewall.Find("azure-arm")
	tr, err := firewall.Translate(d, p)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(tr.Files[0].Data), "10.240.0.0/16", "10.9.0.0/16")
	r := run(t, p, azure.File{Name: "x.json", Data: []byte(text)})
	if len(r.Findings) == 0 || r.Closed != len(p.Rules) || !strings.Contains(r.Findings[0].Text, "let through for others (10.9.0.0/16), but not for the cluster's 10.240.0.0/16") {
		t.Errorf("%d closed: %+v", r.Closed, r.Findings)
	}
}

func TestANameThatIsOpenForASecondProtocolKeepsItsPlace(t *testing.T) {
	p := compiled(t, "westeurope")
	const hub = `resource g 'Microsoft.Network/firewallPolicies/ruleCollectionGroups@2023-04-01' = {
  name: 'hub/names'
  properties: {
    priority: 300
    ruleCollections: [
      {
        ruleCollectionType: 'FirewallPolicyFilterRuleCollection'
        name: 'names'
        priority: 100
        action: { type: 'Allow' }
        rules: [
          {
            ruleType: 'ApplicationRule'
            name: 'images'
            sourceAddresses: [ '10.240.0.0/16' ]
            protocols: [
              { protocolType: 'Http', port: 80 }
              { protocolType: 'Https', port: 443 }
            ]
            targetFqdns: [ '*.data.mcr.microsoft.com' ]
          }
        ]
      }
    ]
  }
}
`
	for _, f := range run(t, p, azure.File{Name: "main.bicep", Data: []byte(hub)}).Findings {
		if f.Check == audit.TooWide && (len(f.Edits) > 0 || f.Severity != audit.Low || !strings.Contains(f.Text, "for more than it is needed for: http/80")) {
			t.Errorf("%+v", f)
		}
	}
}
