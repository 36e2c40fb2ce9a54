// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"strings"

	"github.com/sallyport/sallyport/flow"
)

// Bounds of one table line; a longer one is no line of the list.
const (
	maxLine  = 64 << 10
	maxCells = 32
	maxCell  = 8 << 10
	maxTable = 4 << 20 // bytes of table lines with a digit that are looked at
)

// tableRow is one line of a table by cells.
type tableRow struct {
	line  int
	cells []string
}

// table is consecutive lines with pipes, without header and delimiter.
type table struct {
	rows []tableRow
	line int // of the first row
}

// hasPipe reports whether line holds a pipe that no backslash escapes.
func hasPipe(line string) bool {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '|':
			return true
		}
	}
	return false
}

// splitCells splits a table line at its pipes. Outer pipes may lack.
func splitCells(line string) []string {
	line = strings.TrimSpace(strings.TrimLeft(line, " \t>"))
	line = strings.TrimPrefix(line, "|")
	var out []string
	begin := 0
	for i := 0; i < len(line) && len(out) < maxCells; i++ {
		switch line[i] {
		case '\\':
			i++
		case '|':
			out = append(out, strings.TrimSpace(line[begin:i]))
			begin = i + 1
		}
	}
	if rest := strings.TrimSpace(line[begin:]); rest != "" && len(out) < maxCells {
		out = append(out, rest)
	}
	return out
}

// isDelimiter reports whether cells are the line between header and rows.
func isDelimiter(cells []string) bool {
	dashes := false
	for _, c := range cells {
		if strings.Trim(c, "-:—–‐‑ ") != "" {
			return false
		}
		dashes = dashes || strings.ContainsAny(c, "-—–")
	}
	return dashes
}

// newTable takes headers and delimiters out of raw lines.
func newTable(raw []tableRow) *table {
	t := &table{line: raw[0].line}
	for i := 0; i < len(raw); i++ {
		if isDelimiter(raw[i].cells) {
			if n := len(t.rows); n > 0 && i > 0 && t.rows[n-1].line == raw[i-1].line {
				t.rows = t.rows[:n-1] // the line above is the header
			}
			continue
		}
		t.rows = append(t.rows, raw[i])
	}
	return t
}

// columns says which cell of a row is what, -1 for none.
type columns struct {
	destination, port int
	protocol          bool // some row has a protocol in a cell of its own
}

// view is a row with its cells read as far as the columns need it.
type view struct {
	row      tableRow
	text     []*text
	ports    []portCell
	isPorts  []bool
	protocol flow.Protocol
	protoAt  int  // -1 when no cell is a protocol
	remark   bool // one stands beside the protocol
}

// look reads the cells of a row.
func look(row tableRow) *view {
	v := &view{row: row, protoAt: -1}
	n := len(row.cells)
	v.text, v.ports, v.isPorts = make([]*text, n), make([]portCell, n), make([]bool, n)
	for i, c := range row.cells {
		if len(c) > maxCell {
			v.text[i] = &text{}
			continue
		}
		v.text[i] = flatten(c)
		if v.ports[i], v.isPorts[i] = parsePorts(v.text[i], false); v.isPorts[i] {
			continue
		}
		if p, remark, ok := parseProtocol(v.text[i]); ok && v.protoAt < 0 {
			v.protocol, v.protoAt, v.remark = p, i, remark
		}
	}
	return v
}

// names reports whether cell i could be a destination cell, and whether it
// holds one without doubt.
func (v *view) names(n *namer, i int) (maybe, sure bool) {
	if v.isPorts[i] || i == v.protoAt || len(v.text[i].r) == 0 {
		return false, false
	}
	words, names := 0, 0
	for _, p := range pieces(v.text[i]) {
		for _, t := range p.tokens {
			if _, ok := canonical(t.s); ok {
				names++
				continue
			}
			if isFragment(t.s) && nameLike(t.s) {
				maybe = true
			}
			words++
		}
	}
	if names > 0 {
		return true, words <= 3*names+6
	}
	return maybe && words <= 12, false
}

// columns decides by content which column lists destinations and which ports.
func (t *table) columns(n *namer, views []*view) (c columns, ok bool) {
	var maybe, sure, ports, explicit [maxCells + 1]int
	for _, v := range views {
		for i := range v.text {
			if v.isPorts[i] {
				ports[i]++
				if v.ports[i].explicit() {
					explicit[i]++
				}
				continue
			}
			m, s := v.names(n, i)
			if m {
				maybe[i]++
			}
			if s {
				sure[i]++
			}
		}
	}
	c = columns{destination: -1, port: -1}
	for _, v := range views {
		c.protocol = c.protocol || v.protoAt >= 0
	}
	for i := range maybe {
		if maybe[i] > 0 && (maybe[i]*2 >= len(views) || c.destination < 0) {
			if c.destination < 0 || maybe[c.destination]*2 < len(views) {
				c.destination = i
			}
		}
		if ports[i] > 0 && (c.port < 0 || ports[i] > ports[c.port]) {
			c.port = i
		}
	}
	switch {
	case c.port >= 0 && explicit[c.port] > 0:
		return c, true
	case c.port >= 0 && c.destination >= 0 && sure[c.destination] > 0:
		return c, true
	case c.destination < 0:
		return c, false
	}
	// No cell is ports alone: perhaps every one has a remark.
	for i := range views[0].text {
		for _, v := range views {
			if i < len(v.text) && i != c.destination {
				if p, loose := parsePorts(v.text[i], true); loose && p.explicit() {
					c.port = i
					return c, sure[c.destination] > 0
				}
			}
		}
	}
	return c, false
}
