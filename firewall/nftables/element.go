// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nftables

import "strings"

// operand reads what a key is compared with: one value, values with commas, a
// set in braces, or the name of one. It reports whether it is understood.
func (p *ruleReader) operand(m *match) bool {
	w := p.peek()
	switch {
	case w.is("{"):
		from := p.i
		for depth := 0; p.i < len(p.t); {
			t := p.next()
			if t.is("{") {
				depth++
			} else if t.is("}") {
				if depth--; depth == 0 {
					break
				}
			}
		}
		m.elements = parseElements(p.t[from:p.i])
	case strings.HasPrefix(w.text, "@") && !w.quoted:
		p.i++
		m.set = w.text[1:]
		if m.set == "" || strings.Contains(m.set, ",") {
			return false // raw payload
		}
	default:
		from := p.i
		for {
			t := p.next()
			if t.isEnd() || !t.quoted && strings.ContainsAny(t.text, "{}()<>&|^=!,;") {
				return false
			}
			if !p.peek().is(",") && !p.peek().is(".") {
				break
			}
			p.i++
		}
		m.elements = parseElements(p.t[from:p.i])
	}
	if t := p.peek(); t.text != "" && !t.quoted && strings.ContainsAny(t.text[:1], "<>&|^=!.,") || t.is("and") || t.is("or") || t.is("xor") {
		return false
	}
	return true
}

// parseElements reads "{ a, b . c, d : verdict }", with or without the braces;
// braces inside, which variables bring along, do not count.
func parseElements(t []token) []element {
	var out []element
	var e element
	colon := false
	flush := func() {
		if len(e.parts) > 0 || e.unknown != "" {
			out = append(out, e)
		}
		e, colon = element{}, false
	}
	for i := 0; i < len(t); i++ {
		w := t[i]
		if w.quoted {
			e.parts = append(e.parts, w.text)
			continue
		}
		switch w.text {
		case "{", "}", ";", ".":
		case ",":
			flush()
		case ":":
			colon = true
		case "accept", "drop", "return", "continue":
			if !colon {
				e.unknown = "is not read"
			}
			e.verdict.kind = w.text
		case "jump", "goto":
			e.verdict.kind = w.text
			if i++; i < len(t) {
				e.verdict.target = t[i].text
			}
		case "comment", "packets", "bytes":
			i++
		case "counter":
		case "timeout", "expires":
			e.unknown = "goes away after a time"
			i++
		case "*":
			e.parts = append(e.parts, w.text)
			e.unknown = "stands for what is not in the set"
		default:
			if len(e.parts) > 0 && !t[i-1].is(".") && !t[i-1].is(",") && !t[i-1].is("{") && !t[i-1].is(";") {
				e.unknown = "is followed by " + w.text + ", which is not read"
			}
			e.parts = append(e.parts, w.text)
		}
	}
	flush()
	return out
}

// inBraces returns the statements between braces.
func inBraces(t []token) [][]token {
	var out [][]token
	var s []token
	depth := 0
	for _, w := range t {
		switch {
		case w.is("{"):
			if depth++; depth > 1 {
				s = append(s, w)
			}
			continue
		case w.is("}"):
			if depth--; depth > 0 {
				s = append(s, w)
			}
			continue
		case w.is(";") && depth == 1:
			if len(s) > 0 {
				out = append(out, s)
			}
			s = nil
			continue
		}
		s = append(s, w)
	}
	if len(s) > 0 {
		out = append(out, s)
	}
	return out
}
