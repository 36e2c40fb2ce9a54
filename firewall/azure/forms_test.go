// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/ruleset"
)

var update = flag.Bool("update", false, "write the .want files anew")

// files reads files for a test.
func files(t testing.TB, names ...string) []File {
	t.Helper()
	var out []File
	for _, n := range names {
		data, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, File{n, data})
	}
	return out
}

// describe writes a rule set for people: what is certain has "=", what may be
// "?", what can never match "!".
func describe(s *ruleset.RuleSet) string {
	var b strings.Builder
	at := func(p ruleset.Position) string { return fmt.Sprintf("%s:%d:%d", filepath.Base(p.File), p.Line, p.Col) }
	for _, r := range s.Rules {
		fmt.Fprintf(&b, "%s %s %s %s\n", at(r.Pos), r.Kind, r.Action, r)
		if r.Dead != "" {
			fmt.Fprintf(&b, "  dead: %s\n", r.Dead)
		}
		for _, t := range r.Terms {
			mark := "?"
			switch {
			case t.Maybe.IsEmpty():
				mark = "!"
			case t.Sure.Equal(t.Maybe):
				mark = "="
			}
			fmt.Fprintf(&b, "  %s %s %s\n", mark, at(t.Pos), t.Text)
		}
		for _, u := range r.Unknown {
			fmt.Fprintf(&b, "  unknown %s %s %q: %s\n", at(u.Pos), u.Part, u.Text, u.Why)
		}
		for _, n := range r.Notes {
			fmt.Fprintf(&b, "  note: %s\n", n)
		}
	}
	for _, r := range s.Routes {
		fmt.Fprintf(&b, "route %s %s %s %s %s %t\n", at(r.Pos), r.Name, r.Prefix, r.NextHop, r.Address, r.Resolved)
	}
	for _, u := range s.Unknown {
		fmt.Fprintf(&b, "unknown %s %s %q: %s\n", at(u.Pos), u.Part, u.Text, u.Why)
	}
	for _, n := range s.Notes {
		fmt.Fprintf(&b, "note %s %s\n", at(n.Pos), n.Text)
	}
	fmt.Fprintf(&b, "dns proxy %t known %t\n", s.DNS.Proxy, s.DNS.Known)
	return b.String()
}

func TestEveryFormIsReadAsItsGoldenSays(t *testing.T) {
	for _, row := range []struct {
		want  string
		files string
		opt   Options
	}{
		{"hub", "hub.bicep", Options{}},
		{"hub-located", "hub.bicep", Options{Location: "westeurope", Values: map[string]string{"withNtp": "true"}}},
		{"modules", "modules.bicep modules.bicepparam", Options{}},
		{"policy-tf", "policy.tf", Options{}},
		{"policy-tf-given", "policy.tf", Options{Location: "northeurope", Values: map[string]string{
			"web": `[{"name": "w", "hosts": ["w.example.com"]}]`, "ports": `["8443"]`, "public_ip": "203.0.113.9"}}},
		{"classic-tf", "classic.tf", Options{}},
		{"avm", "avm.tf avm.tfvars", Options{}},
		{"calls", "calls/main.tf calls/fw/main.tf", Options{}},
		{"bicep-calls", "nested/main.bicep nested/fw/firewall.bicep", Options{}},
		{"maps", "maps.tf", Options{}},
		{"expressions", "expressions.bicep", Options{Location: "westeurope"}},
		{"loop-sh", "loop.sh", Options{}},
		{"copy", "copy.json", Options{Location: "westeurope"}},
		{"group-list", "group-list.json", Options{}},
		{"nested", "nested.arm.json", Options{}},
		{"nested-located", "nested.arm.json", Options{Location: "westeurope"}},
		{"policy-sh", "policy.sh", Options{}},
	} {
		t.Run(row.want, func(t *testing.T) {
			var names []string
			for _, n := range strings.Fields(row.files) {
				names = append(names, filepath.Join("testdata", n))
			}
			s, err := Read(files(t, names...), row.opt)
			if err != nil {
				t.Fatal(err)
			}
			got := describe(s)
			want := filepath.Join("testdata", row.want+".want")
			if *update {
				if err := os.WriteFile(want, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(files(t, want)[0].Data), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
