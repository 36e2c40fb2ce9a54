// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/ruleset"
)

// listCall computes the functions of lists and objects that are not worth a
// function of their own. ok is false when it is none of them, or not all that it
// needs is known.
func listCall(name string, args []value, pos ruleset.Position) (out value, ok bool) {
	if len(args) == 0 {
		return value{}, false
	}
	v := args[0]
	switch name {
	case "length", "empty":
		n := v.size()
		if v.kind == text && v.known() {
			n = len(v.text)
		} else if v.kind == null {
			n = 0
		}
		if n < 0 {
			return value{}, false
		}
		if name == "empty" {
			return truth(n == 0), true
		}
		return value{kind: number, text: strconv.Itoa(n), pos: pos}, true
	case "contains": // of an object, a key
		if len(args) != 2 || !args[1].known() || v.size() < 0 {
			return value{}, false
		}
		for _, f := range v.fields {
			if strings.EqualFold(f.key, args[1].text) {
				return truth(true), true
			}
		}
		for _, e := range v.items {
			if !e.known() {
				return value{}, false
			}
			if e.text == args[1].text {
				return truth(true), true
			}
		}
		return truth(false), true
	case "keys", "objectkeys", "values":
		if v.kind != object || v.why != "" {
			return value{}, false
		}
		out := value{kind: list, pos: pos}
		for _, f := range v.fields {
			e := f.val
			if name != "values" {
				e = value{kind: text, text: f.key, pos: f.pos, when: f.val.when}
			}
			out.items = append(out.items, e)
		}
		return out, true
	case "first", "last", "one", "element", "take", "skip":
		if v.size() < 0 || v.kind != list {
			return value{}, false
		}
		return part(name, v, args, pos)
	case "elements": // a splat's: a list as it is, null as none, anything else as one
		switch v.kind {
		case list:
			return v, true
		case null:
			return value{kind: list, pos: pos}, true
		case unknown:
			return value{}, false
		}
		return value{kind: list, pos: pos, items: args[:1]}, true
	}
	return value{}, false
}

// part returns one element of a list that is known, or some.
func part(name string, v value, args []value, pos ruleset.Position) (value, bool) {
	n, size := 0, len(v.items)
	if len(args) > 1 {
		var err error
		if n, err = strconv.Atoi(args[1].text); err != nil || !args[1].known() {
			return value{}, false
		}
	}
	switch {
	case name == "take" || name == "skip":
		n = min(max(n, 0), size)
		out := value{kind: list, pos: pos, items: v.items[:n:n]}
		if name == "skip" {
			out.items = v.items[n:]
		}
		return out, true
	case size == 0:
		return value{kind: null, pos: pos}, name == "one" || name == "first" || name == "last"
	case name == "last":
		n = size - 1
	case name == "element": // around the end
		n = ((n % size) + size) % size
	}
	return v.items[n], n < size
}

// merge puts objects over each other, those on the right on top. What is added
// by one that is not known is not known.
func merge(pos ruleset.Position, args []value) value {
	out := value{kind: object, pos: pos}
	var objects []value
	for _, a := range args {
		if a.kind == list { // merge(list...)
			objects = append(objects, a.items...)
			continue
		}
		objects = append(objects, a)
	}
	for _, o := range objects {
		switch o.kind {
		case object:
			if o.why != "" && out.why == "" {
				out.why = o.why
			}
		case null:
			continue
		default:
			if out.why == "" {
				out.why = o.doubt()
			}
			continue
		}
		for _, f := range o.fields {
			if o.when != "" && f.val.when == "" {
				f.val.when = o.when
			}
			at := -1
			for i := range out.fields {
				if out.fields[i].key == f.key && f.val.when == "" {
					at = i
				}
			}
			if at >= 0 {
				out.fields[at] = f
			} else {
				out.fields = append(out.fields, f)
			}
		}
	}
	return out
}

// operatorOf has the operators that ARM's functions are, by their names.
var operatorOf = map[string]string{
	"equals": "==", "less": "<", "lessorequals": "<=", "greater": ">", "greaterorequals": ">=",
	"add": "+", "sub": "-", "mul": "*", "div": "/", "mod": "%", "and": "&&", "or": "||",
}

// logic computes the functions that ARM templates have in the place of operators
// (learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-logical).
func (r *reader) logic(e *expr, name string, n names, b *binding) (value, bool) {
	op := operatorOf[name]
	switch {
	case name == "if" && len(e.args) == 3:
		return r.eval(&expr{op: opCond, pos: e.pos, args: e.args}, n, b), true
	case name == "not" && len(e.args) == 1:
		return r.eval(&expr{op: opNot, pos: e.pos, args: e.args}, n, b), true
	case op == "&&" || op == "||":
		if len(e.args) < 2 {
			return value{}, false
		}
		all := e.args[0]
		for _, a := range e.args[1:] {
			all = &expr{op: opBinary, pos: e.pos, text: op, args: []*expr{all, a}}
		}
		return r.eval(all, n, b), true
	case op != "" && len(e.args) == 2:
		return r.eval(&expr{op: opBinary, pos: e.pos, text: op, args: e.args}, n, b), true
	}
	return value{}, false
}
