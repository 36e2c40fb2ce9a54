// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"cmp"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/sallyport/sallyport/ruleset"
)

// repeat evaluates something for each element. For elements that are not known
// it is done once, and may stand for none.
func (d *terraformFile) repeat(pos ruleset.Position, over hclsyntax.Expression, b *binding, one func(key, val value) value) []value {
	in := d.r.eval(d.h.expr(over), d.module, b)
	var out []value
	switch in.kind {
	case list:
		for _, e := range in.items {
			v := one(e, e)
			if e.when != "" {
				v.when = e.when
			}
			out = append(out, v)
		}
	case object:
		for _, f := range in.fields {
			v := one(value{kind: text, text: f.key, pos: f.pos}, f.val)
			if f.val.when != "" {
				v.when = f.val.when
			}
			out = append(out, v)
		}
		if in.why != "" { // of which more may be there
			out = append(out, d.unsure(pos, "a loop over what is not wholly known: "+in.why, one))
		}
	case null:
	default:
		out = []value{d.unsure(pos, "a loop over what is not known: "+in.doubt(), one)}
	}
	return out
}

// unsure evaluates something for an element that is not known, and may stand for
// any number of them.
func (d *terraformFile) unsure(pos ruleset.Position, why string, one func(key, val value) value) value {
	v := one(unresolved(pos, "${each.key}", why), unresolved(pos, "${each.value}", why))
	v.when = why
	return v
}

// block evaluates a body to an object: its attributes in their order, and of
// each type of block a list.
func (d *terraformFile) block(body *hclsyntax.Body, pos ruleset.Position, b *binding) value {
	out := value{kind: object, pos: pos}
	d.r.depth++
	defer func() { d.r.depth-- }()
	if d.r.work++; d.r.depth > maxDepth || d.r.work > maxWork {
		return unresolved(pos, "a block", "nested too deeply, or too much to compute")
	}
	attrs := make([]*hclsyntax.Attribute, 0, len(body.Attributes))
	for _, a := range body.Attributes {
		attrs = append(attrs, a)
	}
	slices.SortFunc(attrs, func(a, b *hclsyntax.Attribute) int { return cmp.Compare(a.SrcRange.Start.Byte, b.SrcRange.Start.Byte) })
	for _, a := range attrs {
		if a.Name == "count" || a.Name == "for_each" {
			continue
		}
		v := d.r.eval(d.h.expr(a.Expr), d.module, b)
		if v.missing { // an attribute of a type with optional ones; else Terraform refuses it
			v = value{kind: null, pos: v.pos}
		}
		out.fields = append(out.fields, newField(a.Name, d.h.pos(a.SrcRange), v))
	}
	add := func(typ string, at ruleset.Position, items []value) {
		for i := range out.fields {
			if f := &out.fields[i]; f.key == typ && f.val.kind == list {
				f.val.items = append(f.val.items, items...)
				return
			}
		}
		out.fields = append(out.fields, newField(typ, at, value{kind: list, pos: at, items: items}))
	}
	for _, inner := range body.Blocks {
		at := d.h.pos(inner.TypeRange)
		if inner.Type == "dynamic" && len(inner.Labels) == 1 {
			add(inner.Labels[0], at, d.dynamic(inner, b))
			continue
		}
		add(inner.Type, at, []value{d.block(inner.Body, at, b)})
	}
	return out
}

// dynamic evaluates the blocks that a dynamic block makes.
func (d *terraformFile) dynamic(b *hclsyntax.Block, outer *binding) []value {
	pos := d.h.pos(b.TypeRange)
	name := b.Labels[0]
	if a := b.Body.Attributes["iterator"]; a != nil {
		if w := hcl.ExprAsKeyword(a.Expr); w != "" {
			name = w
		}
	}
	over := b.Body.Attributes["for_each"]
	var content *hclsyntax.Body
	for _, c := range b.Body.Blocks {
		if c.Type == "content" {
			content = c.Body
		}
	}
	if over == nil || content == nil {
		return []value{unresolved(pos, "dynamic "+b.Labels[0], "a dynamic block without for_each or content")}
	}
	return d.repeat(pos, over.Expr, outer, func(key, val value) value {
		at := pos
		if val.kind == object && val.pos.Line > 0 {
			at = val.pos
		}
		return d.block(content, at, outer.bind(name, value{kind: object, pos: pos,
			fields: []field{newField("key", pos, key), newField("value", pos, val)}}))
	})
}
