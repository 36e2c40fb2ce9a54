// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/flow"
)

// wants turns lines such as "27 base AzureCloud *.x.io https/443,tcp/22
// repaired" into one line a row; "-" is no cloud.
func wants(s string) []string {
	var out []string
	for _, l := range strings.Split(strings.TrimSpace(s), "\n") {
		f := strings.Fields(l)
		for _, port := range strings.Split(f[4], ",") {
			out = append(out, strings.Join([]string{f[0], f[1], f[2], f[3], port, f[5]}, " "))
		}
	}
	slices.Sort(out)
	return out
}

func spelled(rows []Row) []string {
	var out []string
	for _, r := range rows {
		cloud := r.Cloud
		if cloud == "" {
			cloud = "-"
		}
		out = append(out, fmt.Sprintf("%d %s %s %s %s/%d %s", r.Line, r.Feature, cloud, r.Destination, r.Protocol, r.Port, r.Status))
	}
	slices.Sort(out)
	return out
}

func compare(t *testing.T, got, want []string) {
	t.Helper()
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("lost  %s", w)
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			t.Errorf("wrong %s", g)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
}

func TestTheGermanSeedHoldsTheSeedsPairs(t *testing.T) {
	var seed struct {
		Rows []struct {
			Line         int    `json:"line"`
			Feature      string `json:"feature"`
			Cloud        string `json:"cloud"`
			Destinations []struct {
				FQDN string `json:"fqdn"`
			} `json:"destinations"`
			Ports []struct {
				Protocol string `json:"protocol"`
				Port     uint16 `json:"port"`
			} `json:"ports"`
		} `json:"fqdn_rows"`
	}
	if err := json.Unmarshal(readShared(t, "catalog/seed-2020-03-10.json"), &seed); err != nil {
		t.Fatal(err)
	}
	clouds := map[string]string{
		"AzurePublicCloud": catalog.AzureCloud, "AzureChinaCloud": catalog.AzureChinaCloud, "AzureUSGovernmentCloud": catalog.AzureUSGovernment,
	}
	var want []string
	for _, r := range seed.Rows {
		for _, d := range r.Destinations {
			for _, p := range r.Ports {
				proto, err := flow.ParseProtocol(p.Protocol)
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, fmt.Sprintf("%d %s exact", r.Line, key(r.Feature, clouds[r.Cloud], d.FQDN, proto, p.Port)))
			}
		}
	}
	if len(want) != 75 {
		t.Fatalf("the seed has %d pairs", len(want))
	}
	for name, known := range map[string][]Known{"with the catalog": readTimeline(t).known(t), "without": nil} {
		e, err := Markdown(readShared(t, "docs/seed-de-2020-03-10.md"), known)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range e.Rows {
			got = append(got, fmt.Sprintf("%d %s %s", r.Line, key(r.Feature, r.Cloud, r.Destination, r.Protocol, r.Port), r.Status))
		}
		compare(t, got, want)
		if e.Locale != "de-DE" || e.MSDate.Format("2006-01-02") != "2020-03-10" || len(e.Findings) != 0 || e.Tables != 9 {
			t.Errorf("%s: %s, %v, %d tables, findings %+v", name, e.Locale, e.MSDate, e.Tables, e.Findings)
		}
		bullets := spelled(e.Bullets)
		compare(t, bullets, wants(`
51 base - * tcp/443 exact
52 base - APIServerPublicIP tcp/443 exact
53 base - * tcp/9000,tcp/22,udp/1194 exact
55 base - * udp/123 exact
56 base - * udp/53 exact`))
	}
}

// The rows below were written down by a reader of the documents.
var localized = []struct {
	file     string
	rows     string
	findings string // line, kind and result, in order; notes left out
	notes    int
}{
	{
		file: "Microsoft-azure-docs.cs-cz.cs-CZ.2020-03-09.md",
		rows: `
27 base AzureCloud *.hcp.<location>.azmk8s.io https/443,tcp/22,tcp/9000,udp/1194 repaired
28 base AzureCloud *.tun.<location>.azmk8s.io https/443,tcp/22,tcp/9000,udp/1194 repaired
29 base AzureCloud *.cdn.mscr.io https/443 exact
30 base AzureCloud *.data.mcr.microsoft.com https/443 repaired
36 base AzureChinaCloud *.hcp.<location>.cx.prod.service.azk8s.cn https/443,tcp/22,tcp/9000,udp/1194 repaired
37 base AzureChinaCloud *.azk8s.cn https/443 repaired
43 base AzureUSGovernment *.hcp.<location>.cx.aks.containerservice.azure.us https/443,tcp/22,tcp/9000,udp/1194 repaired
44 base AzureUSGovernment *.cdn.mscr.io https/443 exact
50 dev-spaces - gcr.io http/443 exact`,
		findings: `
27 repaired *.hcp.<location>.azmk8s.io
28 repaired *.tun.<location>.azmk8s.io
30 repaired *.data.mcr.microsoft.com
36 repaired *.hcp.<location>.cx.prod.service.azk8s.cn
37 repaired *.azk8s.cn
43 repaired *.hcp.<location>.cx.aks.containerservice.azure.us`,
	},
	{
		file: "LuBu0505-mc-docs.zh-cn.zh-CN.2021-02-01.md",
		rows: `
23 base AzureChinaCloud * udp/1194 exact
23 base AzureChinaCloud AzureCloud.<Region> udp/1194 repaired
23 base AzureChinaCloud RegionCIDRs udp/1194 exact
23 base AzureChinaCloud APIServerPublicIP udp/1194 exact
24 base AzureChinaCloud * tcp/9000 exact
24 base AzureChinaCloud AzureCloud.<Region> tcp/9000 exact
24 base AzureChinaCloud RegionCIDRs tcp/9000 exact
24 base AzureChinaCloud APIServerPublicIP tcp/9000 exact
25 base AzureChinaCloud * tcp/22 exact
25 base AzureChinaCloud AzureCloud.<Region> tcp/22 exact
25 base AzureChinaCloud RegionCIDRs tcp/22 exact
25 base AzureChinaCloud APIServerPublicIP tcp/22 exact
26 base AzureChinaCloud * udp/123 exact
26 base AzureChinaCloud ntp.ubuntu.com udp/123 exact
27 base AzureChinaCloud CustomDNSIP udp/53 exact
28 base AzureChinaCloud APIServerPublicIP tcp/443 exact
34 base AzureChinaCloud *.hcp.<location>.cx.prod.service.azk8s.cn https/443 exact
35 base AzureChinaCloud *.tun.<location>.cx.prod.service.azk8s.cn https/443 exact
36 base AzureChinaCloud mcr.microsoft.com https/443 exact
37 base AzureChinaCloud .data.mcr.microsoft.com https/443 exact
38 base AzureChinaCloud management.chinacloudapi.cn https/443 exact
39 base AzureChinaCloud login.chinacloudapi.cn https/443 exact
40 base AzureChinaCloud packages.microsoft.com https/443 exact
41 base AzureChinaCloud *.azk8s.cn https/443 exact
51 azure-monitor - AzureMonitor tcp/443 exact
57 azure-monitor - dc.services.visualstudio.com https/443 exact
58 azure-monitor - *.ods.opinsights.azure.cn https/443 exact
59 azure-monitor - *.oms.opinsights.azure.cn https/443 exact
60 azure-monitor - *.monitoring.azure.com https/443 exact
68 dev-spaces - AzureDevSpaces tcp/443 exact
74 dev-spaces - cloudflare.docker.com https/443 exact
75 dev-spaces - gcr.azk8s.cn https/443 exact
76 dev-spaces - storage.googleapis.com https/443 exact
84 azure-policy - data.policy.core.chinacloudapi.cn https/443 exact
85 azure-policy - store.policy.core.chinacloudapi.cn https/443 exact
86 azure-policy - gov-prod-policy-data.trafficmanager.cn https/443 exact
87 azure-policy - raw.githubusercontent.com https/443 exact
88 azure-policy - dc.services.visualstudio.com https/443 exact`,
		findings: `
23 repaired AzureCloud.<Region>`,
	},
	{
		// Rows of many editions under no heading: the names tell feature and cloud.
		file: "fragments.md",
		rows: `
6 base - * udp/1194 exact
6 base - AzureCloud.<Region> udp/1194 exact
6 base - RegionCIDRs udp/1194 exact
6 base - APIServerPublicIP udp/1194 exact
7 base - * udp/123 exact
7 base - ntp.ubuntu.com udp/123 exact
12 base - * udp/123 exact
12 base - ntp.ubuntu.com udp/123 exact
15 base AzureCloud *.hcp.<location>.azmk8s.io https/443,tcp/22,tcp/9000,udp/1194 repaired
17 base AzureCloud *.hcp.<location>.azmk8s.io https/443,tcp/22,tcp/9000,udp/1194 repaired
18 base AzureCloud *.hcp.<location>.azmk8s.io https/443,tcp/22,tcp/9000,udp/1194 repaired
19 base AzureCloud *.hcp.<location>.azmk8s.io https/443,tcp/22,tcp/9000,udp/1194 repaired
20 base AzureCloud *.hcp.<location>.azmk8s.io https/443,tcp/22,tcp/9000,udp/1194 repaired
21 base AzureCloud *.hcp.<location>.azmk8s.io https/443,tcp/22,tcp/9000,udp/1194 repaired
22 base AzureChinaCloud *.hcp.<location>.cx.prod.service.azk8s.cn https/443,tcp/22,tcp/9000,udp/1194 from-catalog
23 base AzureCloud *.hcp.<location>.azmk8s.io https/443,tcp/22,tcp/9000,udp/1194 repaired
24 base AzureChinaCloud *.hcp.<location>.cx.prod.service.azk8s.cn https/443,tcp/22,tcp/9000,udp/1194 repaired
25 optional - security.ubuntu.com http/80 repaired
25 optional - azure.archive.ubuntu.com http/80 repaired
25 optional - changelogs.ubuntu.com http/80 repaired
26 optional - security.ubuntu.com http/80 repaired
26 optional - azure.archive.ubuntu.com http/80 repaired
26 optional - changelogs.ubuntu.com http/80 repaired
27 windows - mp.microsoft.com http/80 repaired
27 windows - www.msftconnecttest.com http/80 repaired
27 windows - ctldl.windowsupdate.com http/80 repaired
28 windows - kms.core.windows.net tcp/1688 repaired
29 windows - mp.microsoft.com http/80 exact
29 windows - www.msftconnecttest.com http/80 repaired
29 windows - ctldl.windowsupdate.com http/80 exact
30 windows - mp.microsoft.com http/80 exact
30 windows - www.msftconnecttest.com http/80 repaired
30 windows - ctldl.windowsupdate.com http/80 exact
31 windows - mp.microsoft.com http/80 exact
31 windows - www.msftconnecttest.com http/80 exact
31 windows - ctldl.windowsupdate.com http/80 exact`,
		findings: `
15 repaired *.hcp.<location>.azmk8s.io
17 repaired *.hcp.<location>.azmk8s.io
18 repaired *.hcp.<location>.azmk8s.io
19 repaired *.hcp.<location>.azmk8s.io
20 repaired *.hcp.<location>.azmk8s.io
21 repaired *.hcp.<location>.azmk8s.io
22 from-catalog *.hcp.<location>.cx.prod.service.azk8s.cn
23 repaired *.hcp.<location>.azmk8s.io
24 repaired HTTPS:443, TCP:22, TCP:9000, UDP:1194
25 repaired security.ubuntu.com
25 repaired HTTP:80
25 repaired azure.archive.ubuntu.com
25 repaired changelogs.ubuntu.com
26 repaired security.ubuntu.com
26 repaired azure.archive.ubuntu.com
26 repaired changelogs.ubuntu.com
27 repaired HTTP:80
28 repaired TCP:1688
29 repaired www.msftconnecttest.com
30 repaired www.msftconnecttest.com`,
		notes: 4,
	},
}

func TestLocalizedEditions(t *testing.T) {
	for _, tt := range localized {
		t.Run(tt.file, func(t *testing.T) {
			e, err := Markdown(readShared(t, "docs/"+tt.file), readTimeline(t).known(t))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, spelled(e.Rows), wants(tt.rows))
			var findings []string
			notes := 0
			for _, f := range e.Findings {
				if f.Kind == FindingNote {
					notes++
					continue
				}
				findings = append(findings, fmt.Sprintf("%d %s %s", f.Line, f.Kind, f.Result))
			}
			if got, want := strings.Join(findings, "\n"), strings.TrimSpace(tt.findings); got != want {
				t.Errorf("findings\n%s\nwant\n%s", got, want)
			}
			if notes != tt.notes {
				t.Errorf("%d notes, want %d", notes, tt.notes)
			}
		})
	}
}

// Both pages tell how to route and filter; their tables list outbound types and
// shell variables, and no cell of them is a port.
func TestRelatedPagesAreNoEditions(t *testing.T) {
	for _, name := range []string{"related-egress-outboundtype-2026.md", "related-firewall-walkthrough-2026.md"} {
		e, err := Markdown(readShared(t, "docs/"+name), nil)
		if !errors.Is(err, ErrNoTable) || e != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
