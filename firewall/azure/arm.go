// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"strings"

	"github.com/sallyport/sallyport/ruleset"
)

// armDocument is an ARM template, a parameter file, or what az prints as JSON.
type armDocument struct {
	r    *reader
	root value
	// parameters is set for a file that gives values to a template.
	parameters bool
	scope      *armScope
}

// armScope is a template with what its expressions may mention: the file's, or
// that of a nested deployment whose expressions are evaluated within it.
type armScope struct {
	r         *reader
	params    value // of the template
	variables value
	given     value // parameters of a nested deployment, {name: {value: ...}}
	outer     *armScope
	busy      map[string]bool
	loops     []copyLoop // that run, the innermost last
}

func newARM(r *reader, s *source) (*armDocument, error) {
	root, err := readJSON(s)
	if err != nil {
		return nil, err
	}
	d := &armDocument{r: r, root: root}
	d.scope = newARMScope(r, root)
	d.parameters = strings.Contains(strings.ToLower(root.textOf("$schema")), "deploymentparameters")
	return d, nil
}

func newARMScope(r *reader, template value) *armScope {
	s := &armScope{r: r, busy: make(map[string]bool)}
	s.params, _ = template.get("parameters")
	s.variables, _ = template.get("variables")
	return s
}

func (d *armDocument) declare(r *reader) {
	if !d.parameters {
		return
	}
	for _, f := range d.scope.params.fields {
		v, ok := f.val.get("value")
		if !ok {
			v = unresolved(f.pos, hole(f.key), "parameter "+f.key+" is given by reference")
		}
		r.given[strings.ToLower(f.key)] = given{f.key, func() value { return v }}
	}
}

func (d *armDocument) resources(r *reader) []value {
	if d.parameters {
		return nil
	}
	root := d.root
	if _, ok := root.get("$schema"); ok {
		// Of a template only its resources are deployed.
		root, _ = root.get("resources")
	}
	return []value{d.scope.tree(root, "")}
}

// tree returns v with its expressions computed. parent is the type of the
// resource around it.
func (s *armScope) tree(v value, parent string) value {
	r := s.r
	if r.work++; r.work > maxWork {
		return unresolved(v.pos, "", "too much to compute")
	}
	switch v.kind {
	case text:
		return s.expression(v)
	case list:
		out := value{kind: list, pos: v.pos}
		for _, e := range v.items {
			out.items = append(out.items, s.copies(e, parent)...)
		}
		return out
	case object:
		return s.object(v, parent)
	}
	return v
}

func (s *armScope) object(v value, parent string) value {
	out := value{kind: object, pos: v.pos}
	if t, ok := v.get("type"); ok && t.kind == text {
		switch typ := strings.ToLower(t.text); {
		case strings.HasPrefix(typ, "microsoft."):
			out.typ = typ
		case parent != "" && !strings.HasPrefix(typ, "["):
			if _, ok := v.get("apiversion"); ok { // nested: type and name continue the parent's
				out.typ = parent + "/" + typ
			}
		}
	}
	inner := s
	if strings.HasSuffix(out.typ, "/deployments") {
		inner = s.deployment(v)
	}
	if out.typ != "" {
		parent = out.typ
	}
	for _, f := range v.fields {
		in := s
		if f.name == "properties" {
			in = inner
		}
		if f.name == "copy" && f.val.kind == list {
			out.fields = append(out.fields, s.copied(f.val)...)
			continue
		}
		if f.name == "copy" && out.typ != "" {
			out.when = "the resource is copied any number of times"
			continue
		}
		if out.typ != "" && (f.name == "template" || strings.HasSuffix(out.typ, "/deployments") && f.name == "properties") {
			t, _ := f.val.get("template")
			if t.kind == object {
				t, _ = t.get("resources")
				f = newField("resources", f.pos, t)
			}
		}
		if f.name == "condition" && out.typ != "" {
			c := in.tree(f.val, parent)
			switch {
			case c.known() && strings.EqualFold(c.text, "false"):
				return value{kind: null, pos: v.pos}
			case !c.known():
				out.when = "deployed under a condition that is not known: " + c.doubt()
			}
			continue
		}
		f.val = in.tree(f.val, parent)
		out.fields = append(out.fields, f)
	}
	if out.typ != "" {
		out.ids = append(out.ids, reference(out.typ, out.textOf("name")))
	}
	return out
}

// deployment returns the scope of the template within a nested deployment: its
// own when it is evaluated inside, else that of the template around it.
func (s *armScope) deployment(v value) *armScope {
	t, ok := v.get("template")
	if !ok || t.kind != object {
		return s
	}
	options, _ := v.get("expressionevaluationoptions")
	if !strings.EqualFold(options.textOf("scope"), "inner") {
		return s
	}
	in := newARMScope(s.r, t)
	in.outer = s
	in.given, _ = v.get("parameters")
	return in
}

// expression computes a text that is an expression, "[...]"; "[[" is a text.
func (s *armScope) expression(v value) value {
	t := v.text
	switch {
	case !strings.HasPrefix(t, "[") || !strings.HasSuffix(t, "]"):
		return v
	case strings.HasPrefix(t, "[["):
		v.text = t[1:]
		return v
	}
	p := &exprParser{d: []byte(t[1 : len(t)-1]), arm: true, paren: 1, place: func(int) ruleset.Position { return v.pos }}
	e := p.expr()
	p.blank(true)
	if p.off < len(p.d) {
		return unresolved(v.pos, t, "an expression that is not understood")
	}
	out := s.r.eval(e, s, nil)
	if out.kind == unknown && !strings.HasPrefix(out.text, "${") {
		out.text = t
	}
	return out
}

// once guards against a value that is defined by itself.
func (s *armScope) once(key string, pos ruleset.Position, get func() value) value {
	if s.busy[key] {
		return unresolved(pos, key, key+" refers to itself")
	}
	s.busy[key] = true
	defer delete(s.busy, key)
	return get()
}

func (s *armScope) param(name string, pos ruleset.Position) value {
	if s.outer != nil {
		if g, ok := lookup(s.given, name); ok {
			v, _ := g.get("value")
			return s.once("parameter "+name, pos, func() value { return s.outer.tree(v, "") })
		}
	} else if v, ok := s.r.outside(name, pos); ok {
		return v
	}
	if def, ok := lookup(s.params, name); ok {
		if v, ok := def.get("defaultvalue"); ok {
			d := s.once("parameter "+name, pos, func() value { return s.tree(v, "") })
			if d.kind == unknown {
				if l, ok := s.r.location(name, pos); ok {
					return l
				}
				d.text = hole(name)
			}
			return d
		}
	}
	return s.r.missing("parameter", name, pos)
}

func (s *armScope) variable(name string, pos ruleset.Position) value {
	if blocks, ok := s.variables.get("copy"); ok && blocks.kind == list {
		for _, f := range blocks.items {
			if strings.EqualFold(f.textOf("name"), name) {
				return s.once("variable "+name, pos, func() value { return s.copied(value{kind: list, items: []value{f}})[0].val })
			}
		}
	}
	if v, ok := lookup(s.variables, name); ok {
		return s.once("variable "+name, pos, func() value { return s.tree(v, "") })
	}
	return s.r.missing("variable", name, pos)
}

func (s *armScope) named(name string, pos ruleset.Position) value {
	return unresolved(pos, name, name+" is not understood")
}

// lookup finds a field by its name in ARM, which ignores case.
func lookup(v value, name string) (value, bool) {
	for i := len(v.fields) - 1; i >= 0; i-- {
		if strings.EqualFold(v.fields[i].key, name) {
			return v.fields[i].val, true
		}
	}
	return value{}, false
}
