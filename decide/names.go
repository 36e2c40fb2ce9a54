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
	add := func(rules []uint32) {
		for _, i := range rules {
			r := &s.rules[i]
			if !r.until.IsZero() && !at.Before(r.until) {
				continue
			}
			joined := false
			for k := range out {
				if out[k].Protocol == r.protocol && out[k].Strict == r.strict {
					out[k].Ports = out[k].Ports.Union(r.ports)
					joined = true
				}
			}
			if !joined {
				out = append(out, Opening{r.protocol, r.ports, r.strict})
			}
		}
	}
	text := n.String()
	add(s.exact[text])
	for {
		_, rest, ok := strings.Cut(text, ".")
		if !ok {
			return out
		}
		text = rest
		add(s.below[text])
	}
}

// IsExact reports whether some rule is about n alone.
func (s *Snapshot) IsExact(n dnsname.Name) bool { return len(s.exact[n.String()]) > 0 }

// HasBelow reports whether some rule is about names under n.
func (s *Snapshot) HasBelow(n dnsname.Name) bool { return s.ancestors[n.String()] }
