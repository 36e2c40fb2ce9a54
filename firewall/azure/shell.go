// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"bytes"
	"regexp"
	"strings"
)

// command is a simple command of a shell script.
type command struct {
	words []value
	when  string // why it may not be run
	off   int
}

// shell reads as much of the shell's language as scripts with az commands use:
// words, quotes, variables, comments, lines that go on, and enough of if, for
// and functions to know that a command stands within them.
type shell struct {
	s       *source
	off, to int
	quoted  bool
	get     func(name string, off int) value
	nesting int
	until   int // stop where the block with this nesting is closed; 0: nowhere
}

// next returns the next command; ok is false at the end.
func (sh *shell) next() (c command, ok bool) {
	for {
		sh.space()
		if sh.off >= sh.to {
			return command{}, false
		}
		c = command{off: sh.off}
		if sh.nesting > 0 {
			c.when = "stands within if, for, while, case or a function of a script"
		}
		for {
			w, more := sh.word()
			if !more {
				break
			}
			if len(c.words) == 0 && sh.keyword(w) {
				continue
			}
			if len(c.words) < maxRules {
				c.words = append(c.words, w)
			}
		}
		if len(c.words) > 0 {
			return c, true
		}
	}
}

// keyword follows the words that open and close blocks.
func (sh *shell) keyword(w value) bool {
	switch w.text {
	case "if", "while", "until", "for", "case", "{":
		sh.nesting++
	case "fi", "done", "esac", "}":
		sh.nesting = max(0, sh.nesting-1)
		if sh.nesting < sh.until {
			sh.to = sh.off
		}
	case "then", "else", "elif", "do", "!", "time", "sudo", "$":
	default:
		return false
	}
	return w.text != "for" && w.text != "case"
}

// space skips what stands between commands.
func (sh *shell) space() {
	for sh.off < sh.to {
		switch c := sh.s.data[sh.off]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ';' || c == '&' || c == '|' || c == '(' || c == ')':
			sh.off++
		case c == '>' && sh.quoted:
			sh.off++
		case c == '#':
			sh.line()
		default:
			return
		}
	}
}

func (sh *shell) line() {
	for sh.off < sh.to && sh.s.data[sh.off] != '\n' {
		sh.off++
	}
}

// continued reports whether a line ends here that goes on in the next, with a
// backslash or, in PowerShell, a backquote.
func (sh *shell) continued() bool {
	d := sh.s.data
	if c := d[sh.off]; c != '\\' && c != '`' {
		return false
	}
	i := sh.off + 1
	for i < sh.to && (d[i] == ' ' || d[i] == '\t' || d[i] == '\r') {
		i++
	}
	if i >= sh.to || d[i] != '\n' {
		return false
	}
	sh.off = i + 1
	for sh.quoted && sh.off < sh.to && (d[sh.off] == ' ' || d[sh.off] == '>') {
		sh.off++
	}
	return true
}

// placeholder is what documents write for the reader to fill in.
var placeholder = regexp.MustCompile(`^<[A-Za-z][A-Za-z0-9 _-]*>`)

// word returns the next word of a command; ok is false at its end.
func (sh *shell) word() (v value, ok bool) {
	d := sh.s.data
	for sh.off < sh.to {
		switch c := d[sh.off]; {
		case c == ' ' || c == '\t' || c == '\r':
			sh.off++
			continue
		case sh.continued():
			continue
		case c == '<' && placeholder.Match(d[sh.off:min(sh.to, sh.off+80)]):
			n := bytes.IndexByte(d[sh.off:], '>') + 1
			name := string(d[sh.off : sh.off+n])
			v = value{kind: text, pos: sh.s.pos(sh.off), text: hole(name), why: name + " is to be filled in"}
			sh.off += n
			return v, true
		case c == '<' || c == '>':
			sh.redirect()
			continue
		}
		break
	}
	if sh.off >= sh.to {
		return value{}, false
	}
	switch c := d[sh.off]; c {
	case '\n', ';', '|', '&', '(', ')':
		sh.off++
		return value{}, false
	case '#':
		sh.line()
		return value{}, false
	}
	v = value{kind: text, pos: sh.s.pos(sh.off)}
	var b strings.Builder
	for sh.off < sh.to {
		c := d[sh.off]
		switch {
		case c == '(' && b.Len() > 0 && strings.HasSuffix(b.String(), "="):
			v.text = b.String()
			return sh.array(v), true
		case strings.IndexByte(" \t\r\n;|&()<>", c) >= 0, c == '\\' && sh.continued():
			v.text = b.String()
			return v, true
		case c == '\'':
			end := bytes.IndexByte(d[sh.off+1:min(sh.to, sh.off+1+maxText)], '\'')
			if end < 0 {
				v.why = "a quote is not closed"
				end = min(sh.to, sh.off+1+maxText) - sh.off - 1
			}
			b.Write(d[sh.off+1 : sh.off+1+end])
			sh.off = min(sh.to, sh.off+end+2)
		case c == '"':
			sh.double(&v, &b)
		case c == '$':
			sh.dollar(&v, &b)
		case c == '`':
			sh.substitution(&v, &b, '`')
		case c == '\\' && sh.off+1 < sh.to:
			b.WriteByte(d[sh.off+1])
			sh.off += 2
		default:
			b.WriteByte(c)
			sh.off++
		}
	}
	v.text = b.String()
	return v, true
}

// array reads what stands in the parentheses of NAME=(...).
func (sh *shell) array(v value) value {
	v.kind = list
	sh.off++
	for sh.off < sh.to && len(v.items) < maxRules {
		switch c := sh.s.data[sh.off]; c {
		case ')':
			sh.off++
			return v
		case ' ', '\t', '\r', '\n':
			sh.off++
			continue
		case '#':
			sh.line()
			continue
		}
		start := sh.off
		if w, ok := sh.word(); ok {
			v.items = append(v.items, w)
		} else if sh.off > start && sh.s.data[sh.off-1] == ')' {
			return v
		} else if sh.off == start {
			sh.off++
		}
	}
	v.why = "a parenthesis is not closed"
	return v
}

// double reads "text" with variables in it.
func (sh *shell) double(v *value, b *strings.Builder) {
	d := sh.s.data
	for sh.off++; sh.off < sh.to; {
		c := d[sh.off]
		switch {
		case c == '"':
			sh.off++
			return
		case c == '$':
			sh.dollar(v, b)
		case c == '`':
			sh.substitution(v, b, '`')
		case c == '\\' && sh.off+1 < sh.to:
			if e := d[sh.off+1]; e != '\n' {
				if strings.IndexByte("\"\\$`", e) < 0 {
					b.WriteByte('\\')
				}
				b.WriteByte(e)
			}
			sh.off += 2
		default:
			b.WriteByte(c)
			sh.off++
		}
	}
	v.why = "a quote is not closed"
}
