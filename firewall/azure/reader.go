// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"strings"

	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/ruleset"
)

// reader holds what is known of all files while they are read.
type reader struct {
	opt   Options
	files []string
	text  map[string][]byte
	docs  []document // in the order given
	given map[string]given
	used  map[string]bool // names of given values that something asked for

	notes   []ruleset.Statement
	noted   map[string]bool
	unknown []ruleset.Unknown
	trees   []value // resources and other objects, evaluated

	modules map[string]*terraformModule // of Terraform, by directory
	bicep   map[string]*bicep           // by path

	anyName nameset.Set // every name, made once

	work, depth int
}

// document is a file that was parsed and is evaluated when all are.
type document interface {
	// declare says which values the document gives to others.
	declare(r *reader)
	// resources evaluates what the document holds.
	resources(r *reader) []value
}

// given is a value that one file gives for a parameter of another.
type given struct {
	key string
	val func() value
}

func newReader(opt Options) *reader {
	return &reader{opt: opt, anyName: nameset.All(), text: make(map[string][]byte), given: make(map[string]given), used: make(map[string]bool), noted: make(map[string]bool),
		modules: make(map[string]*terraformModule), bicep: make(map[string]*bicep)}
}

// evaluate turns the parsed files into trees. Values that nothing asked for,
// such as the rule collections of a tfvars file without its module, are read by
// their shape.
func (r *reader) evaluate() {
	for _, d := range r.docs {
		d.declare(r)
	}
	for _, d := range r.docs {
		r.trees = append(r.trees, d.resources(r)...)
	}
	for _, name := range sortedKeys(r.given) {
		if r.used[name] {
			continue
		}
		g := r.given[name]
		v := g.val()
		r.trees = append(r.trees, value{kind: object, pos: v.pos, fields: []field{newField(g.key, v.pos, v)}})
	}
}

// outside returns the value of a parameter that was given from outside, by an
// option or by another file.
func (r *reader) outside(name string, pos ruleset.Position) (value, bool) {
	for _, key := range sortedKeys(r.opt.Values) {
		s, exact := r.opt.Values[name]
		if !exact {
			s = r.opt.Values[key]
		}
		if !exact && !strings.EqualFold(key, name) {
			continue
		}
		v := value{kind: text, text: s, pos: pos}
		if t := strings.TrimSpace(s); strings.HasPrefix(t, "[") || strings.HasPrefix(t, "{") {
			if j, err := readJSON(newSource(File{Name: "value of " + name, Data: []byte(t)})); err == nil {
				v = j
			}
		}
		return v, true
	}
	if g, ok := r.given[strings.ToLower(name)]; ok {
		r.used[strings.ToLower(name)] = true
		return g.val(), true
	}
	return value{}, false
}

// missing is the value of a parameter or variable that nothing gives.
func (r *reader) missing(what, name string, pos ruleset.Position) value {
	if v, ok := r.location(name, pos); ok {
		return v
	}
	return unresolved(pos, hole(name), what+" "+clip(name)+" has no value")
}

// location fills the name of a location with the one that was given.
func (r *reader) location(name string, pos ruleset.Position) (value, bool) {
	n := strings.ToLower(strings.NewReplacer("_", "", "-", "", "().", "").Replace(name))
	if r.opt.Location == "" || n != "loc" && !strings.HasSuffix(n, "location") && !strings.HasSuffix(n, "region") {
		return value{}, false
	}
	r.noteOnce(pos, clip(name)+" is taken as "+r.opt.Location+", the location that was given")
	return value{kind: text, text: r.opt.Location, pos: pos}, true
}

// noteOnce says something once for all files.
func (r *reader) noteOnce(pos ruleset.Position, text string) {
	if !r.noted[text] {
		r.noted[text] = true
		r.notes = append(r.notes, ruleset.Statement{Pos: pos, Text: text})
	}
}

// notUnderstood records an unknown outside rules.
func (r *reader) notUnderstood(pos ruleset.Position, part, text, why string) {
	if len(r.unknown) < maxRules {
		r.unknown = append(r.unknown, ruleset.Unknown{Pos: pos, Part: part, Text: text, Why: why})
	}
}
