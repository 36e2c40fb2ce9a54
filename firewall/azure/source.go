// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"sort"

	"github.com/sallyport/sallyport/ruleset"
)

// source is a file with its line starts.
type source struct {
	name  string
	data  []byte
	lines []int
}

func newSource(f File) *source {
	s := &source{name: f.Name, data: f.Data, lines: []int{0}}
	for i, c := range f.Data {
		if c == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// pos returns the place of the byte at off.
func (s *source) pos(off int) ruleset.Position {
	line := sort.Search(len(s.lines), func(i int) bool { return s.lines[i] > off })
	return ruleset.Position{File: s.name, Line: line, Col: off - s.lines[line-1] + 1}
}

// fault is an error at off.
func (s *source) fault(off int, text string) *Error {
	p := s.pos(min(off, len(s.data)))
	return &Error{File: p.File, Line: p.Line, Col: p.Col, Text: text}
}
