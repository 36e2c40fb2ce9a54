// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/sallyport/sallyport/ruleset"
)

// terraformModule is what the files of one directory declare.
type terraformModule struct {
	r        *reader
	dir      string
	defaults map[string]*expr // nil: none
	locals   map[string]*expr
	busy     map[string]bool
	calls    []moduleCall // from other modules among the files
}

// moduleCall is a call of a module whose files are among those given.
type moduleCall struct {
	from *terraformFile
	body *hclsyntax.Body
}

// terraformModule returns the module of a directory.
func (r *reader) terraformModule(dir string) *terraformModule {
	m := r.modules[dir]
	if m == nil {
		m = &terraformModule{r: r, dir: dir, defaults: make(map[string]*expr), locals: make(map[string]*expr), busy: make(map[string]bool)}
		r.modules[dir] = m
	}
	return m
}

// local returns the module that a block calls, when its files are given; its
// resources are then read where they stand.
func (d *terraformFile) local(b *hclsyntax.Block) *terraformModule {
	a := b.Body.Attributes["source"]
	if a == nil {
		return nil
	}
	source := d.r.eval(d.h.expr(a.Expr), d.module, nil)
	if !source.known() || !strings.HasPrefix(source.text, ".") {
		return nil
	}
	m := d.r.modules[path.Join(d.module.dir, source.text)]
	if m == d.module {
		return nil
	}
	return m
}

func (m *terraformModule) once(key string, pos ruleset.Position, e *expr) value {
	if m.busy[key] {
		return unresolved(pos, key, key+" refers to itself")
	}
	m.busy[key] = true
	defer delete(m.busy, key)
	return m.r.eval(e, m, nil)
}

func (m *terraformModule) param(name string, pos ruleset.Position) value {
	if len(m.calls) == 0 {
		if v, ok := m.r.outside(name, pos); ok {
			return v
		}
	}
	if v, ok := m.called(name, pos); ok {
		return v
	}
	if e := m.defaults[name]; e != nil {
		if v := m.once("variable "+name, pos, e); v.kind != null {
			return v
		}
	}
	return m.r.missing("variable", name, pos)
}

// called returns what the call of the module gives a variable.
func (m *terraformModule) called(name string, pos ruleset.Position) (value, bool) {
	for _, c := range m.calls {
		a := c.body.Attributes[name]
		switch {
		case a == nil:
		case len(m.calls) > 1 || c.body.Attributes["for_each"] != nil || c.body.Attributes["count"] != nil:
			return unresolved(pos, hole(name), "the module is called more than once"), true
		case m.busy["call "+name]:
			return unresolved(pos, hole(name), name+" refers to itself"), true
		default:
			m.busy["call "+name] = true
			defer delete(m.busy, "call "+name)
			return m.r.eval(c.from.h.expr(a.Expr), c.from.module, nil), true
		}
	}
	return value{}, false
}

func (m *terraformModule) variable(name string, pos ruleset.Position) value {
	if e := m.locals[name]; e != nil {
		return m.once("local "+name, pos, e)
	}
	return m.r.missing("local", name, pos)
}

func (m *terraformModule) named(name string, pos ruleset.Position) value {
	v := unresolved(pos, hole(name), name+" is known only when deployed")
	v.ref = strings.ToLower(name)
	return v
}
