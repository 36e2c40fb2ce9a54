// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/ruleset"
)

// commands is a script or a document with az commands.
type commands struct {
	r    *reader
	s    *source
	vars map[string]value
	// What the commands build up, in the order of first appearance.
	collections []*built
	priorities  map[string]value // of rule collection groups, by policy and name
	out         []value
}

// built is a collection that one or more commands fill.
type built struct {
	key, policy, group string
	kind               string // the key of a list of collections
	name               value
	pos                ruleset.Position
	action, priority   *value
	rules              []value
}

func newCommands(r *reader, s *source) (*commands, error) {
	return &commands{r: r, s: s, vars: make(map[string]value), priorities: make(map[string]value)}, nil
}

func (c *commands) declare(*reader) {}

// resources runs through the commands and returns what they would create.
func (c *commands) resources(*reader) []value {
	for _, f := range fences(c.s) {
		c.run(&shell{s: c.s, off: f.from, to: f.to, quoted: f.quoted, get: c.variable})
	}
	for _, b := range c.collections {
		c.out = append(c.out, c.finish(b))
	}
	return c.out
}

// run runs through commands. A for loop over words that are known is run for each
// of them.
func (c *commands) run(sh *shell) {
	for {
		cmd, ok := sh.next()
		if !ok {
			return
		}
		if name, items, ok := loopOver(cmd.words); ok {
			body := *sh
			body.until = sh.nesting
			for {
				if _, more := body.next(); !more {
					break
				}
			}
			for _, item := range items {
				if c.r.work++; c.r.work > maxWork {
					return
				}
				c.vars[name] = item
				turn := *sh
				turn.to, turn.nesting = body.off, sh.nesting-1
				c.run(&turn)
			}
			sh.off, sh.nesting = body.off, sh.nesting-1
			continue
		}
		cmd.words = c.assign(cmd)
		if len(cmd.words) > 3 && cmd.words[0].text == "az" && cmd.words[1].text == "network" {
			c.az(cmd)
		}
	}
}

// loopOver reads "for NAME in WORD ..."; ok is false for anything else, and for
// words of which something is not known.
func loopOver(words []value) (name string, items []value, ok bool) {
	if len(words) < 4 || words[0].text != "for" || words[2].text != "in" || len(words) > 1000 {
		return "", nil, false
	}
	for _, w := range words[3:] {
		if w.why != "" || w.when != "" {
			return "", nil, false
		}
		if w.kind == list {
			items = append(items, w.items...)
			continue
		}
		items = append(items, w)
	}
	return words[1].text, items, true
}

var assignment = regexp.MustCompile(`^\$?([A-Za-z_][A-Za-z0-9_]*)=`)

// assign takes NAME=value at the beginning of a command, also behind export,
// and returns the rest.
func (c *commands) assign(cmd command) []value {
	words := cmd.words
	for len(words) > 0 {
		switch words[0].text {
		case "export", "declare", "readonly", "local", "typeset":
			words = words[1:]
			continue
		}
		m := assignment.FindString(words[0].text)
		if m == "" {
			break
		}
		v := words[0]
		v.text = v.text[len(m):]
		if v.kind == list {
			v.text = ""
		}
		if cmd.when != "" && v.why == "" {
			v.why = "is set within if, for, while, case or a function of a script"
			v.text = hole(strings.TrimSuffix(m, "="))
		}
		if v.why != "" && holes.FindString(v.text) == v.text {
			v.text = hole(strings.TrimSuffix(m, "="))
		}
		c.vars[strings.TrimSuffix(m, "=")] = v
		words = words[1:]
	}
	return words
}

// variable returns what a variable of the script stands for.
func (c *commands) variable(name string, off int) value {
	pos := c.s.pos(off)
	plain := regexpName.FindString(name)
	if v, ok := c.r.outside(plain, pos); ok {
		return v
	}
	v, ok := c.vars[plain]
	switch {
	case ok && plain == name:
		v.pos = pos
		return v
	case ok && name == plain+"[@]" || ok && name == plain+"[*]":
		if v.kind == list {
			return v
		}
	}
	rest := name[len(plain):]
	for _, sep := range []string{":-", ":=", "-", "="} { // what stands in for one that is not set
		if instead, found := strings.CutPrefix(rest, sep); found && !strings.Contains(instead, "$") {
			if ok {
				v.pos = pos
				return v
			}
			return value{kind: text, pos: pos, text: instead}
		}
	}
	if ok {
		return unresolved(pos, hole(name), "an expansion that is not computed here")
	}
	return c.r.missing("variable", plain, pos)
}

var regexpName = regexp.MustCompile(`^[A-Za-z0-9_]*`)

// az reads one command below "az network".
func (c *commands) az(cmd command) {
	var verbs []string
	i := 2
	for ; i < len(cmd.words) && !strings.HasPrefix(cmd.words[i].text, "-"); i++ {
		verbs = append(verbs, cmd.words[i].text)
	}
	o := c.options(cmd, cmd.words[i:])
	switch v := strings.Join(verbs, " "); v {
	case "firewall network-rule create":
		c.rule(o, "networkRuleCollections")
	case "firewall application-rule create":
		c.rule(o, "applicationRuleCollections")
	case "firewall nat-rule create":
		c.rule(o, "natRuleCollections")
	case "firewall create", "firewall update":
		c.setting(o, "azurefirewalls", v)
	case "firewall policy create", "firewall policy update":
		c.setting(o, "firewallpolicies", v)
	case "firewall policy rule-collection-group create", "firewall policy rule-collection-group update":
		if p, ok := o.one("priority"); ok {
			policy, _ := o.one("policyname", "policy")
			name, _ := o.one("name", "n")
			c.priorities[policy.text+"/"+name.text] = p
		}
	case "firewall policy rule-collection-group collection add-filter-collection":
		c.filter(o, "ruleCollections", "name", "n", "collectionname")
	case "firewall policy rule-collection-group collection add-nat-collection":
		c.filter(o, "natRuleCollections", "name", "n", "collectionname")
	case "firewall policy rule-collection-group collection rule add":
		c.filter(o, "ruleCollections", "collectionname")
	case "ip-group create":
		addresses, ok := o.list("ipaddresses")
		if !ok {
			addresses = unresolved(o.pos, "", "no addresses are given")
		}
		name, _ := o.one("name", "n")
		c.out = append(c.out, o.object("microsoft.network/ipgroups", newField("name", name.pos, name), newField("ipAddresses", o.pos, addresses)))
	case "nsg rule create":
		out := o.object("")
		for _, key := range []string{"direction", "access"} { // what az takes when they are not given
			if _, ok := o.one(key); !ok {
				out.fields = append(out.fields, newField(key, o.pos, value{kind: text, pos: o.pos, text: map[string]string{"direction": "Inbound", "access": "Allow"}[key]}))
			}
		}
		for _, f := range [][]string{{"name", "n"}, {"networksecuritygroupname", "nsgname"}, {"priority"}, {"direction"}, {"access"}, {"protocols"}} {
			if v, ok := o.one(f...); ok {
				out.fields = append(out.fields, newField(f[0], v.pos, v))
			}
		}
		for _, key := range []string{"sourceaddressprefixes", "destinationaddressprefixes", "destinationportranges", "sourceportranges"} {
			v, ok := o.list(key)
			if !ok {
				star := value{kind: text, pos: o.pos, text: "*"}
				if key == "destinationportranges" {
					star.text = "80"
				}
				v = star
			}
			out.fields = append(out.fields, newField(key, o.pos, v))
		}
		c.out = append(c.out, out)
	case "route-table route create":
		out := o.object("")
		for _, f := range [][]string{{"name", "n"}, {"addressprefix"}, {"nexthoptype"}, {"nexthopaddress"}} {
			if v, ok := o.one(f...); ok {
				out.fields = append(out.fields, newField(f[0], v.pos, v))
			}
		}
		c.out = append(c.out, out)
	default:
		changes := slices.ContainsFunc(verbs, func(w string) bool { return w == "update" || w == "delete" || w == "remove" || w == "add" })
		if len(verbs) > 0 && verbs[0] == "firewall" && changes && slices.ContainsFunc(verbs, func(w string) bool { return strings.Contains(w, "rule") }) {
			c.r.notUnderstood(o.pos, "command", "az network "+v, "a change of rules that is not read here")
		}
	}
}

// setting records a firewall or a policy with its DNS proxy. An update says
// nothing of what it leaves as it is.
func (c *commands) setting(o options, typ, verbs string) {
	out := o.object("microsoft.network/" + typ)
	name, _ := o.one("name", "n")
	out.fields = append(out.fields, newField("name", name.pos, name))
	p, ok := o.one("enablednsproxy")
	if ok {
		out.fields = append(out.fields, newField("enableDnsProxy", p.pos, p))
	} else if strings.HasSuffix(verbs, "update") {
		return
	}
	if b, ok := o.one("basepolicy"); ok {
		out.fields = append(out.fields, newField("basePolicy", b.pos, b))
	}
	if b, ok := o.one("firewallpolicy", "policy"); ok && typ == "azurefirewalls" {
		out.fields = append(out.fields, newField("firewallPolicy", b.pos, b))
	}
	c.out = append(c.out, out)
}
