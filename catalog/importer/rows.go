// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"slices"
	"strings"
)

// rowReader turns tables into rows.
type rowReader struct {
	namer
	e   *Edition
	rep *report
}

// section is what holds for the rows of a table.
type section struct {
	feature, cloud string
	byRow          bool // feature and cloud are told by each row alone
}

// read reads one table that lists destinations; ok is false when it does not.
func (r *rowReader) read(t *table, at place, labelled bool) (ok bool) {
	views := make([]*view, 0, len(t.rows))
	for i, row := range t.rows {
		v := look(row)
		if i == 0 && len(t.rows) > 1 && plainHeader(v) {
			continue // a header whose delimiter is lost
		}
		views = append(views, v)
	}
	if len(views) == 0 {
		return false
	}
	cols, ok := t.columns(&r.namer, views)
	if !ok {
		return false
	}
	r.e.Tables++
	sec, ok := r.section(t, at, labelled, views, cols)
	if !ok {
		for _, v := range views {
			r.rep.unusable(v.row.line, cellAt(v.row, max(0, cols.destination)), "the heading cannot be understood, and the names do not tell which feature the table is about")
		}
		return true
	}
	for _, v := range views {
		if len(r.e.Rows) >= MaxRows {
			r.rep.note(v.row.line, "there are more than %d rows; those from here on are not read", MaxRows)
			return true
		}
		r.row(v, cols, sec)
	}
	return true
}

// plainHeader reports whether a first row is words alone.
func plainHeader(v *view) bool {
	for i := range v.text {
		if v.isPorts[i] || i == v.protoAt {
			return false
		}
		for _, ru := range v.text[i].r {
			if strings.ContainsRune(".*<>:", ru) {
				return false
			}
		}
	}
	return true
}

func cellAt(row tableRow, i int) string {
	if i < 0 || i >= len(row.cells) {
		return strings.Join(row.cells, " | ")
	}
	return row.cells[i]
}

// ports returns the pairs of a row, or says why there are none.
func (r *rowReader) ports(v *view, cols columns) (out []pair, cell portCell, ok bool) {
	at := r.portAt(v, cols)
	if at < 0 {
		return nil, cell, false
	}
	cell = v.ports[at]
	if !v.isPorts[at] {
		cell, _ = parsePorts(v.text[at], true)
	}
	if v.remark {
		cell.rules |= ruleRemark
	}
	if cols.protocol && v.protoAt < 0 && !cell.explicit() {
		return nil, cell, false // the row's protocol cannot be read
	}
	out, ok = cell.pairs(v.protocol)
	return out, cell, ok
}

// portAt returns the port cell of a row: that of the table's column when it
// holds ports, else the first one that does.
func (r *rowReader) portAt(v *view, cols columns) int {
	if cols.port >= 0 && cols.port < len(v.text) && v.isPorts[cols.port] {
		return cols.port
	}
	for i := range v.text {
		if v.isPorts[i] && i != cols.destination {
			return i
		}
	}
	if cols.port >= 0 && cols.port < len(v.text) {
		if _, ok := parsePorts(v.text[cols.port], true); ok {
			return cols.port
		}
	}
	return -1
}

// row reads one row.
func (r *rowReader) row(v *view, cols columns, sec section) {
	if len(strings.Join(v.row.cells, "")) == 0 {
		return
	}
	if cols.destination < 0 || cols.destination >= len(v.text) {
		r.rep.unusable(v.row.line, strings.Join(v.row.cells, " | "), "the row has no destination cell")
		return
	}
	destinationCell := v.row.cells[cols.destination]
	if len(destinationCell) > maxCell {
		r.rep.unusable(v.row.line, destinationCell, "the destination cell is longer than %d bytes", maxCell)
		return
	}
	ports, cell, ok := r.ports(v, cols)
	portText := ""
	at := r.portAt(v, cols)
	if at >= 0 {
		portText = v.row.cells[at]
	}
	if !ok {
		found, _ := r.cell(v.text[cols.destination], about{})
		if at < 0 && v.protoAt >= 0 && allHavePorts(found) && (cols.port < 0 || cellAt(v.row, cols.port) == "" || cols.port == v.protoAt) {
			for _, d := range found { // the cell itself gives the port
				if p := (pair{v.protocol, d.port}); !slices.Contains(ports, p) {
					ports = append(ports, p)
				}
			}
		} else {
			r.badPort(v, cols, at)
			return
		}
	}
	a := about{feature: sec.feature, cloud: sec.cloud, ports: ports}
	if sec.byRow {
		a.feature = ""
	}
	found, bad := r.cell(v.text[cols.destination], a)
	for _, b := range bad {
		r.rep.unusable(v.row.line, destinationCell, "%s", b.text)
	}
	if len(found) == 0 {
		if len(bad) == 0 {
			r.rep.unusable(v.row.line, destinationCell, "the cell names no destination")
		}
		return
	}
	out := emitter{r: r, v: v, sec: sec, cell: destinationCell, portText: portText, ports: cell, purpose: purpose(v, cols.destination, at)}
	for _, d := range found {
		out.destination(d, ports)
	}
}

func allHavePorts(found []destination) bool {
	for _, d := range found {
		if d.port == 0 {
			return false
		}
	}
	return len(found) > 0
}

// badPort reports a row without ports that can be read.
func (r *rowReader) badPort(v *view, cols columns, at int) {
	if at >= 0 {
		r.rep.unusable(v.row.line, v.row.cells[at], "the protocol of the port cannot be read; alone, only 443 and 80 are understood")
		return
	}
	if cols.port >= 0 && cols.port < len(v.row.cells) {
		r.rep.unusable(v.row.line, v.row.cells[cols.port], "the cell is no list of ports")
		return
	}
	r.rep.unusable(v.row.line, strings.Join(v.row.cells, " | "), "the row has no port cell")
}

// purpose returns the first cell that is neither destination nor port nor
// protocol.
func purpose(v *view, skip ...int) string {
	for i := range v.text {
		if i == v.protoAt || i == skip[0] || i == skip[1] || len(v.text[i].r) == 0 {
			continue
		}
		if s := prose(v.row.cells[i]); s != "" {
			return cut(s, 300)
		}
	}
	return ""
}
