// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/flow"
)

// Schema of the summary.
const Schema = "sallyport.lab/1"

// Sections of a run.
const (
	SectionBoot  = "boot"
	SectionReach = "reach"
	SectionWay   = "way"
)

// Row is one thing that was tried.
type Row struct {
	Section     string         `json:"section"`
	ID          string         `json:"id"`
	Title       string         `json:"title"`
	OK          bool           `json:"ok"`      // whether it came out as it should
	Outcome     string         `json:"outcome"` // ok, denied, reached, held, leaked, let through or failed
	Detail      string         `json:"detail,omitempty"`
	Rule        flow.RuleID    `json:"rule,omitempty"`        // of a reach
	Destination string         `json:"destination,omitempty"` // name or address
	Protocol    string         `json:"protocol,omitempty"`
	Source      netip.Addr     `json:"source,omitzero"`
	Remote      netip.AddrPort `json:"remote,omitzero"`  // the server's end
	Nonce       string         `json:"nonce,omitempty"`  // as the server noted it
	Reason      string         `json:"reason,omitempty"` // recorded for a way out; several are separated by ", "
	Seconds     float64        `json:"seconds"`
}

// Count is how many of something came out as they should.
type Count struct {
	OK int `json:"ok"`
	Of int `json:"of"`
}

// Summary is a run.
type Summary struct {
	Schema   string    `json:"schema"`
	Cluster  string    `json:"cluster"` // file
	Cloud    string    `json:"cloud"`
	Location string    `json:"location"`
	Edition  string    `json:"edition"`
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds"`
	OK       bool      `json:"ok"` // whether every row is
	Boot     Count     `json:"boot"`
	Reaches  Count     `json:"reaches"`
	Ways     Count     `json:"ways"`
	LeftOut  []string  `json:"leftOut,omitempty"` // ways that this cluster's lab cannot try, with the reason
	Rows     []Row     `json:"rows"`
}

func newSummary(opt RunOptions, start time.Time) Summary {
	p := opt.Program
	return Summary{
		Schema: Schema, Cluster: opt.ClusterFile, Cloud: p.Cluster.Cloud, Location: p.Cluster.Location,
		Edition: p.Edition.ID, Started: start.UTC(),
	}
}

func (s *Summary) add(b *board, r Row) {
	s.Rows = append(s.Rows, r)
	c := map[string]*Count{SectionBoot: &s.Boot, SectionReach: &s.Reaches, SectionWay: &s.Ways}[r.Section]
	c.Of++
	if r.OK {
		c.OK++
	}
	b.row(r)
}

// finish judges the whole. A run that tried nothing is not a good one.
func (s *Summary) finish(start time.Time) {
	s.Seconds = time.Since(start).Seconds()
	s.OK = true
	for _, c := range []Count{s.Boot, s.Reaches, s.Ways} {
		s.OK = s.OK && c.Of > 0 && c.OK == c.Of
	}
}

// Wrong returns the rows that did not come out as they should.
func (s Summary) Wrong() (out []Row) {
	for _, r := range s.Rows {
		if !r.OK {
			out = append(out, r)
		}
	}
	return out
}
