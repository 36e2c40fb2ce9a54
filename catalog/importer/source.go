// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"bytes"
	"strings"
)

// source is a Markdown document by lines, with code and comments taken out, so
// that what is left keeps its line numbers.
type source struct {
	lines []string // without line ends; "" where code and comments stood
	front []string // lines of the front matter
}

// maxLines is how many lines are read; published editions have some hundred.
const maxLines = 200000

// split makes a source. A fence or a comment that is never closed is not taken
// for one, since the rest of the document would be lost with it; it is noted.
func split(text []byte, rep *report) *source {
	all := strings.SplitN(string(text), "\n", min(maxLines, bytes.Count(text, []byte{'\n'}))+1)
	switch last := len(all) - 1; {
	case len(all) > maxLines:
		rep.note(maxLines, "lines behind the first %d are not read", maxLines)
		all = all[:maxLines]
	case last > 0 && all[last] == "":
		all = all[:last]
	}
	for i, l := range all {
		all[i] = strings.TrimSuffix(l, "\r")
	}
	s := &source{lines: all}
	if end := frontMatter(all); end > 0 {
		s.front = append([]string(nil), all[1:end]...)
		clear(all[:end+1])
	}
	s.dropCode(rep)
	s.dropComments(rep)
	return s
}

// frontMatter returns the index of the line that closes the front matter, 0
// when there is none.
func frontMatter(lines []string) int {
	if len(lines) == 0 || strings.TrimRight(lines[0], " \t") != "---" {
		return 0
	}
	for i := 1; i < len(lines) && i < 500; i++ {
		if l := strings.TrimRight(lines[i], " \t"); l == "---" || l == "..." {
			return i
		}
	}
	return 0
}

// fence reports whether line opens or closes fenced code: the character, the
// length of the run, and whether something stands behind it.
func fence(line string) (char byte, length int, info bool) {
	l := strings.TrimLeft(line, " \t>")
	if len(l) < 3 || l[0] != '`' && l[0] != '~' {
		return 0, 0, false
	}
	for length < len(l) && l[length] == l[0] {
		length++
	}
	rest := strings.TrimSpace(l[length:])
	if length < 3 || l[0] == '`' && strings.ContainsRune(rest, '`') {
		return 0, 0, false
	}
	return l[0], min(length, 16), rest != ""
}

// dropCode blanks fenced code. A search for a closing fence that failed is not
// repeated for longer fences, which keeps the work linear.
func (s *source) dropCode(rep *report) {
	var failed [256]int
	for i := 0; i < len(s.lines); i++ {
		char, length, _ := fence(s.lines[i])
		if length == 0 {
			continue
		}
		if failed[char] != 0 && length >= failed[char] {
			continue
		}
		end := -1
		for j := i + 1; j < len(s.lines); j++ {
			if c, n, info := fence(s.lines[j]); c == char && n >= length && !info {
				end = j
				break
			}
		}
		if end < 0 {
			failed[char] = length
			rep.note(i+1, "a code fence is never closed; what follows is read as text")
			continue
		}
		clear(s.lines[i : end+1])
		i = end
	}
}

// dropComments blanks HTML comments outside of code.
func (s *source) dropComments(rep *report) {
	for i := 0; i < len(s.lines); i++ {
		for {
			open := strings.Index(s.lines[i], "<!--")
			if open < 0 {
				break
			}
			line := s.lines[i]
			if end := strings.Index(line[open+4:], "-->"); end >= 0 {
				s.lines[i] = line[:open] + dropInline(line[open+4+end+3:])
				continue // what is left is an opening without an end in this line
			}
			end := -1
			for j := i + 1; j < len(s.lines); j++ {
				if strings.Contains(s.lines[j], "-->") {
					end = j
					break
				}
			}
			if end < 0 {
				rep.note(i+1, "an HTML comment is never closed; what follows is read as text")
				return
			}
			s.lines[i] = line[:open]
			clear(s.lines[i+1 : end])
			_, rest, _ := strings.Cut(s.lines[end], "-->")
			s.lines[end] = rest
			i = end - 1
			break
		}
	}
}

// dropInline removes the comments that begin and end in line; an opening that
// is not closed here stays.
func dropInline(line string) string {
	if !strings.Contains(line, "<!--") {
		return line
	}
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(line, "<!--")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		_, after, ok := strings.Cut(rest, "-->")
		if !ok {
			b.WriteString("<!--" + rest)
			return b.String()
		}
		line = after
	}
}

// countLines returns how many lines a document has.
func countLines(text []byte) int {
	n := bytes.Count(text, []byte{'\n'})
	if len(text) > 0 && text[len(text)-1] != '\n' {
		n++
	}
	return n
}
