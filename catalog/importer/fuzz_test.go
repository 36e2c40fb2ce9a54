// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sallyport/sallyport/flow"
)

// lawful checks what holds of every edition, whatever it was read from.
func lawful(t *testing.T, data []byte, e *Edition) {
	t.Helper()
	if len(e.Rows) > MaxRows || len(e.Findings) > MaxFindings+1 {
		t.Fatalf("%d rows, %d findings", len(e.Rows), len(e.Findings))
	}
	if e.Lines > strings.Count(string(data), "\n")+1 {
		t.Fatalf("%d lines", e.Lines)
	}
	repaired, becomes := make(map[int]bool), make(map[string]bool)
	for _, f := range e.Findings {
		if f.Line < 1 || f.Line > max(1, e.Lines) || utf8.RuneCountInString(f.Cell) > 200 || f.Text == "" {
			t.Fatalf("finding %+v in %d lines", f, e.Lines)
		}
		switch f.Kind {
		case FindingRepaired, FindingFromCatalog:
			if f.Result == "" {
				t.Fatalf("finding %+v", f)
			}
			repaired[f.Line], becomes[f.Result] = true, true
		case FindingUnusable, FindingNote:
			if f.Result != "" {
				t.Fatalf("finding %+v", f)
			}
		default:
			t.Fatalf("finding %+v", f)
		}
	}
	for _, r := range append(e.Rows[:len(e.Rows):len(e.Rows)], e.Bullets...) {
		if r.Line < 1 || r.Line > e.Lines || r.Port == 0 || r.Feature == "" || utf8.RuneCountInString(r.Purpose) > 300 {
			t.Fatalf("row %+v in %d lines", r, e.Lines)
		}
		switch r.Protocol {
		case flow.ProtoHTTPS, flow.ProtoHTTP, flow.ProtoTCP, flow.ProtoUDP:
		default:
			t.Fatalf("row %+v", r)
		}
		switch r.Kind {
		case KindName:
			if !validName(r.Destination) || r.Destination != strings.ToLower(r.Destination) && !strings.Contains(r.Destination, "<") {
				t.Fatalf("row %+v: no valid name", r)
			}
		case KindAny:
			if r.Destination != "*" {
				t.Fatalf("row %+v", r)
			}
		case KindServiceTag, KindRegionCIDRs, KindAPIServer, KindCustomDNS:
			if r.Destination == "" || strings.ContainsAny(r.Destination, " *") {
				t.Fatalf("row %+v", r)
			}
		default:
			t.Fatalf("row %+v", r)
		}
		// In JSON a name and its port may stand on different lines.
		told := repaired[r.Line] || e.Format == FormatAzureAPI && becomes[r.Destination]
		if r.Status != Exact && len(e.Findings) < MaxFindings && !told {
			t.Fatalf("row %+v is %s without a finding", r, r.Status)
		}
	}
}

// FuzzMarkdown states: nothing panics, what is read is lawful, and reading is a
// function of its input.
func FuzzMarkdown(f *testing.F) {
	page, err := os.ReadFile("testdata/page.md")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(page)
	f.Add([]byte(oneRow("de-DE", baseHeading, `| *. HCP.\< Ort \>. azmk8s.io、.data.mcr.microsoft.com | HTTPS： 443 (x), 1.194 |`)))
	f.Add([]byte("```\n|a\n<!--\n| * | TCP | 443 |\n- Azure China\n| `*:1` or b.c:2 | UDP | 1,2 |"))
	f.Add([]byte("|a.com:1|udp||\r\n|:-|\n\xef\xbb\xbf&lt;x&gt;.y.com \\|| http/80"))
	known := ownKnown(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Markdown(data, known)
		if err != nil {
			if e != nil {
				t.Fatal("an edition with an error")
			}
			return
		}
		lawful(t, data, e)
		again, err := Markdown(data, known)
		if err != nil || !reflect.DeepEqual(e, again) {
			t.Fatalf("again: %v", err)
		}
	})
}

// FuzzAzureAPI states the same of JSON.
func FuzzAzureAPI(f *testing.F) {
	body, err := os.ReadFile("testdata/api.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte(`[{"category":"gpu","endpoints":[{"domainName":"A.b.com","endpointDetails":[{"port":"443","protocol":"HTTPS"}]}]}]`))
	f.Add([]byte(`{"responses":{"200":{"body":{"value":[{}]}}},"value":null}`))
	known := ownKnown(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := AzureAPI(data, known)
		if err != nil {
			if e != nil {
				t.Fatal("an edition with an error")
			}
			return
		}
		lawful(t, data, e)
		again, err := AzureAPI(data, known)
		if err != nil || !reflect.DeepEqual(e, again) {
			t.Fatalf("again: %v", err)
		}
	})
}
