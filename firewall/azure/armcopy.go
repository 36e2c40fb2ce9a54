// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/ruleset"
)

// copyLoop is a copy loop of ARM at one of its turns
// (learn.microsoft.com/azure/azure-resource-manager/templates/copy-resources, 2026-11-23).
type copyLoop struct {
	name string
	turn int
}

// at returns the scope within one turn of a loop.
func (s *armScope) at(name string, turn int) *armScope {
	in := *s
	in.loops = append(s.loops[:len(s.loops):len(s.loops)], copyLoop{name, turn})
	return &in
}

// turns returns how often a loop runs; ok is false when that is not known.
func (s *armScope) turns(block value) (n int, ok bool) {
	count, _ := block.get("count")
	v := s.tree(count, "")
	n, err := strconv.Atoi(v.text)
	return n, err == nil && v.known() && n >= 0 && n <= 10_000
}

// copies returns what an element of a list stands for: itself, or a resource as
// often as it is copied.
func (s *armScope) copies(v value, parent string) []value {
	loop, ok := v.get("copy")
	typ, _ := v.get("type")
	if !ok || v.kind != object || loop.kind != object || !strings.HasPrefix(strings.ToLower(typ.text), "microsoft.") {
		return []value{s.tree(v, parent)}
	}
	n, ok := s.turns(loop)
	if !ok {
		return []value{s.tree(v, parent)}
	}
	one := v
	one.fields = nil
	for _, f := range v.fields {
		if f.name != "copy" {
			one.fields = append(one.fields, f)
		}
	}
	var out []value
	for i := range n {
		out = append(out, s.at(loop.textOf("name"), i).tree(one, parent))
	}
	return out
}

// copied are the properties that a copy block makes.
func (s *armScope) copied(blocks value) []field {
	var out []field
	for _, b := range blocks.items {
		name := b.textOf("name")
		in, _ := b.get("input")
		made := value{kind: list, pos: b.pos}
		n, ok := s.turns(b)
		for i := range n {
			made.items = append(made.items, s.at(name, i).tree(in, ""))
		}
		if !ok {
			shown := "copy(" + name + ")"
			if in.kind == text {
				shown = in.text
			}
			made.items = []value{unresolved(in.pos, shown, "a copy loop, which is run when deployed")}
		}
		out = append(out, newField(name, b.pos, made))
	}
	return out
}

// copyIndex is the turn of a loop: copyIndex(), (offset), ('name') or ('name', offset).
func (s *armScope) copyIndex(pos ruleset.Position, args []value) value {
	name, offset := "", 0
	for _, a := range args {
		if n, err := strconv.Atoi(a.text); err == nil && a.known() {
			offset = n
		} else {
			name = a.text
		}
	}
	for i := len(s.loops) - 1; i >= 0; i-- {
		if name == "" || strings.EqualFold(s.loops[i].name, name) {
			return value{kind: number, text: strconv.Itoa(s.loops[i].turn + offset), pos: pos}
		}
	}
	return unresolved(pos, "copyIndex()", "copyIndex() of a loop that does not run here")
}
