// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"slices"
	"strings"
)

// columns are the ways of a result's table, in its order.
func (r BenchResult) columns() []string {
	out := []string{wayGateway, wayRules}
	for _, p := range r.Peers {
		used := slices.ContainsFunc(r.Rows, func(row BenchRow) bool { _, ok := row.Figure(p.Name); return ok })
		if p.Missing == "" && used {
			out = append(out, p.Name)
		}
	}
	return out
}

// Head is the head of the table that Cells fills.
func (r BenchResult) Head() []string {
	head := []string{"", "UNIT", "NOISE"}
	for _, c := range r.columns() {
		head = append(head, strings.ToUpper(c))
	}
	return append(head, "ASKED", "REACHED")
}

// Cells are the cells of a row.
func (r BenchResult) Cells(row BenchRow) []string {
	cells := []string{row.Name, row.Unit, ""}
	if row.Noise != nil {
		cells[2] = row.Noise.text(row.Unit)
	}
	for _, c := range r.columns() {
		f, ok := row.Figure(c)
		if !ok {
			cells = append(cells, "")
			continue
		}
		cells = append(cells, strings.TrimSpace(f.text(row.Unit)+" "+f.Note))
	}
	return append(cells, row.Target.String(), row.Answer)
}

// text writes a median with its interval, with as many digits as its size is
// worth.
func (m Median) text(unit string) string {
	digits := 0
	switch top := max(m.High, -m.Low); {
	case unit == UnitRatio:
		digits = 2
	case top == 0 || top == float64(int64(top)) && m.Low == float64(int64(m.Low)):
	case top < 1:
		digits = 3
	case top < 10:
		digits = 2
	case top < 100:
		digits = 1
	}
	if m.N == 1 {
		return fmt.Sprintf("%.*f", digits, m.Median)
	}
	return fmt.Sprintf("%.*f [%.*f, %.*f]", digits, m.Median, digits, m.Low, digits, m.High)
}
