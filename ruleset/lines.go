// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package ruleset

import "sort"

// Lines is where the lines of a file begin, in bytes.
type Lines []int

// LinesOf finds the lines of a file.
func LinesOf(data []byte) Lines {
	out := Lines{0}
	for i, c := range data {
		if c == '\n' {
			out = append(out, i+1)
		}
	}
	return out
}

// Place returns the line and the column of the byte at off, both from 1.
func (l Lines) Place(off int) (line, col int) {
	line = sort.Search(len(l), func(i int) bool { return l[i] > off })
	return line, off - l[line-1] + 1
}
