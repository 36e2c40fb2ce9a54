// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/miekg/dns"
)

// udpSize is the largest answer asked for over UDP: what passes every path
// without fragments (DNS flag day 2020).
const udpSize = 1232

// Reachable returns nil when one of the servers answers a question, whatever it
// says, and else why none does.
func Reachable(ctx context.Context, servers []netip.AddrPort) error {
	q := new(dns.Msg)
	q.SetQuestion(".", dns.TypeNS)
	said := make(chan error, len(servers))
	for _, s := range servers {
		go func() {
			_, err := exchange(ctx, s, q)
			if err != nil {
				err = fmt.Errorf("%s: %w", s, err)
			}
			said <- err
		}()
	}
	var errs []error
	for range servers {
		err := <-said
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("no name server answers, and no name will be resolved; write others in the description, as dns: {servers: [ADDRESS]}: %w", errors.Join(errs...))
}

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
