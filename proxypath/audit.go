// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxypath

import (
	"context"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
)

// letPass connects to the address that the client wanted, sends it what was read
// and not used, as it came, and passes everything on: audit mode refuses nothing,
// and what was denied has its record already. What follows on the connection is
// not judged, since after something that was denied nobody can say where the next
// request begins. It returns false: no request follows here.
func (s *session) letPass(ctx context.Context) bool {
	s.drop()
	if !s.dst.IsValid() || s.p.cfg.Own().Contains(s.dst.Addr()) {
		s.client.reset() // a loop
		return false
	}
	conn, err := s.dial(ctx, s.dst)
	if err == nil {
		err = s.adopt(conn, dnsname.Name{}, s.dst)
	}
	if err != nil {
		s.client.reset()
		return false
	}
	s.splice(s.wanted())
	return false
}

// recordRefused records what goes no further in audit mode either.
func (s *session) recordRefused(f flow.Flow, d flow.Decision, detail string) {
	s.p.cfg.Record(&flowlog.Event{
		At: s.p.cfg.Now(), Flow: f, SrcPort: s.src.Port(), Decision: d, Path: s.p.cfg.Path, Detail: detail, Refused: true,
	})
}
