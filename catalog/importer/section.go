// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"strings"

	"github.com/sallyport/sallyport/catalog"
)

// heading is one heading of the path that a table stands under.
type heading struct {
	level   int
	title   bool   // of the document
	slug    string // English when the page gives it
	feature string // "" when it names none
	unknown bool   // it says something, and nothing we know
	foreign bool   // unknown, and not English: what it says cannot be told
	cloud   string // from the heading itself or from a label under it
}

// path is the headings above a line, from the outside in.
type path []heading

// parseHeading reads an ATX heading; ok is false when line is none.
func parseHeading(line string) (level int, text string, ok bool) {
	l := strings.TrimLeft(line, " ")
	if len(line)-len(l) > 3 {
		return 0, "", false
	}
	for level < len(l) && l[level] == '#' {
		level++
	}
	if level == 0 || level > 6 {
		return 0, "", false
	}
	rest := l[level:]
	if rest != "" && rest[0] != ' ' && rest[0] != '\t' && rest[0] != '<' {
		return 0, "", false
	}
	return level, strings.TrimSpace(strings.TrimRight(rest, "# \t")), true
}

// anchors returns the values of name and id of the <a> tags in a heading.
func anchors(text string) []string {
	var out []string
	for len(out) < 8 {
		_, rest, ok := strings.Cut(text, "<a ")
		if !ok {
			break
		}
		tag, after, ok := strings.Cut(rest, ">")
		if !ok {
			break
		}
		text = after
		for _, key := range []string{"name=", "id="} {
			if _, v, ok := strings.Cut(tag, key); ok && len(v) > 2 {
				if v, _, ok = strings.Cut(v[1:], v[:1]); ok && v != "" {
					out = append(out, slug(v))
				}
			}
		}
	}
	return out
}

// enter returns the path below a new heading. The title of the document names
// no section.
func (p path) enter(level int, text string, title, translated bool) path {
	for len(p) > 0 && p[len(p)-1].level >= level {
		p = p[:len(p)-1]
	}
	if title {
		return append(p, heading{level: level, title: true})
	}
	shown := slug(flatten(text).String())
	names := anchors(text)
	h := heading{level: level, slug: shown}
	if len(names) > 0 { // the anchors are what the English page says
		h.slug = names[0]
		for _, s := range names {
			h.note(s)
		}
	} else {
		h.cloud = cloudOf(shown)
	}
	if h.feature == "" {
		h.feature = featureOf(shown)
	}
	if h.feature == "" && (isOptional(h.slug) || isOptional(shown)) {
		h.feature = catalog.Optional
	}
	if h.feature == "" && !saysNothing(h.slug) {
		h.unknown = true
		h.foreign = len(names) == 0 && (translated || !isASCII(h.slug) || !seemsEnglish(h.slug))
	}
	if strings.Contains(h.slug, "preview") && h.cloud == catalog.AzureCloud {
		h.cloud = "" // "in public preview" is no cloud
	}
	return append(p, h)
}

// note takes from a slug what h does not know yet.
func (h *heading) note(s string) {
	if h.feature == "" {
		h.feature = featureOf(s)
	}
	if h.cloud == "" {
		h.cloud = cloudOf(s)
	}
}

// place is what the headings say of a table.
type place struct {
	feature string
	cloud   string
	foreign bool // the heading that should name the feature cannot be understood
	none    bool // no heading stands above
	slug    string
}

// place returns what p says: the innermost heading that names a feature or says
// something unknown decides the feature, the innermost that names a cloud the
// cloud. The title of the document says neither.
func (p path) place() place {
	pl := place{none: true}
	decided := false
	for i := len(p) - 1; i >= 0; i-- {
		h := p[i]
		pl.none = pl.none && h.title
		if pl.cloud == "" && !decided {
			pl.cloud = h.cloud
		}
		if decided || h.feature == "" && !h.unknown {
			continue
		}
		decided = true
		pl.feature, pl.slug, pl.foreign = h.feature, h.slug, h.foreign
	}
	if !decided {
		pl.feature = catalog.Base
	}
	return pl
}

// label names a cloud for the tables below it in the innermost section.
func (p path) label(cloud string) path {
	if len(p) == 0 {
		p = append(p, heading{title: true})
	}
	p[len(p)-1].cloud = cloud
	return p
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
