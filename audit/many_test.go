// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/firewall"
)

// manyRules is a policy of n application rules, most of them somebody's own
// names, some that the cluster needs, some wildcards, some twice.
func manyRules(n int) []byte {
	var b strings.Builder
	b.WriteString(`{"resources": [{"type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "name": "hub/many",
"properties": {"priority": 300, "ruleCollections": [{"ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "names", "priority": 100,
"action": {"type": "Allow"}, "rules": [
`)
	for i := range n {
		if i > 0 {
			b.WriteString(",\n")
		}
		name := fmt.Sprintf("host%d.team%d.example.com", i, i%97)
		switch {
		case i%100 == 1:
			name = fmt.Sprintf("*.team%d.example.net", i)
		case i%100 == 2:
			name = "mcr.microsoft.com"
		case i%100 == 3:
			name = fmt.Sprintf("team%d*.blob.core.windows.net", i)
		}
		fmt.Fprintf(&b, `{"ruleType": "ApplicationRule", "name": "r%d", "sourceAddresses": ["10.240.%d.0/24"], "protocols": [{"protocolType": "Https", "port": 443}], "targetFqdns": ["%s", "also%d.example.org"]}`,
			i, i%256, name, i)
	}
	b.WriteString("\n]}]}}]}\n")
	return []byte(b.String())
}

func TestTenThousandRulesAreAuditedInSeconds(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	p := compiled(t, "westeurope")
	data := manyRules(10_000)
	begin := time.Now()
	rules, err := firewall.Read([]firewall.File{{Name: "many.json", Data: data}}, firewall.Options{})
	if err != nil {
		t.Fatal(err)
	}
	read := time.Since(begin)
	r := audit.Run(rules, p)
	took := time.Since(begin)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Logf("10,000 rules, %d MiB: read in %v, audited in %v, %d findings, %d MiB from the system", len(data)>>20, read, took, len(r.Findings), m.Sys>>20)
	if took > 2*time.Minute { // 5 s are wanted and logged; what is not linear takes much longer
		t.Errorf("took %v", took)
	}
}

func TestTheLargestRealFileIsAuditedInAMoment(t *testing.T) {
	for _, name := range []string{"aks-baseline-hub-2022-01.arm.json", "aks-baseline-hub-2020-04.arm.json"} {
		f := file(t, name)
		p := compiled(t, "eastus2")
		best := time.Hour
		for range 3 {
			begin := time.Now()
			run(t, p, f)
			best = min(best, time.Since(begin))
		}
		t.Logf("%s, %d KiB: %v", name, len(f.Data)>>10, best)
		if best > 3*time.Second { // 300 ms are wanted; other work may be on the machine
			t.Errorf("%s took %v", name, best)
		}
	}
}
