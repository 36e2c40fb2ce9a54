// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// Edit replaces bytes of a file. Edits are made in the file's own language: an
// element of a list goes with its comma, a rule with everything in it.
type Edit struct {
	File       string
	Start, End int // bytes, End exclusive
	Text       string
}

// Patch returns what edits do to files as a unified diff, as git apply and
// patch -p0 read it. Edits that overlap an earlier one are left out.
func Patch(files map[string][]byte, edits []Edit) []byte {
	var out []byte
	after := Apply(files, edits)
	for _, name := range slices.Sorted(maps.Keys(after)) {
		shown := path.Clean(strings.ReplaceAll(name, `\`, "/")) // git apply takes no ./
		out = append(out, diff.Diff(shown, files[name], shown, after[name])...)
	}
	return out
}

// Lines returns the lines that edits take away, with a minus before them, and
// those that they bring, with a plus: a patch for people. It looks only at the
// lines that are touched, however long the files are.
func Lines(files map[string][]byte, edits []Edit) []string {
	var out []string
	for _, e := range touched(files, edits) {
		before := map[string][]byte{"": files[e.file][e.start:e.end]}
		var inside []Edit
		for _, x := range edits {
			if x.File == e.file && x.Start >= e.start && x.End <= e.end {
				inside = append(inside, Edit{"", x.Start - e.start, x.End - e.start, x.Text})
			}
		}
		_, body, _ := bytes.Cut(diff.Diff("a", before[""], "b", Apply(before, inside)[""]), []byte("@@\n"))
		for line := range strings.Lines(string(body)) {
			if line[0] == '-' || line[0] == '+' {
				out = append(out, strings.TrimSuffix(line, "\n"))
			}
		}
	}
	return out
}

// stretch is lines of a file that edits touch.
type stretch struct {
	file       string
	start, end int
}

// touched returns the whole lines that edits touch, those that overlap as one.
func touched(files map[string][]byte, edits []Edit) []stretch {
	var all []stretch
	for _, e := range edits {
		src := files[e.File]
		s := stretch{e.File, bytes.LastIndexByte(src[:e.Start], '\n') + 1, len(src)}
		if n := bytes.IndexByte(src[max(e.End-1, e.Start):], '\n'); n >= 0 {
			s.end = max(e.End-1, e.Start) + n + 1
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b stretch) int { return cmp.Or(strings.Compare(a.file, b.file), a.start-b.start) })
	var out []stretch
	for _, s := range all {
		if n := len(out); n > 0 && out[n-1].file == s.file && out[n-1].end >= s.start {
			out[n-1].end = max(out[n-1].end, s.end)
			continue
		}
		out = append(out, s)
	}
	return out
}

// Apply returns the files that edits change, as they are after it.
func Apply(files map[string][]byte, edits []Edit) map[string][]byte {
	edits = slices.Clone(edits)
	slices.SortStableFunc(edits, func(a, b Edit) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Start-b.Start, b.End-a.End)
	})
	out := make(map[string][]byte)
	at := make(map[string]int)
	for _, e := range edits {
		if e.Start < at[e.File] {
			continue
		}
		src := files[e.File]
		out[e.File] = append(out[e.File], src[at[e.File]:e.Start]...)
		out[e.File] = append(out[e.File], e.Text...)
		at[e.File] = e.End
	}
	for name := range out {
		out[name] = append(out[name], files[name][at[name]:]...)
	}
	return out
}
