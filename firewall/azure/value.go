// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"strings"

	"github.com/sallyport/sallyport/ruleset"
)

// kind is what a value is.
type kind uint8

// The zero kind is not known.
const (
	unknown kind = iota
	null
	text
	number
	boolean
	list
	object
)

// value is a node of the tree that every form of configuration is read into.
// The values of a tree may share parts; nothing changes them.
type value struct {
	kind kind
	pos  ruleset.Position
	// text is a text, number or boolean as text. Of a text with why set, what is
	// known of it, with "${name}" for what is not; of an unknown, how it is written.
	text string
	why  string // why it is not, or not wholly, known
	when string // why it may not be there at all; "" when it surely is
	// missing says of an unknown that it is surely not there: to ask for it is an
	// error, unless something stands in for it.
	missing bool

	items  []value // of a list
	fields []field // of an object, as written

	typ string   // of an object that is a resource: its type, lower case
	ids []string // of a resource: what others call it, lower case
	ref string   // of an unknown: the resource it belongs to, lower case
}

// field is a field of an object.
type field struct {
	key  string // as written
	name string // the one spelling of keys.go
	pos  ruleset.Position
	val  value
}

func newField(key string, pos ruleset.Position, val value) field {
	return field{key: key, name: canonical(key), pos: pos, val: val}
}

// unresolved is a value of which nothing is known.
func unresolved(pos ruleset.Position, text, why string) value {
	return value{kind: unknown, pos: pos, text: text, why: why}
}

// hole is text that stands for an unresolved name within a text.
func hole(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == '{' || r == '}' || r < ' ' {
			return '_'
		}
		return r
	}, name)
	if len(name) > 80 {
		name = name[:80]
	}
	return "${" + name + "}"
}

// inText writes v within a text: itself, or a hole.
func (v value) inText() string {
	if v.kind != unknown {
		return v.text
	}
	if strings.HasPrefix(v.text, "${") && strings.HasSuffix(v.text, "}") {
		return v.text
	}
	return hole(v.text)
}

// shown writes v for people, as it is written.
func (v value) shown() string {
	if v.kind == list || v.kind == object {
		return ""
	}
	return v.text
}

func (v value) isScalar() bool { return v.kind == text || v.kind == number || v.kind == boolean }

// known reports whether v is a scalar without holes that is surely there.
func (v value) known() bool { return v.isScalar() && v.why == "" && v.when == "" }

// doubt is why v is not certain, "" when it is.
func (v value) doubt() string {
	if v.why != "" {
		return v.why
	}
	if v.kind == unknown {
		return "not understood"
	}
	return v.when
}

// reason is why v is not the text that should stand there.
func (v value) reason() string {
	if d := v.doubt(); d != "" || v.isScalar() {
		return d
	}
	return "a list or an object, where a text is expected"
}

// get returns the field with a name of keys.go, looking into properties too;
// of several with one name the last.
func (v value) get(name string) (value, bool) {
	for i := len(v.fields) - 1; i >= 0; i-- {
		if v.fields[i].name == name {
			return v.fields[i].val, true
		}
	}
	for _, f := range v.fields {
		if f.name == "properties" && f.val.kind == object && name != "properties" {
			return f.val.get(name)
		}
	}
	return value{}, false
}

// all returns the fields, those of properties in its place.
func (v value) all() []field {
	var out []field
	for _, f := range v.fields {
		if f.name == "properties" && f.val.kind == object {
			out = append(out, f.val.fields...)
			continue
		}
		out = append(out, f)
	}
	return out
}

// textOf returns a field as text for people, holes included.
func (v value) textOf(name string) string {
	f, ok := v.get(name)
	if !ok || f.kind == null || f.kind == list || f.kind == object {
		return ""
	}
	return f.inText()
}

// entries returns v as a list: a scalar or an unknown is a list of itself, null
// and the empty text are none.
func (v value) entries() []value {
	switch {
	case v.kind == null, v.kind == text && v.text == "" && v.why == "":
		return nil
	case v.kind != list:
		return []value{v}
	}
	var out []value
	for _, e := range v.items {
		if v.when != "" && e.when == "" {
			e.when = v.when
		}
		switch {
		case e.kind == null:
		case e.kind == list && len(out) < maxRules:
			for _, e := range e.items {
				if v.when != "" && e.when == "" {
					e.when = v.when
				}
				out = append(out, e)
			}
		default:
			out = append(out, e)
		}
	}
	return out
}
