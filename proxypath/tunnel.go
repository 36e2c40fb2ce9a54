// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxypath

import (
	"context"
	"io"
	"net/netip"
	"sync"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
)

// tunnel serves a connection that a rule about its address allows. Such a rule
// looks at nothing else, so the bytes pass unread; that the connection came here
// at all is because some name leads to the same address over HTTP.
func (s *session) tunnel(ctx context.Context, f flow.Flow, d flow.Decision) {
	conn, err := s.dial(ctx, s.dst)
	if err == nil {
		err = s.adopt(conn, f.Name, f.Dst)
	}
	if err != nil {
		s.record(f, flow.Decision{Reason: flow.UpstreamFailed, Rule: d.Rule}, nil, "")
		s.client.reset()
		return
	}
	s.record(f, d, nil, "")
	s.begin(f)
	var wg sync.WaitGroup
	var out, in int64
	half := func(dst, src *stream, n *int64) {
		var err error
		if *n, err = io.Copy(dst.conn, src.conn); err != nil {
			s.cancel() // also wakes the other half
			return
		}
		dst.closeWrite()
	}
	wg.Go(func() { half(s.server, s.client, &out) })
	half(s.client, s.server, &in)
	wg.Wait()
	s.p.cfg.End(flowlog.Closed{
		At: s.p.cfg.Now(), Counted: true, BytesOut: uint64(out), BytesIn: uint64(in),
		Tuple: flowlog.Tuple{Transport: flow.TCP, Src: s.src, Dst: netip.AddrPortFrom(f.Dst, f.Port)},
	})
}
