// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

var update = flag.Bool("update", false, "write generated files instead of comparing them")

func TestSchemaIsCurrent(t *testing.T) {
	const file = "cluster.schema.json"
	got := Schema()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, read(t, file)) {
		t.Errorf("%s is stale; run: go generate ./cluster", file)
	}
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("cluster.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("cluster.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSchemaTakesWhatParseTakes(t *testing.T) {
	s := compiled(t)
	files := glob(t, "testdata/*.yaml")
	for _, file := range files {
		data := read(t, file)
		if _, err := Parse(file, data); err != nil {
			t.Errorf("Parse: %v", err)
		}
		if err := s.Validate(instance(t, data)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	d, err := FromAzure(read(t, "testdata/az/overlay.json"))
	if err != nil {
		t.Fatal(err)
	}
	d.Fill(InitFlags{Nodes: []string{"10.20.0.0/23"}})
	if err := s.Validate(instance(t, d.YAML())); err != nil {
		t.Errorf("a filled draft: %v", err)
	}
}

// What depends on other keys is Parse's alone; these an editor must underline.
func TestSchemaRefuses(t *testing.T) {
	s := compiled(t)
	for _, name := range []string{"unknown-keys", "wrong-kinds", "empty-values", "nothing-known", "network-without-keys", "list-at-top",
		"wrong-cloud", "location-with-space", "words", "editions", "allow-no-destination", "allow-two-destinations", "allow-nothing-said",
		"allow-ids", "allow-until", "allow-ports", "as-of-beside-edition", "as-of-with-time", "image-date-of-a-version", "add-ons"} {
		text, _, _ := bytes.Cut(read(t, "testdata/bad/"+name+".yaml"), []byte("#! "))
		if s.Validate(instance(t, text)) == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// instance reads YAML as the JSON it stands for: dates are strings, and a merge
// key is a key like others.
func instance(t *testing.T, data []byte) any {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal(data, &n); err != nil {
		t.Fatal(err)
	}
	return plainValue(&n)
}

func plainValue(n *yaml.Node) any {
	switch n.Kind {
	case yaml.DocumentNode:
		return plainValue(n.Content[0])
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			m[n.Content[i].Value] = plainValue(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, c := range n.Content {
			list = append(list, plainValue(c))
		}
		return list
	}
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return n.Value == "true"
	case "!!int", "!!float":
		return 1.0
	}
	return n.Value
}
