// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import "fmt"

// report collects findings up to the limit and counts the rest.
type report struct {
	list []Finding
	more int
}

func (r *report) add(f Finding) {
	if len(r.list) >= MaxFindings {
		r.more++
		return
	}
	f.Cell = cut(f.Cell, 200)
	r.list = append(r.list, f)
}

func (r *report) note(line int, format string, args ...any) {
	r.add(Finding{Line: line, Kind: FindingNote, Text: fmt.Sprintf(format, args...)})
}

func (r *report) unusable(line int, cell, format string, args ...any) {
	r.add(Finding{Line: line, Kind: FindingUnusable, Cell: cell, Text: fmt.Sprintf(format, args...)})
}

// findings returns the list, with a last note when there were more.
func (r *report) findings(lastLine int) []Finding {
	if r.more == 0 {
		return r.list
	}
	return append(r.list, Finding{Line: lastLine, Kind: FindingNote, Text: fmt.Sprintf("%d more findings are not listed", r.more)})
}

// cut shortens s to at most n runes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	count := 0
	for i := range s {
		if count == n {
			return s[:i]
		}
		count++
	}
	return s
}
