// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/catalog"
)

// cloudMarks are names that only one cloud has; they decide for tables of the
// base section whose label cannot be understood.
var cloudMarks = []struct{ mark, cloud string }{
	{"azmk8s.io", catalog.AzureCloud}, {"management.azure.com", catalog.AzureCloud}, {"login.microsoftonline.com", catalog.AzureCloud},
	{"azk8s.cn", catalog.AzureChinaCloud}, {"chinacloudapi.cn", catalog.AzureChinaCloud},
	{"containerservice.azure.us", catalog.AzureUSGovernment}, {"usgovcloudapi.net", catalog.AzureUSGovernment}, {"login.microsoftonline.us", catalog.AzureUSGovernment},
}

// markedCloud returns the cloud whose marks s holds, "" for none or several.
func markedCloud(s string) string {
	found := ""
	for _, m := range cloudMarks {
		if strings.Contains(s, m.mark) {
			if found != "" && found != m.cloud {
				return ""
			}
			found = m.cloud
		}
	}
	return found
}

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

// section decides feature and cloud of a table.
func (r *rowReader) section(t *table, at place, labelled bool, views []*view, cols columns) (sec section, ok bool) {
	sec = section{feature: at.feature, cloud: at.cloud}
	mark := markedCloud(lowerCells(views, cols.destination))
	if sec.feature == "" { // a heading that says something unknown, or nothing understood
		byContent := r.byContent(views, cols)
		switch {
		case at.foreign && byContent != "":
			sec.feature = byContent
			r.rep.note(t.line, "the heading %q is in no known language; by its names the table is about %s", at.slug, byContent)
		case at.foreign && r.translated:
			return sec, false
		case at.slug == "":
			sec.feature = catalog.Base
			r.rep.note(t.line, "the table stands under a heading without text and is taken for %s", catalog.Base)
		default:
			sec.feature = at.slug
			r.rep.note(t.line, "the section %q is not known; its rows keep its name as their feature", at.slug)
		}
	} else if at.none {
		if f := r.byContent(views, cols); f != "" {
			sec.feature = f
		} else {
			sec.byRow = true
		}
		r.rep.note(t.line, "no heading stands above the table; feature and cloud are told by the names")
	}
	if sec.feature == catalog.Base && !sec.byRow {
		switch {
		case sec.cloud == "":
			sec.cloud = mark
			if mark == "" && at.none {
				sec.byRow = true
			} else if mark == "" {
				r.rep.note(t.line, "neither heading nor names tell which cloud the table is about")
			}
		case mark != "" && mark != sec.cloud && !labelled:
			r.rep.note(t.line, "an earlier label says %s, the names %s; the names count", sec.cloud, mark)
			sec.cloud = mark
		case mark != "" && mark != sec.cloud:
			r.rep.note(t.line, "the label says %s, the names %s; the names count", sec.cloud, mark)
			sec.cloud = mark
		}
	}
	return sec, true
}

func lowerCells(views []*view, i int) string {
	var b strings.Builder
	for _, v := range views {
		if i >= 0 && i < len(v.text) {
			for _, ru := range v.text[i].r {
				if ru > ' ' {
					b.WriteRune(ru)
				}
			}
			b.WriteByte(' ')
		}
	}
	return strings.ToLower(b.String())
}

// byContent returns the feature whose known rows the destinations of a table
// match best; "" when that is not one.
func (r *rowReader) byContent(views []*view, cols columns) string {
	score := make(map[string]int)
	total := 0
	for _, v := range views {
		ports, _, ok := r.ports(v, cols)
		if !ok || cols.destination < 0 || cols.destination >= len(v.text) {
			continue
		}
		found, _ := r.cell(v.text[cols.destination], about{ports: ports})
		for _, d := range found {
			total++
			for f := range r.known.features[d.name] {
				score[f]++
			}
		}
	}
	best, second := "", 0
	for f, n := range score {
		switch {
		case best == "" || n > score[best]:
			if best != "" {
				second = max(second, score[best])
			}
			best = f
		default:
			second = max(second, n)
		}
	}
	if best == "" || score[best] == second || score[best]*2 < total {
		return ""
	}
	return best
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
		r.rep.unusable(v.row.line, v.row.cells[at], "a port without a protocol is only understood when it is 443 or 80")
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

// emitter makes rows of what one table line holds.
type emitter struct {
	r              *rowReader
	v              *view
	sec            section
	cell, portText string
	ports          portCell
	purpose        string
	portTold       bool // the repair of the port cell is reported
}

// destination adds the rows of one destination.
func (o *emitter) destination(d destination, ports []pair) {
	line := o.v.row.line
	mine := portsOf(d, ports)
	if len(mine) == 0 {
		o.r.rep.unusable(line, o.cell, "%s has port %d, which the port cell %q does not", d.name, d.port, o.portText)
		return
	}
	known := o.r.known.knowsAll(d.name, mine)
	needs := d.rules | o.ports.rules
	switch {
	case needs&ruleCatalog != 0 && !known:
		o.r.rep.unusable(line, o.cell, "%s with %s would need a repair that only the catalog can confirm, and it does not know the pair", d.name, o.portText)
		return
	case o.ports.rules&ruleThousands != 0 && d.port == 0 && !known:
		o.r.rep.unusable(line, o.portText, "it cannot be told whether this is one number or two")
		return
	}
	feature, cloud := o.sec.feature, o.sec.cloud
	if o.sec.byRow {
		feature, cloud = o.r.byRow(d)
	}
	if d.cloud != "" {
		cloud = d.cloud
	}
	status := Exact
	if needs != 0 {
		status = Repaired
	}
	if needs&ruleCatalog != 0 {
		status = FromCatalog
	}
	if d.rules != 0 {
		o.r.rep.add(Finding{Line: line, Kind: kindOf(d.rules), Cell: o.cell, Text: d.rules.String(), Result: d.name})
	}
	if o.ports.rules != 0 && !o.portTold {
		o.portTold = true
		o.r.rep.add(Finding{Line: line, Kind: kindOf(o.ports.rules), Cell: o.portText, Text: o.ports.rules.String(), Result: spell(ports)})
	}
	for _, p := range mine {
		if len(o.r.e.Rows) >= MaxRows {
			return
		}
		o.r.e.Rows = append(o.r.e.Rows, Row{
			Feature: feature, Cloud: cloud, Required: feature != catalog.Optional, Kind: d.kind, Destination: d.name,
			Protocol: p.protocol, Port: p.port, Line: line, Purpose: o.purpose, Status: status,
		})
	}
}

// byRow tells feature and cloud of a row that stands in no section.
func (r *rowReader) byRow(d destination) (feature, cloud string) {
	feature = catalog.Base
	if known := r.known.features[d.name]; len(known) == 1 {
		for f := range known {
			feature = f
		}
	}
	if feature == catalog.Base {
		cloud = markedCloud(d.name)
	}
	return feature, cloud
}

func kindOf(r rules) string {
	if r&ruleCatalog != 0 {
		return FindingFromCatalog
	}
	return FindingRepaired
}

// spell writes ports as the English page does.
func spell(ports []pair) string {
	parts := make([]string, len(ports))
	for i, p := range ports {
		parts[i] = fmt.Sprintf("%s:%d", strings.ToUpper(p.protocol.String()), p.port)
	}
	return strings.Join(parts, ", ")
}
