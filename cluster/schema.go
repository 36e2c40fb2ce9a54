// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/invopop/jsonschema"
)

//go:generate go test -run TestSchemaIsCurrent -update

// Schema returns the JSON Schema (draft 2020-12) of cluster.yaml, for editors.
// It is made from the types the file is decoded into; what depends on other
// keys is left to Parse.
func Schema() []byte {
	root := reflect.TypeFor[rawCluster]()
	r := jsonschema.Reflector{
		Anonymous:                  true,
		ExpandedStruct:             true,
		DoNotReference:             true,
		RequiredFromJSONSchemaTags: true,
		Mapper:                     scalarSchema,
	}
	s := r.ReflectFromType(root)
	s.Title = "Sallyport cluster description"
	dress(root, s)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		panic(err) // the schema is made of plain data
	}
	return b.Bytes()
}

// scalarSchema says what the leaves of a raw description are.
func scalarSchema(t reflect.Type) *jsonschema.Schema {
	one := &jsonschema.Schema{Type: "string", MinLength: new(uint64(1))}
	switch t {
	case reflect.TypeFor[text]():
		return one
	case reflect.TypeFor[texts]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{one, {Type: "array", Items: one}}}
	case reflect.TypeFor[toggle]():
		return &jsonschema.Schema{Type: "boolean"}
	}
	return nil
}

// dress adds to the schema of t what the tags of its fields say.
func dress(t reflect.Type, s *jsonschema.Schema) {
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		p, ok := s.Properties.Get(tag.Get("json"))
		if !ok {
			continue
		}
		if tag.Get("need") != "" {
			s.Required = append(s.Required, tag.Get("json"))
		}
		p.Description = tag.Get("doc")
		leaf, list := p, p
		if len(p.AnyOf) == 2 {
			leaf, list = p.AnyOf[0], p.AnyOf[1]
		}
		leaf.Pattern = tag.Get("shape")
		for _, w := range vocabulary(tag.Get("words")) {
			leaf.Enum = append(leaf.Enum, w)
		}
		if list.Type == "array" && tag.Get("empty") != "ok" {
			list.MinItems = new(uint64(1))
		}
		switch ft := t.Field(i).Type; {
		case ft.Kind() == reflect.Slice:
			dress(ft.Elem(), p.Items)
		case p.Properties != nil:
			dress(ft, p)
		}
	}
	switch t {
	case reflect.TypeFor[rawCluster]():
		s.Not = &jsonschema.Schema{Required: []string{"edition", "asOf"}}
	case reflect.TypeFor[rawAllow]():
		s.OneOf = []*jsonschema.Schema{{Required: []string{"name"}}, {Required: []string{"cidr"}}}
	}
}
