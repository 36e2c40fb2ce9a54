// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/ruleset"
)

// void finds network rules that decide for flows before rules by name are asked.
func (a *auditor) void() {
	for _, r := range a.rules.Rules {
		if r.Kind != ruleset.Network || r.Action != ruleset.Allow || r.Dead != "" {
			continue
		}
		set := r.Sure()
		if !anyName(set) {
			continue
		}
		anyone := withoutSource(set)
		var swallowed, all int
		var first string
		for _, o := range a.rules.Rules {
			if o.Kind != ruleset.Application || o.Action != ruleset.Allow {
				continue
			}
			for _, t := range o.Terms {
				all++
				if !t.Maybe.IsEmpty() && anyone.Covers(withoutSource(t.Maybe)) {
					swallowed++
					if first == "" {
						first = t.Text
					}
				}
			}
		}
		if swallowed == 0 && !a.open(set) {
			continue
		}
		a.voids = append(a.voids, r)
		f := Finding{
			Check: Void, Severity: Critical, Pos: r.Pos, Rule: r.String(), Term: r.Name,
			Witness: a.ours(set.Minus(a.needed)),
			Because: "network rules are tried before application rules, whatever their priority",
			Fix:     "remove the rule, or limit its destination to what needs it", Edits: a.dropRule(r),
		}
		switch {
		case swallowed > 0:
			f.Text = fmt.Sprintf("%s lets everything through before %d of %d names of the application rules are looked at, %s among them",
				r, swallowed, all, first)
		default:
			f.Text = fmt.Sprintf("%s lets the cluster reach any name on the web's own ports", r)
		}
		a.find(f, termKey(r, ""))
	}
}

// besides finds other network rules that decide nothing, for TCP or UDP, while a
// void rule is there: it lets through what they do, before or behind them.
func (a *auditor) besides() {
	for _, r := range a.rules.Rules {
		if r.Kind != ruleset.Network || r.Action != ruleset.Allow || r.Dead != "" || among(a.voids, r) {
			continue
		}
		most := r.Maybe()
		for _, v := range a.voids {
			set := v.Sure()
			for _, class := range []flowset.Class{flowset.TCP, flowset.UDP} {
				part := flowset.Everything()
				part.Class = class
				own := most.Intersect(flowset.Of(part))
				if own.IsEmpty() || !set.Covers(own) {
					continue
				}
				a.find(Finding{
					Check: Shadowed, Severity: Info, Pos: r.Pos, Rule: r.String(), Term: r.Name,
					Text:    fmt.Sprintf("for %s, %s lets through everything that %s does", strings.ToUpper(class.String()), v, r),
					Because: fmt.Sprintf("%s at %s", v, v.Pos), Fix: "remove " + v.Name + ", and keep what of this is needed",
				}, termKey(r, "")+" "+class.String())
			}
		}
	}
}

// anyName reports whether a set holds flows to every name at any address.
func anyName(s flowset.Set) bool {
	all := nameset.All()
	for _, b := range s.Boxes() {
		if b.Nameless && coversInternet(b.Dst) && b.Names.Covers(all) {
			return true
		}
	}
	return false
}

// coversInternet reports whether s holds the public IPv4 Internet.
func coversInternet(s netset.Set) bool {
	for _, r := range s.Ranges() {
		for _, half := range halves {
			if r.Lo.Compare(half.Lo) <= 0 && r.Hi.Compare(half.Hi) >= 0 && r.Lo.Is4() {
				return true
			}
		}
	}
	return false
}

// halves of the IPv4 addresses: a firewall that lets one of them through lets
// the Internet through.
var halves = slices.Concat(netset.Of(netip.MustParsePrefix("0.0.0.0/1")).Ranges(), netset.Of(netip.MustParsePrefix("128.0.0.0/1")).Ranges())

// open reports whether a set lets any name be reached by HTTPS.
func (a *auditor) open(s flowset.Set) bool {
	for _, b := range s.Boxes() {
		if b.Class&flowset.TLS != 0 && b.Ports.Contains(443) && coversInternet(b.Dst) && b.Nameless {
			return true
		}
	}
	return false
}
