// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package manifest reads and writes files of Kubernetes objects as far as
// network policies need them: documents of YAML whose every part keeps its
// line. It knows no kind of object. Files with aliases, merge keys or a field
// stated twice are refused, since what they mean depends on the reader.
package manifest

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// MaxSize is the longest file that is read, in bytes.
const MaxSize = 4 << 20

// Object is one object of a file.
type Object struct {
	APIVersion, Kind, Name string
	Node                   Node
}

// Node is a part of a document. The zero Node is one that is not there.
type Node struct{ y *yaml.Node }

// Read returns the objects of a file, those of lists one by one.
func Read(name string, data []byte) ([]Object, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%s: is longer than %d MiB", name, MaxSize>>20)
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithV4Defaults(),
		yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(64))))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var out []Object
	for {
		var doc yaml.Node
		if err := loader.Load(&doc); err == io.EOF {
			return out, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		root := &doc
		if root.Kind == yaml.DocumentNode && len(root.Content) > 0 {
			root = root.Content[0]
		}
		if err := plain(root); err != nil {
			return nil, fmt.Errorf("%s:%w", name, err)
		}
		out = appendObjects(out, Node{root}, 2)
	}
}

// plain reports the first part that different readers take differently.
func plain(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode {
		return fmt.Errorf("%d: the alias *%s is not followed", n.Line, n.Value)
	}
	if n.Kind == yaml.MappingNode {
		seen := make(map[string]bool)
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			if k.Kind != yaml.ScalarNode || k.Value == "<<" || seen[k.Value] {
				return fmt.Errorf("%d: the field %q is stated twice, or is no field", k.Line, k.Value)
			}
			seen[k.Value] = true
		}
	}
	for _, c := range n.Content {
		if err := plain(c); err != nil {
			return err
		}
	}
	return nil
}

// appendObjects adds n, or what stands in it when it is a list.
func appendObjects(out []Object, n Node, depth int) []Object {
	if !n.IsMap() {
		return out
	}
	text := func(n Node) string { s, _ := n.Text(); return s }
	o := Object{APIVersion: text(n.Get("apiVersion")), Kind: text(n.Get("kind")), Name: text(n.Get("metadata").Get("name")), Node: n}
	items := n.Get("items")
	if strings.HasSuffix(o.Kind, "List") && items.IsList() && depth > 0 {
		for _, item := range items.Items() {
			out = appendObjects(out, item, depth-1)
		}
		return out
	}
	return append(out, o)
}

// Exists reports whether the part is there and is not null.
func (n Node) Exists() bool { return n.y != nil && n.y.Tag != "!!null" }

// IsMap reports whether the part has fields.
func (n Node) IsMap() bool { return n.y != nil && n.y.Kind == yaml.MappingNode }

// IsList reports whether the part is a list.
func (n Node) IsList() bool { return n.y != nil && n.y.Kind == yaml.SequenceNode }

// Line returns the line on which the part begins, 0 when it is not there.
func (n Node) Line() int {
	if n.y == nil {
		return 0
	}
	return n.y.Line
}

// Get returns the field called key.
func (n Node) Get(key string) Node {
	if !n.IsMap() {
		return Node{}
	}
	for i := 0; i+1 < len(n.y.Content); i += 2 {
		if n.y.Content[i].Value == key {
			return Node{n.y.Content[i+1]}
		}
	}
	return Node{}
}

// Keys returns the names of the fields, in order.
func (n Node) Keys() []string {
	var out []string
	if n.IsMap() {
		for i := 0; i+1 < len(n.y.Content); i += 2 {
			out = append(out, n.y.Content[i].Value)
		}
	}
	return out
}

// Other returns the fields that known does not list.
func (n Node) Other(known ...string) []string {
	return slices.DeleteFunc(n.Keys(), func(k string) bool { return slices.Contains(known, k) })
}

// Items returns the entries of a list, none of anything else.
func (n Node) Items() []Node {
	if !n.IsList() {
		return nil
	}
	out := make([]Node, len(n.y.Content))
	for i, c := range n.y.Content {
		out[i] = Node{c}
	}
	return out
}

// Text returns the text of a scalar; ok is false for anything else.
func (n Node) Text() (s string, ok bool) {
	if n.y == nil || n.y.Kind != yaml.ScalarNode || n.y.Tag == "!!null" {
		return "", false
	}
	return n.y.Value, true
}

// Shown returns the part for a message, cut when it is long.
func (n Node) Shown() string {
	if s, ok := n.Text(); ok {
		if len(s) > 80 {
			s = s[:80] + "..."
		}
		return s
	}
	switch {
	case n.IsMap():
		return "{" + strings.Join(n.Keys()[:min(4, len(n.Keys()))], ", ") + "}"
	case n.IsList():
		return fmt.Sprintf("a list of %d", len(n.Items()))
	}
	return ""
}
