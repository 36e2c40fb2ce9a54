// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"strconv"
	"strings"
)

// eval computes e as far as it can be. What cannot be is unresolved and says why.
func (r *reader) eval(e *expr, n names, b *binding) value {
	r.depth++
	defer func() { r.depth-- }()
	if e == nil {
		return value{kind: null}
	}
	if r.work++; r.work > maxWork {
		return unresolved(e.pos, e.text, "too much to compute")
	}
	if r.depth > maxDepth {
		return unresolved(e.pos, e.text, "nested too deeply, or refers to itself")
	}
	v := r.eval1(e, n, b)
	if v.pos.Line == 0 || v.kind != list && v.kind != object {
		v.pos = e.pos
	}
	return v
}

func (r *reader) eval1(e *expr, n names, b *binding) value {
	switch e.op {
	case opValue:
		return e.val
	case opTemplate:
		return r.template(e, n, b)
	case opName:
		if v, ok := b.find(e.text); ok {
			return v
		}
		// What runs in a dynamic block is called as the block is, and may look like
		// a resource: application_rule_collection.value.
		if root, rest, ok := strings.Cut(e.text, "."); ok {
			if v, ok := b.find(root); ok {
				return r.member(v, rest)
			}
		}
		return n.named(e.text, e.pos)
	case opParam:
		return n.param(e.text, e.pos)
	case opVar:
		return n.variable(e.text, e.pos)
	case opMember:
		return r.member(r.eval(e.args[0], n, b), e.text)
	case opIndex:
		return r.index(r.eval(e.args[0], n, b), r.eval(e.args[1], n, b))
	case opArray:
		v := value{kind: list, pos: e.pos}
		for _, a := range e.args {
			v.items = append(v.items, r.eval(a, n, b))
		}
		return v
	case opObject:
		v := value{kind: object, pos: e.pos}
		for i := 0; i+1 < len(e.args); i += 2 {
			k := r.eval(e.args[i], n, b)
			v.fields = append(v.fields, newField(k.inText(), e.args[i].pos, r.eval(e.args[i+1], n, b)))
		}
		return v
	case opCall:
		if v, ok := r.logic(e, strings.ToLower(e.text), n, b); ok {
			return v
		}
		args := make([]value, len(e.args))
		for i, a := range e.args {
			args[i] = r.eval(a, n, b)
		}
		return r.call(e, args, n)
	case opCond:
		c := r.eval(e.args[0], n, b)
		switch {
		case c.is(true):
			return r.eval(e.args[1], n, b)
		case c.is(false):
			return r.eval(e.args[2], n, b)
		}
		why := "depends on a condition that is not known: " + c.doubt()
		if v, ok := either(e.pos, r.eval(e.args[1], n, b), r.eval(e.args[2], n, b), why); ok {
			return v
		}
		return unresolved(e.pos, "a condition", why)
	case opBinary:
		return r.operate(e, n, b)
	case opNot:
		if x := r.eval(e.args[0], n, b); x.is(true) || x.is(false) {
			return truth(x.is(false))
		}
		return unresolved(e.pos, "a condition", "a condition that is not known")
	case opFor:
		return r.forLoop(e, n, b)
	}
	return unresolved(e.pos, e.text, "an expression that is not understood: "+clip(e.text))
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}

func (r *reader) template(e *expr, n names, b *binding) value {
	out := value{kind: text, pos: e.pos}
	var s strings.Builder
	for _, a := range e.args {
		v := r.eval(a, n, b)
		if len(e.args) == 1 && !v.isScalar() {
			v.text = v.inText()
			return v
		}
		if d := v.doubt(); d != "" && out.why == "" {
			out.why, out.ref = d, v.ref
		}
		if v.kind == list || v.kind == object {
			v = unresolved(v.pos, "a list or object", "")
			out.why = "a list or object stands within a text"
		}
		s.WriteString(v.inText())
		if s.Len() > maxText {
			return unresolved(e.pos, "a text", "longer than is computed here")
		}
	}
	out.text = s.String()
	return out
}

// member returns a field of an object. A field of what is unresolved is
// unresolved, and still belongs to the same resource.
func (r *reader) member(v value, name string) value {
	switch v.kind {
	case object:
		for i := len(v.fields) - 1; i >= 0; i-- {
			if strings.EqualFold(v.fields[i].key, name) {
				return v.fields[i].val
			}
		}
		if v.typ != "" || v.why != "" {
			u := unresolved(v.pos, name, "not in the file")
			if len(v.ids) > 0 {
				u.ref = v.ids[0]
			}
			return u
		}
		u := unresolved(v.pos, name, "the object has no field "+name)
		u.missing = true
		return u
	case null:
		u := unresolved(v.pos, name, "field "+name+" of null")
		u.missing = true
		return u
	case unknown:
		if strings.EqualFold(name, "location") {
			if l, ok := r.location(v.text+".location", v.pos); ok {
				return l
			}
		}
		v.text = trimHole(v.text) + "." + name
		if v.why == "" {
			v.why = v.text + " is known only when deployed"
		}
		return v
	}
	return unresolved(v.pos, name, "field "+name+" of what is no object")
}

// trimHole returns the name in a hole, or s.
func trimHole(s string) string {
	if strings.HasPrefix(s, "${") && strings.HasSuffix(s, "}") {
		return s[2 : len(s)-1]
	}
	return s
}

func (r *reader) index(v, at value) value {
	switch {
	case v.kind == unknown:
		v.text = trimHole(v.text) + "[" + trimHole(at.inText()) + "]"
		return v
	case v.kind == list && at.known():
		if i, err := strconv.Atoi(at.text); err == nil && i >= 0 && i < len(v.items) {
			return v.items[i]
		}
		u := unresolved(at.pos, "["+at.text+"]", "the list has no element "+at.text)
		u.missing = v.size() >= 0
		return u
	case v.kind == object && at.known():
		return r.member(v, at.text)
	}
	return unresolved(v.pos, "an element", "an element that is not known: "+at.doubt())
}

// forLoop computes a for expression. Over what is not known it is computed once
// with unknown names, and that one element stands for any number, none too.
func (r *reader) forLoop(e *expr, n names, b *binding) value {
	l := e.loop
	in := r.eval(l.in, n, b)
	out := value{kind: list, pos: e.pos}
	if l.keyOut != nil {
		out.kind = object
	}
	add := func(key, val value, when string) {
		inner := b.bind(l.key, key).bind(l.val, val)
		if l.cond != nil {
			switch c := r.eval(l.cond, n, inner); {
			case c.known() && c.text == "false":
				return
			case !c.known() && when == "":
				when = "a condition that is not known: " + c.doubt()
			}
		}
		v := r.eval(l.out, n, inner)
		if when != "" {
			v.when = when
		}
		if l.keyOut != nil {
			out.fields = append(out.fields, newField(r.eval(l.keyOut, n, inner).inText(), v.pos, v))
			return
		}
		out.items = append(out.items, v)
	}
	switch in.kind {
	case list:
		for i, item := range in.items {
			add(value{kind: number, text: strconv.Itoa(i)}, item, item.when)
		}
	case object:
		for _, f := range in.fields {
			add(value{kind: text, text: f.key, pos: f.pos}, f.val, f.val.when)
		}
		if in.why != "" { // of which more may be there
			why := "a loop over what is not wholly known: " + in.why
			add(unresolved(e.pos, hole(l.key), why), unresolved(e.pos, hole(l.val), why), why)
		}
	default:
		why := "a loop over what is not known: " + in.doubt()
		add(unresolved(e.pos, hole(l.key), why), unresolved(e.pos, hole(l.val), why), why)
	}
	return out
}
