// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"path"
	"strings"

	"github.com/sallyport/sallyport/ruleset"
)

// bicepCall is a module declaration that leads to a file among those given.
type bicepCall struct {
	from *bicep
	decl *expr
}

// local returns the file that a module declaration leads to, nil when it is not
// among those given.
func (d *bicep) local(e *expr) *bicep {
	if e.val.typ != "module" || strings.Contains(e.val.text, ":") || len(e.args) == 0 {
		return nil
	}
	if in := d.r.bicep[path.Join(path.Dir(d.name), e.val.text)]; in != d {
		return in
	}
	return nil
}

// call tells the modules of a file what calls them.
func (d *bicep) call() {
	for _, name := range d.order {
		if e := d.symbols[name]; d.local(e) != nil {
			in := d.local(e)
			in.calls = append(in.calls, bicepCall{d, e})
		}
	}
}

// called reports whether the file is deployed at all: nothing calls it, or
// something does; when says why that is not certain.
func (d *bicep) called() (when string, ok bool) {
	for _, c := range d.calls {
		switch {
		case c.decl.args[0].op == opFor:
			return "deployed in a loop", true
		case len(c.decl.args) < 2:
			return "", true
		}
		switch v := d.r.eval(c.decl.args[1], c.from, nil); {
		case v.known() && v.text == "true":
			return "", true
		case v.known() && v.text == "false":
		default:
			when, ok = "deployed under a condition that is not known: "+v.doubt(), true
		}
	}
	return when, ok || len(d.calls) == 0
}

// argument returns what the call of the file gives a parameter.
func (d *bicep) argument(name string, pos ruleset.Position) (value, bool) {
	for _, c := range d.calls {
		body := c.decl.args[0]
		if body.op == opFor || len(d.calls) > 1 {
			return unresolved(pos, hole(name), "the module is deployed more than once"), true
		}
		e := body.key("params").key(name)
		switch key := "argument " + name; {
		case e == nil:
		case d.busy[key]:
			return unresolved(pos, hole(name), name+" refers to itself"), true
		default:
			d.busy[key] = true
			defer delete(d.busy, key)
			return d.r.eval(e, c.from, nil), true
		}
	}
	return value{}, false
}

// key returns the value under a literal key of an object expression.
func (e *expr) key(name string) *expr {
	if e == nil || e.op != opObject {
		return nil
	}
	for i := 0; i+1 < len(e.args); i += 2 {
		if k := e.args[i]; k.op == opValue && k.val.text == name {
			return e.args[i+1]
		}
	}
	return nil
}
