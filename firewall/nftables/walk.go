// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nftables

import (
	"fmt"

	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/ruleset"
)

// Bounds of what is followed. The kernel itself stops at 16 jumps
// (NFT_JUMP_STACK_SIZE, include/net/netfilter/nf_tables.h, Linux 6.1).
const (
	maxDepth = 16
	maxRules = 20000
	maxJoins = 2000 // elements of a set whose keys are joined by dots
	maxBoxes = 500
)

// reach is the flows that come to a place in a chain.
type reach struct {
	sure, maybe flowset.Set
	unknown     []ruleset.Unknown // why the two differ
}

// everywhere is the reach of a chain that sees every packet.
func everywhere() reach { return reach{sure: flowset.All(), maybe: flowset.All()} }

// and returns the flows of both.
func (r reach) and(o reach) reach {
	return reach{r.sure.Intersect(o.sure), r.maybe.Intersect(o.maybe), append(r.unknown[:len(r.unknown):len(r.unknown)], o.unknown...)}
}

// without returns the flows of r that are not in o.
func (r reach) without(o reach) reach {
	return reach{r.sure.Minus(o.maybe), r.maybe.Minus(o.sure), append(r.unknown[:len(r.unknown):len(r.unknown)], o.unknown...)}
}

// walker follows a base chain and writes down what it decides, in order: the
// first match ends.
type walker struct {
	file     string
	table    *table
	rules    []ruleset.Rule
	rewrites []ruleset.Rule // flows whose way is not known after this
	steps    int
	before   bool // the chain is at another hook, and what it changes is seen at the one that is read
	sets     map[string]reach
}

// bothWays returns rules that let flows through or not, who knows.
func bothWays(r ruleset.Rule, maybe flowset.Set) []ruleset.Rule {
	r.Terms = []ruleset.Term{{Pos: r.Pos, Text: r.Name, Maybe: maybe}}
	deny, allow := r, r
	deny.Action, allow.Action = ruleset.Deny, ruleset.Allow
	return []ruleset.Rule{deny, allow}
}

// chain follows a chain for the flows that come to it.
func (w *walker) chain(c *chain, in reach, depth int) error {
	where := fmt.Sprintf("%s %s %s", w.table.family, w.table.name, c.name)
	for _, r := range c.rules {
		if w.steps++; w.steps > maxRules {
			return fmt.Errorf("%s:%d: jumps lead through more than %d rules", w.file, r.line, maxRules)
		}
		out := ruleset.Rule{Pos: ruleset.Position{File: w.file, Line: r.line}, Collection: where, Name: r.comment, Kind: ruleset.Network}
		if out.Name == "" {
			out.Name = fmt.Sprintf("line %d", r.line)
		}
		unknown := func(why string) ruleset.Unknown {
			return ruleset.Unknown{Pos: out.Pos, Part: "rule", Text: r.text, Why: why}
		}
		at := in
		for _, m := range r.matches {
			at = at.and(w.match(m, r.line))
		}
		if r.opaque != "" || r.rewrite {
			why := r.opaque
			if why == "" {
				why = "changes where the packet goes to"
			}
			out.Unknown = append(at.unknown, unknown(why))
			both := bothWays(out, at.maybe)
			if r.rewrite || w.before {
				w.rewrites = append(w.rewrites, both...)
			} else {
				w.rules = append(w.rules, both...)
			}
			continue
		}
		arms := []element{{verdict: r.verdict}}
		if r.vmap != nil {
			var why string
			if arms, why = w.elements(*r.vmap); why != "" {
				out.Unknown = append(at.unknown, unknown(why))
				w.rules = append(w.rules, bothWays(out, at.maybe)...)
				continue
			}
		}
		for _, arm := range arms {
			to := at
			if r.vmap != nil {
				m := *r.vmap
				m.elements, m.set = []element{arm}, ""
				to = at.and(w.match(m, r.line))
			}
			if to.maybe.IsEmpty() {
				continue
			}
			out.Unknown = to.unknown
			switch arm.verdict.kind {
			case "accept", "drop":
				o := out
				if to.sure.Equal(to.maybe) {
					o.Unknown = nil
				}
				if arm.verdict.kind == "accept" {
					o.Action = ruleset.Allow
				}
				o.Terms = []ruleset.Term{{Pos: out.Pos, Text: r.text, Sure: to.sure, Maybe: to.maybe}}
				w.rules = append(w.rules, o)
			case "jump", "goto":
				target := w.table.chains[arm.verdict.target]
				if target == nil || depth >= maxDepth {
					out.Unknown = append(to.unknown, unknown("the chain "+arm.verdict.target+" is not there, or too deep"))
					w.rules = append(w.rules, bothWays(out, to.maybe)...)
					continue
				}
				if err := w.chain(target, to, depth+1); err != nil {
					return err
				}
				if arm.verdict.kind == "goto" {
					in = in.without(to)
				}
			case "return":
				in = in.without(to)
			}
		}
		if len(in.sure.Boxes())+len(in.maybe.Boxes()) > maxBoxes {
			in = reach{maybe: flowset.All(), unknown: append(in.unknown, unknown("too many returns to follow"))}
		}
	}
	return nil
}

// elements returns the members of a test, or why they are not known.
func (w *walker) elements(m match) ([]element, string) {
	if m.set == "" {
		return m.elements, ""
	}
	s := w.table.sets[m.set]
	if s == nil {
		return nil, "no set is called " + m.set
	}
	return s.elements, s.unknown
}

// match returns the flows for which a test holds.
func (w *walker) match(m match, line int) (out reach) {
	if m.set != "" {
		key := fmt.Sprint(m.keys, m.not, m.set)
		if r, ok := w.sets[key]; ok {
			return r
		}
		defer func() { w.sets[key] = out }()
	}
	all := flowset.All()
	for _, k := range m.keys {
		all = all.Intersect(flowset.Of(universe(k)))
	}
	unknown := func(why string) {
		if len(out.unknown) < 20 {
			out.unknown = append(out.unknown, ruleset.Unknown{Pos: ruleset.Position{File: w.file, Line: line}, Part: "test", Text: m.text, Why: why})
		}
	}
	elements, why := w.elements(m)
	if m.why != "" {
		why = m.why
	}
	if len(m.keys) > 1 && len(elements) > maxJoins {
		why = "too many elements to follow"
	}
	if why != "" {
		unknown(why)
		out.maybe = all
		return out
	}
	if len(m.keys) == 1 {
		var certain, uncertain []string
		for _, e := range elements {
			switch {
			case e.unknown != "":
				unknown(e.unknown)
				uncertain = append(uncertain, e.parts...)
			case len(e.parts) != 1:
				unknown("an element is not one value")
				uncertain = append(uncertain, "?")
			default:
				certain = append(certain, e.parts...)
			}
		}
		sure, maybe, whys := matched(m.keys[0], certain)
		for _, why := range whys {
			unknown(why)
		}
		out.sure, out.maybe = flowset.Of(sure), flowset.Of(maybe)
		if len(uncertain) > 0 {
			out.maybe = all
		}
	} else {
		var sures, maybes []flowset.Box
		for _, e := range elements {
			s, p := all, all
			if e.unknown != "" || len(e.parts) != len(m.keys) {
				unknown("an element is not one value for each key")
				s = flowset.Set{}
			} else {
				for i, k := range m.keys {
					sure, maybe, whys := matched(k, e.parts[i:i+1])
					for _, why := range whys {
						unknown(why)
					}
					s, p = s.Intersect(flowset.Of(sure)), p.Intersect(flowset.Of(maybe))
				}
			}
			sures, maybes = append(sures, s.Boxes()...), append(maybes, p.Boxes()...)
		}
		out.sure, out.maybe = flowset.Of(sures...), flowset.Of(maybes...)
	}
	if m.not {
		out.sure, out.maybe = all.Minus(out.maybe), all.Minus(out.sure)
	}
	return out
}
