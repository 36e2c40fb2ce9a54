// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package panos

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/ruleset"
)

// applications are the App-IDs that are told apart. What the firewall knows as a
// more specific application is neither of them.
var applications = map[string]flowset.Class{"ssl": flowset.TLS, "web-browsing": flowset.HTTP}

// ruleSet returns the rules in the order in which the firewall tries them.
func (r *reader) ruleSet() *ruleset.RuleSet {
	out := &ruleset.RuleSet{Dialect: Dialect, Files: []string{r.file}, Unknown: r.unknown}
	if r.allowRest {
		out.Default = ruleset.Allow
	}
	for _, u := range r.unknown {
		out.Rules = append(out.Rules, both(u)...)
	}
	order := map[string]int{"pre-rulebase": 0, "rulebase": 1, "post-rulebase": 2}
	slices.SortStableFunc(r.rules, func(a, b *rule) int { return order[a.rulebase] - order[b.rulebase] })
	for _, s := range r.rules {
		out.Rules = append(out.Rules, r.rule(s))
	}
	return out
}

// only are the settings of a rule that are understood, with the values that
// leave every flow in; others make the rule one that may match less.
var only = map[string][]string{
	"from": {"any"}, "to": {"any"}, "source-user": {"any"}, "hip-profiles": {"any"}, "source-hip": {"any"}, "destination-hip": {"any"},
	"rule-type": {"universal", "interzone"}, "negate-source": {"no", "yes"}, "negate-destination": {"no", "yes"}, "disabled": {"no", "yes"},
	"source": nil, "destination": nil, "application": nil, "service": nil, "category": nil, "action": nil,
}

// rule returns one rule with what it matches.
func (r *reader) rule(s *rule) ruleset.Rule {
	pos := ruleset.Position{File: r.file, Line: s.line}
	out := ruleset.Rule{Pos: pos, Collection: s.rulebase, Name: s.name, Kind: ruleset.Application}
	less := false // may match less than the sets say
	unknown := func(part string, why ...string) {
		for _, w := range why {
			out.Unknown = append(out.Unknown, ruleset.Unknown{Pos: pos, Part: part, Text: strings.Join(s.settings[part], " "), Why: w})
			less = true
		}
	}
	if slices.Equal(s.settings["disabled"], []string{"yes"}) {
		out.Dead = "it is disabled"
	}
	for _, setting := range settingsOf(s) {
		usual, understood := only[setting]
		if !understood {
			unknown(setting, "the setting is not read")
		}
		for _, v := range s.settings[setting] {
			if len(usual) > 0 && !slices.Contains(usual, v) {
				unknown(setting, v+" is not told apart")
			}
		}
	}
	switch a := s.settings["action"]; {
	case slices.Equal(a, []string{"allow"}):
		out.Action = ruleset.Allow
	case len(a) == 0:
		unknown("action", "there is none")
	}
	for _, setting := range []string{"source", "destination", "application", "service"} {
		if len(s.settings[setting]) == 0 {
			unknown(setting, "there is none here, and a rule must have one")
			s.settings[setting] = []string{"any"}
		}
	}
	box, most := flowset.Everything(), flowset.Everything()
	box.Src, most.Src = r.side(s, "source", unknown)
	box.Dst, most.Dst = r.side(s, "destination", unknown)

	var class, mostClass flowset.Class
	for _, a := range s.settings["application"] {
		c, ok := applications[a]
		switch {
		case a == "any":
			c = flowset.AnyTraffic
		case !ok:
			unknown("application", "what is "+a+" is not known")
			mostClass = flowset.AnyTraffic
		}
		class |= c
	}
	box.Class, most.Class = class, class|mostClass
	if c := s.settings["category"]; len(c) > 0 && !slices.Contains(c, "any") {
		names, maybe, why := r.names(c)
		unknown("category", why...)
		box.Names, most.Names = names, maybe
		// Only TLS and HTTP name what a category is compared with.
		box.Class, most.Class = box.Class&(flowset.TLS|flowset.HTTP), most.Class&(flowset.TLS|flowset.HTTP)
		box.Nameless, most.Nameless = false, !maybe.Equal(names) && maybe.Equal(nameset.All())
	}
	services, why := r.serviceBoxes(s.settings["service"], 0)
	unknown("service", why...)
	sure := flowset.Of(box).Intersect(flowset.Of(services...))
	maybe := flowset.Of(most).Intersect(flowset.Of(services...))
	if len(why) > 0 {
		maybe = flowset.Of(most)
	}
	if less {
		sure = flowset.Set{}
	}
	text := strings.Join(slices.Concat(s.settings["destination"], s.settings["category"]), " ")
	out.Terms = []ruleset.Term{{Pos: pos, Text: text, Sure: sure, Maybe: maybe}}
	if maybe.IsEmpty() && out.Dead == "" {
		out.Dead = "its settings exclude each other"
	}
	return out
}

// side returns the addresses of "source" or "destination".
func (r *reader) side(s *rule, name string, unknown func(string, ...string)) (sure, maybe netset.Set) {
	sure, why := r.addressSet(s.settings[name], 0)
	unknown(name, why...)
	maybe = sure
	if len(why) > 0 {
		maybe = netset.All()
	}
	if slices.Equal(s.settings["negate-"+name], []string{"yes"}) {
		sure, maybe = netset.All().Minus(maybe), netset.All().Minus(sure)
	}
	return sure, maybe
}

// settingsOf returns the names of a rule's settings in order.
func settingsOf(s *rule) []string {
	var out []string
	for name := range s.settings {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
