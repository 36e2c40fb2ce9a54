// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"strings"

	"github.com/sallyport/sallyport/ruleset"
)

func (d *bicep) param(name string, pos ruleset.Position) value { return d.named(name, pos) }

func (d *bicep) variable(name string, pos ruleset.Position) value { return d.named(name, pos) }

func (d *bicep) named(name string, pos ruleset.Position) value {
	get := func(e *expr) value {
		if d.busy[name] {
			return unresolved(pos, hole(name), name+" refers to itself")
		}
		d.busy[name] = true
		defer delete(d.busy, name)
		return d.r.eval(e, d, nil)
	}
	if def, ok := d.params[name]; ok {
		if v, ok := d.argument(name, pos); ok {
			return v
		}
		if v, ok := d.r.outside(name, pos); ok && !d.values && len(d.calls) == 0 {
			return v
		}
		if def != nil && !d.busy[name] {
			if v := get(def); v.kind != unknown {
				return v
			} else if l, ok := d.r.location(name, pos); ok {
				return l
			} else if v.kind == unknown {
				v.text = hole(name)
				return v
			}
		}
		return d.r.missing("parameter", name, pos)
	}
	if e, ok := d.vars[name]; ok {
		return get(e)
	}
	if e, ok := d.symbols[name]; ok {
		v := unresolved(pos, name, name+" is known only when deployed")
		v.ref = "bicep:" + strings.ToLower(e.text)
		return v
	}
	return unresolved(pos, hole(name), name+" is not in the file")
}
