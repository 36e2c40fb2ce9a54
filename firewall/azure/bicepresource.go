// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"strings"
)

// resource reads "resource name 'type@version' [existing] = value", or module.
// The result is of op opResource: the type in val, the body and the condition in
// args, the name in text.
func (p *exprParser) resource() *expr {
	p.depth++
	defer func() { p.depth-- }()
	pos := p.at()
	module := p.word() == "module"
	name := p.word()
	p.blank(false)
	typ, file := "", ""
	if p.has("'") {
		if t := p.text(); t.op == opTemplate && len(t.args) == 1 {
			file = t.args[0].val.text
			typ, _, _ = strings.Cut(file, "@")
		}
	}
	existing := p.keyword("existing")
	e := &expr{op: opResource, pos: pos, text: name, val: value{typ: strings.ToLower(typ)}}
	if module {
		e.val.typ, e.val.text = "module", file
	}
	if existing {
		e.val.why = "existing"
	}
	if !p.take("=") {
		return e
	}
	p.blank(true)
	if p.keyword("if") {
		p.blank(true)
		cond := p.primary()
		p.blank(true)
		e.args = []*expr{p.expr(), cond}
		return e
	}
	e.args = []*expr{p.expr()}
	return e
}
