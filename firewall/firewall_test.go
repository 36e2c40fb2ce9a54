// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/exampletest"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/ruleset"
)

func TestEveryTranslationOfEveryExampleIsEqualOrSaysWhyNot(t *testing.T) {
	for name, p := range exampletest.Programs(t) {
		for _, d := range Dialects {
			tr, err := Translate(d, p)
			if err != nil {
				t.Fatalf("%s in %s: %v", name, d.Name, err)
			}
			var ids []string
			for _, r := range d.Restrictions {
				ids = append(ids, r.ID)
			}
			if g, ok := tr.Accepted(ids); !ok {
				t.Errorf("%s in %s is wider, for no reason that is declared: %+v", name, d.Name, g)
			}
			for _, g := range tr.Gaps {
				if g.Restriction == "" {
					t.Errorf("%s in %s: %s has a gap that no restriction explains: %s", name, d.Name, g.Rule, g.Witness)
				}
			}
			if d.Name == "sheet" && !tr.Equal() {
				t.Errorf("%s: the sheet has gaps: %+v", name, tr.Gaps)
			}
			again, _ := Translate(d, p)
			for i := range tr.Files {
				if string(tr.Files[i].Data) != string(again.Files[i].Data) {
					t.Errorf("%s in %s: written twice it is not the same", name, d.Name)
				}
			}
		}
	}
}

func TestAWriterThatLiesIsCaught(t *testing.T) {
	p := exampletest.Programs(t)["azure.yaml"]
	honest, _ := Find("squid")
	for name, lie := range map[string]struct {
		old, new string
		wider    bool
	}{
		"forgets_the_apex": {" !r3_apex", "", true},
		"drops_a_rule":     {"http_access allow CONNECT r2_src", "# http_access allow CONNECT r2_src", false},
		"allows_the_rest":  {"http_access deny all", "http_access allow all", true},
	} {
		d := honest
		d.Write = func(p *program.Program) ([]File, []ruleset.Left) {
			files, left := honest.Write(p)
			text := strings.Replace(string(files[0].Data), lie.old, lie.new, 1)
			if text == string(files[0].Data) {
				t.Fatalf("%s: nothing was changed", name)
			}
			files[0].Data = []byte(text)
			return files, left
		}
		tr, err := Translate(d, p)
		if err != nil {
			t.Fatal(err)
		}
		caught := tr.Wider()
		for _, g := range tr.Gaps {
			caught = caught || !lie.wider && g.Restriction == ""
		}
		if !caught || tr.Wider() != lie.wider {
			t.Errorf("%s was not caught: %+v", name, tr.Gaps)
		}
	}
}
