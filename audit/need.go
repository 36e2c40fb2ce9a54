// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/ruleset"
)

// need is what one rule of the program asks for.
type need struct {
	rule   program.Rule
	set    flowset.Set
	anyone flowset.Set // set from every source
}

// wants turns the program's rules into sets of flows.
func (a *auditor) wants() {
	var boxes []flowset.Box
	for _, r := range a.p.Rules {
		set := ruleset.Asked(r)
		if !r.LiveAt(a.now) {
			a.expired = append(a.expired, need{r, set, withoutSource(set)})
			continue
		}
		boxes = append(boxes, set.Boxes()...)
		a.needs = append(a.needs, need{r, set, withoutSource(set)})
	}
	a.needed = flowset.Of(boxes...)
	a.r.Needed = len(a.needs)
}

// missing finds what the cluster needs and the firewall does not let through, or
// lets through only by a rule that lets everything through.
func (a *auditor) missing() {
	proper := a.anyone
	if len(a.voids) > 0 {
		proper = widened(a.rules, a.voids).Evaluate()
	}
	bySource := 0
	var assumed []string
	var open []need // behind assumed
	for _, n := range a.needs {
		if proper.Sure.Covers(n.set) {
			if !a.effect.Sure.Covers(n.set) {
				bySource++
				a.r.AssumedRules = append(a.r.AssumedRules, n.rule.ID)
			}
			continue
		}
		o := n.rule.Origins[0]
		what := n.rule.Destination() + " " + ports(n.rule)
		f := Finding{
			Term: n.rule.Destination(), Because: because(o), Witness: witness(n.set.Minus(proper.Sure)),
			Fix: fmt.Sprintf("allow %s from %s", what, strings.Join(n.rule.Groups, " and ")), Edits: a.addTo(n),
		}
		if proper.Maybe.Covers(n.set) {
			assumed, open = append(assumed, what), append(open, n)
			a.r.AssumedRules = append(a.r.AssumedRules, n.rule.ID)
			continue
		}
		f.Check, f.Severity, f.Need = Missing, Medium, string(n.rule.ID)
		if n.rule.Required {
			f.Severity = High
		}
		f.Witness = witness(n.set.Minus(proper.Maybe))
		if a.effect.Sure.Covers(n.set) {
			f.Text = fmt.Sprintf("%s is needed, and only %s lets it through", what, a.voids[0])
			a.find(f, what)
			continue
		}
		a.r.Closed++
		f.Text = what + " is needed and nothing lets it through"
		if from := a.others(n); from != "" {
			f.Text = fmt.Sprintf("%s is needed and let through for others (%s), but not for the cluster's %s", what, from, a.p.Visible())
		}
		if len(o.ExitCodes) > 0 {
			f.Severity = Critical
			f.Text += fmt.Sprintf("; nodes end with exit code %s", strings.Trim(strings.ReplaceAll(fmt.Sprint(o.ExitCodes), " ", " or "), "[]"))
		}
		a.find(f, what)
	}
	a.r.Assumed = bySource + len(assumed)
	if len(assumed) > 0 {
		a.find(Finding{
			Check: Assumed, Severity: Info, Unknown: true,
			Text:    fmt.Sprintf("%d of %d needs are met only by what the files do not show: %s", len(assumed), len(a.needs), a.reasons(open)),
			Because: strings.Join(assumed, ", "), Fix: "give the files or values that say it, or write the names out",
		}, "parts")
	}
	if bySource > 0 {
		a.find(Finding{
			Check: Assumed, Severity: Info, Unknown: true, Because: "the sources of some rules are not in the files",
			Text: fmt.Sprintf("%d of %d needs are met if the unknown sources hold the cluster's addresses", bySource, len(a.needs)),
			Fix:  "give the files or values that say what these sources are",
		}, "sources")
	}
}

// others returns the sources for which some rule lets a need through, when they
// are not the cluster's.
func (a *auditor) others(n need) string {
	one, _ := n.anyone.Witness()
	for _, r := range a.rules.Rules {
		if r.Action != ruleset.Allow || r.Kind == ruleset.NAT || r.Dead != "" || among(a.voids, r) {
			continue
		}
		for _, t := range r.Terms {
			// What covers all of the need lets one flow of it through, which is soon
			// looked up.
			if !letsThrough(t.Sure, one) || !withoutSource(t.Sure).Covers(n.anyone) {
				continue
			}
			return t.Sure.Boxes()[0].Src.String()
		}
	}
	return ""
}

// letsThrough reports whether a flow lies in s but for its source.
func letsThrough(s flowset.Set, f flowset.Flow) bool {
	return slices.ContainsFunc(s.Boxes(), func(b flowset.Box) bool {
		b.Src = netset.All()
		return b.Contains(f)
	})
}

// reasons lists what is unknown, beside sources, of the rules that may let needs
// through, each once.
func (a *auditor) reasons(needs []need) string {
	var out []string
	for _, r := range a.rules.Rules {
		if r.Kind == ruleset.NAT || len(r.Unknown) == 0 {
			continue
		}
		most := withoutSource(r.Maybe())
		if !slices.ContainsFunc(needs, func(n need) bool { return most.Overlaps(n.anyone) }) {
			continue
		}
		for _, u := range r.Unknown {
			if u.Part != "source" && u.Text != "" && !slices.Contains(out, u.Text) {
				out = append(out, u.Text)
			}
		}
	}
	if len(out) > 4 {
		out = append(out[:4], "...")
	}
	return strings.Join(out, ", ")
}

func because(o program.Origin) string {
	c := o.Citation
	s := fmt.Sprintf("%s: %s", o.Requirement, o.Purpose)
	if c.Edition != "" {
		s += " (edition " + c.Edition
		if c.Line > 0 {
			s += fmt.Sprintf(", line %d", c.Line)
		}
		return s + ")"
	}
	return fmt.Sprintf("%s (%s:%d)", s, c.Document, c.Line)
}

func ports(r program.Rule) string { return strings.Join(r.PortTexts(), " ") }

// shown returns a flow of s that a term matches, of the cluster's own when it
// matches one of these.
func (a *auditor) shown(t ruleset.Term, s flowset.Set) string {
	if in := s.Intersect(t.Maybe); !in.IsEmpty() {
		s = in
	}
	return a.ours(s)
}

// ours returns a flow of s, of the cluster's own when there is one.
func (a *auditor) ours(s flowset.Set) string {
	own := flowset.Everything()
	own.Src = a.p.Visible()
	if in := s.Intersect(flowset.Of(own)); !in.IsEmpty() {
		s = in
	}
	return witness(s)
}

func witness(s flowset.Set) string {
	f, ok := s.Witness()
	if !ok {
		return ""
	}
	return f.String()
}

// former is a pair that the cluster does not need, as a set of flows: whatever
// stands for a placeholder.
type former struct {
	program.NotAsked
	set flowset.Set
}

func (a *auditor) formers() []former {
	var out []former
	for _, n := range a.p.NotAsked {
		b := flowset.Box{Src: netset.All(), Class: ruleset.ClassOf(n.Protocol), Ports: portset.Of(n.Port), Dst: netset.All()}
		text := n.Destination
		for {
			before, rest, ok := strings.Cut(text, "<")
			if !ok {
				break
			}
			_, after, _ := strings.Cut(rest, ">")
			text = before + "*" + after
		}
		// The list's own star stands for any depth.
		if rest, ok := strings.CutPrefix(text, "*."); ok {
			text = "**." + rest
		} else if strings.HasPrefix(text, ".") {
			text = "**" + text
		}
		if !strings.Contains(text, ".") {
			continue // a service tag or an address of the cluster
		}
		g, err := nameset.Parse(text)
		if err != nil {
			continue
		}
		b.Names = nameset.Of(g)
		out = append(out, former{n, flowset.Of(b)})
	}
	return out
}
