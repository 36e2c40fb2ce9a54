// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import "github.com/sallyport/sallyport/ruleset"

// op is what an expression does.
type op uint8

// The zero op is an expression nobody understood.
const (
	opBad      op = iota // text as written
	opValue              // val
	opTemplate           // args joined to a text
	opName               // text: what a loop, a declaration or a resource is called
	opParam              // text: a parameter, or a variable of Terraform
	opVar                // text: a variable of a template, or a local of Terraform
	opMember             // text of args[0]
	opIndex              // args[1] of args[0]
	opArray              // args
	opObject             // args: key, value, key, value ...
	opCall               // text of args
	opCond               // args[0] ? args[1] : args[2]
	opBinary             // args[0] text args[1]
	opNot                // args[0]
	opFor                // loop
	opLambda             // text => args[0]
	opResource           // a declaration of Bicep: text, its name; val, its type; args, body and condition
)

// expr is an expression, the same for ARM, Bicep and Terraform.
type expr struct {
	op   op
	pos  ruleset.Position
	text string
	val  value
	args []*expr
	loop *loop
}

// loop is a for expression over in: a list of out, or an object of keyOut, out.
type loop struct {
	key, val          string // names of what runs; "" for none
	in                *expr
	cond, keyOut, out *expr // cond and keyOut may be nil
}

func literal(v value) *expr { return &expr{op: opValue, pos: v.pos, val: v} }

func bad(pos ruleset.Position, text string) *expr { return &expr{op: opBad, pos: pos, text: text} }

// names resolves what an expression mentions.
type names interface {
	param(name string, pos ruleset.Position) value
	variable(name string, pos ruleset.Position) value
	named(name string, pos ruleset.Position) value
}

// binding is a name that a loop or a block gives a value, the innermost first.
type binding struct {
	name  string
	val   value
	outer *binding
}

func (b *binding) bind(name string, v value) *binding {
	if name == "" {
		return b
	}
	return &binding{name, v, b}
}

func (b *binding) find(name string) (value, bool) {
	for ; b != nil; b = b.outer {
		if b.name == name {
			return b.val, true
		}
	}
	return value{}, false
}
