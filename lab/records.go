// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
)

// Record is a decision or close record as the gateway wrote it. It is read as text, so
// that what the lab judges is what a user's tools would get.
type Record struct {
	Schema   string    `json:"schema"`
	Time     time.Time `json:"time"`
	Verdict  string    `json:"verdict"`
	Enforced *bool     `json:"enforced"` // false: it passed all the same; else absent
	Reason   string    `json:"reason"`
	Detail   string    `json:"detail"`
	Rule     string    `json:"rule"`
	Name     string    `json:"name"`
	Proof    string    `json:"proof"`
	Source   string    `json:"source"`
	Dest     string    `json:"destination"`
	Protocol string    `json:"protocol"`
	Path     string    `json:"path"`
	Allow    string    `json:"wouldAllowYAML"`
	Flow     string    `json:"flow"`

	// Of close records only.
	Counted bool    `json:"counted"`
	BytesIn uint64  `json:"bytesIn"`
	Seconds float64 `json:"seconds"`
}

// Decisions returns the decision records written from that time on.
func (f *Firewall) Decisions(since time.Time) ([]Record, error) {
	all, err := f.All()
	return slices.DeleteFunc(all, func(r Record) bool {
		return r.Schema != flowlog.DecisionSchema || r.Time.Before(since)
	}), err
}

// All returns every record, decisions and closes, in the order written.
func (f *Firewall) All() ([]Record, error) {
	b, err := os.ReadFile(f.Records)
	if err != nil {
		return nil, fmt.Errorf("read the gateway's records: %w", err)
	}
	// The last line may be under way still.
	b = b[:bytes.LastIndexByte(b, '\n')+1]
	var out []Record
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var r Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", f.Records, n, err)
		}
		out = append(out, r)
	}
	return out, lines.Err()
}

// Denied waits until the gateway has recorded a denial for one of the reasons,
// from that time on.
func (f *Firewall) Denied(ctx context.Context, since time.Time, reasons ...flow.Reason) (Record, error) {
	return f.denied(ctx, since, func(Record) bool { return true }, reasons)
}

// denied is Denied for the records that are about something.
func (f *Firewall) denied(ctx context.Context, since time.Time, about func(Record) bool, reasons []flow.Reason) (Record, error) {
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	for {
		all, err := f.Decisions(since)
		if err != nil {
			return Record{}, err
		}
		i := slices.IndexFunc(all, func(r Record) bool {
			return r.Verdict == flow.Deny.String() && about(r) &&
				slices.ContainsFunc(reasons, func(want flow.Reason) bool { return want.String() == r.Reason })
		})
		if i >= 0 {
			return all[i], nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			var got []string
			for _, r := range all {
				if r.Verdict == flow.Deny.String() && about(r) {
					got = append(got, r.Reason)
				}
			}
			return Record{}, fmt.Errorf("no record denies it with %v; recorded were %v", reasons, got)
		}
	}
}
