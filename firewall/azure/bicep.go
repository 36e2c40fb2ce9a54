// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"path"
	"strings"
)

// bicep is a Bicep file, or a file of parameters for one.
type bicep struct {
	r          *reader
	name       string
	calls      []bicepCall      // from other files among those given
	params     map[string]*expr // nil: no default
	vars       map[string]*expr
	symbols    map[string]*expr // resources and modules
	order      []string         // of symbols
	values     bool             // a file of parameters
	paramOrder []string
	busy       map[string]bool
}

func newBicep(r *reader, s *source) (*bicep, error) {
	d := &bicep{r: r, name: path.Clean(s.name), params: make(map[string]*expr), vars: make(map[string]*expr), symbols: make(map[string]*expr), busy: make(map[string]bool)}
	p := &exprParser{d: s.data, place: s.pos}
	if p.has("\ufeff") {
		p.off = len("\ufeff")
	}
	for {
		p.blank(true)
		if p.off >= len(p.d) {
			break
		}
		start := p.off
		d.statement(p)
		p.paren, p.depth = 0, 0
		if p.off == start {
			p.off++
		}
	}
	r.bicep[d.name] = d
	if len(d.params)+len(d.vars)+len(d.symbols) == 0 && len(strings.TrimSpace(string(s.data))) > 0 {
		return nil, s.fault(0, "holds no Bicep declaration")
	}
	return d, nil
}

// statement reads one declaration; what is none is passed over by line.
func (d *bicep) statement(p *exprParser) {
	if p.has("@") {
		p.decorator()
		return
	}
	pos := p.at()
	switch w := p.word(); w {
	case "using":
		d.values = true
		p.skipLine()
	case "param":
		name := p.word()
		d.params[name] = nil
		d.paramOrder = append(d.paramOrder, name)
		if p.typeThenEquals() {
			p.blank(true)
			d.params[name] = p.expr()
		}
	case "var":
		name := p.word()
		if p.typeThenEquals() {
			p.blank(true)
			d.vars[name] = p.expr()
		}
	case "resource", "module":
		p.off -= len(w)
		e := p.resource()
		d.symbols[e.text] = e
		d.order = append(d.order, e.text)
	case "output", "type", "func", "metadata", "targetScope", "import", "extension", "provider", "assert":
		if p.typeThenEquals() {
			p.blank(true)
			p.expr()
		}
	default:
		p.skipLine()
		d.r.notUnderstood(pos, "file", clip(w), "a line that is not understood")
	}
}

// typeThenEquals passes over a type and takes the "=" behind it.
func (p *exprParser) typeThenEquals() bool {
	for p.off < len(p.d) {
		p.blank(false)
		switch {
		case p.off >= len(p.d):
			return false
		case p.has("=") && !p.has("=="):
			p.off++
			return true
		case p.has("\n"):
			save := p.off
			p.blank(true)
			if p.has("|") { // a union of types goes on in the next line
				continue
			}
			p.off = save
			return false
		case p.has("'"):
			p.text()
		case p.has("{"):
			p.object()
		default:
			p.off++
		}
	}
	return false
}

func (d *bicep) declare(r *reader) {
	if !d.values {
		d.call()
		return
	}
	for _, name := range d.paramOrder {
		e := d.params[name]
		r.given[strings.ToLower(name)] = given{name, func() value { return r.eval(e, d, nil) }}
	}
}

func (d *bicep) resources(r *reader) []value {
	if d.values {
		return nil
	}
	var out []value
	when, called := d.called()
	if !called {
		return nil
	}
	for _, name := range d.order {
		if d.local(d.symbols[name]) != nil {
			continue // read where it stands
		}
		if v := d.resourceValue(d.symbols[name], "", "", nil); v.kind != null {
			if when != "" {
				v.when = when
			}
			out = append(out, v)
		}
	}
	return out
}

// resourceValue evaluates a resource or a module, with its nested resources.
func (d *bicep) resourceValue(e *expr, parent, parentID string, b *binding) value {
	if e.val.why != "" || len(e.args) == 0 {
		return value{kind: null}
	}
	typ := e.val.typ
	if parent != "" && !strings.Contains(typ, ".") {
		typ = parent + "/" + typ
	}
	id := strings.ToLower(e.text)
	if parentID != "" {
		id = parentID + "::" + id
	}
	body := e.args[0]
	v := value{}
	if nested := resourcesOf(body); nested != nil {
		without := *body
		without.args = body.args[:len(body.args)-2]
		v = d.r.eval(&without, d, b)
		inner := value{kind: list, pos: nested.pos}
		for _, n := range nested.args {
			if r := d.resourceValue(n, typ, id, b); r.kind != null {
				inner.items = append(inner.items, r)
			}
		}
		v.fields = append(v.fields, newField("resources", nested.pos, inner))
	} else {
		v = d.r.eval(body, d, b)
	}
	mark := func(o value) value {
		if o.kind == object && typ != "module" {
			o.typ = typ
			o.ids = append(append([]string(nil), o.ids...), "bicep:"+id, reference(typ, o.textOf("name")))
		}
		return o
	}
	if v.kind == list {
		items := make([]value, len(v.items))
		for i, o := range v.items {
			items[i] = mark(o)
		}
		v.items = items
	}
	v = mark(v)
	v.pos = e.pos
	if len(e.args) > 1 {
		switch c := d.r.eval(e.args[1], d, b); {
		case c.known() && c.text == "false":
			return value{kind: null}
		case !c.known():
			v.when = "deployed under a condition that is not known: " + c.doubt()
		}
	}
	return v
}

// resourcesOf returns the nested resources that the parser put last.
func resourcesOf(e *expr) *expr {
	if n := len(e.args); e.op == opObject && n >= 2 && e.args[n-1].op == opArray && e.args[n-2].val.text == "resources" {
		if last := e.args[n-1]; len(last.args) > 0 && last.args[0].op == opResource {
			return last
		}
	}
	return nil
}
