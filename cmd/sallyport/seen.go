// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/program"
)

// seenJSON is what was reached under one wildcard.
type seenJSON struct {
	Rule    string         `json:"rule"`
	Pattern string         `json:"pattern"`
	Names   []seenNameJSON `json:"names"`
	More    bool           `json:"more,omitempty"` // there were more names than are kept
}

type seenNameJSON struct {
	Name  string `json:"name"`
	Flows int    `json:"flows"`
}

// maxSeen bounds the names that are kept of one wildcard: whoever has that many
// needs the wildcard.
const maxSeen = 200

// readSeen reads a gateway's decision records and returns which names were reached
// under the wildcards of p: what exact rules could take their place.
// Lines that are none, such as one cut short by a full disk, are counted; a file
// that begins with one is no file of records.
func readSeen(file string, p *program.Program) (out []seenJSON, unreadable int, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, 0, fmt.Errorf("--seen: %w; give the file that gateway --records writes", err)
	}
	defer f.Close()
	names := make(map[int]map[string]int)
	more := make(map[int]bool)
	r := bufio.NewReaderSize(f, 1<<20)
	for line := 1; ; line++ {
		text, err := r.ReadSlice('\n')
		if err == io.EOF {
			break // what has no end is still being written
		}
		if err != nil {
			return nil, 0, fmt.Errorf("%s:%d: %w", file, line, err)
		}
		var d struct{ Schema, Verdict, Name, Path string }
		if err := json.Unmarshal(text, &d); err != nil {
			if line == 1 {
				return nil, 0, fmt.Errorf("%s:%d: not a record of a gateway: %w", file, line, err)
			}
			unreadable++
			continue
		}
		if d.Schema != flowlog.DecisionSchema || d.Verdict != flow.Allow.String() || d.Path == "resolver" {
			continue
		}
		name, err := dnsname.Parse(d.Name)
		if err != nil {
			continue
		}
		for i, rule := range p.Rules {
			if _, wild := rule.Pattern.Apex(); !wild || !rule.Pattern.Contains(name) {
				continue
			}
			if names[i] == nil {
				names[i] = make(map[string]int)
			}
			if _, known := names[i][name.String()]; known || len(names[i]) < maxSeen {
				names[i][name.String()]++
			} else {
				more[i] = true
			}
		}
	}
	for i, rule := range p.Rules {
		if _, wild := rule.Pattern.Apex(); !wild {
			continue
		}
		s := seenJSON{Rule: string(rule.ID), Pattern: rule.Pattern.String(), Names: []seenNameJSON{}, More: more[i]}
		for name, n := range names[i] {
			s.Names = append(s.Names, seenNameJSON{name, n})
		}
		slices.SortFunc(s.Names, func(a, b seenNameJSON) int { return cmp.Or(b.Flows-a.Flows, cmp.Compare(a.Name, b.Name)) })
		out = append(out, s)
	}
	return out, unreadable, nil
}

// writeSeen prints them, with what to write instead.
func writeSeen(w io.Writer, seen []seenJSON) {
	fmt.Fprintf(w, "\nREACHED UNDER WILDCARDS, BY THE RECORDS\n")
	for _, s := range seen {
		switch {
		case len(s.Names) == 0:
			fmt.Fprintf(w, "  %s: nothing\n", s.Pattern)
			continue
		case s.More:
			fmt.Fprintf(w, "  %s: more than %d names\n", s.Pattern, maxSeen)
			continue
		}
		fmt.Fprintf(w, "  %s: these names could stand in its place\n", s.Pattern)
		for _, n := range s.Names {
			fmt.Fprintf(w, "    %s (%d)\n", n.Name, n.Flows)
		}
	}
}
