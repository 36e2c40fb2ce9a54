// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/firewall"
	"github.com/sallyport/sallyport/firewall/azure"
	"github.com/sallyport/sallyport/program"
)

// TestAFindingIsGoneWhenItsPatchIsApplied applies every patch alone and asks
// again.
func TestAFindingIsGoneWhenItsPatchIsApplied(t *testing.T) {
	for _, row := range []struct {
		location string
		files    []string
	}{
		{"eastus2", []string{"aks-baseline-hub-2020-04.arm.json"}},
		{"eastus2", []string{"aks-baseline-hub-2022-01.arm.json"}},
		{"southeastasia", []string{"caf-aks-app-2021-05.tfvars", "caf-aks-net-2021-05.tfvars"}},
		{"eastus", []string{"walkthrough-az-cli-2020-06.md"}},
		{"eastus2", []string{"walkthrough-az-cli-2026-07.md"}},
	} {
		t.Run(row.files[0], func(t *testing.T) {
			var files []azure.File
			for _, n := range row.files {
				files = append(files, file(t, n))
			}
			applied(t, compiled(t, row.location), files...)
		})
	}
}

// TestEveryLanguageIsPatched damages a sound translation in each of them.
func TestEveryLanguageIsPatched(t *testing.T) {
	p := compiled(t, "westeurope")
	for _, name := range []string{"azure-arm", "azure-terraform", "azure-cli"} {
		t.Run(name, func(t *testing.T) {
			d, _ := firewall.Find(name)
			tr, err := firewall.Translate(d, p)
			if err != nil {
				t.Fatal(err)
			}
			text := string(tr.Files[0].Data)
			for _, change := range [][2]string{
				{"login.microsoftonline.com", "*.microsoftonline.com"},
				{"packages.aks.azure.com", "old.cdn.mscr.io"},
				{"10.240.0.0/16", "*"},
				{"data.policy.core.windows.net", "*.core.windows.net"},
			} {
				if !strings.Contains(text, change[0]) {
					t.Fatalf("lacks %s", change[0])
				}
				text = strings.Replace(text, change[0], change[1], 1)
			}
			patched, all := applied(t, p, azure.File{Name: tr.Files[0].Name, Data: []byte(text)})
			if patched != all || all < 4 {
				t.Errorf("%d of %d findings have a patch\n%s", patched, all, text)
			}
		})
	}
}

// count returns how many findings have the id of one, whichever of several it is.
func count(ids []string, id string) int {
	base := strings.Join(strings.Split(id, "-")[:strings.Count(checkOf(id), "-")+2], "-")
	n := 0
	for _, o := range ids {
		if o == base || strings.HasPrefix(o, base+"-") {
			n++
		}
	}
	return n
}

// checkOf returns the check that an id begins with.
func checkOf(id string) string {
	for _, c := range []audit.Check{audit.TooWide, audit.NoSource, audit.NotNeeded, audit.NoProxy, audit.Routing} {
		if strings.HasPrefix(id, string(c)) {
			return string(c)
		}
	}
	return ""
}

// applied applies the patch of each finding and returns how many have one.
func applied(t *testing.T, p *program.Program, files ...azure.File) (patched, all int) {
	t.Helper()
	text := make(map[string][]byte)
	for _, f := range files {
		text[f.Name] = f.Data
	}
	before := run(t, p, files...)
	ids := func(r audit.Report) (out []string) {
		for _, f := range r.Findings {
			out = append(out, f.ID)
		}
		return out
	}
	for _, f := range before.Findings {
		if f.Unknown || f.Check == audit.Shadowed && f.Severity == audit.Info {
			continue
		}
		all++
		if f.Edits == nil {
			t.Logf("no patch: %s: %s", f.Pos, f.Text)
			continue
		}
		patched++
		after := audit.Apply(text, f.Edits)
		changed := slices.Clone(files)
		for i := range changed {
			if data, ok := after[changed[i].Name]; ok {
				changed[i].Data = data
			}
		}
		r := run(t, p, changed...)
		got, patch := ids(r), string(audit.Patch(text, f.Edits))
		if count(got, f.ID) >= count(ids(before), f.ID) {
			t.Errorf("%s: %s is still found behind its patch:\n%s", f.Pos, f.Text, patch)
		}
		for i, id := range got {
			// The same fault may be left with fewer ports, or come to light as unknown.
			known := func(o audit.Finding) bool {
				return o.Check == r.Findings[i].Check && o.Pos.File == r.Findings[i].Pos.File
			}
			if count(got, id) > count(ids(before), id) && !r.Findings[i].Unknown &&
				(r.Findings[i].Check == audit.Missing || !slices.ContainsFunc(before.Findings, known)) {
				t.Errorf("the patch of %s brings %s: %s\n%s", f.ID, id, r.Findings[i].Text, patch)
			}
		}
		if len(r.Unknown) > len(before.Unknown) {
			t.Errorf("the patch of %s leaves what is not understood: %+v\n%s", f.ID, r.Unknown, patch)
		}
		if !strings.HasPrefix(patch, "diff ") {
			t.Errorf("no diff: %q", patch)
		}
	}
	t.Logf("%d of %d findings have a patch", patched, all)

	// All together, they take nothing away that the cluster needs.
	edits := before.Edits()
	changed := slices.Clone(files)
	for i := range changed {
		if data, ok := audit.Apply(text, edits)[changed[i].Name]; ok {
			changed[i].Data = data
		}
	}
	r := run(t, p, changed...)
	if len(r.Unknown) > len(before.Unknown) {
		t.Errorf("all patches together leave what is not understood: %+v", r.Unknown)
	}
	for _, f := range changed {
		if strings.HasSuffix(f.Name, ".json") && dangles(audit.Apply(text, edits)[f.Name]) {
			t.Errorf("all patches together leave a comma behind which nothing stands in %s:\n%s", f.Name, audit.Patch(text, edits))
		}
	}
	for _, f := range r.Findings {
		if f.Check == audit.Missing && !slices.ContainsFunc(before.Findings, func(o audit.Finding) bool { return o.Need == f.Need }) {
			t.Errorf("all patches together bring %s: %s", f.ID, f.Text)
		}
	}
	if r.Closed > before.Closed || r.Assumed > before.Assumed+before.Closed+len(before.Findings) {
		t.Errorf("all patches together: %d closed and %d unknown, before %d and %d", r.Closed, r.Assumed, before.Closed, before.Assumed)
	}
	return patched, all
}

// dangles reports whether JSON has a comma behind which nothing stands but
// comments.
func dangles(data []byte) bool {
	return danglingComma.Match(comment.ReplaceAll(data, nil))
}

var (
	comment       = regexp.MustCompile(`//[^\n]*`)
	danglingComma = regexp.MustCompile(`,\s*[\]}]`)
)

// TestNothingIsLeftEmpty takes all but one name out of what is needed: what
// stands without destinations or rules behind all patches goes with them.
func TestNothingIsLeftEmpty(t *testing.T) {
	p := compiled(t, "westeurope")
	for name, text := range map[string]string{
		"x.bicep": `resource fw 'Microsoft.Network/azureFirewalls@2023-04-01' = {
  name: 'fw'
  properties: {
    networkRuleCollections: [
      {
        name: 'two'
        properties: {
          priority: 200
          action: { type: 'Allow' }
          rules: [
            {
              name: 'a'
              protocols: [ 'UDP' ]
              sourceAddresses: [ '10.240.0.0/16' ]
              destinationAddresses: [ '*' ]
              destinationPorts: [ '9999' ]
            }
            {
              name: 'b'
              protocols: [ 'UDP' ]
              sourceAddresses: [ '10.240.0.0/16' ]
              destinationAddresses: [ '*' ]
              destinationPorts: [ '8888' ]
            }
          ]
        }
      }
    ]
  }
}
`,
		"x.json": `{"resources": [{"type": "Microsoft.Network/azureFirewalls", "name": "fw", "properties": {
  "applicationRuleCollections": [
    {"name": "kept", "properties": {"priority": 100, "action": {"type": "Allow"}, "rules": [
      {"name": "r", "sourceAddresses": ["10.240.0.0/16"], "protocols": [{"protocolType": "Https", "port": 443}],
       "targetFqdns": [
         "mcr.microsoft.com",
         "*.first.example",
         "*.second.example"
       ]}
    ]}},
    {"name": "emptied", "properties": {"priority": 200, "action": {"type": "Allow"}, "rules": [
      {"name": "r", "sourceAddresses": ["10.240.0.0/16"], "protocols": [{"protocolType": "Https", "port": 443}],
       "targetFqdns": [
         "*.third.example",
         "*.fourth.example"
       ]}
    ]}}
  ]}}]}
`,
	} {
		r := run(t, p, azure.File{Name: name, Data: []byte(text)})
		after := string(audit.Apply(map[string][]byte{name: []byte(text)}, r.Edits())[name])
		for _, word := range []string{"'two'", "'a'", "emptied", "example"} {
			if strings.Contains(after, word) {
				t.Errorf("%s is left in\n%s", word, after)
			}
		}
		if dangles([]byte(after)) || strings.Contains(text, "kept") != strings.Contains(after, "mcr.microsoft.com") {
			t.Errorf("%s", after)
		}
		if r := run(t, p, azure.File{Name: name, Data: []byte(after)}); slices.ContainsFunc(r.Findings, func(f audit.Finding) bool { return f.Check != audit.Missing }) || len(r.Unknown) > 0 {
			t.Errorf("%v %+v\n%s", found(r), r.Unknown, after)
		}
	}
}
