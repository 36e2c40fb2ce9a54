// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"context"
	"net/netip"

	"github.com/miekg/dns"
)

// udpSize is the largest answer asked for over UDP: what passes every path
// without fragments (DNS flag day 2020).
const udpSize = 1232

// exchange asks server over UDP and, when the answer is cut, over TCP. Every
// question leaves from a port of its own, and the library checks that the
// answer has its id.
func exchange(ctx context.Context, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	ask := q.Copy()
	ask.Id = dns.Id()
	udp := dns.Client{Net: "udp", Timeout: queryTimeout, UDPSize: udpSize}
	msg, _, err := udp.ExchangeContext(ctx, ask, server.String())
	if err != nil || !msg.Truncated {
		return msg, err
	}
	tcp := dns.Client{Net: "tcp", Timeout: queryTimeout}
	msg, _, err = tcp.ExchangeContext(ctx, ask, server.String())
	return msg, err
}
