// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/cluster"
	"github.com/sallyport/sallyport/compile"
	"github.com/sallyport/sallyport/firewall"
	"github.com/sallyport/sallyport/firewall/azure"
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
	describe := func(until string) *cluster.Cluster {
		c, err := cluster.Parse("c.yaml", []byte(`cloud: AzureCloud
location: westeurope
network: {plugin: azure, mode: overlay, nodes: [10.240.0.0/16]}
allow:
- {name: vendor.example.com, ports: [https/443], sources: [nodes], reason: migration, until: `+until+`}
`))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	then, err := compile.Compile(describe("2199-01-01"), catalog.Default(), nil)
	if err != nil {
		t.Fatal(err)
	}
	d, _ := firewall.Find("azure-bicep")
	tr, err := firewall.Translate(d, then)
	if err != nil {
		t.Fatal(err)
	}
	now, err := compile.Compile(describe("2026-01-31"), catalog.Default(), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := azure.File{Name: tr.Files[0].Name, Data: tr.Files[0].Data}
	r := run(t, now, f)
	if got := found(r); !slices.Equal(got, []string{"expired vendor.example.com"}) || r.Findings[0].Check != audit.Expired {
		t.Errorf("%v", got)
	}
	if patched, all := applied(t, now, f); patched != 1 || all != 1 {
		t.Errorf("%d of %d patched", patched, all)
	}
}
