// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"github.com/sallyport/sallyport/ruleset"
)

// source is a file with its line starts.
type source struct {
	name  string
	data  []byte
	lines ruleset.Lines
}

func newSource(f File) *source {
	return &source{name: f.Name, data: f.Data, lines: ruleset.LinesOf(f.Data)}
}

// pos returns the place of the byte at off.
func (s *source) pos(off int) ruleset.Position {
	line, col := s.lines.Place(off)
	return ruleset.Position{File: s.name, Line: line, Col: col}
}

// fault is an error at off.
func (s *source) fault(off int, text string) *Error {
	p := s.pos(min(off, len(s.data)))
	return &Error{File: p.File, Line: p.Line, Col: p.Col, Text: text}
}
