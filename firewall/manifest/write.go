// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Field is one field of an object that is written.
type Field struct {
	Key   string
	Value Value
}

// Value is what is written: a text, a number, a list or fields.
type Value struct{ y *yaml.Node }

// Text is a string. What YAML 1.1 takes for a truth value, as the API server's
// reader does, is written in quotes like what YAML 1.2 takes for a number.
func Text(s string) Value {
	n := &yaml.Node{}
	n.SetString(s)
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off":
		n.Style = yaml.SingleQuotedStyle
	}
	return Value{n}
}

// Number is a whole number.
func Number(n int) Value {
	return Value{&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: fmt.Sprint(n)}}
}

// List is a list, written in one line when it is empty.
func List(items ...Value) Value {
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for _, v := range items {
		n.Content = append(n.Content, v.y)
	}
	return Value{n}
}

// Texts is a list of strings.
func Texts(items ...string) Value {
	n := List()
	for _, s := range items {
		n.y.Content = append(n.y.Content, Text(s).y)
	}
	return n
}

// Fields is an object.
func Fields(fields ...Field) Value {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, f := range fields {
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: f.Key}, f.Value.y)
	}
	return Value{n}
}

// Comment returns v with lines of comment before it.
func (v Value) Comment(lines ...string) Value {
	c := *v.y
	for i, l := range lines {
		lines[i] = "# " + strings.Join(strings.Fields(l), " ")
	}
	c.HeadComment = strings.Join(lines, "\n")
	return Value{&c}
}

// Write writes objects as documents of one file.
func Write(head string, objects ...Value) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(head)
	for i, o := range objects {
		if i > 0 {
			b.WriteString("---\n")
		}
		d, err := yaml.Dump(o.y, yaml.WithV4Defaults(), yaml.WithIndent(2), yaml.WithLineWidth(-1))
		if err != nil {
			return nil, err
		}
		b.Write(d)
	}
	return b.Bytes(), nil
}
