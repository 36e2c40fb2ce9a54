// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// damages are what translation does to a cell; each takes one cell and returns
// it with one damage at a random place, or as it was.
var damages = []struct {
	name string
	do   func(r *rand.Rand, cell string) string
}{
	{"translate a placeholder", func(r *rand.Rand, s string) string {
		words := []string{"<umístění>", `\<Standort\>`, `<\location>`, "< yer >", `\< la région \>`, "<位置>", "‹lieu›", "<Location>", "<>"}
		open := strings.IndexByte(s, '<')
		if open < 0 {
			return s
		}
		end := strings.IndexByte(s[open:], '>')
		if end < 0 || strings.HasPrefix(s[open:], "<br") || strings.HasPrefix(s[open:], "<span") {
			return s
		}
		return strings.TrimSuffix(s[:open], `\`) + words[r.IntN(len(words))] + s[open+end+1:]
	}},
	{"put spaces at a dot", func(r *rand.Rand, s string) string {
		return at(r, s, ".", []string{". ", " .", " . ", ".  "}[r.IntN(4)])
	}},
	{"lose a dot", func(r *rand.Rand, s string) string { return at(r, s, ".", []string{"", " "}[r.IntN(2)]) }},
	{"double a dot", func(r *rand.Rand, s string) string { return at(r, s, ".", []string{"..", ". ."}[r.IntN(2)]) }},
	{"write a dot wide", func(r *rand.Rand, s string) string { return at(r, s, ".", []string{"。", "．", "·"}[r.IntN(3)]) }},
	{"swap a separator", func(r *rand.Rand, s string) string {
		return at(r, s, ", ", []string{"、", "，", "; ", " oder ", "<br/>", " ", ",", " / ", " und "}[r.IntN(9)])
	}},
	{"glue", func(r *rand.Rand, s string) string { return at(r, s, ", ", []string{"", ".", ". ", "-"}[r.IntN(4)]) }},
	{"write large", func(r *rand.Rand, s string) string {
		words := strings.Split(s, ".")
		i := r.IntN(len(words))
		words[i] = strings.ToUpper(words[i])
		return strings.Join(words, ".")
	}},
	{"write all large", func(_ *rand.Rand, s string) string { return strings.ToUpper(s) }},
	{"lose a star", func(r *rand.Rand, s string) string { return at(r, s, "*.", ".") }},
	{"lose a star and its dot", func(r *rand.Rand, s string) string { return at(r, s, "*.", "") }},
	{"lose the dot behind a star", func(r *rand.Rand, s string) string { return at(r, s, "*.", []string{"*", "* "}[r.IntN(2)]) }},
	{"lose a colon", func(r *rand.Rand, s string) string {
		return at(r, s, ":", []string{"", " ", "： ", ": ", " :"}[r.IntN(5)])
	}},
	{"lose a backtick", func(r *rand.Rand, s string) string { return at(r, s, "`", "") }},
	{"lose emphasis", func(r *rand.Rand, s string) string { return at(r, s, "**", []string{"", "*", "***", "** "}[r.IntN(4)]) }},
	{"split a word", func(r *rand.Rand, s string) string {
		if len(s) < 4 {
			return s
		}
		i := 1 + r.IntN(len(s)-2)
		if s[i] >= 0x80 || s[i-1] >= 0x80 {
			return s
		}
		return s[:i] + " " + s[i:]
	}},
	{"translate a label", func(r *rand.Rand, s string) string {
		return at(r, s, []string{"hcp", "data", "management", "login", "www", "tun", "mcr"}[r.IntN(7)], []string{"데이터", "execute", "gestión", "ejecutar"}[r.IntN(4)])
	}},
	{"add a remark", func(r *rand.Rand, s string) string {
		return s + []string{" (nur auf Englisch)", "（仅英文）", " SAYıLı", " *"}[r.IntN(4)]
	}},
	{"quote", func(r *rand.Rand, s string) string {
		return []string{"„" + s + "“", "« " + s + " »", "「" + s + "」"}[r.IntN(3)]
	}},
	{"group digits", func(r *rand.Rand, s string) string {
		return strings.Replace(s, "1194", []string{"1.194", "1,194", "1 194"}[r.IntN(3)], 1)
	}},
	{"put a mark of direction", func(r *rand.Rand, s string) string { return at(r, s, ".", ".\u200f") }},
}

// at replaces one random occurrence of old in s.
func at(r *rand.Rand, s, old, put string) string {
	n := strings.Count(s, old)
	if n == 0 {
		return s
	}
	k := r.IntN(n)
	i := 0
	for ; ; k-- {
		j := strings.Index(s[i:], old)
		i += j
		if k == 0 {
			return s[:i] + put + s[i+len(old):]
		}
		i += len(old)
	}
}

// TestDamageNeverMakesAWrongRow damages the tests' own page at random and
// requires that every row that is still read is one that its line has.
func TestDamageNeverMakesAWrongRow(t *testing.T) {
	page := string(readOwn(t, "page.md"))
	known := ownKnown(t)
	whole, err := Markdown([]byte(page), known)
	if err != nil {
		t.Fatal(err)
	}
	truth := make(map[string]bool)
	spell := func(r Row) string {
		return fmt.Sprintf("%d %s", r.Line, key(r.Feature, r.Cloud, r.Destination, r.Protocol, r.Port))
	}
	var lines []int
	for _, r := range whole.Rows {
		truth[spell(r)] = true
		if !slices.Contains(lines, r.Line-1) {
			lines = append(lines, r.Line-1)
		}
	}
	if len(truth) < 29 {
		t.Fatalf("the page has %d rows", len(truth))
	}
	rounds := 4000
	if testing.Short() {
		rounds = 400
	}
	kept, repaired, possible := 0, 0, 0
	for seed := range rounds {
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		doc := strings.Split(page, "\n")
		translated := r.IntN(2) == 0
		if translated {
			doc[3] = "ms.contentlocale: xx-XX" // the comment line, so that lines keep their numbers
		}
		var did []string
		for range 1 + r.IntN(12) {
			n := lines[r.IntN(len(lines))]
			cells := strings.Split(doc[n], "|")
			c := 1 + r.IntN(min(3, len(cells)-2))
			d := damages[r.IntN(len(damages))]
			if strings.Contains(cells[c], "barge") && strings.Contains(d.name, "dot") {
				continue // of a name that is new, nobody can tell that a dot is lost
			}
			if d.name == "translate a label" && (!translated || strings.Contains(cells[c], "`")) {
				continue // code is never translated, and a page that is no translation is believed
			}
			if after := d.do(r, cells[c]); after != cells[c] && !strings.Contains(after, "|") {
				cells[c] = after
				doc[n] = strings.Join(cells, "|")
				did = append(did, fmt.Sprintf("%s in line %d", d.name, n+1))
			}
		}
		text := []byte(strings.Join(doc, "\n"))
		e, err := Markdown(text, known)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		lawful(t, text, e)
		possible += len(truth)
		kept += len(e.Rows)
		for _, row := range e.Rows {
			if row.Status != Exact {
				repaired++
			}
			if !truth[spell(row)] {
				t.Errorf("seed %d: wrong row %s (%s)\n%s\n%s", seed, spell(row), row.Status, doc[row.Line-1], strings.Join(did, ", "))
			}
		}
		if t.Failed() && seed > 200 {
			break
		}
	}
	t.Logf("%d of %d rows are still read, %d of them repaired", kept, possible, repaired)
	if kept < possible*8/10 || repaired == 0 {
		t.Errorf("only %d of %d rows are read, %d repaired", kept, possible, repaired)
	}
}
