// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"strings"
)

// Languages that are edited.
type language int

const (
	foreign language = iota // not edited
	json
	hcl
	bicep
	shell
)

// script is a file at a place in it.
type script struct {
	file string
	src  []byte
	off  int
	lang language
}

// element returns the bytes of the element that begins at the place: a quoted
// text that says text, an object, or a block. With "" any text will do.
func (s script) element(text string) (start, end int, ok bool) {
	if s.lang == shell {
		return s.word(text)
	}
	start = s.off
	switch c := s.src[start]; {
	case c == '"' || c == '\'':
		end = s.quoted(start)
		return start, end, end > 0 && says(s.src[start+1:end-1], text)
	case c == '{':
	case s.lang == hcl && isWord(c):
		// The name of a block, with its brace on the same line.
		line := bytes.IndexByte(s.src[start:], '\n')
		brace := bytes.IndexByte(s.src[start:], '{')
		if brace < 0 || line >= 0 && line < brace || bytes.ContainsAny(s.src[start:start+brace], "=,]") {
			return 0, 0, false
		}
		s.off = start + brace
	default:
		return 0, 0, false
	}
	if end = s.balanced(s.off); end < 0 {
		return 0, 0, false
	}
	return start, end, text == ""
}

// says reports whether what is written stands for text: as it is, or as an
// expression that a reader has worked out.
func says(written []byte, text string) bool {
	return text == "" || string(written) == text || bytes.HasPrefix(written, []byte("[")) || bytes.Contains(written, []byte("$"))
}

func isWord(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// quoted returns the end of the quoted text that begins at off, -1 when it has none.
func (s script) quoted(off int) int {
	q := s.src[off]
	for i := off + 1; i < len(s.src); i++ {
		switch s.src[i] {
		case '\\':
			i++
		case '\n':
			return -1
		case q:
			return i + 1
		}
	}
	return -1
}

// balanced returns the end of what the bracket at off opens, -1 when it has none.
func (s script) balanced(off int) int {
	depth := 0
	for i := off; i < len(s.src); i++ {
		switch c := s.src[i]; {
		case c == '{' || c == '[' || c == '(':
			depth++
		case c == '}' || c == ']' || c == ')':
			if depth--; depth == 0 {
				return i + 1
			}
		case c == '"' || c == '\'' && s.lang != hcl:
			if i = s.quoted(i); i < 0 {
				return -1
			}
			i--
		case s.comment(i):
			n := bytes.IndexByte(s.src[i:], '\n')
			if n < 0 {
				return -1
			}
			i += n
		case bytes.HasPrefix(s.src[i:], []byte("/*")):
			n := bytes.Index(s.src[i:], []byte("*/"))
			if n < 0 {
				return -1
			}
			i += n + 1
		}
	}
	return -1
}

// comment reports whether a comment to the end of the line begins at i.
func (s script) comment(i int) bool {
	return bytes.HasPrefix(s.src[i:], []byte("//")) || s.lang == hcl && s.src[i] == '#'
}

// cut removes an element with the comma, the key, the comment and the line that
// go with it; nil when it is no element of a list or an object, nor a block.
// alone says that the list may be left empty.
func (s script) cut(start, end int, alone bool) []Edit {
	edit := func(start, end int) Edit { return Edit{s.file, start, end, ""} }
	if s.lang == shell {
		for start > 0 && (s.src[start-1] == ' ' || s.src[start-1] == '\t') {
			start--
		}
		return []Edit{edit(start, end)}
	}
	before := s.before(start)
	if s.lang == hcl && before >= 0 && s.src[before] == '=' { // name = {...}
		for start = before; start > 0 && (isWord(s.src[start-1]) || isSpace(s.src[start-1]) && s.src[start-1] != '\n' || s.src[start-1] == '"' || s.src[start-1] == '-' || s.src[start-1] >= '0' && s.src[start-1] <= '9'); {
			start--
		}
		for isSpace(s.src[start]) {
			start++
		}
		before = s.before(start)
		alone = true
	}
	if before < 0 {
		return nil
	}
	after := end
	for after < len(s.src) && isSpace(s.src[after]) {
		after++
	}
	switch {
	case after < len(s.src) && s.src[after] == ',':
		from, to := s.line(start, after+1)
		return []Edit{edit(from, to)}
	case s.src[before] == ',' && s.lang != bicep: // the last of a list
		if from, to := s.line(start, end); from > before && from < start {
			return []Edit{edit(before, before+1), edit(from, to)}
		}
		return []Edit{edit(before, end)}
	case s.lang == bicep && s.begins(start), s.lang == hcl && s.begins(start) && s.src[start] != '"' && s.src[start] != '{':
		from, to := s.line(start, end)
		return []Edit{edit(from, to)}
	case alone && (s.src[before] == '[' || s.src[before] == '{'):
		from, to := s.line(start, end)
		return []Edit{edit(from, to)}
	}
	return nil
}

// before returns the place of the last byte before start that is neither space
// nor comment, -1 when there is none.
func (s script) before(start int) int {
	for i := start - 1; i >= 0; {
		if isSpace(s.src[i]) {
			i--
			continue
		}
		begin := bytes.LastIndexByte(s.src[:i+1], '\n') + 1
		at := -1
		for k := begin; k <= i && at < 0; k++ {
			switch c := s.src[k]; {
			case c == '"' || c == '\'' && s.lang == bicep:
				if e := s.quoted(k); e > 0 {
					k = e - 1
				}
			case s.comment(k):
				at = k
			}
		}
		if at < 0 {
			return i
		}
		i = at - 1
	}
	return -1
}

// begins reports whether nothing stands before start on its line.
func (s script) begins(start int) bool {
	for start > 0 && (s.src[start-1] == ' ' || s.src[start-1] == '\t') {
		start--
	}
	return start == 0 || s.src[start-1] == '\n'
}

// line widens what begins its line by the indentation, a comment behind it and
// the end of the line, as far as nothing else stands there.
func (s script) line(start, end int) (from, to int) {
	rest := end
	for rest < len(s.src) && s.src[rest] != '\n' && isSpace(s.src[rest]) {
		rest++
	}
	if !s.begins(start) {
		if rest < len(s.src) && s.src[rest] != '\n' {
			return start, rest
		}
		return start, end
	}
	if rest < len(s.src) && s.comment(rest) {
		if n := bytes.IndexByte(s.src[rest:], '\n'); n >= 0 {
			rest += n
		}
	}
	if rest >= len(s.src) || s.src[rest] != '\n' {
		return start, end
	}
	for start > 0 && (s.src[start-1] == ' ' || s.src[start-1] == '\t') {
		start--
	}
	return start, rest + 1
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// separator returns what stands between two elements of the list at start.
func (s script) separator(start int) string {
	if s.lang == shell {
		return " "
	}
	indent := start
	for indent > 0 && (s.src[indent-1] == ' ' || s.src[indent-1] == '\t') {
		indent--
	}
	comma := ","
	if s.lang == bicep {
		comma = ""
	}
	if indent > 0 && s.src[indent-1] == '\n' {
		return comma + "\n" + string(s.src[indent:start])
	}
	return ", "
}

// list writes texts as elements of the list in which start lies.
func (s script) list(start int, texts []string) string {
	quote := string(s.src[start])
	if quote != `"` && quote != "'" {
		quote = ""
		if s.lang == shell {
			quote = "'"
		}
	}
	var out []string
	for _, t := range texts {
		out = append(out, quote+t+quote)
	}
	return strings.Join(out, s.separator(start))
}

// word returns the word of a command at the place, with its quotes.
func (s script) word(text string) (start, end int, ok bool) {
	start = s.off
	if start > 0 && (s.src[start-1] == '"' || s.src[start-1] == '\'') {
		start--
	}
	if c := s.src[start]; c == '"' || c == '\'' {
		if end = s.quoted(start); end < 0 {
			return 0, 0, false
		}
	} else {
		end = start
		for end < len(s.src) && !isSpace(s.src[end]) {
			end++
		}
	}
	return start, end, says(bytes.Trim(s.src[start:end], `"'`), text)
}

// command returns the lines of the command at the place.
func (s script) command() (start, end int) {
	start = bytes.LastIndexByte(s.src[:s.off], '\n') + 1
	for start > 0 && bytes.HasSuffix(bytes.TrimRight(s.src[:start], "\r\n"), []byte(`\`)) {
		start = bytes.LastIndexByte(s.src[:start-1], '\n') + 1
	}
	for end = start; end < len(s.src); {
		n := bytes.IndexByte(s.src[end:], '\n')
		if n < 0 {
			return start, len(s.src)
		}
		line := bytes.TrimRight(s.src[end:end+n], "\r")
		end += n + 1
		if !bytes.HasSuffix(line, []byte(`\`)) {
			return start, end
		}
	}
	return start, end
}
