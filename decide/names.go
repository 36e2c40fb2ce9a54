// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package decide

import (
	"strings"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/portset"
)

// Opening is a protocol and the ports that some live rule opens for a name, to
// some source. The resolver binds addresses for these; the source is judged
// when a flow comes.
type Opening struct {
	Protocol flow.Protocol
	Ports    portset.Set
	Strict   bool // through the proxy
}

// Openings returns what the live rules open for n, over all sources; none means
// that the name is not to be resolved.
func (s *Snapshot) Openings(n dnsname.Name, at time.Time) []Opening {
	var out []Opening
	add := func(i uint32) {
		r := s.of(i)
		if !r.until.IsZero() && !at.Before(r.until) {
			return
		}
		for k := range out {
			if out[k].Protocol == r.protocol && out[k].Strict == r.strict {
				out[k].Ports = out[k].Ports.Union(r.ports)
				return
			}
		}
		out = append(out, Opening{r.protocol, r.ports, r.strict})
	}
	all := func(r refs, ok bool) {
		if ok {
			add(r.first)
			for _, i := range s.others(r) {
				add(i)
			}
		}
	}
	text := n.String()
	r, ok := s.exact[text]
	all(r, ok)
	for {
		_, rest, more := strings.Cut(text, ".")
		if !more {
			return out
		}
		text = rest
		r, ok = s.below[text]
		all(r, ok)
	}
}

// IsExact reports whether some rule is about n alone.
func (s *Snapshot) IsExact(n dnsname.Name) bool {
	_, ok := s.exact[n.String()]
	return ok
}

// HasBelow reports whether some rule is about names under n.
func (s *Snapshot) HasBelow(n dnsname.Name) bool { return s.ancestors[n.String()] }
