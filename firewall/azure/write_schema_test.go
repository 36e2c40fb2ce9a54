// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// schemaBlock is a block of a provider's schema, as terraform providers schema
// -json prints it.
type schemaBlock struct {
	Attributes map[string]struct {
		Type     json.RawMessage
		Required bool
		Optional bool
	}
	BlockTypes map[string]struct {
		MinItems int `json:"min_items"`
		Block    schemaBlock
	} `json:"block_types"`
}

// schemaOf reads the schema of a resource, and skips when it is not there.
func schemaOf(t *testing.T, resource string) schemaBlock {
	t.Helper()
	name := filepath.FromSlash("../../../shared/data/terraform/azurerm-schema.json")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Skipf("the schema of the provider is not here: %s", name)
	}
	var s struct {
		Resources map[string]struct{ Block schemaBlock } `json:"resource_schemas"`
	}
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	b := s.Resources[resource].Block
	if len(b.Attributes) == 0 {
		t.Fatalf("%s does not know %s", name, resource)
	}
	return b
}

// faults compares a body with its schema.
func faults(at string, body *hclsyntax.Body, s schemaBlock) (out []string) {
	for name, a := range body.Attributes {
		want, ok := s.Attributes[name]
		switch {
		case at == "" && name == "depends_on": // Terraform's own
		case !ok:
			out = append(out, at+name+" is no argument")
		case !want.Required && !want.Optional:
			out = append(out, at+name+" cannot be set")
		default:
			if why := mismatch(a.Expr, want.Type); why != "" {
				out = append(out, at+name+" "+why)
			}
		}
	}
	for name, a := range s.Attributes {
		if body.Attributes[name] == nil && a.Required {
			out = append(out, at+name+" is missing")
		}
	}
	count := make(map[string]int)
	for _, b := range body.Blocks {
		count[b.Type]++
		if inner, ok := s.BlockTypes[b.Type]; ok {
			out = append(out, faults(at+b.Type+".", b.Body, inner.Block)...)
		} else {
			out = append(out, at+b.Type+" is no block")
		}
	}
	for name, b := range s.BlockTypes {
		if count[name] < b.MinItems && !(at == "") {
			out = append(out, at+name+" is missing")
		}
	}
	return out
}

// mismatch tells why a value is not of a type such as "string" or ["list", "string"].
func mismatch(e hclsyntax.Expression, want json.RawMessage) string {
	if v, isVar := e.(*hclsyntax.ScopeTraversalExpr); isVar {
		if got := fmt.Sprint(v.Traversal.RootName()); got != "var" || string(want) != `"string"` {
			return "refers to " + got
		}
		return ""
	}
	v, diags := e.Value(nil)
	if diags.HasErrors() {
		return diags.Error()
	}
	var got string
	switch t := v.Type(); {
	case t == cty.String:
		got = `"string"`
	case t == cty.Number:
		got = `"number"`
	case t.IsTupleType() && t.Length() > 0:
		got = `["list","string"]`
		for _, e := range t.TupleElementTypes() {
			if e != cty.String {
				got = "a list of " + e.FriendlyName()
			}
		}
	default:
		got = t.FriendlyName()
	}
	if want := strings.ReplaceAll(string(want), " ", ""); got != want {
		return "is " + got + ", want " + want
	}
	return ""
}

// terraformFaults parses a file and compares its groups with the schema.
func terraformFaults(t *testing.T, text []byte, s schemaBlock) (groups int, out []string) {
	t.Helper()
	f, diags := hclsyntax.ParseConfig(text, "main.tf", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatalf("%s\n%s", diags, text)
	}
	for _, b := range f.Body.(*hclsyntax.Body).Blocks {
		switch {
		case b.Type == "variable" && len(b.Labels) == 1:
		case b.Type == "resource" && len(b.Labels) == 2 && b.Labels[0] == groupResource && hclsyntax.ValidIdentifier(b.Labels[1]):
			groups++
			out = append(out, faults("", b.Body, s)...)
		default:
			out = append(out, fmt.Sprintf("block %s %v", b.Type, b.Labels))
		}
	}
	return groups, out
}

func TestTerraformOutputFitsTheProvidersSchema(t *testing.T) {
	s := schemaOf(t, groupResource)
	r := rand.New(rand.NewPCG(41, 42))
	most := 0
	for range 200 {
		l := DefaultLayout
		l.Group, l.Limits.GroupBytes = pick(r, []string{"aks-egress", "1.a", "x_y"}), 2000+r.IntN(4000)
		text, _ := Terraform(randomProgram(r), l)
		groups, out := terraformFaults(t, text, s)
		if len(out) > 0 {
			t.Fatalf("%s\n%s", strings.Join(out, "\n"), text)
		}
		most = max(most, groups)
	}
	if most < 2 {
		t.Errorf("at most %d groups", most)
	}
}

func TestWhatTheProviderRefusesIsSeen(t *testing.T) {
	s := schemaOf(t, groupResource)
	text, _ := Terraform(plainProgram(), DefaultLayout)
	for name, m := range map[string][2]string{
		"another_forms_argument": {"destination_fqdns ", "target_fqdns "},
		"text_for_a_number":      {"priority           = 500", `priority           = "500"`},
		"text_for_a_list":        {`["10.1.0.0/16"]`, `"10.1.0.0/16"`},
		"no_name":                {`name               = "aks-egress"`, ""},
		"another_block":          {"network_rule_collection", "network_rules"},
	} {
		mutated := strings.Replace(string(text), m[0], m[1], 1)
		if _, out := terraformFaults(t, []byte(mutated), s); len(out) == 0 || mutated == string(text) {
			t.Errorf("%s is not seen:\n%s", name, mutated)
		}
	}
}
