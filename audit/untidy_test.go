// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/firewall/azure"
)

// policy is a rule collection group of Terraform with these blocks in it.
func policy(blocks string) azure.File {
	return azure.File{Name: "main.tf", Data: []byte(`
variable "nodes" { default = "10.240.0.0/16" }

resource "azurerm_firewall_policy_rule_collection_group" "g" {
  name               = "g"
  firewall_policy_id = "p"
  priority           = 500
` + blocks + `
}
`)}
}

const webOnTop = `
  network_rule_collection {
    name     = "net"
    priority = 400
    action   = "Allow"
    rule {
      name                  = "tags"
      source_addresses      = [var.nodes]
      destination_ports     = ["*"]
      destination_addresses = ["AzureContainerRegistry", "AzureActiveDirectory"]
      protocols             = ["Any"]
    }
    rule {
      name                  = "images"
      source_addresses      = [var.nodes]
      destination_ports     = ["443"]
      destination_addresses = ["20.1.2.3"]
      protocols             = ["TCP"]
    }
    rule {
      name                  = "web"
      source_addresses      = [var.nodes]
      destination_ports     = ["*"]
      destination_addresses = ["*"]
      protocols             = ["TCP"]
    }
    rule {
      name                  = "typo"
      source_addresses      = ["*"]
      destination_ports     = ["1194"]
      destination_addresses = ["AzureCloud.*"]
      protocols             = ["UDP"]
    }
  }
`

const names = `
  application_rule_collection {
    name     = "app"
    priority = 500
    action   = "Allow"
    rule {
      name              = "AllowAll"
      source_addresses  = ["10.240.0.0/16"]
      destination_fqdns = ["mcr.microsoft.com", "own.example.com"]
      protocols {
        type = "Https"
        port = 443
      }
    }
    rule {
      name                  = "base"
      source_addresses      = [var.nodes]
      destination_fqdn_tags = ["AzureKubernetesService"]
      protocols {
        type = "Https"
        port = 443
      }
    }
  }
`

func textsOf(r audit.Report, check audit.Check) []string {
	var out []string
	for _, f := range r.Findings {
		if f.Check == check {
			out = append(out, f.Text)
		}
	}
	return out
}

func TestWhatAVoidRuleLeavesNothingToDecideIsSaidForEachProtocol(t *testing.T) {
	r := run(t, compiled(t, "westeurope"), policy(webOnTop+names))
	want := []string{
		"for TCP, net/web lets through everything that net/tags does",
		"for TCP, net/web lets through everything that net/images does",
	}
	if got := textsOf(r, audit.Shadowed); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestATagOfOneServiceHoldsNoAPIServer: what the void rule masks is missing and
// not unknown.
func TestATagOfOneServiceHoldsNoAPIServer(t *testing.T) {
	r := run(t, compiled(t, "westeurope"), policy(webOnTop))
	got := textsOf(r, audit.Missing)
	if !slices.ContainsFunc(got, func(s string) bool {
		return strings.HasPrefix(s, "*.hcp.westeurope.azmk8s.io https/443 is needed, and only net/web")
	}) {
		t.Errorf("%q", got)
	}
	// A whole region's addresses may hold it.
	region := policy(strings.NewReplacer(`"AzureContainerRegistry", "AzureActiveDirectory"`, `"AzureCloud.westeurope"`).Replace(webOnTop))
	if got := textsOf(run(t, compiled(t, "westeurope"), region), audit.Missing); slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "*.hcp") }) {
		t.Errorf("with the region's tag: %q", got)
	}
}

func TestARuleThatCanNeverMatchIsStillForEverybody(t *testing.T) {
	r := run(t, compiled(t, "westeurope"), policy(webOnTop))
	if got := textsOf(r, audit.NoSource); !slices.Equal(got, []string{"net/typo is not limited to the cluster's addresses"}) {
		t.Errorf("%q", got)
	}
	if got := textsOf(r, audit.Dead); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

func TestUntidyRulesAreSaidAndNoFaults(t *testing.T) {
	p := compiled(t, "westeurope")
	r := run(t, p, policy(names))
	for check, want := range map[audit.Check]string{
		audit.Overlap:  "mcr.microsoft.com: the tag AzureKubernetesService, in app/base, lets this through already, in all likelihood",
		audit.Literal:  "app/AllowAll has the source 10.240.0.0/16 written out, where app/base takes it from var.nodes: it stays behind when that changes",
		audit.Misnamed: "app/AllowAll is named for everything and allows only mcr.microsoft.com, own.example.com",
	} {
		if got := textsOf(r, check); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want %q", check, got, want)
		}
	}
	for _, f := range r.Findings {
		if f.Severity != audit.Info && (f.Check == audit.Overlap || f.Check == audit.Literal || f.Check == audit.Misnamed) {
			t.Errorf("%s is %s", f.ID, f.Severity)
		}
		if f.Check != audit.Literal {
			continue
		}
		src := policy(names)
		after := audit.Apply(map[string][]byte{src.Name: src.Data}, f.Edits)[src.Name]
		if again := textsOf(run(t, p, azure.File{Name: src.Name, Data: after}), audit.Literal); len(again) > 0 || strings.Count(string(after), "var.nodes") != 2 {
			t.Errorf("%q behind the patch\n%s", again, after)
		}
	}
	// Nothing of it is said where everything is written out, or named as it is.
	plain := policy(strings.NewReplacer("[var.nodes]", `["10.240.0.0/16"]`, "AllowAll", "images", `destination_fqdn_tags = ["AzureKubernetesService"]`, `destination_fqdns = ["management.azure.com"]`).Replace(names))
	r = run(t, p, plain)
	if got := slices.Concat(textsOf(r, audit.Overlap), textsOf(r, audit.Literal), textsOf(r, audit.Misnamed)); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

// TestAWitnessComesFromTheCluster: a flow that is shown for a rule is one that
// the rule lets through.
func TestAWitnessComesFromTheCluster(t *testing.T) {
	own := strings.NewReplacer("10.240.0.0/16", "192.0.2.0/24").Replace(names + webOnTop)
	f := policy(own)
	f.Data = []byte(strings.ReplaceAll(string(f.Data), `default = "10.240.0.0/16"`, `default = "192.0.2.0/24"`))
	r := run(t, compiled(t, "westeurope"), f)
	for _, x := range r.Findings {
		if x.Check == audit.TooWide && !strings.HasSuffix(x.Witness, " from 192.0.2.4") {
			t.Errorf("%s: %s", x.Text, x.Witness)
		}
	}
}

func TestASlipOfThePenIsFound(t *testing.T) {
	p := compiled(t, "westeurope")
	for name, want := range map[string]string{
		"mcr.miscrosoft.com":      "mcr.microsoft.com",
		"*.data.mcr.micosoft.com": "*.data.mcr.microsoft.com",
		"packages.aks.azure.cn":   "", // another cloud's
		"mcr.example.com":         "",
		"msr.microsoft.com":       "", // Microsoft's all the same
	} {
		r := run(t, p, policy(strings.Replace(names, "mcr.microsoft.com", name, 1)))
		got := ""
		for _, f := range r.Findings {
			if f.Check == audit.Misspelt {
				got = strings.TrimPrefix(f.Fix, "write ")
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
