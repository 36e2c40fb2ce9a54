// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"bytes"
	"strings"
)

// dollar reads $NAME, ${NAME}, ${NAME...} or $(command).
func (sh *shell) dollar(v *value, b *strings.Builder) {
	d := sh.s.data
	start := sh.off
	sh.off++
	if sh.off >= sh.to {
		b.WriteByte('$')
		return
	}
	name := ""
	switch c := d[sh.off]; {
	case c == '(':
		sh.substitution(v, b, ')')
		return
	case c == '{':
		end := bytes.IndexByte(d[sh.off:min(sh.to, sh.off+maxText)], '}')
		if end < 0 {
			b.WriteByte('$')
			return
		}
		name = string(d[sh.off+1 : sh.off+end])
		sh.off += end + 1
	case isWord(c):
		for sh.off < sh.to && isWord(d[sh.off]) {
			sh.off++
		}
		name = string(d[start+1 : sh.off])
	default:
		b.WriteByte('$')
		return
	}
	got := sh.get(name, start)
	if got.kind == list {
		v.kind, v.items = list, got.items
	}
	if got.why != "" && v.why == "" {
		v.why = got.why
	}
	if b.Len()+len(got.text) > maxText {
		v.why = "longer than is computed here"
		return
	}
	b.WriteString(got.inText())
}

// substitution skips a command whose output would stand here.
func (sh *shell) substitution(v *value, b *strings.Builder, closing byte) {
	d := sh.s.data
	start := sh.off
	depth := 0
	for sh.off++; sh.off < sh.to; sh.off++ {
		c := d[sh.off]
		if c == '(' && closing == ')' {
			depth++
		}
		if c == closing {
			if depth == 0 {
				break
			}
			depth--
		}
	}
	sh.off = min(sh.to, sh.off+1)
	if v.why == "" {
		v.why = "the output of a command"
	}
	b.WriteString(hole("$(" + strings.Join(strings.Fields(string(d[start+1:min(sh.off, start+60)])), " ")))
}

// redirect skips a redirection, and the text of a here document.
func (sh *shell) redirect() {
	d := sh.s.data
	here := bytes.HasPrefix(d[sh.off:sh.to], []byte("<<")) && !bytes.HasPrefix(d[sh.off:sh.to], []byte("<<<"))
	for sh.off < sh.to && strings.IndexByte("<>&-0123456789 \t", d[sh.off]) >= 0 {
		sh.off++
	}
	start := sh.off
	for sh.off < sh.to && strings.IndexByte(" \t\r\n;|&", d[sh.off]) < 0 {
		sh.off++
	}
	if !here {
		return
	}
	mark := bytes.Trim(d[start:sh.off], `'"\`)
	sh.line()
	for sh.off < sh.to {
		sh.off++
		begin := sh.off
		sh.line()
		if bytes.Equal(bytes.TrimSpace(d[begin:sh.off]), mark) {
			return
		}
	}
}
