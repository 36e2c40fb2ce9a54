// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"math"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/ruleset"
)

// precedence of the operators of Bicep, the tightest highest
// (learn.microsoft.com/azure/azure-resource-manager/bicep/operators, 2026-11-23).
// Longer ones come before those that they begin with.
var operators = []struct {
	text  string
	binds int
}{
	{"??", 1}, {"||", 2}, {"&&", 3}, {"==", 4}, {"!=", 4}, {"=~", 4}, {"!~", 4}, {"=>", 0},
	{"<=", 5}, {">=", 5}, {"<", 5}, {">", 5}, {"+", 6}, {"-", 6}, {"*", 7}, {"/", 7}, {"%", 7},
}

func truth(b bool) value { return value{kind: boolean, text: strconv.FormatBool(b)} }

func (v value) is(b bool) bool { return v.known() && v.text == strconv.FormatBool(b) }

// operate computes x op y. What one side decides alone does not wait for the
// other.
func (r *reader) operate(e *expr, n names, b *binding) value {
	x := r.eval(e.args[0], n, b)
	switch e.text {
	case "??":
		if x.kind == null || x.missing {
			return r.eval(e.args[1], n, b)
		}
		return x
	case "&&", "||":
		decides := e.text == "||"
		if x.is(decides) {
			return truth(decides)
		}
		y := r.eval(e.args[1], n, b)
		switch {
		case y.is(decides):
			return truth(decides)
		case x.is(!decides) && y.is(!decides):
			return truth(!decides)
		}
		return unresolved(e.pos, "a condition", "depends on what is not known: "+firstDoubt(x, y))
	}
	y := r.eval(e.args[1], n, b)
	switch e.text {
	case "==", "!=", "=~", "!~":
		same, ok := equal(x, y, e.text[1] == '~')
		if ok {
			return truth(same == (e.text == "==" || e.text == "=~"))
		}
	default:
		if v, ok := arithmetic(e.pos, e.text, x, y); ok {
			return v
		}
	}
	return unresolved(e.pos, "a comparison", "a comparison with what is not known: "+firstDoubt(x, y))
}

func firstDoubt(vs ...value) string {
	for _, v := range vs {
		if d := v.doubt(); d != "" {
			return d
		}
	}
	return "not computed here"
}

// equal compares two values; ok is false when that cannot be known.
func equal(x, y value, anyCase bool) (same, ok bool) {
	switch {
	case x.missing, y.missing:
		return false, false
	case x.kind == null || y.kind == null:
		other := x
		if x.kind == null {
			other = y
		}
		return x.kind == y.kind, other.kind != unknown
	case x.known() && y.known():
		if anyCase {
			return strings.EqualFold(x.text, y.text), true
		}
		return x.text == y.text, true
	case x.size() >= 0 && y.size() >= 0 && (x.size() == 0 || y.size() == 0):
		return x.size() == y.size(), true
	}
	return false, false
}

// size returns how many elements a list or an object has that are surely all of
// it, -1 for others.
func (v value) size() int {
	if v.why != "" || v.when != "" {
		return -1
	}
	for _, e := range v.items {
		if e.when != "" {
			return -1
		}
	}
	for _, f := range v.fields {
		if f.val.when != "" {
			return -1
		}
	}
	switch v.kind {
	case list:
		return len(v.items)
	case object:
		return len(v.fields)
	}
	return -1
}

// arithmetic computes numbers, and orders them.
func arithmetic(pos ruleset.Position, op string, x, y value) (value, bool) {
	if !x.known() || !y.known() {
		return value{}, false
	}
	p, err := strconv.ParseFloat(x.text, 64)
	q, err2 := strconv.ParseFloat(y.text, 64)
	if err != nil || err2 != nil {
		return value{}, false
	}
	switch op {
	case "<":
		return truth(p < q), true
	case "<=":
		return truth(p <= q), true
	case ">":
		return truth(p > q), true
	case ">=":
		return truth(p >= q), true
	}
	var out float64
	switch op {
	case "+":
		out = p + q
	case "-":
		out = p - q
	case "*":
		out = p * q
	case "/":
		out = p / q
	case "%":
		out = math.Mod(p, q)
	}
	if math.IsNaN(out) || math.Abs(out) > 1<<53 {
		return value{}, false
	}
	return value{kind: number, text: strconv.FormatFloat(out, 'f', -1, 64), pos: pos}, true
}

// either is what a condition that is not known leaves: elements of both sides,
// each of which may not be there. ok is false for what is no list, nor an object
// that may be empty.
func either(pos ruleset.Position, yes, no value, why string) (value, bool) {
	mark := func(v value) value {
		if v.when == "" {
			v.when = why
		}
		return v
	}
	switch {
	case yes.kind == list && no.kind == list && yes.why == "" && no.why == "":
		out := value{kind: list, pos: pos}
		for _, v := range append(yes.items[:len(yes.items):len(yes.items)], no.items...) {
			out.items = append(out.items, mark(v))
		}
		return out, true
	case yes.kind == object && no.kind == object && (yes.size() == 0 || no.size() == 0):
		out := value{kind: object, pos: pos, why: yes.why + no.why}
		for _, f := range append(yes.fields[:len(yes.fields):len(yes.fields)], no.fields...) {
			f.val = mark(f.val)
			out.fields = append(out.fields, f)
		}
		return out, true
	}
	return value{}, false
}
