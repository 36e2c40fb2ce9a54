// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/ruleset"
)

// call computes a function as far as names and addresses need it. The functions
// of ARM and Bicep and those of Terraform differ in few names and agree where
// they share one, but for format.
func (r *reader) call(e *expr, args []value, n names) value {
	name := strings.ToLower(e.text)
	if i := strings.LastIndexByte(name, '.'); i >= 0 { // az.resourceId, sys.concat
		name = name[i+1:]
	}
	arg := func(i int) value {
		if i < len(args) {
			return args[i]
		}
		return unresolved(e.pos, "", "an argument is missing")
	}
	switch name {
	case "parameters":
		if arg(0).known() {
			return n.param(args[0].text, e.pos)
		}
	case "variables":
		if arg(0).known() {
			return n.variable(args[0].text, e.pos)
		}
	case "copyindex":
		if scope, ok := n.(*armScope); ok {
			return scope.copyIndex(e.pos, args)
		}
	case "concat", "union", "distinct", "setunion", "flatten", "compact", "concatarrays":
		return r.concat(e, name, args)
	case "format":
		return r.format(e, args)
	case "tolower", "lower", "toupper", "upper", "trim", "trimspace":
		if v := arg(0); v.isScalar() {
			switch name {
			case "tolower", "lower":
				v.text = strings.ToLower(v.text)
			case "toupper", "upper":
				if v.why == "" {
					v.text = strings.ToUpper(v.text)
				}
			default:
				v.text = strings.TrimSpace(v.text)
			}
			return v
		}
	case "string", "tostring", "tolist", "toset", "tomap", "array", "any", "nonsensitive", "sensitive", "sort", "int", "tonumber", "json":
		if v := arg(0); name != "json" || !v.isScalar() {
			return v
		}
	case "createarray":
		return value{kind: list, items: args}
	case "split":
		return r.split(e, args)
	case "join":
		return r.join(e, args)
	case "replace":
		if s, from, to := arg(0), arg(1), arg(2); s.known() && from.known() && to.known() && !strings.HasPrefix(from.text, "/") {
			if from.text != "" && len(s.text) <= maxText && len(s.text)*len(to.text) <= maxFile {
				return value{kind: text, text: strings.ReplaceAll(s.text, from.text, to.text)}
			}
		}
	case "range":
		if v, ok := rangeOf(arg(0), arg(1)); ok && len(args) == 2 {
			return v
		}
	case "merge":
		return merge(e.pos, args)
	case "formatlist":
		return r.formatList(e, args)
	case "can":
		if v := arg(0); v.missing || v.kind != unknown {
			return truth(!v.missing)
		}
	case "lookup":
		if arg(0).kind == object && arg(1).known() {
			switch v := r.member(args[0], args[1].text); {
			case !v.missing:
				return v
			case len(args) > 2:
				return args[2]
			default:
				return v
			}
		}
	case "try", "coalesce":
		for _, v := range args {
			skip := v.missing || name == "coalesce" && (v.kind == null || v.kind == text && v.known() && v.text == "")
			if !skip {
				return v
			}
		}
	case "environment":
		r.noteOnce(e.pos, "environment() is read as the public cloud, AzureCloud")
		return publicCloud(e.pos)
	case "resourceid", "subscriptionresourceid", "extensionresourceid", "tenantresourceid":
		return resourceID(e.pos, args)
	}
	if v, ok := textCall(name, args, e.pos); ok {
		return v
	}
	if v, ok := listCall(name, args, e.pos); ok {
		return v
	}
	call := e.text + "()"
	why := call + " is known only when deployed, or not computed here"
	for _, a := range args {
		if a.kind == unknown && a.why != "" && name != "reference" {
			why = a.why
		}
	}
	return unresolved(e.pos, call, why)
}

// concat joins texts to one, or lists to one.
func (r *reader) concat(e *expr, name string, args []value) value {
	lists := name != "concat"
	for _, a := range args {
		lists = lists || a.kind == list
		if a.kind == object && name == "union" {
			return merge(e.pos, args)
		}
		if a.kind == object && name != "flatten" {
			return unresolved(e.pos, e.text+"()", e.text+"() of objects is not computed here")
		}
	}
	if !lists {
		t := &expr{op: opTemplate, pos: e.pos}
		for _, a := range args {
			t.args = append(t.args, literal(a))
		}
		return r.template(t, nil, nil)
	}
	out := value{kind: list, pos: e.pos}
	for _, a := range args {
		items := a.items
		if a.kind != list {
			items = []value{a}
		}
		for _, item := range items {
			if item.kind == list && name == "flatten" {
				out.items = append(out.items, item.items...)
			} else {
				out.items = append(out.items, item)
			}
		}
		if len(out.items) > maxRules {
			return unresolved(e.pos, e.text+"()", "longer than is computed here")
		}
		r.work += len(items)
	}
	return out
}

// format fills {0} as ARM does, or %s, %d and %v as Terraform does.
func (r *reader) format(e *expr, args []value) value {
	if len(args) == 0 || !args[0].known() {
		return unresolved(e.pos, "format()", "format() of a text that is not known")
	}
	t := &expr{op: opTemplate, pos: e.pos}
	put := func(s string) {
		if s != "" {
			t.args = append(t.args, literal(value{kind: text, text: s}))
		}
	}
	s, next := args[0].text, 1
	for s != "" {
		i := strings.IndexAny(s, "{%")
		if i < 0 || i+1 >= len(s) {
			break
		}
		if s[i] == '%' && strings.IndexByte("svdq", s[i+1]) >= 0 && next < len(args) {
			put(s[:i])
			t.args = append(t.args, literal(args[next]))
			next, s = next+1, s[i+2:]
			continue
		}
		if end := strings.IndexByte(s[i:], '}'); s[i] == '{' && end > 0 {
			if k, err := strconv.Atoi(s[i+1 : i+end]); err == nil && k >= 0 && k+1 < len(args) {
				put(s[:i])
				t.args = append(t.args, literal(args[k+1]))
				s = s[i+end+1:]
				continue
			}
		}
		put(s[:i+1])
		s = s[i+1:]
	}
	put(s)
	t.args = append(t.args, literal(value{kind: text}))
	return r.template(t, nil, nil)
}

// split and join take the separator first in Terraform and last in ARM; what is
// given as a list, or is shorter, tells which.
func (r *reader) split(e *expr, args []value) value {
	if len(args) != 2 || !args[0].known() || !args[1].known() {
		return unresolved(e.pos, "split()", "split() of what is not known")
	}
	s, sep := args[0].text, args[1].text
	if len(sep) > len(s) || len(s) <= 1 && !strings.Contains(s, sep) {
		s, sep = sep, s
	}
	out := value{kind: list, pos: e.pos}
	for _, part := range strings.Split(s, sep) {
		out.items = append(out.items, value{kind: text, text: part, pos: e.pos})
	}
	return out
}

func (r *reader) join(e *expr, args []value) value {
	if len(args) == 2 && args[0].kind == list {
		args[0], args[1] = args[1], args[0]
	}
	if len(args) != 2 || args[1].kind != list || !args[0].known() {
		return unresolved(e.pos, "join()", "join() of what is not known")
	}
	t := &expr{op: opTemplate, pos: e.pos}
	for i, item := range args[1].items {
		if i > 0 {
			t.args = append(t.args, literal(args[0]))
		}
		t.args = append(t.args, literal(item))
	}
	t.args = append(t.args, literal(value{kind: text}))
	return r.template(t, nil, nil)
}

// rangeOf is ARM's range(start, count).
func rangeOf(start, count value) (value, bool) {
	from, err := strconv.Atoi(start.text)
	n, err2 := strconv.Atoi(count.text)
	if err != nil || err2 != nil || n < 0 || n > 10_000 || !start.known() || !count.known() {
		return value{}, false
	}
	out := value{kind: list}
	for i := range n {
		out.items = append(out.items, value{kind: number, text: strconv.Itoa(from + i)})
	}
	return out, true
}

// publicCloud is environment() in Azure's public cloud
// (learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-deployment).
func publicCloud(pos ruleset.Position) value {
	str := func(s string) value { return value{kind: text, text: s, pos: pos} }
	obj := func(kv ...any) value {
		v := value{kind: object, pos: pos}
		for i := 0; i < len(kv); i += 2 {
			v.fields = append(v.fields, newField(kv[i].(string), pos, kv[i+1].(value)))
		}
		return v
	}
	return obj("name", str("AzureCloud"), "portal", str("https://portal.azure.com"),
		"resourceManager", str("https://management.azure.com/"), "graph", str("https://graph.windows.net/"),
		"authentication", obj("loginEndpoint", str("https://login.microsoftonline.com/"), "tenant", str("common")),
		"suffixes", obj("storage", str("core.windows.net"), "keyvaultDns", str(".vault.azure.net"),
			"sqlServerHostname", str(".database.windows.net"), "acrLoginServer", str(".azurecr.io")))
}
