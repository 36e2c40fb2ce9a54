// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ruleset"
)

// laws states what holds for every file: it is read or refused with a place in
// it; what is certain is possible; and every place lies in the file.
func laws(t *testing.T, name string, data []byte) {
	begin := time.Now()
	defer func() {
		if d := time.Since(begin); d > 5*time.Second {
			t.Fatalf("took %s", d)
		}
	}()
	s, err := Read([]File{{name, data}}, Options{Location: "westeurope", Values: map[string]string{"given": `["a.example.com"]`}})
	if err != nil {
		if e, ok := err.(*Error); !ok || e.File != name {
			t.Fatalf("error without a file: %v", err)
		}
		return
	}
	lines := bytes.Count(data, []byte("\n")) + 1
	inside := func(p ruleset.Position) {
		if p.File == name && p.Line > lines {
			t.Fatalf("%s lies behind the end, line %d", p, lines)
		}
	}
	for i, r := range s.Rules {
		inside(r.Pos)
		if i > 0 && kindOrder[s.Rules[i-1].Kind] > kindOrder[r.Kind] {
			t.Fatalf("%s stands behind a rule of kind %s", r, s.Rules[i-1].Kind)
		}
		for k, term := range r.Terms {
			inside(term.Pos)
			if i < 4 && k < 4 && !term.Maybe.Covers(term.Sure) {
				t.Fatalf("%s %s: something certain is not possible", r, term.Text)
			}
			if term.Maybe.IsEmpty() && r.Dead == "" && len(r.Notes) == 0 && len(r.Unknown) == 0 {
				t.Fatalf("%s %s matches nothing, and nothing says why", r, term.Text)
			}
		}
		for _, u := range r.Unknown {
			inside(u.Pos)
			if u.Why == "" {
				t.Fatalf("%s: unknown without a reason: %+v", r, u)
			}
		}
	}
}

// seeds adds the fixtures, and the published files when they are here.
func seeds(f *testing.F, patterns ...string) {
	for _, p := range patterns {
		for _, dir := range []string{"testdata", "../../../shared/data/firewalls"} {
			names, err := filepath.Glob(filepath.Join(dir, p))
			if err != nil {
				f.Fatal(err)
			}
			for _, file := range files(f, names...) {
				f.Add(file.Data)
			}
		}
	}
}

func fuzz(f *testing.F, name string) {
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 64<<10 || strings.Count(string(data), "*") > 200 {
			t.Skip("long")
		}
		laws(t, name, data)
	})
}

func FuzzARM(f *testing.F) {
	seeds(f, "*.json")
	fuzz(f, "fuzz.json")
}

func FuzzAzCLI(f *testing.F) {
	seeds(f, "*.sh", "*.md")
	f.Add([]byte("x\n```bash\naz network firewall network-rule create -n a -c b --protocols TCP \\\n --priority 1\n```\n"))
	f.Add([]byte("az network -n a b c")) // no verbs
	fuzz(f, "fuzz.md")
}

func FuzzTerraform(f *testing.F) {
	seeds(f, "*.tf", "*.tfvars")
	fuzz(f, "fuzz.tf")
}

func FuzzBicep(f *testing.F) {
	seeds(f, "*.bicep", "*.bicepparam")
	// A target that parses and matches no name; a list where a name should stand.
	f.Add([]byte("param gitHosts='.0'resource known'ipGroups@'={ipAddresses:['0.0.0.0']}resource={ruleColleCtions:{ACtion:{tYpe:'Allow'}rule:{nAme:0 protoCol:[{TYpe:'Http'}]tArgetFqdn:gitHosts sourCeIpGroup:[known]}}}"))
	f.Add([]byte("param gitHosts={}resource={ruleColleCtions:{rule:{nAme: \"tArgetFqdn:gitHosts}}}"))
	fuzz(f, "fuzz.bicep")
}
