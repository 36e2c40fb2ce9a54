// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"html"
	"strings"
	"unicode/utf8"
)

// mark says something of a rune of a text that its letter does not.
type mark uint8

const (
	inCode    mark = 1 << iota // it stands in a code span, which translation leaves alone
	wasWide                    // it was full-width, CJK or otherwise foreign punctuation
	wasEscape                  // a backslash stood before it that is no Markdown escape
	tagLink                    // it is the text of a link to the list of service tags
)

// Runes that stand for what is no text.
const (
	lineBreak = '\n'   // <br>, and other tags that end a line
	seam      = '\x01' // the edge of a code span
	quote     = '\x02' // a quotation mark of any kind
)

// text is the inside of a cell as a Markdown reader shows it. Stars that belong
// to a name stay, stars that are emphasis are gone.
type text struct {
	r     []rune
	m     []mark
	plain bool // punctuation stays as it is: the text is prose
}

func (t *text) put(r rune, m mark) {
	t.r = append(t.r, r)
	t.m = append(t.m, m)
}

// last returns the last rune that is text, and a line break when there is none.
func (t *text) last() rune {
	for i := len(t.r) - 1; i >= 0; i-- {
		if t.r[i] != seam {
			return t.r[i]
		}
	}
	return lineBreak
}

// String returns the text as one line.
func (t *text) String() string {
	var b strings.Builder
	for _, r := range t.r {
		switch r {
		case lineBreak:
			r = ' '
		case seam:
			continue
		case quote:
			r = '"'
		}
		b.WriteRune(r)
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// flatten removes the markup of a cell.
func flatten(cell string) *text {
	code := countRuns(cell, '`')%2 == 0 // an odd backtick: none of them can be trusted
	t := &text{}
	if open := t.read(cell, code, false); open > 0 { // emphasis that nothing closes: its stars were text
		*t = text{}
		t.read(cell, code, true)
	}
	return t
}

// prose removes the markup of a cell that is text for people.
func prose(cell string) string {
	t := &text{plain: true}
	t.read(cut(cell, 2000), countRuns(cell, '`')%2 == 0, false)
	return t.String()
}

func countRuns(s string, c byte) int {
	n := 0
	for i := range len(s) {
		if s[i] == c && (i == 0 || s[i-1] != c) {
			n++
		}
	}
	return n
}

// read fills t from a cell, with two questions answered: whether backticks make
// code, and whether a star before a letter is text. It returns how many stars
// of emphasis were left open.
func (t *text) read(s string, code, stars bool) int {
	t.r, t.m = make([]rune, 0, len(s)), make([]mark, 0, len(s))
	var (
		within mark // inCode or 0
		open   int
		link   int // where the text of the last link begins
		tags   = finder{s: s, c: '>'}
		parens = finder{s: s, c: ')'}
		refs   = finder{s: s, c: ']'}
	)
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '`':
			for i < len(s) && s[i] == '`' {
				i++
			}
			if code {
				within ^= inCode
			}
			t.put(seam, 0)
		case c == '\\' && i+1 < len(s) && isPunct(s[i+1]):
			m := within
			if within != 0 && s[i+1] != '|' {
				m |= wasEscape
			}
			t.put(rune(s[i+1]), m)
			i += 2
		case c == '\\':
			if i+1 < len(s) {
				i++
				r, n := utf8.DecodeRuneInString(s[i:])
				t.putPlain(r, within|wasEscape)
				i += n
			} else {
				i++
			}
		case within != 0:
			r, n := utf8.DecodeRuneInString(s[i:])
			t.putPlain(r, within)
			i += n
		case c == '*':
			n := 1
			for i+n < len(s) && s[i+n] == '*' {
				n++
			}
			open = t.star(s[i+n:], n, open, stars)
			i += n
		case c == '_' && (isEdge(t.last()) || i+1 == len(s) || s[i+1] == ' ' || s[i+1] == '_'), c == '~':
			i++
		case c == '[':
			link = len(t.r)
			i++
		case c == ']':
			i++
			switch {
			case i < len(s) && s[i] == '(':
				if end := parens.next(i); end >= 0 {
					t.linked(link, s[i:end])
					i = end + 1
				}
			case i < len(s) && s[i] == '[':
				if end := refs.next(i); end >= 0 {
					t.linked(link, s[i:end])
					i = end + 1
				}
			}
		case c == '<':
			end := tags.next(i)
			brk, isTag := false, false
			if end >= 0 && end-i < 256 {
				brk, isTag = htmlTag(s[i+1 : end])
			}
			switch {
			case !isTag:
				t.put('<', 0)
				i++
			default:
				if brk {
					t.put(lineBreak, 0)
				}
				i = end + 1
			}
		case c == '&':
			end := strings.IndexByte(s[i:min(len(s), i+12)], ';')
			if end < 0 {
				t.put('&', 0)
				i++
				break
			}
			for _, r := range html.UnescapeString(s[i : i+end+1]) {
				t.putPlain(r, 0)
			}
			i += end + 1
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			t.putPlain(r, 0)
			i += n
		}
	}
	return open
}

// linked marks the runes from begin on when url leads to the list of tags.
func (t *text) linked(begin int, url string) {
	if !strings.Contains(url, "service-tag") {
		return
	}
	for i := begin; i < len(t.m); i++ {
		t.m[i] |= tagLink
	}
}

// star handles a run of n stars outside of code, with rest behind it and open
// stars of emphasis before it, and returns how many are open after it.
func (t *text) star(rest string, n, open int, literal bool) int {
	begins := isEdge(t.last())
	next := strings.TrimLeft(rest, " \t\u00a0\u200b")
	switch {
	case !begins && open > 0, begins && open >= 2 && n == 2 && !strings.HasPrefix(rest, "."):
		return max(0, open-n)
	case !begins:
		t.put('*', 0)
		return open
	case n == 2 && strings.HasPrefix(rest, ".") && strings.Contains(rest, "**"): // bold, and a name with a leading dot
		return open + n
	case startsDomain(next) || startsPort(next) || n == 1 && (rest == "" || next == "") && open == 0:
		t.put('*', 0)
		return open + n - 1
	case n == 1 && open > 0:
		return open - 1
	case literal && n == 1 && rest != "" && isNameByte(rest[0]):
		t.put('*', 0)
		return open
	}
	return open + n
}

// startsDomain reports whether s goes on as ".x" does behind a star.
func startsDomain(s string) bool {
	s = strings.TrimPrefix(s, `\`)
	for _, dot := range []string{".", "．", "。"} {
		if rest, ok := strings.CutPrefix(s, dot); ok {
			rest = strings.TrimLeft(rest, " \t\u00a0\u200b.")
			return rest != "" && (isNameByte(rest[0]) || rest[0] == '<' || rest[0] == '\\' || rest[0] == '&' || rest[0] >= 0x80)
		}
	}
	return false
}

// startsPort reports whether s goes on as ":443" does.
func startsPort(s string) bool {
	for _, colon := range []string{":", "："} {
		if rest, ok := strings.CutPrefix(s, colon); ok {
			rest = strings.TrimLeft(rest, " \u00a0")
			return rest != "" && rest[0] >= '0' && rest[0] <= '9'
		}
	}
	return false
}

// finder finds the next c of s; a search that found nothing is not repeated.
type finder struct {
	s    string
	c    byte
	at   int // the last answer
	from int // where that search began
	none bool
}

func (f *finder) next(i int) int {
	if f.none {
		return -1
	}
	if f.at > i && f.from <= i {
		return f.at
	}
	k := strings.IndexByte(f.s[i:], f.c)
	if k < 0 {
		f.none = true
		return -1
	}
	f.from, f.at = i, i+k
	return f.at
}
