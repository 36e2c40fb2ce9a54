// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/internal/brief"
	"github.com/sallyport/sallyport/program"
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

// query asks the upstreams of name's zone, each up to twice, until one answers.
func (r *Resolver) query(ctx context.Context, name dnsname.Name, typ uint16) (*dns.Msg, error) {
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name.String()), typ)
	q.SetEdns0(udpSize, false)
	var errs []error
	servers := upstreams(r.cfg.Resolve(), name)
	for range 2 {
		for _, s := range servers {
			msg, err := r.cfg.Exchange(ctx, s, q)
			switch {
			case err != nil:
				errs = append(errs, fmt.Errorf("upstream %s: %w", s, err))
			case msg.Rcode != dns.RcodeSuccess && msg.Rcode != dns.RcodeNameError:
				errs = append(errs, fmt.Errorf("upstream %s: answers %w", s, rcodeError(msg.Rcode)))
			case len(msg.Question) != 1 || msg.Question[0].Qtype != typ || !sameName(msg.Question[0].Name, name):
				errs = append(errs, fmt.Errorf("upstream %s: answers another question", s))
			default:
				return msg, nil
			}
			if ctx.Err() != nil {
				return nil, errors.Join(errs...)
			}
		}
	}
	if len(errs) == 0 {
		return nil, errors.New("there is no upstream")
	}
	return nil, errors.Join(errs...)
}

// rcodeError is what an upstream answered in place of data.
type rcodeError int

func (e rcodeError) Error() string { return dns.RcodeToString[int(e)] }

func sameName(s string, n dnsname.Name) bool {
	m, err := dnsname.Parse(s)
	return err == nil && m == n
}

// upstreams returns the servers of the longest private zone that holds name, or
// the general ones.
func upstreams(res program.Resolve, name dnsname.Name) []netip.AddrPort {
	servers, longest := res.Upstreams, -1
	for _, z := range res.Zones {
		if n := len(z.Apex.String()); (name == z.Apex || name.Under(z.Apex)) && n > longest {
			servers, longest = z.Upstreams, n
		}
	}
	return servers
}

// warnEvery is how often at most the log says that upstreams fail; each question
// that fails has a record.
const warnEvery = time.Minute

// warn says in the log that no upstream has answered a question.
func (r *Resolver) warn(name dnsname.Name, err error) {
	if r.cfg.Log == nil {
		return
	}
	now := r.cfg.Now()
	r.mu.Lock()
	due := now.Sub(r.warned) >= warnEvery || now.Before(r.warned)
	if due {
		r.warned = now
	}
	r.mu.Unlock()
	if due {
		r.cfg.Log.Warn("no name server answers", "name", name, "err", brief.Error(err))
	}
}
