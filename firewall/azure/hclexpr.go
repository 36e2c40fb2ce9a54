// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/sallyport/sallyport/ruleset"
	"github.com/zclconf/go-cty/cty"
)

// hclSource turns expressions of Terraform into those of this package.
type hclSource struct {
	s     *source
	depth int
}

func (h *hclSource) pos(r hcl.Range) ruleset.Position {
	return h.s.pos(min(r.Start.Byte, len(h.s.data)))
}

func (h *hclSource) asWritten(r hcl.Range) string {
	lo, hi := min(r.Start.Byte, len(h.s.data)), min(r.End.Byte, len(h.s.data))
	return string(h.s.data[lo:max(lo, hi)])
}

// expr converts an expression.
func (h *hclSource) expr(x hclsyntax.Expression) *expr {
	h.depth++
	defer func() { h.depth-- }()
	pos := h.pos(x.Range())
	if h.depth > maxDepth {
		return bad(pos, "nested too deeply")
	}
	out := &expr{pos: pos}
	switch e := x.(type) {
	case *hclsyntax.LiteralValueExpr:
		return literal(h.literal(e.Val, pos))
	case *hclsyntax.TemplateExpr:
		out.op = opTemplate
		for _, p := range e.Parts {
			out.args = append(out.args, h.expr(p))
		}
		if len(e.Parts) == 0 {
			return literal(value{kind: text, pos: pos})
		}
		return out
	case *hclsyntax.TemplateWrapExpr:
		return h.expr(e.Wrapped)
	case *hclsyntax.ParenthesesExpr:
		return h.expr(e.Expression)
	case *hclsyntax.TupleConsExpr:
		out.op = opArray
		for _, p := range e.Exprs {
			out.args = append(out.args, h.expr(p))
		}
		return out
	case *hclsyntax.ObjectConsExpr:
		out.op = opObject
		for _, i := range e.Items {
			out.args = append(out.args, h.key(i.KeyExpr), h.expr(i.ValueExpr))
		}
		return out
	case *hclsyntax.FunctionCallExpr:
		out.op, out.text = opCall, e.Name
		for _, a := range e.Args {
			out.args = append(out.args, h.expr(a))
		}
		if e.ExpandFinal && len(out.args) > 0 { // f(list...) is f of the list for what is computed here
			out.args[len(out.args)-1] = &expr{op: opCall, pos: pos, text: "flatten", args: out.args[len(out.args)-1:]}
		}
		return out
	case *hclsyntax.ConditionalExpr:
		out.op, out.args = opCond, []*expr{h.expr(e.Condition), h.expr(e.TrueResult), h.expr(e.FalseResult)}
		return out
	case *hclsyntax.IndexExpr:
		out.op, out.args = opIndex, []*expr{h.expr(e.Collection), h.expr(e.Key)}
		return out
	case *hclsyntax.ForExpr:
		out.op = opFor
		out.loop = &loop{key: e.KeyVar, val: e.ValVar, in: h.expr(e.CollExpr), out: h.expr(e.ValExpr)}
		if e.KeyExpr != nil {
			out.loop.keyOut = h.expr(e.KeyExpr)
		}
		if e.CondExpr != nil {
			out.loop.cond = h.expr(e.CondExpr)
		}
		return out
	case *hclsyntax.BinaryOpExpr:
		if op := hclOperators[e.Op]; op != "" {
			out.op, out.text, out.args = opBinary, op, []*expr{h.expr(e.LHS), h.expr(e.RHS)}
			return out
		}
	case *hclsyntax.UnaryOpExpr:
		if e.Op == hclsyntax.OpLogicalNot {
			out.op, out.args = opNot, []*expr{h.expr(e.Val)}
			return out
		}
		zero := literal(value{kind: number, text: "0", pos: pos})
		out.op, out.text, out.args = opBinary, "-", []*expr{zero, h.expr(e.Val)}
		return out
	case *hclsyntax.SplatExpr: // each of a list, or of a list of the one
		in := &expr{op: opCall, pos: pos, text: "elements", args: []*expr{h.expr(e.Source)}}
		out.op, out.loop = opFor, &loop{val: splat, in: in, out: h.expr(e.Each)}
		return out
	case *hclsyntax.AnonSymbolExpr:
		out.op, out.text = opName, splat
		return out
	case *hclsyntax.ScopeTraversalExpr:
		return h.traversal(e.Traversal, pos)
	case *hclsyntax.RelativeTraversalExpr:
		return h.steps(h.expr(e.Source), e.Traversal, pos)
	}
	return bad(pos, h.asWritten(x.Range()))
}

// splat is what the element of a splat is called.
const splat = "[*]"

var hclOperators = map[*hclsyntax.Operation]string{
	hclsyntax.OpEqual: "==", hclsyntax.OpNotEqual: "!=", hclsyntax.OpLogicalAnd: "&&", hclsyntax.OpLogicalOr: "||",
	hclsyntax.OpGreaterThan: ">", hclsyntax.OpGreaterThanOrEqual: ">=", hclsyntax.OpLessThan: "<", hclsyntax.OpLessThanOrEqual: "<=",
	hclsyntax.OpAdd: "+", hclsyntax.OpSubtract: "-", hclsyntax.OpMultiply: "*", hclsyntax.OpDivide: "/", hclsyntax.OpModulo: "%",
}

// key converts a key of an object: a bare word stands for itself.
func (h *hclSource) key(x hclsyntax.Expression) *expr {
	if k, ok := x.(*hclsyntax.ObjectConsKeyExpr); ok {
		if w := hcl.ExprAsKeyword(k.Wrapped); w != "" && !k.ForceNonLiteral {
			return literal(value{kind: text, text: w, pos: h.pos(x.Range())})
		}
		return h.expr(k.Wrapped)
	}
	return h.expr(x)
}

func (h *hclSource) literal(v cty.Value, pos ruleset.Position) value {
	out := value{pos: pos}
	switch {
	case v.IsNull():
		out.kind = null
	case !v.IsKnown():
		return unresolved(pos, "", "not known")
	case v.Type() == cty.String:
		out.kind, out.text = text, v.AsString()
	case v.Type() == cty.Bool:
		out.kind, out.text = boolean, "false"
		if v.True() {
			out.text = "true"
		}
	case v.Type() == cty.Number:
		out.kind, out.text = number, v.AsBigFloat().Text('f', -1)
	default:
		return unresolved(pos, "", "not understood")
	}
	return out
}

// traversal converts var.x, local.x, each.value, a.b.c[0].
func (h *hclSource) traversal(t hcl.Traversal, pos ruleset.Position) *expr {
	root := t.RootName()
	name := func(i int) string {
		if i < len(t) {
			if a, ok := t[i].(hcl.TraverseAttr); ok {
				return a.Name
			}
		}
		return ""
	}
	switch {
	case root == "var" && name(1) != "":
		return h.steps(&expr{op: opParam, text: name(1), pos: pos}, t[2:], pos)
	case root == "local" && name(1) != "":
		return h.steps(&expr{op: opVar, text: name(1), pos: pos}, t[2:], pos)
	case root == "data" && name(1) != "" && name(2) != "":
		return h.steps(&expr{op: opName, text: "data." + name(1) + "." + name(2), pos: pos}, t[3:], pos)
	case (strings.Contains(root, "_") || root == "module") && name(1) != "":
		return h.steps(&expr{op: opName, text: root + "." + name(1), pos: pos}, t[2:], pos)
	}
	return h.steps(&expr{op: opName, text: root, pos: pos}, t[1:], pos)
}

// steps converts what follows a root.
func (h *hclSource) steps(e *expr, t hcl.Traversal, pos ruleset.Position) *expr {
	if len(t) > maxDepth/2 {
		return bad(pos, "too long a chain")
	}
	for _, s := range t {
		switch s := s.(type) {
		case hcl.TraverseAttr:
			e = &expr{op: opMember, pos: pos, text: s.Name, args: []*expr{e}}
		case hcl.TraverseIndex:
			e = &expr{op: opIndex, pos: pos, args: []*expr{e, literal(h.literal(s.Key, pos))}}
		default:
			return bad(pos, "elements of a list at once")
		}
	}
	return e
}
