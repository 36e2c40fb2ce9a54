// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// terraformFile is a .tf file or one of values. The .tf files of one directory
// are a module, and their variables and locals are common to them.
type terraformFile struct {
	r      *reader
	h      *hclSource
	body   *hclsyntax.Body
	module *terraformModule // nil for a file of values
	s      *source
}

// terraform parses a file.
func (r *reader) terraform(form string, s *source) (document, error) {
	if err := bounded(s); err != nil {
		return nil, err
	}
	f, diags := hclsyntax.ParseConfig(s.data, s.name, hcl.InitialPos)
	if diags.HasErrors() {
		for _, d := range diags {
			if d.Severity == hcl.DiagError && d.Subject != nil {
				return nil, s.fault(d.Subject.Start.Byte, d.Summary+": "+d.Detail)
			}
		}
		return nil, s.fault(0, diags.Error())
	}
	body, ok := f.Body.(*hclsyntax.Body)
	if !ok {
		return nil, s.fault(0, "is not HCL")
	}
	d := &terraformFile{r: r, h: &hclSource{s: s}, body: body, s: s}
	if form == "terraform" {
		d.module = r.terraformModule(path.Dir(s.name))
	}
	return d, nil
}

// bounded refuses files nested so deeply that the parser's recursion, which
// has no bound of its own, would matter.
func bounded(s *source) error {
	depth := 0
	for i, c := range s.data {
		switch c {
		case '(', '[', '{':
			if depth++; depth > maxDepth {
				return s.fault(i, "nested too deeply")
			}
		case ')', ']', '}':
			depth--
		}
	}
	return nil
}

func (d *terraformFile) declare(r *reader) {
	if d.module == nil {
		for _, name := range sortedKeys(d.body.Attributes) {
			e := d.h.expr(d.body.Attributes[name].Expr)
			r.given[strings.ToLower(name)] = given{name, func() value { return r.eval(e, r.terraformModule(path.Dir(d.s.name)), nil) }}
		}
		return
	}
	for _, b := range d.body.Blocks {
		switch {
		case b.Type == "variable" && len(b.Labels) == 1:
			d.module.defaults[b.Labels[0]] = nil
			if a := b.Body.Attributes["default"]; a != nil {
				d.module.defaults[b.Labels[0]] = d.h.expr(a.Expr)
			}
		case b.Type == "locals":
			for name, a := range b.Body.Attributes {
				d.module.locals[name] = d.h.expr(a.Expr)
			}
		case b.Type == "module":
			if m := d.local(b); m != nil {
				m.calls = append(m.calls, moduleCall{d, b.Body})
			}
		}
	}
}

func (d *terraformFile) resources(*reader) []value {
	if d.module == nil {
		return nil
	}
	var out []value
	for _, b := range d.body.Blocks {
		switch {
		case b.Type == "resource" && len(b.Labels) == 2:
			out = append(out, d.resource(b)...)
		case b.Type == "module" && len(b.Labels) == 1 && d.local(b) == nil:
			out = append(out, d.instances(b)...)
		}
	}
	return out
}

// resource evaluates a resource and says what it is called.
func (d *terraformFile) resource(b *hclsyntax.Block) []value {
	out := d.instances(b)
	for i := range out {
		out[i].typ = canonical(b.Labels[0])
		id := strings.ToLower(strings.Join(b.Labels, "."))
		out[i].ids = []string{id, reference(typeOf[out[i].typ], out[i].textOf("name"))}
	}
	return out
}

// typeOf is the type in Azure of what Terraform refers to by name too.
var typeOf = map[string]string{"azurermipgroup": "ipgroups", "azurermfirewallpolicy": "firewallpolicies"}

// instances evaluates a block once, or as often as count or for_each say.
func (d *terraformFile) instances(b *hclsyntax.Block) []value {
	pos := d.h.pos(b.TypeRange)
	each := func(key, val value) *binding {
		return (*binding)(nil).bind("each", value{kind: object, pos: pos,
			fields: []field{newField("key", pos, key), newField("value", pos, val)}})
	}
	if a := b.Body.Attributes["for_each"]; a != nil {
		return d.repeat(pos, a.Expr, nil, func(key, val value) value { return d.block(b.Body, pos, each(key, val)) })
	}
	v := d.block(b.Body, pos, nil)
	if a := b.Body.Attributes["count"]; a != nil {
		switch n := d.r.eval(d.h.expr(a.Expr), d.module, nil); {
		case n.known() && n.text == "0":
			return nil
		case !n.known():
			v.when = "created a number of times that is not known: " + n.doubt()
		}
	}
	return []value{v}
}
