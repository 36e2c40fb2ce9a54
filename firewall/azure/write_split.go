// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import "fmt"

// writtenGroup is one rule collection group with at most two collections: rules
// of addresses, and rules of names. All allow, so their order says nothing.
type writtenGroup struct {
	name     string
	priority int
	network  []writtenRule
	byName   []writtenRule

	bytes, pairs, networkNames int
}

// collection returns the name of a collection of the group.
func (g writtenGroup) collection(l Layout, kind string) string {
	return withSuffix(g.name, "-"+kind, l.Limits.Name)
}

// Priorities of the collections within their group.
const (
	networkPriority = 100
	namesPriority   = 200
)

// split cuts rules that are too large and fills groups with them, in order.
func (l Layout) split(rules []writtenRule) []writtenGroup {
	names := namer{longest: l.Limits.Name, used: make(map[string]bool)}
	groups := []writtenGroup{{name: l.Group}}
	for _, kind := range []bool{false, true} {
		for _, whole := range rules {
			if whole.byName != kind {
				continue
			}
			for _, r := range l.cut(whole) {
				r.name = names.name(whole.id)
				g := &groups[len(groups)-1]
				if g.bytes > groupBytes && !l.fits(g.bytes+r.bytes(), g.pairs+r.pairs(), g.networkNames+r.networkNames()) {
					groups = append(groups, writtenGroup{name: withSuffix(l.Group, fmt.Sprintf("-%d", len(groups)+1), l.Limits.Name)})
					g = &groups[len(groups)-1]
				}
				g.add(r)
			}
		}
	}
	first := min(l.Priority, lastPriority-len(groups)+1)
	for i := range groups {
		groups[i].priority = first + i
	}
	return groups
}

// groupBytes is more than what a group is without its rules.
const groupBytes = 600

func (g *writtenGroup) add(r writtenRule) {
	if g.bytes == 0 {
		g.bytes = groupBytes
	}
	g.bytes += r.bytes()
	g.pairs += r.pairs()
	g.networkNames += r.networkNames()
	if r.byName {
		g.byName = append(g.byName, r)
	} else {
		g.network = append(g.network, r)
	}
}

// fits reports whether a group of that size is allowed.
func (l Layout) fits(bytes, pairs, networkNames int) bool {
	return bytes <= l.Limits.GroupBytes && pairs <= l.Limits.Pairs && networkNames <= l.Limits.NetworkNames
}

// cut halves a rule until each part fits into a group of its own. A rule is a
// product of lists, so its parts together are the rule, whichever list is cut.
func (l Layout) cut(r writtenRule) []writtenRule {
	longest := &r.destinations
	for _, list := range []*[]string{&r.sources, &r.ports} {
		if len(*list) > len(*longest) {
			longest = list
		}
	}
	if n := len(*longest); n > 1 && !l.fits(groupBytes+r.bytes(), r.pairs(), r.networkNames()) {
		all := *longest
		*longest = all[: n/2 : n/2]
		out := l.cut(r)
		*longest = all[n/2:]
		return append(out, l.cut(r)...)
	}
	return []writtenRule{r}
}

// bytes is at least the size of the rule as JSON.
func (r writtenRule) bytes() int {
	n := 300 + 80 + 2*len(short(r.note))
	for _, list := range [][]string{r.sources, r.destinations, r.names, r.ports} {
		for _, s := range list {
			n += len(s) + 3
		}
	}
	if r.byName {
		n += 40 * len(r.ports)
	}
	return n
}

// pairs counts as the page of DefaultLimits is remembered to: sources ×
// destinations × ports, of network rules.
func (r writtenRule) pairs() int {
	if r.byName {
		return 0
	}
	return len(r.sources) * (len(r.destinations) + len(r.names)) * len(r.ports)
}

func (r writtenRule) networkNames() int {
	if r.byName {
		return 0
	}
	return len(r.names)
}
