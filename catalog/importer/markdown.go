// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"strings"
	"unicode/utf8"
)

// readMarkdown reads the page.
func readMarkdown(data []byte, known []Known) (*Edition, error) {
	rep := &report{}
	e := &Edition{Format: FormatMarkdown, Lines: countLines(data)}
	src := split(data, rep)
	translated := frontFields(src.front, e)
	w := &walker{
		rowReader: rowReader{namer: namer{known: newIndex(known), translated: translated}, e: e, rep: rep},
	}
	if !translated && e.Locale == "" {
		w.translated = looksTranslated(src.lines)
	}
	w.walk(src.lines)
	if e.Tables == 0 {
		return nil, ErrNoTable
	}
	e.Findings = rep.findings(e.Lines)
	return e, nil
}

// looksTranslated reports whether the headings are those of a translation: they
// carry the anchor of another heading, or two are in another script.
func looksTranslated(lines []string) bool {
	foreign := 0
	for _, l := range lines {
		if !strings.HasPrefix(l, "#") || len(l) > 2000 {
			continue
		}
		_, text, ok := parseHeading(l)
		if !ok {
			continue
		}
		shown := slug(flatten(text).String())
		for _, a := range anchors(text) {
			if strings.Contains(text, "<a name=") && a != shown {
				return true
			}
		}
		if !isASCII(shown) {
			if foreign++; foreign > 1 {
				return true
			}
		}
	}
	return false
}

// walker goes through a page line by line.
type walker struct {
	rowReader
	path     path
	titled   bool
	above    string // the last line with text before the current one
	labelled bool   // above is a label of a cloud
	seen     int    // bytes of table lines with digits
	lines    int    // such lines
	full     bool
}

func (w *walker) walk(lines []string) {
	for i := 0; i < len(lines); {
		line := lines[i]
		if len(line) > maxLine {
			if strings.TrimSpace(line) != "" {
				w.rep.note(i+1, "a line of %d bytes is not read", len(line))
			}
			i++
			continue
		}
		if level, text, ok := parseHeading(line); ok {
			if len(text) > 2000 {
				text = strings.ToValidUTF8(text[:2000], "")
			}
			title := level == 1 && !w.titled
			w.titled = w.titled || title
			if title && w.e.Title == "" {
				w.e.Title = flatten(text).String()
			}
			w.path = w.path.enter(level, text, title, w.translated)
			w.above, w.labelled = "", false
			i++
			continue
		}
		if hasPipe(line) {
			i = w.table(lines, i)
			continue
		}
		if strings.TrimSpace(line) != "" {
			w.plain(line, i+1)
		}
		i++
	}
}

// table reads the table that begins at line i and returns where it ends.
func (w *walker) table(lines []string, i int) int {
	var raw []tableRow
	digits := false
	end := i
	for ; end < len(lines) && len(lines[end]) <= maxLine && hasPipe(lines[end]); end++ {
		if end > i {
			if _, _, heading := parseHeading(lines[end]); heading {
				break
			}
		}
		has := strings.ContainsAny(lines[end], "0123456789０１２３４５６７８９")
		digits = digits || has
		if has {
			w.seen += len(lines[end])
			w.lines++
		}
		if w.full || len(raw) >= MaxRows || w.seen > maxTable || w.lines > MaxRows {
			if !w.full {
				w.full = true
				w.rep.note(end+1, "table lines from here on are not read: there are more than %d, or more than %d MiB", MaxRows, maxTable>>20)
			}
			continue
		}
		raw = append(raw, tableRow{end + 1, splitCells(lines[end])})
	}
	if !digits || len(raw) == 0 {
		return end
	}
	t := newTable(raw)
	if len(t.rows) == 0 {
		return end
	}
	cloud, labelled := w.label()
	if labelled {
		w.path = w.path.label(cloud)
	}
	w.read(t, w.path.place(), cloud != "")
	w.above, w.labelled = "", false
	return end
}

// label returns the cloud that the line directly above a table names. A list
// item there is a label even when it is not understood: it ends the last one.
func (w *walker) label() (cloud string, is bool) {
	l := strings.TrimSpace(w.above)
	if l == "" || strings.HasPrefix(l, ">") {
		return "", false
	}
	text, item := listItem(l)
	if utf8.RuneCountInString(text) > 70 {
		return "", false
	}
	s := flatten(text).String()
	cloud = cloudOf(s)
	low := strings.ToLower(s)
	if cloud == "" {
		return "", item && strings.Contains(low, "azure")
	}
	return cloud, item || strings.Contains(low, "azure") || strings.Contains(low, "21vianet") || strings.Contains(low, "cloud")
}

// listItem takes the mark of a list item off; ok is false when line has none.
func listItem(line string) (text string, ok bool) {
	l := strings.TrimLeft(line, " \t")
	if l == "" {
		return line, false
	}
	if l[0] == '-' || l[0] == '+' || l[0] == '*' && len(l) > 1 && (l[1] == ' ' || l[1] == '\t') {
		return strings.TrimSpace(l[1:]), true
	}
	if strings.HasPrefix(l, "• ") {
		return strings.TrimSpace(l[len("• "):]), true
	}
	i := 0
	for i < len(l) && i < 3 && l[i] >= '0' && l[i] <= '9' {
		i++
	}
	if i > 0 && i+1 < len(l) && (l[i] == '.' || l[i] == ')') && l[i+1] == ' ' {
		return strings.TrimSpace(l[i+1:]), true
	}
	return line, false
}

// plain takes note of a line that is neither heading nor table.
func (w *walker) plain(line string, number int) {
	w.above = line
	text, item := listItem(line)
	if item {
		w.bullet(text, number)
	}
}
