// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// board shows a run while it goes on: a table that grows row by row, and on a
// terminal a line below it, rewritten in place, that says how far it has come.
type board struct {
	out      io.Writer
	json     bool
	terminal bool
	width    int

	done, of int  // of the section
	bar      bool // whether the progress line is on the screen
}

func newBoard(opt RunOptions) *board {
	b := &board{out: opt.Out, json: opt.JSON, terminal: opt.Terminal, width: opt.Width}
	if b.out == nil {
		b.out = io.Discard
	}
	if b.width <= 0 {
		b.width = 100
	}
	return b
}

// line writes one line above the progress line.
func (b *board) line(format string, args ...any) {
	if b.json {
		return
	}
	b.wipe()
	text := fmt.Sprintf(format, args...)
	if b.terminal {
		text = cut(text, b.width)
	}
	fmt.Fprintln(b.out, strings.TrimRight(text, " "))
}

func cut(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

func (b *board) wipe() {
	if b.bar {
		fmt.Fprint(b.out, "\r\x1b[K")
		b.bar = false
	}
}

// progress draws the progress line.
func (b *board) progress(what string) {
	if b.json || !b.terminal || b.done >= b.of {
		return
	}
	const cells = 24
	full := cells * b.done / b.of
	text := fmt.Sprintf("  [%s%s] %d/%d %s", strings.Repeat("#", full), strings.Repeat(".", cells-full), b.done, b.of, what)
	fmt.Fprint(b.out, "\r\x1b[K"+cut(text, b.width-1))
	b.bar = true
}

func (b *board) intro(opt RunOptions, p Plan) {
	e := opt.Program.Edition
	b.line("Lab for %s: %s, %s, edition %s", opt.ClusterFile, opt.Program.Cluster.Cloud, opt.Program.Cluster.Location, e.ID)
	b.line("  node %s -> gateway %s -> internet with %d servers, attacker at %s", p.Sources[0], p.Gateway, len(p.Servers), p.Attacker)
}

func (b *board) section(title string, of int) {
	b.done, b.of = 0, of
	b.line("")
	b.line("%s", title)
	b.progress("")
}

// step counts one more without a row.
func (b *board) step(what string) {
	b.done++
	b.wipe()
	b.progress(what)
}

func (b *board) row(r Row) {
	b.done++
	mark, colour := "ok  ", "32"
	if !r.OK {
		mark, colour = "FAIL", "31"
	}
	first, second := r.ID, r.Title
	third := r.Outcome
	switch r.Section {
	case SectionBoot:
		first, second = r.Title, r.Destination
	case SectionReach:
		first, second = r.Protocol, r.Destination
		third += fmt.Sprintf(" at %s by %s", r.Remote, r.Rule)
	}
	if r.Reason != "" {
		third += ", " + r.Reason
	}
	if r.Detail != "" {
		third += ": " + r.Detail
	}
	widths := map[string][2]int{SectionBoot: {25, 41}, SectionReach: {10, 47}, SectionWay: {5, 52}}[r.Section]
	text := fmt.Sprintf("%-*s %-*s %s", widths[0], first, widths[1], second, third)
	if b.json {
		return
	}
	b.wipe()
	if b.terminal {
		fmt.Fprintf(b.out, "  \x1b[%sm%s\x1b[0m  %s\n", colour, mark, cut(text, b.width-8))
	} else {
		fmt.Fprintf(b.out, "  %s  %s\n", mark, strings.TrimRight(text, " "))
	}
	b.progress("")
}

// summary ends a run: one screen, the wrong rows repeated where they are seen.
func (b *board) summary(s Summary) {
	if b.json {
		enc := json.NewEncoder(b.out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		_ = enc.Encode(s)
		return
	}
	b.line("")
	b.line("Summary")
	b.line("  boot steps as the list says    %3d of %d", s.Boot.OK, s.Boot.Of)
	b.line("  pairs reached and witnessed    %3d of %d", s.Reaches.OK, s.Reaches.Of)
	b.line("  ways out held                  %3d of %d", s.Ways.OK, s.Ways.Of)
	const most = 12
	for i, r := range s.Wrong() {
		if i == most {
			b.line("  ... and %d more", len(s.Wrong())-most)
			break
		}
		b.line("  FAIL %s %s: %s: %s", r.ID, r.Title, r.Outcome, r.Detail)
	}
	verdict := "everything came out right"
	if !s.OK {
		verdict = "NOT everything came out right"
	}
	b.line("  %s, in %.1f s", verdict, s.Seconds)
}

// keep says how to get into a lab that is left running.
func (b *board) keep(l *Lab) {
	if b.json {
		return
	}
	b.line("")
	b.line("The lab runs until Ctrl-C. To enter it, in another shell:")
	for _, e := range l.Enterings() {
		fmt.Fprintln(b.out, "  "+e)
	}
	fmt.Fprintf(b.out, "On the node, for example: curl --cacert %s https://mcr.microsoft.com/\n", l.CAFile())
	fmt.Fprintf(b.out, "Records: %s  Log: %s\n", l.path("records.jsonl"), l.path("gateway.log"))
}

func (b *board) end() { b.wipe() }
