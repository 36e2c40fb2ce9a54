// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"fmt"
	"strings"
)

// judge decides whether a name that is valid may be believed. What the catalog
// knows is; what it does not know is, unless it looks like something that it
// does know after damage.
func (n *namer) judge(d destination, c *chain, a about) ([]destination, string) {
	one := []destination{d}
	if d.kind != KindName {
		return one, ""
	}
	trusted := d.code || !n.translated
	if d.rules&ruleCatalog != 0 && trusted {
		d.rules &^= ruleCatalog // a placeholder of the English page that is new
		one[0] = d
	}
	if why, found := n.wordsBefore(d, c, a); why != "" || found != nil {
		return found, why
	}
	if found, why, decided := n.lostStar(d, a); decided {
		return found, why
	}
	if n.knows(d, a) || n.known.empty() {
		return one, ""
	}
	if w := c.after; w != nil && w.gap == gapSpace && w.code == c.tokens[0].code && !joiners[strings.ToLower(w.s)] && w.s != "-" {
		return nil, fmt.Sprintf("%q stands before a word, and the catalog does not know it", d.name)
	}
	if near := n.known.squeezedLike(d.name); len(near) > 0 && len(n.known.pairs[d.name]) == 0 {
		if found, ok := n.fromCatalog(d, near, a); ok {
			return found, ""
		}
		return nil, fmt.Sprintf("%q is %s with a dot lost", d.name, near[0])
	}
	if len(a.ports) > 0 && len(n.known.pairs[d.name]) > 0 {
		if !trusted {
			return nil, fmt.Sprintf("the catalog knows %s, but not with this port, and the page is a translation", d.name)
		}
		return one, ""
	}
	if d.rules&ruleCatalog != 0 {
		return nil, fmt.Sprintf("%q has a placeholder in a word that is not English, and the catalog does not know the name", d.name)
	}
	if d.rules&rulePlaceholder != 0 && !trusted {
		return nil, fmt.Sprintf("%q is not known to the catalog, and its placeholder is translated", d.name)
	}
	if k, ok := n.known.glued(d.name); ok {
		return nil, fmt.Sprintf("%q looks like %s and another name without a separator", d.name, k)
	}
	if t := n.templateOf(d.name); t != "" {
		return nil, fmt.Sprintf("%q looks like %s without its angle brackets", d.name, t)
	}
	if trusted {
		return one, ""
	}
	if under := n.known.under(d.name); len(under) > 0 {
		if found, ok := n.fromCatalog(d, under, a); ok {
			return found, ""
		}
		return nil, fmt.Sprintf("%q is the end of a name that the catalog knows; its first label may be lost", d.name)
	}
	if k, ok := n.known.oneLabelOff(d.name); ok {
		return nil, fmt.Sprintf("%q is one word away from %s, and the page is a translation", d.name, k)
	}
	return one, ""
}

// lostStar judges ".x", and "x" where the catalog knows only "*.x". A leading
// dot that the catalog knows, or knows nothing better for, stays.
func (n *namer) lostStar(d destination, a about) (found []destination, why string, decided bool) {
	bare, dotted := strings.CutPrefix(d.name, ".")
	if !dotted && (d.name[0] == '*' || n.knows(d, a)) {
		return nil, "", false
	}
	star := destination{kind: KindName, name: "*." + bare, port: d.port, rules: d.rules | ruleCatalog}
	if len(a.ports) == 0 {
		return nil, "", false
	}
	if dotted {
		name, count := n.known.one([]string{d.name, star.name}, portsOf(d, a.ports), a.feature, a.cloud)
		switch {
		case count == 1 && name == star.name:
			return []destination{star}, "", true
		case count == 0 && n.translated && !d.code && !n.known.empty():
			return nil, fmt.Sprintf("%q begins with a dot, and the catalog knows neither it nor %s", d.name, star.name), true
		case count == 0:
			return nil, "", false
		}
		return []destination{d}, "", true
	}
	if !n.known.knowsAll(star.name, portsOf(d, a.ports)) || len(n.known.pairs[d.name]) > 0 {
		return nil, "", false
	}
	if d.code {
		return nil, fmt.Sprintf("the catalog knows %s and not %s: the star may be lost", star.name, d.name), true
	}
	return []destination{star}, "", true
}

// wordsBefore judges words that stand directly before a name: one of them may
// be its first label, with the dot lost.
func (n *namer) wordsBefore(d destination, c *chain, a about) (why string, found []destination) {
	words := c.before
	if len(words) == 0 || n.known.empty() || c.tokens[0].gap != gapSpace {
		return "", nil
	}
	last := words[len(words)-1]
	if last.s == "-" || last.code != c.tokens[0].code {
		return "", nil
	}
	known := n.knows(d, a)
	for i := len(words) - 1; i >= 0 && i >= len(words)-3; i-- {
		s := ""
		for _, w := range words[i:] {
			s += w.s + " "
		}
		candidates := n.known.like(s + d.name)
		if len(candidates) == 0 {
			candidates = n.known.squeezedLike(s + d.name)
		}
		if len(candidates) == 0 {
			continue
		}
		if !known {
			if found, ok := n.fromCatalog(d, candidates, a); ok {
				return "", found
			}
		}
		return fmt.Sprintf("%q may be one name or a word before another", s+d.name), nil
	}
	if !known && !joiners[strings.ToLower(last.s)] {
		return fmt.Sprintf("%q stands behind words, and the catalog does not know it", d.name), nil
	}
	return "", nil
}

// templateOf returns the name with placeholders that name is when a placeholder
// lost its brackets, "" when there is none.
func (n *namer) templateOf(name string) string {
	labels := strings.Split(name, ".")
	for _, t := range n.known.names {
		if !strings.Contains(t, "<") {
			continue
		}
		other := splitLabels(t)
		if len(other) != len(labels) {
			continue
		}
		same, lost := true, false
		for i := range labels {
			if labels[i] == other[i] {
				continue
			}
			bare := strings.NewReplacer("<", "", ">", "").Replace(other[i])
			if labels[i] == bare || other[i] != bare && n.translated {
				lost = true
				continue
			}
			same = false
			break
		}
		if same && lost {
			return t
		}
	}
	return ""
}

// joint judges a join over spaces. Two complete names are never glued, and a
// word before a name is only part of it when the catalog knows the result.
func (n *namer) joint(c *chain, d destination, a about) (found []destination, why string, decided bool) {
	left := ""
	for i := range c.tokens[:len(c.tokens)-1] {
		left += c.tokens[i].s
		right := ""
		for _, t := range c.tokens[i+1:] {
			right += t.s
		}
		l, lok := canonical(strings.TrimSuffix(left, "."))
		r, rok := canonical(strings.TrimPrefix(right, "."))
		if lok && rok && l.kind == KindName && (r.kind == KindName || r.kind == KindAny) && l.name[0] != '.' {
			return nil, fmt.Sprintf("%q may be two names", c.joined()), true
		}
	}
	first := c.tokens[0].s
	if isWord(strings.TrimRight(first, ".")) && d.kind == KindName && !n.knows(d, a) {
		return nil, fmt.Sprintf("%q may be a name or a word before one, and the catalog does not know it", d.name), true
	}
	return nil, "", false
}
