// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"

	"github.com/sallyport/sallyport/internal/meant"
)

// MaxSize is the longest description that is read, in bytes.
const MaxSize = 1 << 20

// place is a position in the file, counted from 1; the zero place is none.
type place struct{ Line, Col int }

// text is a scalar as written. It is given when its place is one, and empty when
// what was written was refused, with a problem of its own.
type text struct {
	place
	s string
}

// texts is a list of scalars; one alone may be written without a list. Entries
// that were refused are left out.
type texts struct {
	place
	items []text
}

// toggle is true or false.
type toggle struct {
	place
	v bool
}

func (p place) given() bool { return p.Line > 0 }

// Limits of what is walked. Aliases are followed, so a small file can stand for
// a large one.
const (
	maxDepth = 64
	maxNodes = 200_000
	maxList  = 4096 // scalars in one list; each is compared with the others
)

// decode reads one YAML document into a raw description, strictly.
func decode(data []byte, f *findings) (raw rawCluster, ok bool) {
	root, ok := load(data, f)
	if !ok {
		return raw, false
	}
	d := decoder{findings: f}
	d.block(root, place{root.Line, root.Column}, "", reflect.ValueOf(&raw).Elem())
	return raw, true
}

// load parses the only document of data.
func load(data []byte, f *findings) (root *yaml.Node, ok bool) {
	if len(data) > MaxSize {
		f.add(place{}, "", "leave out what does not belong here", "is longer than 1 MiB")
		return nil, false
	}
	l, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithV4Defaults(),
		yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	if err != nil {
		f.add(place{}, "", "", "cannot be read as YAML: %v", err)
		return nil, false
	}
	var doc, more yaml.Node
	if err := l.Load(&doc); err != nil && err != io.EOF {
		f.addYAML(err)
		return nil, false
	}
	if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
		doc = *doc.Content[0]
	}
	if doc.Kind == 0 || doc.Kind == yaml.ScalarNode && doc.Tag == "!!null" {
		f.add(place{}, "", "write one with: sallyport init", "is empty")
		return nil, false
	}
	switch err := l.Load(&more); {
	case err == nil:
		f.add(place{more.Line, more.Column}, "", "put each cluster into a file of its own", "a second document begins here")
		return nil, false
	case err != io.EOF:
		f.addYAML(err)
		return nil, false
	}
	return &doc, true
}

// addYAML records what the YAML parser said.
func (f *findings) addYAML(err error) {
	var le *yaml.LoadError
	if !errors.As(err, &le) {
		f.add(place{1, 1}, "", "", "not YAML: %v", err)
		return
	}
	p := place{max(le.Mark.Line, 1), max(le.Mark.Column, 1)}
	msg := le.Message
	if le.ContextMsg != "" {
		msg = le.ContextMsg + ": " + msg
	}
	f.add(p, "", "", "not YAML: %s", msg)
}

type decoder struct {
	*findings
	nodes int  // walked so far
	full  bool // whether that was said
}

// enter counts n and follows it when it is an alias; ok is false when the
// budget is spent.
func (d *decoder) enter(n *yaml.Node) (target *yaml.Node, ok bool) {
	if d.nodes++; d.nodes > maxNodes {
		if !d.full {
			d.full = true
			d.add(place{n.Line, n.Column}, "", "write values out instead of repeating aliases", "stands for more than %d values", maxNodes)
		}
		return nil, false
	}
	for range maxDepth {
		if n.Kind != yaml.AliasNode || n.Alias == nil {
			return n, true
		}
		n = n.Alias
	}
	return nil, false
}

// block reads a mapping into the raw struct v. at is where its key stands.
func (d *decoder) block(n *yaml.Node, at place, key string, v reflect.Value) {
	n, ok := d.enter(n)
	if !ok {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.wrongKind(n, at, key, "keys and values")
		return
	}
	if f := v.FieldByName("At"); f.IsValid() {
		f.Set(reflect.ValueOf(at))
	}
	t, fields, known := v.Type(), map[string]int{}, []string(nil)
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("json"); name != "-" {
			fields[name] = i
			known = append(known, name)
		}
	}
	seen := map[string]place{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, value := n.Content[i], n.Content[i+1]
		kp := place{k.Line, k.Column}
		if _, ok := d.enter(k); !ok {
			return
		}
		if k.Kind != yaml.ScalarNode {
			d.add(kp, key, "write it as key: value", "a key is not a word")
			continue
		}
		if before, twice := seen[k.Value]; twice {
			d.add(kp, join(key, k.Value), "remove one of them", "is already written in line %d", before.Line)
			continue
		}
		seen[k.Value] = kp
		field, ok := fields[k.Value]
		if !ok {
			d.unknown(k, kp, key, known, t)
			continue
		}
		d.value(value, kp, join(key, k.Value), v.Field(field), t.Field(field).Tag)
	}
	for _, name := range known {
		if hint := t.Field(fields[name]).Tag.Get("need"); hint != "" && !seen[name].given() {
			d.add(at, join(key, name), hint, isMissing)
		}
	}
}

// unknown says what a key that a block does not have may be meant for. t is the
// struct of the block.
func (d *decoder) unknown(k *yaml.Node, at place, key string, known []string, t reflect.Type) {
	if k.Tag == "!!merge" || k.Value == "<<" {
		d.add(at, join(key, "<<"), "write the keys out", "merging is not understood here")
		return
	}
	hint := "it may have " + strings.Join(known, ", ")
	if len(d.list) == maxProblems {
		hint = ""
	} else if w := below(t, k.Value); w != "" {
		hint = "write it under " + w
	} else if w := meant.Nearest(k.Value, known); w != "" {
		hint = "did you mean " + w + "?"
	}
	d.add(at, join(key, k.Value), hint, "is not a key of a cluster description")
}

// below returns the block of a block that has this key, "" when none has.
func below(t reflect.Type, key string) string {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type.Kind() != reflect.Struct {
			continue
		}
		for j := range f.Type.NumField() {
			if f.Type.Field(j).Tag.Get("json") == key {
				return f.Tag.Get("json")
			}
		}
	}
	return ""
}

// value reads n into the field v, by its type.
func (d *decoder) value(n *yaml.Node, at place, key string, v reflect.Value, tag reflect.StructTag) {
	switch v := v.Addr().Interface().(type) {
	case *text:
		*v, _ = d.scalar(n, at, key)
		return
	case *texts:
		d.scalars(n, at, key, tag, v)
		return
	case *toggle:
		d.toggle(n, at, key, v)
		return
	}
	if v.Kind() == reflect.Struct {
		d.block(n, at, key, v)
		return
	}
	n, ok := d.enter(n)
	if !ok {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.wrongKind(n, at, key, "a list")
		return
	}
	out := reflect.MakeSlice(v.Type(), 0, len(n.Content))
	for i, item := range n.Content {
		one := reflect.New(v.Type().Elem()).Elem()
		d.block(item, place{item.Line, item.Column}, fmt.Sprintf("%s[%d]", key, i+1), one)
		out = reflect.Append(out, one)
	}
	v.Set(out)
}

// scalars reads a list of scalars, or one scalar.
func (d *decoder) scalars(n *yaml.Node, at place, key string, tag reflect.StructTag, v *texts) {
	v.place = at
	t, ok := d.enter(n)
	if !ok {
		return
	}
	if t.Kind == yaml.MappingNode {
		d.wrongKind(t, at, key, "a list")
		return
	}
	if t.Kind != yaml.SequenceNode {
		if one, ok := d.scalar(n, at, key); ok {
			v.items = []text{one}
		}
		return
	}
	if len(t.Content) == 0 && tag.Get("empty") != "ok" {
		d.add(at, key, "give it an entry or remove the key", "is an empty list")
		return
	}
	if len(t.Content) > maxList {
		d.add(at, key, "join what can be joined", "has more than %d entries", maxList)
		return
	}
	for _, item := range t.Content {
		if one, ok := d.scalar(item, place{item.Line, item.Column}, key); ok {
			v.items = append(v.items, one)
		}
	}
}

// scalar reads text; when it is none, that is recorded and the text is given but
// empty, so that nothing says it is missing. Numbers and truth values are refused rather than turned
// into text, since what they look like is not always what was written.
func (d *decoder) scalar(n *yaml.Node, at place, key string) (text, bool) {
	where := place{n.Line, n.Column}
	bad := text{place: where}
	n, ok := d.enter(n)
	if !ok {
		return bad, false
	}
	if n.Kind != yaml.ScalarNode {
		d.wrongKind(n, at, key, "one value")
		return bad, false
	}
	switch n.Tag {
	case "!!str", "!!timestamp":
		if strings.TrimSpace(n.Value) == "" {
			d.add(where, key, "give it a value or remove the key", "is empty")
			return bad, false
		}
		return text{where, n.Value}, true
	case "!!null":
		d.wrongKind(n, at, key, "")
		return bad, false
	case "!!int", "!!float":
		if strings.HasSuffix(key, "ports") || strings.HasSuffix(key, "port") {
			return text{where, n.Value}, true // what to write instead is said with the others
		}
		d.add(where, key, "put it in quotes if it is meant", "%q is a number where text is expected", n.Value)
	case "!!bool":
		d.add(where, key, "put it in quotes if it is meant", "%q is true or false where text is expected", n.Value)
	default:
		d.add(where, key, "write plain text", "has the tag %s, which is not understood here", n.Tag)
	}
	return bad, false
}

func (d *decoder) toggle(n *yaml.Node, at place, key string, v *toggle) {
	where := place{n.Line, n.Column}
	n, ok := d.enter(n)
	if !ok {
		return
	}
	switch {
	case n.Kind != yaml.ScalarNode || n.Tag == "!!null":
		d.wrongKind(n, at, key, "true or false")
	case n.Tag != "!!bool":
		hint := "write true or false without quotes"
		switch strings.ToLower(n.Value) {
		case "yes", "on", "y", "true", "1":
			hint = "write true"
		case "no", "off", "n", "false", "0":
			hint = "write false"
		}
		d.add(where, key, hint, "%q is neither true nor false", n.Value)
	default:
		*v = toggle{where, strings.EqualFold(n.Value, "true")}
	}
}

// wrongKind records that n is not what belongs at key.
func (d *decoder) wrongKind(n *yaml.Node, at place, key, want string) {
	var got string
	switch {
	case n.Kind == yaml.MappingNode:
		got = "keys and values"
	case n.Kind == yaml.SequenceNode:
		got = "a list"
	case n.Tag == "!!null":
		d.add(at, key, "give it a value or remove the key", "is empty")
		return
	default:
		got = "one value"
	}
	d.add(at, key, "", "is %s, but %s is expected", got, want)
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}
