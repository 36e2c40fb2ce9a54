// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"strings"
	"unicode"
)

// putPlain adds a rune of the source, with foreign forms of ASCII folded.
func (t *text) putPlain(r rune, m mark) {
	switch {
	case t.plain && r > ' ' && r != '\u00a0':
	case r == '"' || r == '\'':
		r = quote
	case r < 0x80:
		if r == '\t' {
			r = ' '
		} else if r < ' ' {
			return
		}
	case r >= 0xff01 && r <= 0xff5e:
		r, m = r-0xfee0, m|wasWide
	case unicode.Is(unicode.Zs, r):
		r = ' '
	case unicode.Is(unicode.Cf, r): // zero-width, bidirectional, soft hyphen
		return
	default:
		if f, ok := folded[r]; ok {
			r = f
			if f != quote {
				m |= wasWide
			}
		}
	}
	t.put(r, m)
}

var folded = map[rune]rune{
	'。': '.', '｡': '.', '·': '.', '・': '.', '‧': '.', '․': '.', '、': ',', '､': ',', '،': ',', '؛': ';', '∶': ':', '꞉': ':',
	'〈': '<', '《': '<', '‹': '<', '〉': '>', '》': '>', '›': '>', '∗': '*', '⁎': '*', '✱': '*',
	'‐': '-', '‑': '-', '‒': '-', '–': '-', '—': '-', '−': '-',
	'“': quote, '”': quote, '„': quote, '‟': quote, '‘': quote, '’': quote, '‚': quote, '«': quote, '»': quote,
	'「': quote, '」': quote, '『': quote, '』': quote, '´': quote,
}

// htmlTag reports whether what stands between angle brackets is a tag, rather
// than a placeholder, and whether it ends a line.
func htmlTag(s string) (brk, ok bool) {
	s = strings.TrimPrefix(strings.TrimSpace(s), "/")
	name := s
	if i := strings.IndexAny(s, " /\t"); i >= 0 {
		name = s[:i]
	}
	switch strings.ToLower(name) {
	case "br", "p", "div", "li", "ul", "ol", "td", "tr", "hr":
		return true, true
	case "span", "b", "i", "em", "strong", "code", "sup", "sub", "a", "u", "s", "del", "small", "font", "nobr", "wbr", "img", "kbd", "tt", "bdi", "bdo":
		return false, true
	}
	return false, false
}

func isPunct(c byte) bool {
	return c > ' ' && c < 0x7f && !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z')
}

func isNameByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// isEdge reports whether a name may begin behind r.
func isEdge(r rune) bool {
	switch r {
	case ' ', lineBreak, quote, ',', ';', '(', '/', '|', '*':
		return true
	}
	return r > 0x2000 && !unicode.IsLetter(r)
}
