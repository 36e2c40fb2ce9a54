// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/sallyport/sallyport/internal/meant"
)

// Problem is one thing wrong with a description, and what to type instead.
type Problem struct {
	File string // as given to Load or Parse
	Line int    // counted from 1; 0 when the problem is with the file
	Col  int    // counted from 1, in characters; 0 when Line is
	Key  string // the dotted key it is about, such as "network.nodes" or "allow[2].ports"; "" for none
	Msg  string // what is wrong
	Hint string // what to do; "" when Msg says it
}

// String writes the problem in one line, as compilers do.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File + ":")
	}
	if p.Line > 0 {
		fmt.Fprintf(&b, "%d:%d:", p.Line, p.Col)
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Msg)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return b.String()
}

// Errors is everything wrong with a description, ordered by position.
type Errors []Problem

// Error writes one problem a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// FileError is a description that could not be read at all.
type FileError struct {
	Path string // as given to Load
	Msg  string // what is wrong, and what to do
	Err  error  // what the system said; nil when the file is too large
}

// Error writes path and message.
func (e *FileError) Error() string { return e.Path + ": " + e.Msg }

// Unwrap returns what the system said.
func (e *FileError) Unwrap() error { return e.Err }

// isMissing begins the message about a key that must be written and is not.
const isMissing = "is missing"

// findings collects problems while a description is read.
type findings struct {
	file string
	list Errors
	more int // found beyond maxProblems
}

// maxProblems is how many problems are listed: nobody reads more.
const maxProblems = 1000

// longest is how much of a message is kept: inputs are quoted in it.
const longest = 400

// add records a problem at p.
func (f *findings) add(p place, key, hint, format string, args ...any) {
	if len(f.list) == maxProblems {
		f.more++
		return
	}
	f.list = append(f.list, Problem{File: f.file, Line: p.Line, Col: p.Col, Key: oneLine(key),
		Msg: oneLine(fmt.Sprintf(format, args...)), Hint: oneLine(hint)})
}

// err returns the problems in order, or nil.
func (f *findings) err() error {
	if len(f.list) == 0 {
		return nil
	}
	slices.SortStableFunc(f.list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	list := slices.Compact(f.list)
	if f.more > 0 {
		last := list[len(list)-1]
		list = append(list, Problem{File: f.file, Line: last.Line, Col: last.Col,
			Msg: fmt.Sprintf("has %d problems more than are listed here", f.more)})
	}
	return list
}

// oneLine cuts s to a length a terminal can bear and leaves nothing in it that
// moves a cursor.
func oneLine(s string) string {
	n := 0
	for i := range s {
		if n++; n > longest {
			s = s[:i] + "..."
			break
		}
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// didYouMean is the hint for a word that is not in list.
func didYouMean(s string, list []string) string {
	if len(list) == 1 {
		return "write " + list[0]
	}
	if w := meant.Nearest(s, list); w != "" {
		return "did you mean " + w + "?"
	}
	return "write one of " + strings.Join(list, ", ")
}
