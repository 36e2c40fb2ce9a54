// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/firewall"
	"github.com/sallyport/sallyport/firewall/azure"
	"github.com/sallyport/sallyport/internal/exampletest"
	"github.com/sallyport/sallyport/program"
)

func compiled(t *testing.T, location string) *program.Program {
	t.Helper()
	_, p := exampletest.Compile(t, "c.yaml", []byte(`cloud: AzureCloud
location: `+location+`
network: {plugin: azure, mode: overlay, nodes: [10.240.0.0/16], pods: [10.244.0.0/16]}
addOns: [monitoring, azure-policy]
optional: true
loadBalancers: [20.50.140.9]
`))
	return p
}

// found lists findings as "check term", and keeps out what hangs on positions.
func found(r audit.Report) []string {
	var out []string
	for _, f := range r.Findings {
		out = append(out, string(f.Check)+" "+f.Term)
	}
	return out
}

func run(t *testing.T, p *program.Program, files ...azure.File) audit.Report {
	t.Helper()
	rules, err := azure.Read(files, azure.Options{Location: p.Cluster.Location})
	if err != nil {
		t.Fatal(err)
	}
	return audit.Run(rules, p)
}

const shared = "../../shared/data/firewalls"

func file(t *testing.T, name string) azure.File {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(shared, name))
	if err != nil {
		t.Skipf("the real configurations are not at hand: %v", err)
	}
	return azure.File{Name: name, Data: data}
}

// TestWhatSomebodyFoundByHandIsFound has the findings of people who read the
// files.
func TestWhatSomebodyFoundByHandIsFound(t *testing.T) {
	for _, row := range []struct {
		name     string
		files    []string
		location string
		want     []string
		not      []string // prefixes of what would be false
	}{
		{"classic_ARM_2020", []string{"aks-baseline-hub-2020-04.arm.json"}, "eastus2", []string{
			"void HTTP-and-HTTPS", "too-wide *", "too-wide *.microsoftonline.com", "obsolete *.cdn.mscr.io", "obsolete *.tun.eastus2.azmk8s.io",
			"obsolete tcp/22", "obsolete gov-prod-policy-data.trafficmanager.net", "obsolete raw.githubusercontent.com", "obsolete *.gk.eastus2.azmk8s.io",
			"missing packages.aks.azure.com", "missing mcr-0001.mcr-msedge.net", "missing data.policy.core.windows.net", "missing store.policy.core.windows.net",
		}, []string{"too-wide mcr.microsoft.com", "missing mcr.microsoft.com", "obsolete *.data.mcr.microsoft.com"}},
		{"policy_ARM_2022", []string{"aks-baseline-hub-2022-01.arm.json"}, "eastus2", []string{
			"no-source DNS", "too-wide *", "too-wide AzureCloud.eastus2", "too-wide *.blob.core.windows.net", "too-wide *.docker.io", "too-wide *.docker.com",
			"assumed ",
		}, []string{"missing", "void"}},
		{"CAF_tfvars_2021", []string{"caf-aks-app-2021-05.tfvars", "caf-aks-net-2021-05.tfvars"}, "southeastasia", []string{
			"too-wide AzureCloud", "too-wide *", "too-wide *.githubusercontent.com", "too-wide *.docker.io", "too-wide *.snapcraft.io", "obsolete tcp/22",
		}, []string{"missing"}},
		{"az_CLI_2020", []string{"walkthrough-az-cli-2020-06.md"}, "eastus", []string{
			"no-source apiudp", "no-source apitcp", "no-source time", "too-wide AzureCloud.eastus", "obsolete tcp/9000", "obsolete udp/1194",
		}, []string{"dns-proxy", "asymmetric-routing", "missing"}},
		{"az_CLI_2026", []string{"walkthrough-az-cli-2026-07.md"}, "eastus2", []string{
			"no-source apiudp", "no-source ghcr", "too-wide AzureCloud.eastus2", "obsolete tcp/9000", "obsolete udp/1194",
		}, []string{"dns-proxy", "asymmetric-routing", "missing"}},
		{"routes_with_a_public_load_balancer", []string{"caf-aks-routes-2021-05.tfvars"}, "southeastasia", []string{"asymmetric-routing 0.0.0.0/0"}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			var files []azure.File
			for _, n := range row.files {
				files = append(files, file(t, n))
			}
			r := run(t, compiled(t, row.location), files...)
			got := found(r)
			for _, w := range row.want {
				if !slices.Contains(got, w) {
					t.Errorf("not found: %s\n%s", w, strings.Join(got, "\n"))
				}
			}
			for _, n := range row.not {
				if i := slices.IndexFunc(got, func(g string) bool { return strings.HasPrefix(g, n) }); i >= 0 {
					t.Errorf("false alarm: %s: %s", got[i], r.Findings[i].Text)
				}
			}
			for _, f := range r.Findings {
				if f.Check != audit.Missing && f.Check != audit.Assumed && f.Pos.Line == 0 || f.ID == "" || f.Text == "" || f.Fix == "" {
					t.Errorf("not whole: %+v", f)
				}
			}
		})
	}
}

// TestFindingsSurviveRenamedRules: their ids hang on what rules match.
func TestFindingsSurviveRenamedRules(t *testing.T) {
	f := file(t, "aks-baseline-hub-2020-04.arm.json")
	p := compiled(t, "eastus2")
	ids := func(r audit.Report) []string {
		var out []string
		for _, f := range r.Findings {
			out = append(out, f.ID)
		}
		slices.Sort(out)
		return out
	}
	want := ids(run(t, p, f))
	n := 0
	renamed := regexp.MustCompile(`"name": "([A-Za-z-]+)",(\s+"(?:protocols|sourceAddresses|description|sourceIpGroups|properties)")`).ReplaceAllStringFunc(string(f.Data), func(s string) string {
		n++
		return strings.Replace(s, `"name": "`, fmt.Sprintf(`"name": "x%d-`, n), 1)
	})
	if n < 5 {
		t.Fatalf("only %d rules were renamed", n)
	}
	if got := ids(run(t, p, azure.File{Name: f.Name, Data: []byte(renamed)})); !slices.Equal(got, want) {
		t.Errorf("after renaming %d rules:\n%v\nwant\n%v", n, got, want)
	}
}

// TestWhatWasRenderedHasNoFindings: a translation of the program is what the
// cluster needs, no more and no less.
func TestWhatWasRenderedHasNoFindings(t *testing.T) {
	p := compiled(t, "westeurope")
	for _, name := range []string{"azure-arm", "azure-terraform", "azure-cli"} {
		d, ok := firewall.Find(name)
		if !ok {
			t.Fatalf("no dialect %s", name)
		}
		tr, err := firewall.Translate(d, p)
		if err != nil || !tr.Equal() {
			t.Fatalf("%s: %v %+v", name, err, tr.Gaps)
		}
		r := run(t, p, azure.File{Name: tr.Files[0].Name, Data: tr.Files[0].Data})
		if len(r.Findings) > 0 || r.Closed+r.Assumed+r.Extra > 0 || r.Needed != len(p.Rules) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestARuleTakenAwayIsMissed takes each rule away in turn.
func TestARuleTakenAwayIsMissed(t *testing.T) {
	p := compiled(t, "westeurope")
	d, _ := firewall.Find("azure-arm")
	for _, rule := range p.Rules {
		tr, err := firewall.Translate(d, p.Without(rule.ID))
		if err != nil {
			t.Fatal(err)
		}
		r := run(t, p, azure.File{Name: "x.json", Data: tr.Files[0].Data})
		if got := found(r); !slices.Equal(got, []string{"missing " + rule.Destination()}) {
			t.Errorf("without %s: %v", rule.ID, got)
		} else if f := r.Findings[0]; f.Witness == "" || f.Because == "" {
			t.Errorf("without %s: %+v", rule.ID, f)
		}
	}
}
