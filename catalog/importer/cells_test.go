// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/flow"
)

// ownKnown reads the tests' own small catalog.
func ownKnown(t testing.TB) []Known {
	t.Helper()
	f, err := os.Open("testdata/known.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []Known
	for sc := bufio.NewScanner(f); sc.Scan(); {
		fields := strings.Fields(sc.Text())
		if len(fields) < 4 || fields[0] == "#" {
			continue
		}
		for _, s := range fields[3:] {
			out = append(out, Known{fields[0], fields[1], fields[2], mustPair(t, s).protocol, mustPair(t, s).port})
		}
	}
	if len(out) < 60 {
		t.Fatalf("only %d pairs", len(out))
	}
	return out
}

func mustPair(t testing.TB, s string) pair {
	t.Helper()
	proto, num, _ := strings.Cut(s, "/")
	p, err := flow.ParseProtocol(proto)
	n, err2 := strconv.ParseUint(num, 10, 16)
	if err != nil || err2 != nil {
		t.Fatalf("pair %q: %v %v", s, err, err2)
	}
	return pair{p, uint16(n)}
}

// oneRow is a page with one table of one row; locale "" is an English page.
func oneRow(locale, heading, row string) string {
	front := ""
	if locale == "" {
		heading = strings.NewReplacer(baseHeading, "## Azure Global required rules", windowsHeading, "## Windows Server based node pools").Replace(heading)
	} else {
		front = "---\nms.contentlocale: " + locale + "\n---\n"
	}
	return front + "# Title\n\n" + heading + "\n\n| a | b | c | d |\n|---|---|---|---|\n" + row + "\n| `probe.example.com` | HTTPS:8443 | | |\n"
}

const (
	baseHeading    = `## <a name="azure-global-required-fqdn--application-rules"></a>Erforderliche Regeln`
	chinaHeading   = `## <a name="azure-china-21vianet-required-fqdn--application-rules"></a>Règles`
	windowsHeading = `## <a name="windows-server-based-node-pools"></a>Windows`
)

// TestCells says what becomes of a row: its rows as "destination pair status",
// in order, and its findings as "kind result", both joined with "; ".
func TestCells(t *testing.T) {
	const en, de, ja = "", "de-DE", "ja-JP"
	for _, tt := range []struct {
		name, locale, heading, row, rows, findings string
	}{
		// Markup that any reader removes.
		{"plain text", en, baseHeading, `| mcr.microsoft.com | HTTPS:443 | x |`, "mcr.microsoft.com https/443 exact", ""},
		{"bold code", en, baseHeading, "| **`mcr.microsoft.com`** | **`HTTPS:443`** | x |", "mcr.microsoft.com https/443 exact", ""},
		{"no outer pipes", en, baseHeading, "mcr.microsoft.com | HTTPS:443 | x", "mcr.microsoft.com https/443 exact", ""},
		{"an entity", en, baseHeading, "| &#42;.cdn.mscr.io&nbsp; | HTTPS:443 | x |", "*.cdn.mscr.io https/443 exact", ""},
		{"a link", en, baseHeading, "| [mcr.microsoft.com](https://mcr.microsoft.com/v2) | HTTPS:443 | x |", "mcr.microsoft.com https/443 exact", ""},
		{"a tag in the name", en, windowsHeading, "| www<span></span>.msftconnecttest.com | HTTP:80 | x |", "www.msftconnecttest.com http/80 exact", ""},
		{"escaped brackets", en, baseHeading, `| \*.hcp.\<location\>.azmk8s.io | HTTPS:443 | x |`, "*.hcp.<location>.azmk8s.io https/443 exact", ""},
		{"brackets that are no tag", en, baseHeading, `| *.hcp.<location>.azmk8s.io | HTTPS:443 | x |`, "*.hcp.<location>.azmk8s.io https/443 exact", ""},
		{"a zero-width space and a mark of direction", en, baseHeading, "| mcr.\u200bmicrosoft.com\u200f | HTTPS:443 | x |", "mcr.microsoft.com https/443 exact", ""},
		{"an escaped pipe in the purpose", en, baseHeading, `| mcr.microsoft.com | HTTPS:443 | a \| b |`, "mcr.microsoft.com https/443 exact", ""},
		{"names in one code span", en, windowsHeading, "| **`*.mp.microsoft.com, ctldl.windowsupdate.com`** | **`HTTP:80`** | x |", "*.mp.microsoft.com http/80 exact; ctldl.windowsupdate.com http/80 exact", ""},
		{"names by line break", en, baseHeading, "| `mcr.microsoft.com` <br/> `management.azure.com` | HTTPS:443 |", "mcr.microsoft.com https/443 exact; management.azure.com https/443 exact", ""},
		{"names by or", en, baseHeading, "| **`mcr.microsoft.com`** or **`management.azure.com`** | HTTPS:443 |", "mcr.microsoft.com https/443 exact; management.azure.com https/443 exact", ""},
		{"two stars that are names", en, baseHeading, "| *.cdn.mscr.io, *.docker.io | HTTPS:443 |", "*.cdn.mscr.io https/443 exact; *.docker.io https/443 exact", ""},
		{"a new name", en, baseHeading, "| `edge7.contoso.com` | HTTPS:443 |", "edge7.contoso.com https/443 exact", ""},
		{"a new name in a translation", de, baseHeading, "| edge7.contoso.com | HTTPS: 443 |", "edge7.contoso.com https/443 exact", ""},
		{"a new placeholder", en, baseHeading, "| `<zone>.edge.contoso.com` | HTTPS:443 |", "<zone>.edge.contoso.com https/443 exact", ""},

		// Columns by content.
		{"a bare port", en, baseHeading, "| `mcr.microsoft.com` | why it is | 443 |", "mcr.microsoft.com https/443 exact", ""},
		{"a bare port 80", en, windowsHeading, "| `mp.microsoft.com` | | 80 |", "mp.microsoft.com http/80 exact", ""},
		{"a bare port that is neither", en, baseHeading, "| `mcr.microsoft.com` | | 8080 |", "", "unusable"},
		{"a protocol column", en, baseHeading, "| `*:1194` | UDP | 1194 | x |", "* udp/1194 exact", ""},
		{"a tag with a link", en, baseHeading, "| [ServiceTag](../service-tags-overview.md) - **`AzureMonitor:443`** | TCP | 443 | x |", "AzureMonitor tcp/443 exact", ""},
		{"a tag without a port", en, baseHeading, "| [Balise](../service-tags-overview.md) - **`AzureDevSpaces`** | TCP | 443 | x |", "AzureDevSpaces tcp/443 exact", ""},
		{"a tag that is new", en, baseHeading, "| [ServiceTag](../service-tags-overview.md) - **`MicrosoftContainerRegistry:443`** | TCP | 443 | x |", "MicrosoftContainerRegistry tcp/443 exact", ""},
		{"all alternatives", "fr-FR", baseHeading, "| **`*:1194`** <br/> *Ou* <br/> [Balise](../service-tags.md) -  **`AzureCloud.<Region>:1194`** <br/> *Ou* <br/> [CIDR](../x.md) -  **`RegionCIDRs:1194`** <br/> *Ou* <br/> **`APIServerIP:1194`** `(known later)` | UDP | 1194 | x |",
			"* udp/1194 exact; AzureCloud.<Region> udp/1194 exact; RegionCIDRs udp/1194 exact; APIServerPublicIP udp/1194 exact", ""},
		{"a name in the purpose", en, baseHeading, "| `mcr.microsoft.com` | HTTPS:443 | replaces `old.contoso.com` |", "mcr.microsoft.com https/443 exact", ""},
		{"a port that disagrees", en, baseHeading, "| `*:1194` or `ntp.ubuntu.com:123` | UDP | 1194 | x |", "* udp/1194 exact", "unusable"},
		{"any or a name, in words without spaces", "zh-TW", baseHeading, "| **`*:123`** 或者， **`ntp.ubuntu.com:123`** 如果使用防火牆，則 () | UDP | 123 | x |", "* udp/123 exact; ntp.ubuntu.com udp/123 exact", ""},
		{"glued words", "zh-CN", baseHeading, "| `*:123`或`ntp.ubuntu.com:123`（如果使用防火墙） | UDP | 123 | x |", "* udp/123 exact; ntp.ubuntu.com udp/123 exact", ""},

		// Repairs by rule.
		{"spaces beside dots", ja, baseHeading, `| *. hcp. \<場所\> . azmk8s.io | HTTPS:443 |`, "*.hcp.<location>.azmk8s.io https/443 repaired", "repaired *.hcp.<location>.azmk8s.io"},
		{"a space before a dot", "nl-NL", windowsHeading, "| mp.microsoft.com,<span></span>www .msftconnecttest.com | HTTP:80 |", "mp.microsoft.com http/80 exact; www.msftconnecttest.com http/80 repaired", "repaired www.msftconnecttest.com"},
		{"capital letters", "hu-HU", baseHeading, `| *. HCP. \<Location\>. azmk8s.IO | HTTPS:443 |`, "*.hcp.<location>.azmk8s.io https/443 repaired", "repaired *.hcp.<location>.azmk8s.io"},
		{"sentence case", "fr-FR", baseHeading, "| Mcr.microsoft.com | HTTPS:443 |", "mcr.microsoft.com https/443 repaired", "repaired mcr.microsoft.com"},
		{"a placeholder with spaces in it", de, baseHeading, `| *.hcp.\< Standort \>.azmk8s.io | HTTPS:443 |`, "*.hcp.<location>.azmk8s.io https/443 repaired", "repaired *.hcp.<location>.azmk8s.io"},
		{"a backslash in a placeholder", de, baseHeading, `| *.hcp.<\location>.azmk8s.io | HTTPS:443 |`, "*.hcp.<location>.azmk8s.io https/443 repaired", "repaired *.hcp.<location>.azmk8s.io"},
		{"two placeholders", "sv-SE", "## Azure Dev Spaces", `| azds-<GUID>. \<plats\>.azds.io | HTTPS: 443 |`, "azds-<guid>.<location>.azds.io https/443 repaired", "repaired azds-<guid>.<location>.azds.io"},
		{"a placeholder of the monitor", "es-ES", "## Azure Monitor", `| <nombre de la región>.handler.control.monitor.azure.com | | 443 |`, "<cluster-region-name>.handler.control.monitor.azure.com https/443 repaired", "repaired <cluster-region-name>.handler.control.monitor.azure.com"},
		{"ideographic commas", ja, "## GPU optional", "| security.ubuntu.com、azure.archive.ubuntu.com | HTTP: 80 |", "security.ubuntu.com http/80 repaired; azure.archive.ubuntu.com http/80 repaired", "repaired security.ubuntu.com; repaired azure.archive.ubuntu.com"},
		{"ideographic commas between code", ja, baseHeading, "| **`mcr.microsoft.com`、`management.azure.com`** | HTTPS:443 |", "mcr.microsoft.com https/443 exact; management.azure.com https/443 exact", ""},
		{"full-width ports", "zh-CN", baseHeading, "| *.hcp.<location>.azmk8s.io | HTTPS：443， TCP：22 |", "*.hcp.<location>.azmk8s.io https/443 repaired; *.hcp.<location>.azmk8s.io tcp/22 repaired", "repaired HTTPS:443, TCP:22"},
		{"a remark behind the port", "it-IT", windowsHeading, "| kms.core.windows.net | TCP:1688 (solo in inglese) |", "kms.core.windows.net tcp/1688 repaired", "repaired TCP:1688"},
		{"a thousands separator that the cell settles", de, baseHeading, "| **`*:1194`** | UDP | 1.194 | x |", "* udp/1194 repaired", "repaired UDP:1194"},
		{"a tag without brackets", en, baseHeading, "| `AzureCloud.Region:1194` | UDP | 1194 | x |", "AzureCloud.<Region> udp/1194 repaired", "repaired AzureCloud.<Region>"},
		{"a tag with a translated region", "fr-FR", baseHeading, "| AzureCloud. <Région>:1194 | UDP | 1194 | x |", "AzureCloud.<Region> udp/1194 repaired", "repaired AzureCloud.<Region>"},
		{"a name in quotes", de, baseHeading, "| „mcr.microsoft.com“ | HTTPS:443 |", "mcr.microsoft.com https/443 repaired", "repaired mcr.microsoft.com"},
		{"a lost comma between known names", "it-IT", "## Optional", "| security.ubuntu.com, azure.archive.ubuntu.com changelogs.ubuntu.com | HTTP:80 |",
			"security.ubuntu.com http/80 exact; azure.archive.ubuntu.com http/80 repaired; changelogs.ubuntu.com http/80 repaired", "repaired azure.archive.ubuntu.com; repaired changelogs.ubuntu.com"},

		// Repairs that only the catalog can confirm.
		{"a lost star", "zh-CN", baseHeading, `| \.tun.\<位置\>.azmk8s.io | HTTPS:443 |`, "*.tun.<location>.azmk8s.io https/443 from-catalog", "from-catalog *.tun.<location>.azmk8s.io"},
		{"a lost star without a placeholder", de, baseHeading, "| .cdn.mscr.io | HTTPS:443 |", "*.cdn.mscr.io https/443 from-catalog", "from-catalog *.cdn.mscr.io"},
		{"a leading dot that the cloud has", de, chinaHeading, "| **`.data.mcr.microsoft.com`** | HTTPS:443 |", ".data.mcr.microsoft.com https/443 exact", ""},
		{"a leading dot that the cloud has not", de, baseHeading, "| .data.mcr.microsoft.com | HTTPS:443 |", "*.data.mcr.microsoft.com https/443 from-catalog", "from-catalog *.data.mcr.microsoft.com"},
		{"a lost dot", "pt-PT", chinaHeading, `| *.hcp. \<location\> cx.prod.service.azk8s.cn | HTTPS:443, TCP:22 |`,
			"*.hcp.<location>.cx.prod.service.azk8s.cn https/443 from-catalog; *.hcp.<location>.cx.prod.service.azk8s.cn tcp/22 from-catalog", "from-catalog *.hcp.<location>.cx.prod.service.azk8s.cn"},
		{"a lost dot before a whole name", de, baseHeading, "| mcr microsoft.com | HTTPS:443 |", "mcr.microsoft.com https/443 from-catalog", "from-catalog mcr.microsoft.com"},
		{"two dots", "cs-CZ", baseHeading, `| *. HCP. \<location\> .. azmk8s.io | HTTPS: 443 |`, "*.hcp.<location>.azmk8s.io https/443 from-catalog", "from-catalog *.hcp.<location>.azmk8s.io"},
		{"a label in another script", "ko-KR", baseHeading, `| *.데이터.mcr.microsoft.com | HTTPS:443 |`, "*.data.mcr.microsoft.com https/443 from-catalog", "from-catalog *.data.mcr.microsoft.com"},
		{"a lost first label", "zh-CN", windowsHeading, "| mp.microsoft.com、<span></span>msftconnecttest.com | HTTP:80 |", "mp.microsoft.com http/80 repaired; www.msftconnecttest.com http/80 from-catalog", "repaired mp.microsoft.com; from-catalog www.msftconnecttest.com"},
		{"a word before the port", "pl-PL", baseHeading, "| mcr.microsoft.com | Protokół HTTPS:443 |", "mcr.microsoft.com https/443 from-catalog", "from-catalog HTTPS:443"},
		{"a word behind the port", "tr-TR", baseHeading, "| mcr.microsoft.com | HTTPS:443 SAYıLı |", "mcr.microsoft.com https/443 from-catalog", "from-catalog HTTPS:443"},
		{"a thousands separator that the catalog settles", de, windowsHeading, "| kms.core.windows.net | TCP:1.688 |", "kms.core.windows.net tcp/1688 repaired", "repaired TCP:1688"},
		{"emphasis that ate half a star", "sv-SE", baseHeading, "| <i>*login.microsoftonline.com</i> | HTTPS:443 |", "login.microsoftonline.com https/443 from-catalog", "from-catalog login.microsoftonline.com"},

		{"a space in a label of a known name", en, baseHeading, "| mana gement.azure.com | HTTPS:443 |", "management.azure.com https/443 from-catalog", "from-catalog management.azure.com"},

		// What cannot be told.
		{"a translated label with two readings", "pt-BR", baseHeading, `| *. Execute. \<local\>. azmk8s.Io | HTTPS:443, TCP:22 |`, "", "unusable"},
		{"a label in another script with two readings", "ko-KR", baseHeading, `| *. 실행.\<위치\>. azmk8s.io | HTTPS:443, TCP:22 |`, "", "unusable"},
		{"a half star with two readings", "sv-SE", windowsHeading, "| *mp.microsoft.com | HTTP:80 |", "", "unusable"},
		{"two names over a dot and a space", en, baseHeading, "| a.contoso.com. b.contoso.com | HTTPS:443 |", "", "unusable"},
		{"new names without a separator", en, baseHeading, "| a.contoso.com b.contoso.com | HTTPS:443 |", "", "unusable"},
		{"glued names", en, baseHeading, "| mcr.microsoft.commanagement.azure.com | HTTPS:443 |", "", "unusable"},
		{"a word before a new name", en, baseHeading, "| edge seven.contoso.com | HTTPS:443 |", "", "unusable"},
		{"a word behind a new name", en, baseHeading, "| seven.contoso.co m | HTTPS:443 |", "", "unusable"},
		{"half a label without a dot", en, baseHeading, "| .az k9s.cn | HTTPS:443 |", "", "unusable"},
		{"a star that is new", en, baseHeading, "| `*.packages.microsoft.com` | HTTPS:443 |", "*.packages.microsoft.com https/443 exact", ""},
		{"a protocol that cannot be read", en, baseHeading, "| `APIServerPublicIP:443` | T CP | 443 |", "", "unusable"},
		{"a remark beside the protocol", de, baseHeading, "| `APIServerPublicIP:443` | TCP (auf Englisch) | 443 |", "APIServerPublicIP tcp/443 repaired", "repaired TCP:443"},
		{"names glued with a hyphen", en, baseHeading, "| `*.cdn.mscr.io-mcr.microsoft.com` | HTTPS:443 |", "", "unusable"},
		{"a dot that is none", "zh-CN", baseHeading, "| `packages·microsoft.com` | HTTPS:443 |", "packages.microsoft.com https/443 repaired", "repaired packages.microsoft.com"},
		{"ports with only a space", en, baseHeading, "| `ntp.ubuntu.com` | UDP | 12 3 |", "", "unusable"},
		{"a space within a known name", en, baseHeading, "| login.microsoft online.com | HTTPS:443 |", "login.microsoftonline.com https/443 from-catalog", "from-catalog login.microsoftonline.com"},
		{"a lost dot within a known name", en, windowsHeading, "| `kms.corewindows.net` | TCP:1688 |", "kms.core.windows.net tcp/1688 from-catalog", "from-catalog kms.core.windows.net"},
		{"a star that is left of emphasis", en, windowsHeading, "| kms.core.windows.net  * | TCP:1688 |", "kms.core.windows.net tcp/1688 from-catalog", "from-catalog kms.core.windows.net"},
		{"a star alone", en, baseHeading, "| * | TCP | 443 |", "* tcp/443 exact", ""},
		{"a star that lost its dot", en, baseHeading, "| `* hcp.<location>.azmk8s.io` | HTTPS:443 |", "*.hcp.<location>.azmk8s.io https/443 from-catalog", "from-catalog *.hcp.<location>.azmk8s.io"},
		{"one word away in a translation", "es-ES", baseHeading, "| paquetes.microsoft.com, *.datos.mcr.microsoft.com | HTTPS:443 |", "", "unusable; unusable"},
		{"a port that the name never had, in a translation", de, baseHeading, "| mcr.microsoft.com | HTTPS:4443 |", "", "unusable"},
		{"a port that the name never had", en, baseHeading, "| mcr.microsoft.com | HTTPS:4443 |", "mcr.microsoft.com https/4443 exact", ""},
		{"a thousands separator that nothing settles", en, baseHeading, "| edge7.contoso.com | TCP:1.688 |", "", "unusable"},
		{"no last label of a name", en, baseHeading, "| settings.json | HTTPS:443 |", "", "unusable"},
		{"an address", en, baseHeading, "| 10.0.0.1 | HTTPS:443 |", "", "unusable"},
		{"a name in parentheses", en, baseHeading, "| (mcr.microsoft.com) | HTTPS:443 |", "", "unusable"},
		{"words", en, baseHeading, "| the registry | HTTPS:443 |", "", "unusable"},
		{"a port range", en, baseHeading, "| `mcr.microsoft.com` | TCP:80-443 |", "", "unusable"},
		{"port zero", en, baseHeading, "| `mcr.microsoft.com` | TCP:0 |", "", "unusable"},
		{"an unknown protocol", en, baseHeading, "| `mcr.microsoft.com` | TCO:443 |", "", "unusable"},
		{"a star in the middle", en, baseHeading, "| umsa*.blob.contoso.net | HTTPS:443 |", "", "unusable"},
		{"a lost star in code", en, baseHeading, "| `docker.io` | HTTPS:443 |", "", "unusable"},
		{"lost brackets", en, baseHeading, "| `*.hcp.location.azmk8s.io` | HTTPS:443 |", "", "unusable"},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			e, err := Markdown([]byte(oneRow(tt.locale, tt.heading, tt.row)), ownKnown(t))
			if err != nil {
				t.Fatal(err)
			}
			var rows, findings []string
			for _, r := range e.Rows {
				if r.Destination != "probe.example.com" {
					rows = append(rows, fmt.Sprintf("%s %s/%d %s", r.Destination, r.Protocol, r.Port, r.Status))
				}
			}
			for _, f := range e.Findings {
				if f.Kind != FindingNote {
					findings = append(findings, strings.TrimSpace(f.Kind+" "+f.Result))
				}
			}
			if got := strings.Join(rows, "; "); got != tt.rows {
				t.Errorf("%s\n got %s\nwant %s", tt.row, got, tt.rows)
			}
			if got := strings.Join(findings, "; "); got != tt.findings {
				t.Errorf("%s\n got %s\nwant %s\n%+v", tt.row, got, tt.findings, e.Findings)
			}
		})
	}
}
