// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/program"
)

func TestBicepReadsAsPeopleWriteIt(t *testing.T) {
	p := plainProgram()
	p.Rules = p.Rules[:1]
	p.Rules[0].Origins = []program.Origin{{Purpose: `it's for ${x} and \n`, Citation: program.Citation{Edition: "2026-07-03", Line: 7}}}
	text, _ := Bicep(p, DefaultLayout)
	want := `// Written by sallyport from edition 2026-07-03 of the AKS egress list.
@description('name of the firewall policy that takes the rules')
param firewallPolicyName string = 'firewall-policy'

resource policy 'Microsoft.Network/firewallPolicies@2024-05-01' existing = {
  name: firewallPolicyName
}

resource ruleCollectionGroup 'Microsoft.Network/firewallPolicies/ruleCollectionGroups@2024-05-01' = {
  parent: policy
  name: 'aks-egress'
  properties: {
    priority: 500
    ruleCollections: [
      {
        ruleCollectionType: 'FirewallPolicyFilterRuleCollection'
        name: 'aks-egress-names'
        priority: 200
        action: {
          type: 'Allow'
        }
        rules: [
          // wild: it's for ${x} and \n (2026-07-03, line 7)
          {
            ruleType: 'ApplicationRule'
            name: 'wild'
            description: 'it\'s for \${x} and \\n (2026-07-03, line 7)'
            sourceAddresses: [
              '10.1.0.0/16'
            ]
            protocols: [
              {
                protocolType: 'Https'
                port: 443
              }
            ]
            targetFqdns: [
              '*.a.com'
            ]
          }
        ]
      }
    ]
  }
}
`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestOddTextsStayTexts reads every quoted text back through the parser of Bicep
// and the reader of ARM expressions.
func TestOddTextsStayTexts(t *testing.T) {
	r := newReader(Options{})
	for _, a := range someText {
		for _, b := range someText {
			s := plain(a + b)
			p := &exprParser{d: []byte(bicepQuote(s)), place: newSource(File{Name: "x"}).pos}
			v := r.eval(p.text(), &bicep{r: r}, nil)
			if !v.known() || v.text != s || p.off != len(p.d) {
				t.Errorf("%q is read back from %s as %+v", s, bicepQuote(s), v)
			}
		}
	}
}

func TestNoPurposeEndsACommentOrIsComputed(t *testing.T) {
	for _, form := range forms {
		clean := plainProgram()
		want, _ := form.write(clean, DefaultLayout)
		for _, odd := range someText {
			p := plainProgram()
			p.Edition.ID = odd
			for i := range p.Rules {
				p.Rules[i].Origins = []program.Origin{{Purpose: odd, Citation: program.Citation{Edition: odd}}, {Purpose: odd}}
			}
			text, _ := form.write(p, DefaultLayout)
			if got, want := strings.Count(string(text), "\n"), strings.Count(string(want), "\n"); got != want {
				t.Errorf("%s: %q makes %d lines of %d:\n%s", form.name, odd, got, want, text)
			}
			if !effectOf(t, form.file, text).Sure.Equal(effectOf(t, form.file, want).Maybe) {
				t.Errorf("%s: %q changes the rules:\n%s", form.name, odd, text)
			}
		}
	}
	for in, want := range map[string]string{"[x]": "[[x]", "[x] y": "[x] y", "[[x]]": "[[[x]]", "x": "x", "": ""} {
		if got := armText(in); got != want {
			t.Errorf("armText(%q) = %q, want %q", in, got, want)
		}
	}
}
