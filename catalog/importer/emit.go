// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/catalog"
)

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
	if (d.kind != KindName || d.port != 0) && o.v.protoAt < 0 && !o.ports.explicit() {
		o.r.rep.unusable(line, o.cell, "%s with the bare port %q needs a protocol", d.name, o.portText)
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
