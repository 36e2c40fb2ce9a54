// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
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
	rule program.Rule
	set  flowset.Set
}

// wants turns the program's rules into sets of flows.
func (a *auditor) wants() {
	var boxes []flowset.Box
	for _, r := range a.p.Rules {
		set := ruleset.Asked(r)
		boxes = append(boxes, set.Boxes()...)
		a.needs = append(a.needs, need{r, set})
	}
	a.needed = flowset.Of(boxes...)
	a.r.Needed = len(a.needs)
}

// missing finds what the cluster needs and the firewall does not let through.
func (a *auditor) missing() {
	for _, n := range a.needs {
		if a.effect.Sure.Covers(n.set) {
			continue
		}
		o := n.rule.Origins[0]
		f := Finding{
			Term: n.rule.Destination(), Because: because(o), Witness: witness(n.set.Minus(a.effect.Sure)),
			Fix: fmt.Sprintf("allow %s %s from %s", n.rule.Destination(), ports(n.rule), strings.Join(n.rule.Groups, " and ")),
		}
		key := n.rule.Destination() + " " + ports(n.rule)
		if a.effect.Maybe.Covers(n.set) {
			a.r.Assumed++
			f.Check, f.Severity, f.Unknown = Assumed, Info, true
			f.Text = fmt.Sprintf("%s %s is let through only by what the file does not show", n.rule.Destination(), ports(n.rule))
			a.find(f, key)
			continue
		}
		a.r.Closed++
		f.Check, f.Severity = Missing, Medium
		if n.rule.Required {
			f.Severity = High
		}
		f.Witness = witness(n.set.Minus(a.effect.Maybe))
		f.Text = fmt.Sprintf("%s %s is needed and nothing lets it through", n.rule.Destination(), ports(n.rule))
		if len(o.ExitCodes) > 0 {
			f.Severity = Critical
			f.Text += fmt.Sprintf("; nodes end with exit code %s", strings.Trim(strings.ReplaceAll(fmt.Sprint(o.ExitCodes), " ", " or "), "[]"))
		}
		a.find(f, key)
	}
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

func ports(r program.Rule) string {
	var out []string
	for _, p := range r.Ports.Ranges() {
		s := fmt.Sprintf("%s/%d", r.Protocol, p.Lo)
		if p.Hi != p.Lo {
			s += fmt.Sprintf("-%d", p.Hi)
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
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
