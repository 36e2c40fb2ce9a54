// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"strings"

	"github.com/sallyport/sallyport/ruleset"
)

// option is an option of an az command with its values.
type option struct {
	name   string // as keys.go spells it
	pos    ruleset.Position
	values []value
}

// options are the options of one command.
type options struct {
	pos  ruleset.Position
	when string
	all  []option
}

// options reads --name value value, --name=value and -n value.
func (c *commands) options(cmd command, words []value) options {
	o := options{pos: c.s.pos(cmd.off), when: cmd.when}
	for _, w := range words {
		t := w.text
		if strings.HasPrefix(t, "-") && len(t) > 1 && (t[1] == '-' || t[1] >= 'a' && t[1] <= 'z') {
			name, val, has := strings.Cut(t, "=")
			o.all = append(o.all, option{name: canonical(strings.TrimLeft(name, "-")), pos: w.pos})
			if has {
				w.text = val
				o.all[len(o.all)-1].values = []value{w}
			}
			continue
		}
		if len(o.all) > 0 {
			l := &o.all[len(o.all)-1]
			l.values = append(l.values, w)
		}
	}
	return o
}

// one returns the first value of an option with one of some names.
func (o options) one(names ...string) (value, bool) {
	for _, name := range names {
		for _, opt := range o.all {
			if opt.name == name && len(opt.values) > 0 {
				return opt.values[0], true
			}
		}
	}
	return value{}, false
}

// list returns the values of an option, which spaces or commas separate.
func (o options) list(name string) (value, bool) {
	out := value{kind: list}
	for _, opt := range o.all {
		if opt.name != name {
			continue
		}
		out.pos = opt.pos
		for _, v := range opt.values {
			for part := range strings.FieldsFuncSeq(v.text, func(r rune) bool { return r == ',' || r == ' ' || r == '[' || r == ']' }) {
				e := v
				e.text = part
				if e.why != "" && !strings.Contains(part, "${") {
					e.why = ""
				}
				out.items = append(out.items, e)
			}
		}
	}
	return out, out.pos.Line > 0
}

// object is what the command makes.
func (o options) object(typ string, fields ...field) value {
	return value{kind: object, pos: o.pos, typ: typ, when: o.when, fields: fields}
}

// notOfRules are options that say where and how a command runs.
var notOfRules = map[string]bool{
	"g": true, "resourcegroup": true, "subscription": true, "o": true, "output": true, "query": true, "onlyshowerrors": true,
	"verbose": true, "debug": true, "nowait": true, "description": true, "f": true, "firewallname": true, "c": true,
	"collectionname": true, "n": true, "name": true, "action": true, "priority": true, "policyname": true, "policy": true,
	"rulecollectiongroupname": true, "rcgname": true, "collectionpriority": true, "rulename": true, "ruletype": true,
	"l": true, "location": true, "enabletlsinspection": true, "enabletlsinsp": true,
}

// fieldsOf returns the options that are parts of a rule.
func (o options) fieldsOf(name, ruleType value) []field {
	out := []field{newField("name", name.pos, name)}
	if ruleType.isScalar() {
		out = append(out, newField("ruleType", ruleType.pos, ruleType))
	}
	seen := make(map[string]bool)
	for _, opt := range o.all {
		if notOfRules[opt.name] || seen[opt.name] {
			continue
		}
		seen[opt.name] = true
		v, _ := o.list(opt.name)
		switch opt.name {
		case "translatedaddress", "translatedport", "translatedfqdn":
			v, _ = o.one(opt.name)
		}
		out = append(out, newField(opt.name, opt.pos, v))
	}
	return out
}

// collection returns the collection that a command adds to.
func (c *commands) collection(o options, kind, policy, group string, name value) *built {
	key := kind + "\n" + policy + "\n" + group + "\n" + strings.ToLower(name.inText())
	for _, b := range c.collections {
		if b.key == key {
			return b
		}
	}
	b := &built{key: key, kind: kind, policy: policy, group: group, name: name, pos: o.pos}
	c.collections = append(c.collections, b)
	return b
}

// rule reads "az network firewall network-rule create" and its like. --action
// and --priority may stand on any command of a collection.
func (c *commands) rule(o options, kind string) {
	name, _ := o.one("name", "n")
	in, _ := o.one("collectionname", "c")
	firewall, _ := o.one("firewallname", "f")
	b := c.collection(o, kind, "", firewall.inText(), in)
	b.settle(o, "action", "priority")
	b.rules = append(b.rules, o.object("", o.fieldsOf(name, value{})...))
}

// settle takes the action and the priority when the command gives them.
func (b *built) settle(o options, action, priority string) {
	if v, ok := o.one(action); ok {
		b.action = &v
	}
	if v, ok := o.one(priority); ok {
		b.priority = &v
	}
}

// filter reads the commands that add a collection to a rule collection group of
// a policy, with a rule, or a rule to a collection.
func (c *commands) filter(o options, kind string, collectionNames ...string) {
	policy, _ := o.one("policyname", "policy")
	group, _ := o.one("rulecollectiongroupname", "rcgname")
	in, _ := o.one(collectionNames...)
	if collectionNames[0] == "collectionname" { // rule add: to a collection of any kind
		for _, b := range c.collections {
			if b.policy == policy.inText() && b.group == group.inText() && b.name.text == in.text {
				kind = b.kind
			}
		}
	}
	b := c.collection(o, kind, policy.inText(), group.inText(), in)
	b.settle(o, "action", "collectionpriority")
	name, ok := o.one("rulename")
	if !ok && collectionNames[0] == "collectionname" {
		name, ok = o.one("name", "n")
	}
	if ruleType, _ := o.one("ruletype"); ok {
		b.rules = append(b.rules, o.object("", o.fieldsOf(name, ruleType)...))
	}
}

// finish makes an object of a collection and what is around it.
func (c *commands) finish(b *built) value {
	in := value{kind: object, pos: b.pos, fields: []field{
		newField("name", b.name.pos, b.name),
		newField("rules", b.pos, value{kind: list, pos: b.pos, items: b.rules}),
	}}
	if b.action != nil {
		in.fields = append(in.fields, newField("action", b.action.pos, *b.action))
	}
	if b.priority != nil {
		in.fields = append(in.fields, newField("priority", b.priority.pos, *b.priority))
	}
	out := value{kind: object, pos: b.pos, fields: []field{newField(b.kind, b.pos, value{kind: list, pos: b.pos, items: []value{in}})}}
	if b.policy == "" {
		return out
	}
	out.typ = "microsoft.network/firewallpolicies/rulecollectiongroups"
	str := func(s string) value { return value{kind: text, text: s, pos: b.pos} }
	out.fields = append(out.fields, newField("name", b.pos, str(b.group)), newField("policyName", b.pos, str(b.policy)))
	if p, ok := c.priorities[b.policy+"/"+b.group]; ok {
		out.fields = append(out.fields, newField("priority", p.pos, p))
	}
	return out
}
