// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/ruleset"
)

// untidy finds what changes nothing today and misleads whoever reads or changes
// the files next.
func (a *auditor) untidy() {
	a.overlaps()
	a.literals()
	a.misnamed()
}

// aksTag is the tag behind which Microsoft keeps the names that every AKS cluster
// needs (learn.microsoft.com/azure/firewall/fqdn-tags, 2026-11-23).
const aksTag = "AzureKubernetesService"

// overlaps finds names that the tag for AKS holds in all likelihood: the base set
// of the published list, whose rules a firewall may leave to it. What a tag holds
// is not in the files, so nothing is to be removed for it unseen.
func (a *auditor) overlaps() {
	tagged := slices.IndexFunc(a.rules.Rules, func(r ruleset.Rule) bool {
		return r.Action == ruleset.Allow && slices.ContainsFunc(r.Terms, func(t ruleset.Term) bool { return strings.EqualFold(t.Text, aksTag) })
	})
	if tagged < 0 {
		return
	}
	var base []need
	for _, n := range a.needs {
		if n.rule.ByName() && slices.ContainsFunc(n.rule.Origins, func(o program.Origin) bool { return o.Feature == "base" }) {
			base = append(base, n)
		}
	}
	for _, r := range a.rules.Rules {
		if r.Action != ruleset.Allow || r.Kind != ruleset.Application || r.Dead != "" {
			continue
		}
		var first ruleset.Term
		var names []string
		for _, t := range r.Terms {
			set := withoutSource(t.Sure)
			if slices.ContainsFunc(base, func(n need) bool { return !set.IsEmpty() && namesWithin(n.anyone, set) }) {
				if len(names) == 0 {
					first = t
				}
				names = append(names, t.Text)
			}
		}
		if len(names) == 0 {
			continue
		}
		tag := a.rules.Rules[tagged]
		a.find(Finding{
			Check: Overlap, Severity: Info, Pos: first.Pos, Rule: r.String(), Term: first.Text,
			Text:    fmt.Sprintf("%s: the tag %s, in %s, lets this through already, in all likelihood", strings.Join(names, ", "), aksTag, tag),
			Because: "what the tag holds is Microsoft's and not in the files",
			Fix:     "keep one of them: the names, which can be read, or the tag, which Microsoft keeps up to date",
		}, termKey(r, ""))
	}
}

// literals finds sources written out in one place where other rules take the
// same from a parameter, a variable or a group: they stay behind when it changes.
func (a *auditor) literals() {
	type place struct {
		rule ruleset.Rule
		word ruleset.Word
	}
	written, taken := make(map[string][]place), make(map[string][]place)
	at := make(map[ruleset.Position]int)
	for _, r := range a.rules.Rules {
		for _, w := range r.Sources {
			at[w.Pos]++
		}
	}
	for _, r := range a.rules.Rules {
		for _, w := range r.Sources {
			if w.Text == "" || w.Text == "*" || at[w.Pos] > 1 { // the same place for several rules is one written for all
				continue
			}
			switch literal, ok := a.literal(w); {
			case !ok:
			case literal:
				written[w.Text] = append(written[w.Text], place{r, w})
			default:
				taken[w.Text] = append(taken[w.Text], place{r, w})
			}
		}
	}
	for text, places := range written {
		others := taken[text]
		if len(others) < len(places) || len(others) == 0 {
			continue
		}
		name := a.reference(others[0].word)
		for _, p := range places {
			a.find(Finding{
				Check: Literal, Severity: Info, Pos: p.word.Pos, Rule: p.rule.String(), Term: text,
				Text:    fmt.Sprintf("%s has the source %s written out, where %s takes it from %s: it stays behind when that changes", p.rule, text, others[0].rule, name),
				Because: fmt.Sprintf("%d of %d rules with this source take it from elsewhere", len(others), len(others)+len(places)),
				Fix:     "write " + name + " instead",
				Edits:   a.refer(p.word, name),
			}, termKey(p.rule, text))
		}
	}
}

// literal reports whether a word stands in its file as it is. ok is false when
// the file is not at hand.
func (a *auditor) literal(w ruleset.Word) (literal, ok bool) {
	s, ok := a.at(w.Pos)
	if !ok || s.off >= len(s.src) {
		return false, false
	}
	rest := bytes.TrimLeft(s.src[s.off:], `'"`)
	return bytes.HasPrefix(rest, []byte(w.Text)), true
}

// reference returns what stands in the file for a word that is not literal.
func (a *auditor) reference(w ruleset.Word) string {
	s, _ := a.at(w.Pos)
	end := bytes.IndexAny(s.src[s.off:], "\n,;")
	if end < 0 {
		end = len(s.src) - s.off
	}
	text := s.src[s.off : s.off+end]
	if bytes.Count(text, []byte("[")) < bytes.Count(text, []byte("]")) {
		text = text[:bytes.LastIndexByte(text, ']')]
	}
	return strings.TrimSpace(string(text))
}

// refer writes a reference in a literal's place.
func (a *auditor) refer(w ruleset.Word, name string) []Edit {
	s, ok := a.at(w.Pos)
	if !ok || s.lang == shell {
		return nil
	}
	start, end, ok := s.element(w.Text)
	if !ok {
		return nil
	}
	return []Edit{{w.Pos.File, start, end, name}}
}

// misnamed finds rules whose names promise everything and that allow a few
// names: whoever looks for what is open is led astray.
func (a *auditor) misnamed() {
	for _, r := range a.rules.Rules {
		if r.Action != ruleset.Allow || r.Kind == ruleset.NAT || r.Dead != "" || len(r.Unknown) > 0 || !saysAll(r.Name) {
			continue
		}
		var texts []string
		narrow := len(r.Terms) > 0
		for _, t := range r.Terms {
			texts = append(texts, t.Text)
			for _, b := range t.Maybe.Boxes() {
				narrow = narrow && (!b.Nameless && b.Names.Ending() != "" || b.Nameless && !coversInternet(b.Dst))
			}
		}
		if !narrow {
			continue
		}
		if len(texts) > 3 {
			texts = append(texts[:3], "...")
		}
		a.find(Finding{
			Check: Misnamed, Severity: Info, Pos: r.Pos, Rule: r.String(), Term: r.Name,
			Text: fmt.Sprintf("%s is named for everything and allows only %s", r, strings.Join(texts, ", ")),
			Fix:  "name it after what it allows", Because: "its destinations",
		}, termKey(r, ""))
	}
}

// saysAll reports whether a name promises that everything is allowed.
func saysAll(name string) bool {
	plain := strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "", ".", "").Replace(name))
	for _, s := range []string{"allowall", "allowany", "permitall", "permitany", "anyany", "alltraffic", "alloutbound", "anyoutbound"} {
		if strings.HasSuffix(plain, s) || plain == s {
			return true
		}
	}
	return false
}

// misspelt finds names that are a slip of the pen away from what the cluster
// needs: the same but for one or two letters of the domain, which is another's.
func (a *auditor) misspelt() {
	for _, r := range a.rules.Rules {
		if r.Action != ruleset.Allow || r.Kind == ruleset.NAT || r.Dead != "" {
			continue
		}
		for _, t := range r.Terms {
			host, domain := splitDomain(strings.ToLower(t.Text))
			if domain == "" || strings.ContainsAny(t.Text, "/$[{") {
				continue
			}
			i := slices.IndexFunc(a.needs, func(n need) bool {
				h, d := splitDomain(n.rule.Destination())
				return n.rule.ByName() && h == host && d != domain && sameTop(d, domain) && slip(d, domain)
			})
			if i < 0 {
				continue
			}
			right := a.needs[i].rule.Destination()
			a.find(Finding{
				Check: Misspelt, Severity: Medium, Pos: t.Pos, Rule: r.String(), Term: t.Text, Witness: a.ours(t.Maybe),
				Text:    fmt.Sprintf("%s is not %s, which the cluster needs, and may be anybody's", t.Text, right),
				Because: because(a.needs[i].rule.Origins[0]), Fix: "write " + right, Edits: a.replaceTerm(t, []string{right}),
			}, termKey(r, t.Text))
		}
	}
}

// splitDomain parts a name into what stands before its last two labels, and
// these; domain is "" when it has fewer, or short ones.
func splitDomain(name string) (host, domain string) {
	i := strings.LastIndexByte(name, '.')
	if i < 6 {
		return "", ""
	}
	j := strings.LastIndexByte(name[:i], '.')
	if i-j <= 5 {
		return "", ""
	}
	return name[:j+1], name[j+1:]
}

// sameTop reports whether two domains end in the same label: other clouds have
// the same names under another.
func sameTop(a, b string) bool {
	return a[strings.LastIndexByte(a, '.'):] == b[strings.LastIndexByte(b, '.'):]
}

// slip reports whether two texts differ by one or two letters.
func slip(a, b string) bool {
	return len(a) <= 64 && len(b) <= 64 && levenshtein.Distance(a, b, nil) <= 2
}
