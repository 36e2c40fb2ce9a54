// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/ruleset"
)

// withoutSource widens a set to every source: who is asking is a question of
// its own.
func withoutSource(s flowset.Set) flowset.Set {
	var out []flowset.Box
	for _, b := range s.Boxes() {
		b.Src = netset.All()
		out = append(out, b)
	}
	return flowset.Of(out...)
}

// terms looks at each destination of each rule: whether anything asks for it.
func (a *auditor) terms() {
	formers := a.formers()
	needed := withoutSource(a.needed)
	seen := make(map[string]ruleset.Position)
	for _, r := range a.rules.Rules {
		if r.Action != ruleset.Allow || r.Kind == ruleset.NAT {
			continue
		}
		a.source(r)
		if r.Dead != "" {
			continue
		}
		for _, t := range r.Terms {
			set := withoutSource(t.Sure)
			if set.IsEmpty() && sourceUnknown(r) {
				set = withoutSource(t.Maybe)
			}
			if set.IsEmpty() {
				set = a.tagged(r, t)
			}
			if set.IsEmpty() {
				continue
			}
			key := string(r.Kind) + " " + strings.ToLower(t.Text) + " " + describe(set)
			if at, twice := seen[key]; twice {
				a.find(Finding{
					Check: Duplicate, Severity: Info, Pos: t.Pos, Rule: r.String(), Term: t.Text,
					Text: fmt.Sprintf("%s stands there twice, first at %s", t.Text, at), Fix: "remove one of them", Edits: a.dropTerm(r, t),
				}, key)
			} else {
				seen[key] = t.Pos
			}
			if needed.Covers(set) || among(a.voids, r) {
				continue
			}
			a.r.Extra++
			if a.exceptionOver(r, t, set) {
				continue
			}
			a.ports(r, t, set)
			if a.obsolete(r, t, set, formers, needed) && !strings.Contains(t.Text, "*") {
				continue
			}
			a.wide(r, t, set, needed)
		}
	}
}

// exceptionOver finds terms for exceptions of the owner's whose time is over.
func (a *auditor) exceptionOver(r ruleset.Rule, t ruleset.Term, set flowset.Set) bool {
	for _, x := range a.expired {
		if !x.anyone.Covers(set) {
			continue
		}
		a.find(Finding{
			Check: Expired, Severity: Medium, Pos: t.Pos, Rule: r.String(), Term: t.Text, Witness: a.shown(t, set),
			Text:    fmt.Sprintf("%s is an exception that ended on %s", t.Text, x.rule.Until.Format(time.DateOnly)),
			Because: because(x.rule.Origins[0]), Fix: "remove " + t.Text, Edits: a.dropTerm(r, t),
		}, termKey(r, t.Text))
		return true
	}
	return false
}

// tagged returns what a service tag without addresses stands for at most, when
// that is wide whatever its addresses are: the addresses of a whole cloud or of
// a region, where anybody can rent one.
func (a *auditor) tagged(r ruleset.Rule, t ruleset.Term) flowset.Set {
	for _, u := range r.Unknown {
		if u.Part != "source" && u.Part != "destination" {
			return flowset.Set{} // whatever it is wide in is not known either
		}
	}
	tag := strings.ToLower(t.Text)
	if tag == "internet" || tag == "azurecloud" || strings.HasPrefix(tag, "azurecloud.") {
		return withoutSource(t.Maybe)
	}
	// Every port by every protocol is too much for whatever addresses they are.
	for _, b := range t.Maybe.Boxes() {
		if b.Class == flowset.AnyTraffic && b.Ports.Equal(portset.All()) && coversInternet(b.Dst) {
			return withoutSource(t.Maybe)
		}
	}
	return flowset.Set{}
}

// obsolete finds terms that were on the list, or are for others.
func (a *auditor) obsolete(r ruleset.Rule, t ruleset.Term, set flowset.Set, formers []former, needed flowset.Set) bool {
	rest := set.Minus(needed)
	var f former
	found := false
	one, _ := rest.Witness()
	for _, m := range formers {
		if !m.set.Contains(one) && !one.Name.IsZero() {
			continue
		}
		if !m.set.Overlaps(rest) || !onlyPorts(m.set, rest) || !namesWithin(m.set, rest) {
			continue
		}
		// One host under a wildcard that left the list was never on it, unless the
		// wildcard stands for the cluster's own endpoints.
		if !strings.Contains(m.Destination, "<") && !namesWithin(rest, m.set) {
			continue
		}
		if !found || closer(m, f, rest) {
			f, found = m, true
		}
	}
	// What covers a need as well is too wide rather than obsolete.
	if !found || set.Overlaps(needed) {
		return false
	}
	out := Finding{
		Check: Obsolete, Severity: Low, Pos: t.Pos, Rule: r.String(), Term: t.Text, Witness: a.shown(t, rest),
		Because: f.Requirement, Fix: "remove " + t.Text, Edits: a.dropTerm(r, t),
	}
	if f.For != "" {
		out.Check, out.Severity = NotNeeded, Info
		out.Text = fmt.Sprintf("%s is for %s, which this cluster does not have", t.Text, f.For)
	} else {
		out.Text = fmt.Sprintf("%s left the list on %s", t.Text, f.Until.Format("2006-01-02"))
		if f.ReplacedBy != "" {
			out.Text += "; " + f.ReplacedBy + " took its place"
		}
	}
	a.find(out, termKey(r, t.Text))
	return true
}

// closer reports whether x says more of a term than y does: with just its names,
// or still listed, or listed longer.
func closer(x, y former, term flowset.Set) bool {
	same := func(f former) bool { return namesWithin(term, f.set) }
	switch {
	case same(x) != same(y):
		return same(x)
	case (x.For == "") != (y.For == ""):
		return x.For != ""
	}
	return x.Until.After(y.Until)
}

// tunnelPorts returns the pairs of the old tunnel. One that is listed for others
// says more than one that left the list, so it comes first.
func tunnelPorts(all []program.NotAsked) []program.NotAsked {
	var listed, gone []program.NotAsked
	for _, n := range all {
		switch {
		case n.Protocol.App != flow.Raw || !strings.Contains(n.Requirement, "tunnel") && !strings.Contains(n.Requirement, "api-server") || n.Port == 443:
		case n.For != "":
			listed = append(listed, n)
		default:
			gone = append(gone, n)
		}
	}
	return append(listed, gone...)
}

// ports finds ports of the old tunnel that are open to more than the API
// server.
func (a *auditor) ports(r ruleset.Rule, t ruleset.Term, set flowset.Set) {
	for _, n := range a.tunnel {
		class := ruleset.ClassOf(n.Protocol)
		open := false
		for _, b := range set.Boxes() {
			// A rule about every port is not about this one.
			open = open || b.Class&class != 0 && b.Ports.Contains(n.Port) && b.Ports.Len() < 100
		}
		what := fmt.Sprintf("%s/%d", n.Protocol, n.Port)
		key := termKey(r, t.Text) + " port " + what
		if !open || a.said[key] || a.needsPort(class, n.Port) {
			continue
		}
		a.said[key] = true
		f := Finding{
			Check: Obsolete, Severity: Low, Pos: t.Pos, Rule: r.String(), Term: what, Because: n.Requirement, Fix: "remove " + what,
			Edits: a.dropPort(r, fmt.Sprint(n.Port)),
			Text:  fmt.Sprintf("%s, the tunnel of clusters without konnectivity, is not asked for", what),
		}
		if n.For == "" {
			f.Text = fmt.Sprintf("%s left the list on %s", what, n.Until.Format("2006-01-02"))
		} else {
			f.Text += " here: only for " + n.For
		}
		a.find(f, key)
	}
}

// needsPort reports whether the cluster needs a port for something.
func (a *auditor) needsPort(class flowset.Class, port uint16) bool {
	for _, b := range a.needed.Boxes() {
		if b.Class&class != 0 && b.Ports.Contains(port) {
			return true
		}
	}
	return false
}

// onlyPorts reports whether a and b are about a common kind and port.
func onlyPorts(a, b flowset.Set) bool {
	for _, x := range a.Boxes() {
		for _, y := range b.Boxes() {
			if x.Class&y.Class != 0 && !x.Ports.Intersect(y.Ports).IsEmpty() {
				return true
			}
		}
	}
	return false
}

// namesWithin reports whether every name of b is one of a, and b names something.
func namesWithin(a, b flowset.Set) bool {
	for _, y := range b.Boxes() {
		if y.Nameless || y.Names.IsEmpty() {
			return false
		}
		covered := false
		for _, x := range a.Boxes() {
			covered = covered || x.Names.Covers(y.Names)
		}
		if !covered {
			return false
		}
	}
	return true
}

// wide finds terms that let through more than anything asks for.
func (a *auditor) wide(r ruleset.Rule, t ruleset.Term, set, needed flowset.Set) {
	rest := set.Minus(needed)
	one := true // a single name or address
	for _, b := range rest.Boxes() {
		single := !coversInternet(b.Dst) && len(b.Dst.Prefixes()) == 1 && b.Dst.Prefixes()[0].IsSingleIP()
		one = one && (!b.Nameless && oneName(b.Names) || single)
	}
	if one {
		return // one destination of the owner's own
	}
	var instead, names []string // needs inside it; of them the names that no other term lets through
	apart := false              // some need cannot be written in its place
	for _, n := range a.needs {
		if n.anyone.Overlaps(set) {
			instead = append(instead, n.rule.Destination()+" "+ports(n.rule))
			switch name := n.rule.Pattern.String(); {
			case a.elsewhere(n, t):
			case n.rule.Pattern.IsZero() || r.Kind != ruleset.Application:
				apart = true
			case !slices.Contains(names, name):
				names = append(names, name)
			}
		}
	}
	f := Finding{
		Check: TooWide, Severity: Medium, Pos: t.Pos, Rule: r.String(), Term: t.Text, Witness: a.shown(t, rest),
		Because: "nothing in the list or in the description asks for it", Fix: "remove " + t.Text,
	}
	switch {
	case apart:
	case len(names) == 0:
		f.Edits = a.dropTerm(r, t)
	default:
		f.Edits = a.replaceTerm(t, names)
	}
	if len(f.Edits) > 0 {
		a.gone[t.Pos] = true
	}
	f.Text = fmt.Sprintf("%s lets through more than anything asks for: %s", t.Text, describe(set))
	if len(names) == 1 && names[0] == t.Text {
		// The name is right, and what it may be reached by is too much: that is
		// said for the whole rule, so no term can be changed for it.
		f.Severity, f.Edits = Low, nil
		f.Text = fmt.Sprintf("%s is let through for more than it is needed for: %s", t.Text, describe(rest))
	}
	if len(instead) > 0 {
		f.Because = "of it the cluster needs only " + strings.Join(instead, ", ")
		if t.Sure.IsEmpty() {
			f.Because = "of what may be behind it the cluster needs only " + strings.Join(instead, ", ")
		}
		f.Fix = "write instead " + strings.Join(instead, ", ")
	}
	for _, b := range set.Boxes() {
		if b.Nameless && coversInternet(b.Dst) {
			f.Severity = High
		}
	}
	a.find(f, termKey(r, t.Text))
}

// elsewhere reports whether some other term lets a need through, one that no
// patch takes away: patches are applied together.
func (a *auditor) elsewhere(n need, but ruleset.Term) bool {
	for _, r := range a.rules.Rules {
		if r.Action != ruleset.Allow || r.Kind == ruleset.NAT || r.Dead != "" || among(a.voids, r) {
			continue
		}
		for _, t := range r.Terms {
			set := t.Sure
			if sourceUnknown(r) {
				set = withoutSource(t.Maybe)
			}
			if t.Pos != but.Pos && !a.gone[t.Pos] && set.Covers(n.set) {
				return true
			}
		}
	}
	return false
}

// oneName reports whether a set holds a single name.
func oneName(names nameset.Set) bool {
	_, ok := names.Only()
	return ok
}

// describe writes the kinds and ports of a set.
func describe(s flowset.Set) string {
	var out []string
	for _, b := range s.Boxes() {
		out = append(out, describeBox(b))
	}
	return strings.Join(out, "; ")
}

func describeBox(b flowset.Box) string {
	text := b.Class.String()
	if !b.Ports.IsEmpty() && b.Class&(flowset.TCP|flowset.UDP) != 0 {
		text += "/" + b.Ports.String()
	}
	return text
}

// source finds rules that are not limited to the cluster's addresses.
func (a *auditor) source(r ruleset.Rule) {
	own := a.p.Visible()
	for _, u := range r.Unknown {
		if u.Part == "source" || u.Part == "rules" {
			return
		}
	}
	boxes := r.Maybe().Boxes()
	if r.Dead != "" && slices.ContainsFunc(r.Sources, func(w ruleset.Word) bool { return w.Text == "*" }) {
		boxes = flowset.All().Boxes() // what it would match when it is corrected
	}
	for _, b := range boxes {
		if own.Covers(b.Src) || b.Src.IsEmpty() {
			continue
		}
		if !coversInternet(b.Src) {
			continue // somebody else's own addresses
		}
		a.find(Finding{
			Check: NoSource, Severity: Low, Pos: r.Pos, Rule: r.String(), Term: r.Name,
			Text:    fmt.Sprintf("%s is not limited to the cluster's addresses", r),
			Because: "the nodes are " + own.String(), Fix: "set the source to " + own.String(),
			Edits: a.setSource(r, strings.Split(own.String(), ",")),
		}, termKey(r, ""))
		return
	}
}

// termKey makes a finding the same when rules are renamed: by what it matches.
func termKey(r ruleset.Rule, term string) string {
	var texts []string
	for _, t := range r.Terms {
		texts = append(texts, strings.ToLower(t.Text))
	}
	if term != "" {
		texts = []string{strings.ToLower(term)}
	}
	var flows []string
	for _, t := range r.Terms {
		for _, b := range t.Maybe.Boxes() {
			if text := describeBox(b); !slices.Contains(flows, text) {
				flows = append(flows, text)
			}
		}
	}
	return string(r.Kind) + " " + strings.Join(texts, " ") + " " + strings.Join(flows, "; ")
}
