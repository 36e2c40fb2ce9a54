// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/catalog"
)

// namer reads destination cells.
type namer struct {
	known      *index
	translated bool // the document is a translation
}

// about is what is known of a row before its destinations are read.
type about struct {
	feature, cloud string
	ports          []pair // empty while only the columns are looked for
}

// problem is a part of a cell that gave no destination.
type problem struct{ text string }

// cell reads all destinations of a cell.
func (n *namer) cell(t *text, a about) (out []destination, bad []problem) {
	all := pieces(t)
	for _, p := range all {
		p.alone = len(all) == 1 && len(p.tokens) == 1
		found, why := n.piece(&p, a)
		if why != "" {
			bad = append(bad, problem{why})
		}
		cloud := ""
		if p.remark != "" {
			cloud = cloudOf(p.remark)
		}
		if len(found) == 0 && cloud != "" && len(out) > 0 && len(p.tokens) == 0 {
			out[len(out)-1].cloud = cloud // the remark stands on a line of its own
		}
		for i := range found {
			if p.wide && !found[i].code {
				found[i].rules |= ruleSeparator
			}
			found[i].cloud = cloud
		}
		if len(found) > 0 && cloud == "" && strings.Contains(slug(p.remark), "azure") && len(strings.Fields(p.remark)) < 6 {
			last := &found[len(found)-1] // a label in words we do not know, behind a name that only one cloud has
			last.cloud = endsIn(last.name)
		}
		if len(found) > 1 && cloud != "" { // it belongs to the name before it
			for i := range found[:len(found)-1] {
				found[i].cloud = ""
			}
		}
		out = append(out, found...)
	}
	return out, bad
}

// endsIn returns the special cloud that a name belongs to by its end.
func endsIn(name string) string {
	switch {
	case strings.HasSuffix(name, ".cn"):
		return catalog.AzureChinaCloud
	case strings.HasSuffix(name, ".us"), strings.HasSuffix(name, ".usgovcloudapi.net"):
		return catalog.AzureUSGovernment
	}
	return ""
}

// chain is a run of tokens that dots hold together over spaces.
type chain struct {
	tokens []token
	before []token // the words before it, since the last chain
	after  *token  // the word directly behind it, nil for none
}

func (c *chain) joined() string {
	var b strings.Builder
	for _, t := range c.tokens {
		b.WriteString(t.s)
	}
	return b.String()
}

// piece reads the destinations between two separators. Either all that looks
// like a name becomes one, or nothing does.
func (n *namer) piece(p *piece, a about) ([]destination, string) {
	chains := link(p.tokens)
	var (
		out  []destination
		fail string
		torn bool // a part of the piece is no destination at all
	)
	for i := range chains {
		if chains[i].joined() == "*" && !p.alone { // what is left of emphasis, or of a wildcard
			torn = torn || chains[i].tokens[0].code || !p.inCode()
			if fail == "" && torn {
				fail = "a star stands alone beside something else"
			}
			continue
		}
		found, why, invalid := n.chain(&chains[i], p.tagLink(), a)
		torn = torn || invalid
		if why != "" {
			if fail == "" {
				fail = why
			}
			continue
		}
		out = append(out, found...)
	}
	inCodeAlone := len(out) > 0
	for _, d := range out {
		inCodeAlone = inCodeAlone && d.code
	}
	switch {
	case len(chains) == 0: // words alone: a name that lost all its dots?
		if len(p.tokens) < 2 || len(p.tokens) > 8 || n.known.empty() {
			return nil, ""
		}
		return n.rescue(p, a, "")
	case torn && (!inCodeAlone || p.inCode()):
		return n.rescue(p, a, fail)
	case fail != "" && !inCodeAlone:
		return nil, fail
	case fail != "":
		return out, fail
	case len(out) > 1:
		return n.several(p, out, a)
	}
	return out, ""
}

// link joins tokens into chains: over a gap with a dot or a colon at it.
func link(tokens []token) []chain {
	var (
		out   []chain
		words []token
	)
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		next := i+1 < len(tokens) && continues(t, tokens[i+1])
		if !isFragment(t.s) && keywords[strings.ToLower(t.s)].name == "" && !next {
			if !isWord(t.s) { // neither word nor name: let it be judged
				out = append(out, chain{tokens: []token{t}, before: words})
				words = nil
				continue
			}
			words = append(words, t)
			continue
		}
		c := chain{tokens: []token{t}, before: words}
		words = nil
		for i+1 < len(tokens) && continues(tokens[i], tokens[i+1]) {
			i++
			c.tokens = append(c.tokens, tokens[i])
		}
		if i+1 < len(tokens) && isWord(tokens[i+1].s) {
			c.after = &tokens[i+1]
		}
		out = append(out, c)
	}
	return out
}

// continues reports whether b goes on with the name that a begins.
func continues(a, b token) bool {
	if b.s == "." || a.s == "." || a.s == "*" {
		return strings.HasPrefix(b.s, ".") || a.s == "."
	}
	switch {
	case strings.HasSuffix(a.s, ".") && !strings.HasSuffix(a.s, "..."):
		return isFragment(b.s) || isWord(b.s) && isASCII(b.s) || strings.HasSuffix(a.s, "*.")
	case strings.HasPrefix(b.s, ".") && len(b.s) > 1:
		return isFragment(a.s) && !strings.Contains(a.s, ":") || isWord(a.s) && isASCII(a.s)
	case strings.HasSuffix(a.s, ":"):
		return digits(b.s)
	case strings.HasPrefix(b.s, ":"):
		return digits(b.s[1:]) && isFragment(a.s+".")
	}
	return false
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// chain reads one chain as one destination. When it is none, why says so, and
// invalid whether that is for its form alone.
func (n *namer) chain(c *chain, tag bool, a about) (found []destination, why string, invalid bool) {
	s := c.joined()
	var r rules
	code := true
	for i, t := range c.tokens {
		if i > 0 && t.gap == gapSpace || t.space {
			r |= ruleSpace
		}
		if t.marks&wasWide != 0 || t.quote {
			r |= ruleSeparator
		}
		if t.marks&wasEscape != 0 {
			r |= rulePlaceholder
		}
		code = code && t.code
	}
	d, ok := canonical(s)
	if !ok && len(c.tokens) == 1 && tag && code {
		d, ok = serviceTag(s)
	}
	if !ok {
		if len(c.tokens) == 1 && !nameLike(s) && (s[0] != '.' || len(s) < 2) {
			return nil, "", false // a word with a full stop, a lone bracket
		}
		return nil, fmt.Sprintf("%q is no valid destination", s), true
	}
	d.rules |= r
	d.code = code && r&ruleSpace == 0
	if len(c.tokens) > 1 && r&ruleSpace != 0 {
		if found, why, decided := n.joint(c, d, a); decided {
			return found, why, false
		}
	}
	found, why = n.judge(d, c, a)
	return found, why, false
}

// nameLike reports whether s, which is no destination, looks as if it should
// have been one.
func nameLike(s string) bool {
	s = strings.Trim(s, ".:")
	return strings.ContainsAny(s, ".*<>/") || strings.Contains(s, ":")
}

// serviceTag reads a tag of which only the shape is known; it stands in code
// beside a link to the list of tags.
func serviceTag(s string) (d destination, ok bool) {
	s, d.port, ok = cutPort(s)
	if !ok || len(s) < 4 || s[0] < 'A' || s[0] > 'Z' || s[1] < 'a' || s[1] > 'z' || strings.HasPrefix(strings.ToLower(s), "azurecloud") {
		return d, false
	}
	for i := range len(s) {
		if !isNameByte(s[i]) && s[i] != '.' {
			return d, false
		}
	}
	d.kind, d.name = KindServiceTag, s
	return d, !strings.HasSuffix(s, ".")
}

// knows reports whether the catalog knows d with the ports of the row, or at
// all while these are not known.
func (n *namer) knows(d destination, a about) bool {
	if len(a.ports) == 0 {
		return len(n.known.pairs[d.name]) > 0
	}
	return n.known.knowsAll(d.name, portsOf(d, a.ports))
}

// portsOf keeps the ports that d can have: its own, when it gives one.
func portsOf(d destination, ports []pair) []pair {
	if d.port == 0 {
		return ports
	}
	var out []pair
	for _, p := range ports {
		if p.port == d.port {
			out = append(out, p)
		}
	}
	return out
}
