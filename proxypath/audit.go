// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxypath

import (
	"context"

	"github.com/sallyport/sallyport/flow"
)

// deny records what is denied. In audit mode it lets that pass, too, and says so:
// then the connection has had its end.
func (s *session) deny(ctx context.Context, f flow.Flow, d flow.Decision, raw []byte, detail string) (passed bool) {
	s.record(f, d, raw, detail)
	if s.p.cfg.Audit {
		s.letPass(ctx)
	}
	return s.p.cfg.Audit
}

// letPass connects to the address that the client wanted, sends it what was read
// and not used, as it came, and passes everything on: audit mode refuses nothing,
// and what was denied has its record already. What follows on the connection is
// not judged, since after something that was denied nobody can say where the next
// request begins.
func (s *session) letPass(ctx context.Context) {
	s.drop()
	if !s.dst.IsValid() || s.p.cfg.Own().Contains(s.dst.Addr()) { // a loop
		s.client.reset()
		return
	}
	if err := s.connectWanted(ctx); err != nil {
		s.client.reset()
		return
	}
	s.begin(s.wanted())
	s.splice(ctx, s.wanted())
}

// recordRefused records what goes no further in audit mode either.
func (s *session) recordRefused(f flow.Flow, d flow.Decision, detail string) {
	e := s.event(f, d, detail)
	e.Refused = true
	s.p.cfg.Record(&e)
}
