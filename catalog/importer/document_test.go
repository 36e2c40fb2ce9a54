// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
)

func TestOwnPageIsReadAsItIsMeant(t *testing.T) {
	e, err := Read(strings.NewReader(string(readOwn(t, "page.md"))), ownKnown(t))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, spelled(e.Rows), wants(`
28 base AzureCloud * udp/1194 exact
28 base AzureCloud AzureCloud.<Region> udp/1194 exact
28 base AzureCloud RegionCIDRs udp/1194 exact
28 base AzureCloud APIServerPublicIP udp/1194 exact
29 base AzureCloud * udp/123 exact
29 base AzureCloud ntp.ubuntu.com udp/123 exact
30 base AzureCloud CustomDNSIP udp/53 exact
36 base AzureCloud *.hcp.<location>.azmk8s.io https/443 exact
37 base AzureCloud mcr.microsoft.com https/443 exact
38 base AzureCloud *.data.mcr.microsoft.com https/443 exact
39 base AzureCloud management.azure.com https/443 exact
39 base AzureCloud login.microsoftonline.com https/443 exact
45 base AzureChinaCloud *.hcp.<location>.cx.prod.service.azk8s.cn https/443,tcp/22,tcp/9000 exact
46 base AzureChinaCloud *.azk8s.cn https/443 exact
47 base AzureChinaCloud login.chinacloudapi.cn https/443 exact
53 optional - security.ubuntu.com http/80 exact
53 optional - azure.archive.ubuntu.com http/80 exact
53 optional - changelogs.ubuntu.com http/80 exact
61 windows - www.msftconnecttest.com http/80 exact
61 windows - ctldl.windowsupdate.com http/80 exact
62 windows - kms.core.windows.net tcp/1688 exact
70 azure-monitor - dc.services.visualstudio.com https/443 exact
71 azure-monitor - <cluster-region-name>.handler.control.monitor.azure.com https/443 exact
77 defender - login.microsoftonline.com https/443 exact
77 defender AzureUSGovernment login.microsoftonline.us https/443 exact
77 defender AzureChinaCloud login.chinacloudapi.cn https/443 exact
83 fleet-telemetry-for-barges - barge.contoso.com https/8443 exact`))
	compare(t, spelled(e.Bullets), wants(`
19 base - * tcp/9000,tcp/22,udp/1194 exact
20 base - APIServerPublicIP tcp/443 exact
21 base - * udp/53 exact`))
	if e.Title != "What this cluster talks to" || e.MSDate.Format("2006-01-02") != "2024-03-09" || e.Tables != 8 || e.Format != FormatMarkdown {
		t.Errorf("%q %v, %d tables, %s", e.Title, e.MSDate, e.Tables, e.Format)
	}
	if len(e.Findings) != 1 || e.Findings[0].Kind != FindingNote || !strings.Contains(e.Findings[0].Text, "fleet-telemetry") {
		t.Errorf("findings %+v", e.Findings)
	}
	if p := e.Rows[8].Purpose; p != "Images, first party" {
		t.Errorf("purpose %q", p)
	}
}

// TestSections says which feature and cloud a table gets from what stands above
// it; %s is the place of the table's row.
func TestSections(t *testing.T) {
	const table = "\n\n| F | P |\n|---|---|\n| %s | HTTPS:443 |\n"
	for _, tt := range []struct{ name, page, row, want string }{
		{"a label in a list", "## Required ports and addresses for AKS clusters\n\n- Azure China 21Vianet" + table, "mcr.microsoft.com", "base AzureChinaCloud"},
		{"a label as a paragraph", "## Required ports and addresses for AKS clusters\n\nAzure US Government" + table, "mcr.microsoft.com", "base AzureUSGovernment"},
		{"a label in Czech", "## <a name=\"required-ports-and-addresses-for-aks-clusters\"></a>Porty\n\n- Globální Azure" + table, "mcr.microsoft.com", "base AzureCloud"},
		{"a label in Polish", "## <a name=\"required-ports-and-addresses-for-aks-clusters\"></a>Porty\n- Azure (Chiny)" + table, "mcr.microsoft.com", "base AzureChinaCloud"},
		{"a label in Portuguese", "## <a name=\"required-ports-and-addresses-for-aks-clusters\"></a>Portas\n- Azure Governamental" + table, "mcr.microsoft.com", "base AzureUSGovernment"},
		{"a label in Turkish", "## <a name=\"required-ports-and-addresses-for-aks-clusters\"></a>AKS kümeleri için\n- Azure Çin 21Vianet" + table, "mcr.microsoft.com", "base AzureChinaCloud"},
		{"Turkish for is not China", "## <a name=\"required-ports-and-addresses-for-aks-clusters\"></a>AKS kümeleri için" + table, "login.microsoftonline.com", "base AzureCloud"},
		{"a label that ends the one before", "## Required ports and addresses for AKS clusters\n\n- Azure China" + table + "\n- Azure Elsewhere" + table, "*.hcp.<location>.azmk8s.io", "base AzureCloud"},
		{"a heading that ends a label", "## Required ports and addresses for AKS clusters\n\n- Azure China" + table + "\n## GPU enabled AKS clusters" + table, "nvidia.github.io", "gpu "},
		{"names where no label is", "## Required ports and addresses for AKS clusters" + table, "*.azk8s.cn", "base AzureChinaCloud"},
		{"a heading with two anchors", "### <a name=\"azure-china-21vianet-required-network-rules\"></a><a name=\"x\"></a>中国" + table, "mcr.microsoft.com", "base AzureChinaCloud"},
		{"a generic heading below a feature", "### Azure Policy\n\n#### Required FQDN / application rules" + table, "data.policy.core.windows.net", "azure-policy "},
		{"a cloud below a feature", "### Azure Policy\n\n#### Azure China 21Vianet required FQDN / application rules" + table, "data.policy.azure.cn", "azure-policy AzureChinaCloud"},
		{"a cloud that ends with its heading", "## Azure Policy\n\n### Azure China required rules\n\n### Required rules" + table, "data.policy.core.windows.net", "azure-policy "},
		{"a preview is no cloud", "## Required by Windows Server based nodes (in public preview) enabled" + table, "go.microsoft.com", "windows "},
		{"a proper noun in another language", "---\nms.contentlocale: fr-FR\n---\n## Nœuds basés sur Windows Server" + table, "edge7.contoso.com", "windows "},
		{"optional in another language", "---\nms.contentlocale: de-DE\n---\n## Empfohlene Adressen: optionale" + table, "edge7.contoso.com", "optional "},
		{"a heading that cannot be understood, by its names", "---\nms.contentlocale: fi-FI\n---\n## Näytönohjaimet" + table, "nvidia.github.io", "gpu "},
		{"a heading that cannot be understood, and names that do not tell", "---\nms.contentlocale: fi-FI\n---\n## Jotakin muuta" + table, "edge7.contoso.com", "none"},
		{"a feature of the future", "## AKS features, addons, and integrations\n\n### Quantum nodes\n\n#### Required FQDN / application rules" + table, "q.contoso.com", "quantum-nodes "},
		{"an annotation in the cell", "### Microsoft Defender for Containers" + table, "`a.contoso.us` (Azure Government)", "defender AzureUSGovernment"},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			page := strings.ReplaceAll("# T\n\n"+tt.page, "%s", tt.row)
			if strings.HasPrefix(tt.page, "---") {
				page = strings.ReplaceAll(tt.page, "%s", tt.row)
			}
			e, err := Markdown([]byte(page), ownKnown(t))
			if err != nil {
				t.Fatal(err)
			}
			got := "none"
			if n := len(e.Rows); n > 0 {
				got = e.Rows[n-1].Feature + " " + e.Rows[n-1].Cloud
			}
			if got != tt.want {
				t.Errorf("got %q, want %q\n%s\n%+v", got, tt.want, page, e.Findings)
			}
			if tt.want == "none" && (len(e.Findings) == 0 || e.Findings[0].Kind != FindingUnusable) {
				t.Errorf("findings %+v", e.Findings)
			}
		})
	}
}

func TestEncodings(t *testing.T) {
	page := string(readOwn(t, "page.md")) + "\n| ü€😀 | |\n"
	want, err := Markdown([]byte(page), nil)
	if err != nil {
		t.Fatal(err)
	}
	var le, be []byte
	for _, u := range utf16.Encode([]rune("\ufeff" + page)) {
		le, be = append(le, byte(u), byte(u>>8)), append(be, byte(u>>8), byte(u))
	}
	for name, data := range map[string][]byte{
		"UTF-8 with a mark": []byte("\xef\xbb\xbf" + page),
		"UTF-16 little":     le, "UTF-16 big": be,
		"CRLF": []byte(strings.ReplaceAll(page, "\n", "\r\n")),
	} {
		got, err := Markdown(data, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		compare(t, spelled(got.Rows), spelled(want.Rows))
		if got.Title != want.Title || got.Lines != want.Lines {
			t.Errorf("%s: %q, %d lines", name, got.Title, got.Lines)
		}
	}
}

func TestWhatIsNoTextIsRefused(t *testing.T) {
	for name, tt := range map[string]struct{ data, want string }{
		"another encoding": {"a\nb\xfcc\n", "line 2: byte 0xfc is not valid UTF-8: convert the file first, for example with iconv -f WINDOWS-1252 -t UTF-8"},
		"NUL bytes":        {"a\n\nb\x00", "line 3: holds a NUL byte"},
		"nothing":          {"", ErrNoTable.Error()},
		"another page":     {"# T\n\n| a | b |\n|--|--|\n| port | 443 |\n", ErrNoTable.Error()},
	} {
		_, err := Markdown([]byte(tt.data), nil)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	if _, err := Read(strings.NewReader("[link]: x\n"), nil); !errors.Is(err, ErrNoTable) {
		t.Errorf("a page that begins with a bracket: %v", err)
	}
}

func TestNothingIsLostToWhatIsNeverClosed(t *testing.T) {
	page := string(readOwn(t, "page.md"))
	whole, err := Markdown([]byte(page), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]string{"a fence": "```bash", "a fence of tildes": "~~~~", "a comment": "<!-- to do"} {
		e, err := Markdown([]byte(strings.Replace(page, "## Required outbound", open+"\n## Required outbound", 1)), nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Rows) != len(whole.Rows) || len(e.Findings) != len(whole.Findings)+1 || !strings.Contains(fmt.Sprint(e.Findings), "never closed") {
			t.Errorf("%s: %d rows of %d, %+v", name, len(e.Rows), len(whole.Rows), e.Findings)
		}
	}
}

func TestDates(t *testing.T) {
	for in, want := range map[string]string{
		"03/10/2020": "2020-03-10", "3/9/2020": "2020-03-09", "2020-03-10": "2020-03-10", "2020-3-9": "2020-03-09",
		"2020-03-10T08:00:00Z": "2020-03-10", "02/30/2020": "0001-01-01", "13/01/2020": "0001-01-01", "soon": "0001-01-01", "": "0001-01-01",
	} {
		if got := parseDate(in).Format("2006-01-02"); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestFindingsEndWithHowManyMoreThereAre(t *testing.T) {
	page := "# T\n\n## Azure Global required rules\n\n| a | b |\n|---|---|\n" + strings.Repeat("| the registry | HTTPS:443 |\n", MaxFindings+7)
	e, err := Markdown([]byte(page), nil)
	if err != nil {
		t.Fatal(err)
	}
	last := e.Findings[len(e.Findings)-1]
	if len(e.Findings) != MaxFindings+1 || last.Kind != FindingNote || !strings.Contains(last.Text, "more findings") {
		t.Errorf("%d findings, the last %+v", len(e.Findings), last)
	}
}
