// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/ruleset"
)

// Edit replaces bytes of a file. Edits are made in the file's own language: an
// element of a list goes with its comma, a rule with everything in it.
type Edit struct {
	File       string
	Start, End int // bytes, End exclusive
	Text       string
}

// Patch returns what edits do to files as a unified diff, as git apply and
// patch -p0 read it. Edits that overlap an earlier one are left out.
func Patch(files map[string][]byte, edits []Edit) []byte {
	var out []byte
	after := Apply(files, edits)
	for _, name := range slices.Sorted(maps.Keys(after)) {
		shown := path.Clean(strings.ReplaceAll(name, `\`, "/")) // git apply takes no ./
		out = append(out, diff.Diff(shown, files[name], shown, after[name])...)
	}
	return out
}

// Lines returns the lines that edits take away, with a minus before them, and
// those that they bring, with a plus: a patch for people. It looks only at the
// lines that are touched, however long the files are.
func Lines(files map[string][]byte, edits []Edit) []string {
	var out []string
	for _, e := range touched(files, edits) {
		before := map[string][]byte{"": files[e.file][e.start:e.end]}
		var inside []Edit
		for _, x := range edits {
			if x.File == e.file && x.Start >= e.start && x.End <= e.end {
				inside = append(inside, Edit{"", x.Start - e.start, x.End - e.start, x.Text})
			}
		}
		_, body, _ := bytes.Cut(diff.Diff("a", before[""], "b", Apply(before, inside)[""]), []byte("@@\n"))
		for line := range strings.Lines(string(body)) {
			if line[0] == '-' || line[0] == '+' {
				out = append(out, strings.TrimSuffix(line, "\n"))
			}
		}
	}
	return out
}

// stretch is lines of a file that edits touch.
type stretch struct {
	file       string
	start, end int
}

// touched returns the whole lines that edits touch, those that overlap as one.
func touched(files map[string][]byte, edits []Edit) []stretch {
	var all []stretch
	for _, e := range edits {
		src := files[e.File]
		s := stretch{e.File, bytes.LastIndexByte(src[:e.Start], '\n') + 1, len(src)}
		if n := bytes.IndexByte(src[max(e.End-1, e.Start):], '\n'); n >= 0 {
			s.end = max(e.End-1, e.Start) + n + 1
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b stretch) int { return cmp.Or(strings.Compare(a.file, b.file), a.start-b.start) })
	var out []stretch
	for _, s := range all {
		if n := len(out); n > 0 && out[n-1].file == s.file && out[n-1].end >= s.start {
			out[n-1].end = max(out[n-1].end, s.end)
			continue
		}
		out = append(out, s)
	}
	return out
}

// Apply returns the files that edits change, as they are after it.
func Apply(files map[string][]byte, edits []Edit) map[string][]byte {
	edits = slices.Clone(edits)
	slices.SortStableFunc(edits, func(a, b Edit) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Start-b.Start, b.End-a.End)
	})
	out := make(map[string][]byte)
	at := make(map[string]int)
	for _, e := range edits {
		if e.Start < at[e.File] {
			continue
		}
		src := files[e.File]
		out[e.File] = append(out[e.File], src[at[e.File]:e.Start]...)
		out[e.File] = append(out[e.File], e.Text...)
		at[e.File] = e.End
	}
	for name := range out {
		out[name] = append(out[name], files[name][at[name]:]...)
	}
	return out
}

// dropTerm removes one destination of a rule, or the rule when it is the last.
func (a *auditor) dropTerm(r ruleset.Rule, t ruleset.Term) []Edit {
	if len(r.Terms) <= 1 {
		return a.dropRule(r)
	}
	return a.drop(ruleset.Word{Pos: t.Pos, Text: t.Text})
}

// dropPort removes one port of a rule, or the rule when it is the only one.
func (a *auditor) dropPort(r ruleset.Rule, port string) []Edit {
	for _, w := range r.Ports {
		if w.Text != port {
			continue
		}
		if len(r.Ports) == 1 {
			return a.dropRule(r)
		}
		return a.drop(w)
	}
	return nil
}

// drop removes an element of a list, nil when it does not stand there as such.
func (a *auditor) drop(w ruleset.Word) []Edit {
	s, ok := a.at(w.Pos)
	if !ok {
		return nil
	}
	start, end, ok := s.element(w.Text)
	if !ok {
		return nil
	}
	return s.cut(start, end, false)
}

// dropRule removes a whole rule.
func (a *auditor) dropRule(r ruleset.Rule) []Edit {
	s, ok := a.at(r.Pos)
	if !ok {
		return nil
	}
	if s.lang == shell {
		start, end := s.command()
		// The command that says what a collection does cannot go before the others.
		if bytes.Contains(s.src[start:end], []byte("--priority")) && a.shares(r) {
			return nil
		}
		return []Edit{{r.Pos.File, start, end, ""}}
	}
	// A collection without rules is refused in some of the forms, so the last rule
	// takes it along.
	if r.CollectionPos != (ruleset.Position{}) && r.CollectionPos != r.Pos && !a.shares(r) {
		if whole, ok := a.at(r.CollectionPos); ok {
			if start, end, ok := whole.element(""); ok && start < s.off && s.off < end {
				if edits := whole.cut(start, end, true); edits != nil {
					return edits
				}
			}
		}
	}
	start, end, ok := s.element("")
	if !ok {
		return nil
	}
	return s.cut(start, end, true)
}

// shares reports whether another rule stands in the collection of r.
func (a *auditor) shares(r ruleset.Rule) bool {
	return slices.ContainsFunc(a.rules.Rules, func(o ruleset.Rule) bool {
		return o.Collection == r.Collection && o.CollectionPos == r.CollectionPos && o.Pos != r.Pos
	})
}

// setSource writes the cluster's own addresses in the place of a rule's sources.
func (a *auditor) setSource(r ruleset.Rule, own []string) []Edit {
	var out []Edit
	for i, w := range r.Sources {
		s, ok := a.at(w.Pos)
		if !ok {
			return nil
		}
		start, end, ok := s.element(w.Text)
		if !ok {
			return nil
		}
		if i == 0 {
			out = append(out, Edit{w.Pos.File, start, end, s.list(start, own)})
			continue
		}
		cut := s.cut(start, end, false)
		if cut == nil {
			return nil
		}
		out = append(out, cut...)
	}
	return out
}

// turnOff writes false in the place of true.
func (a *auditor) turnOff(w ruleset.Word) []Edit {
	s, ok := a.at(w.Pos)
	if !ok || !bytes.HasPrefix(s.src[s.off:], []byte(w.Text)) {
		return nil
	}
	return []Edit{{w.Pos.File, s.off, s.off + len(w.Text), "false"}}
}

// replaceTerm writes names in the place of one destination.
func (a *auditor) replaceTerm(t ruleset.Term, names []string) []Edit {
	s, ok := a.at(t.Pos)
	if !ok {
		return nil
	}
	start, end, ok := s.element(t.Text)
	if !ok {
		return nil
	}
	return []Edit{{t.Pos.File, start, end, s.list(start, names)}}
}

// addTo writes a destination beside those of a rule that has just the kind,
// port and sources it needs, nil when there is none.
func (a *auditor) addTo(n need) []Edit {
	name := n.rule.Destination()
	if n.rule.Pattern.IsZero() {
		return nil
	}
	for _, r := range a.rules.Rules {
		if r.Action != ruleset.Allow || r.Dead != "" || r.Kind != ruleset.Application || len(r.Unknown) > 0 && !sourceUnknown(r) {
			continue
		}
		for _, t := range r.Terms {
			set := t.Sure
			if sourceUnknown(r) {
				set = withoutSource(t.Maybe)
			}
			boxes := set.Boxes()
			if len(boxes) != 1 || !fits(boxes[0], n.set) {
				continue
			}
			s, ok := a.at(t.Pos)
			if !ok {
				continue
			}
			start, _, ok := s.element(t.Text)
			if !ok {
				continue
			}
			if b := s.before(start); s.lang != shell && (b < 0 || s.src[b] != '[' && s.src[b] != ',' && s.lang != bicep) {
				continue
			}
			return []Edit{{t.Pos.File, start, start, s.list(start, []string{name}) + s.separator(start)}}
		}
	}
	return nil
}

// fits reports whether a box differs from a need in its names alone.
func fits(b flowset.Box, want flowset.Set) bool {
	for _, w := range want.Boxes() {
		if b.Class != w.Class || !b.Ports.Equal(w.Ports) || b.Nameless || !b.Src.Covers(w.Src) {
			return false
		}
	}
	return true
}

// Languages that are edited.
type language int

const (
	json language = iota
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

// at returns the file at pos; ok is false when its text is not at hand or its
// language is not edited.
func (a *auditor) at(pos ruleset.Position) (s script, ok bool) {
	s.file = pos.File
	s.src, ok = a.rules.Text[pos.File]
	if !ok || pos.Line == 0 || pos.Col == 0 {
		return s, false
	}
	starts := a.lineStarts(pos.File)
	if pos.Line > len(starts) {
		return s, false
	}
	s.off = starts[pos.Line-1] + pos.Col - 1
	if s.off >= len(s.src) {
		return s, false
	}
	switch strings.ToLower(path.Ext(pos.File)) {
	case ".json", ".jsonc":
		s.lang = json
	case ".tf", ".tfvars":
		s.lang = hcl
	case ".bicep":
		s.lang = bicep
	case ".sh", ".md", ".azcli", ".bash":
		s.lang = shell
	default:
		return s, false
	}
	return s, true
}

// lineStarts returns where the lines of a file begin.
func (a *auditor) lineStarts(file string) []int {
	if have, ok := a.lines[file]; ok {
		return have
	}
	starts := []int{0}
	for i, c := range a.rules.Text[file] {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	if a.lines == nil {
		a.lines = make(map[string][]int)
	}
	a.lines[file] = starts
	return starts
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
