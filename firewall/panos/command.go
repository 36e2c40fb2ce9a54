// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package panos

import "slices"

// set reads what follows "set".
func (r *reader) set(line int, text string, w []string) {
	if len(w) < 3 {
		return // "set cli ..." and the like say nothing about traffic
	}
	name := w[1]
	switch w[0] {
	case "address":
		if w[2] == "tag" || w[2] == "description" {
			return
		}
		v, _ := values(w[3:])
		r.addresses[name] = object{kind: w[2], values: v}
	case "address-group":
		if w[2] == "static" {
			v, _ := values(w[3:])
			g := r.groups[name]
			g.values = append(g.values, v...)
			r.groups[name] = g
		} else if w[2] != "tag" && w[2] != "description" {
			r.groups[name] = object{kind: w[2], values: []string{""}}
		}
	case "service":
		r.setService(name, w[2:])
	case "service-group":
		if w[2] == "members" {
			v, _ := values(w[3:])
			g := r.bundles[name]
			g.values = append(g.values, v...)
			r.bundles[name] = g
		}
	case "profiles":
		if w[1] == "custom-url-category" && len(w) > 4 {
			r.setCategory(w[2], w[3:])
		}
	case "rulebase", "pre-rulebase", "post-rulebase":
		switch {
		case w[1] == "security" && w[2] == "rules" && len(w) > 4:
			r.setRule(line, text, w[0], w[3], w[4:])
		case w[1] == "default-security-rules" && len(w) > 5 && w[3] == "interzone-default" && w[4] == "action":
			r.allowRest = w[5] == "allow"
		case w[1] == "application-override":
			r.maybe(line, text, "gives flows another application than they have")
		}
	}
}

// setService reads "protocol tcp port 443,8000-8010".
func (r *reader) setService(name string, w []string) {
	s := r.services[name]
	if s == nil {
		s = &service{}
		r.services[name] = s
	}
	switch {
	case len(w) >= 4 && w[0] == "protocol" && w[2] == "port":
		s.protocol, s.ports = w[1], w[3]
		if len(w) > 4 {
			s.odd = w[4]
		}
	case len(w) >= 4 && w[0] == "protocol" && w[2] == "override" && w[3] == "no":
	case w[0] == "tag" || w[0] == "description":
	case len(w) >= 3 && w[0] == "protocol":
		s.odd = w[2]
	default:
		s.odd = w[0]
	}
}

// setCategory reads "type X" and "list [ ... ]", which may follow each other.
func (r *reader) setCategory(name string, w []string) {
	c := r.categories[name]
	if c == nil {
		c = &category{}
		r.categories[name] = c
	}
	for len(w) > 1 {
		v, rest := values(w[1:])
		switch {
		case w[0] == "type" && len(v) == 1:
			c.kind = v[0]
		case w[0] == "list":
			c.list = append(c.list, v...)
		}
		w = rest
	}
}

// silent are settings of a rule that decide nothing about a flow.
var silent = []string{"log-start", "log-end", "log-setting", "tag", "group-tag", "description", "uuid", "qos"}

// setRule reads the settings of one rule.
func (r *reader) setRule(line int, text, rulebase, name string, w []string) {
	key := rulebase + " " + name
	s := r.named[key]
	if s == nil {
		s = &rule{name: name, line: line, rulebase: rulebase, settings: make(map[string][]string)}
		r.named[key] = s
		r.rules = append(r.rules, s)
	}
	for len(w) > 0 {
		setting := w[0]
		v, rest := values(w[1:])
		if setting == "profile-setting" || setting == "option" || setting == "target" {
			v, rest = w[1:], nil
		}
		if len(v) == 0 {
			r.maybe(line, text, "the setting "+setting+" has no value")
			return
		}
		if !slices.Contains(silent, setting) {
			if setting == "action" || setting == "disabled" || setting == "rule-type" || setting == "negate-source" || setting == "negate-destination" {
				s.settings[setting] = v
			} else {
				s.settings[setting] = append(s.settings[setting], v...)
			}
		}
		w = rest
	}
}
