// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// Question is a question to a name server.
type Question struct {
	Name    string         `json:"name"`
	Type    string         `json:"type"` // "A" when ""
	Server  netip.AddrPort `json:"server"`
	Source  netip.Addr     `json:"source,omitzero"`
	TCP     bool           `json:"tcp,omitempty"`
	Timeout time.Duration  `json:"timeout,omitempty"` // 3 s when 0
}

// Answer is what it said.
type Answer struct {
	Error   string       `json:"error,omitempty"` // no answer came
	Refused bool         `json:"refused,omitempty"`
	Rcode   string       `json:"rcode,omitempty"`
	Addrs   []netip.Addr `json:"addrs,omitempty"`
	Records []string     `json:"records,omitempty"` // the answer section as text
}

var errNoSuchName = errors.New("no such name")

// err returns nil for an answer that says something about the name.
func (a Answer) err() error {
	switch {
	case a.Refused:
		return fmt.Errorf("%w: %s", syscall.ECONNREFUSED, a.Error)
	case a.Error != "":
		return errors.New(a.Error)
	case a.Rcode == "NXDOMAIN":
		return errNoSuchName
	case a.Rcode != "NOERROR":
		return fmt.Errorf("the name server says %s", a.Rcode)
	}
	return nil
}

// Ask asks once, over UDP unless q says TCP, and over TCP when the answer is
// cut.
func Ask(ctx context.Context, q Question) (a Answer) {
	typ := dns.TypeA
	if q.Type != "" {
		t, known := dns.StringToType[strings.ToUpper(q.Type)]
		if !known {
			return Answer{Error: fmt.Sprintf("there is no record type %q", q.Type)}
		}
		typ = t
	}
	if q.Timeout == 0 {
		q.Timeout = 3 * time.Second
	}
	msg := new(dns.Msg)
	msg.SetQuestion(dns.Fqdn(q.Name), typ)
	msg.SetEdns0(1232, false)
	c := dns.Client{Net: "udp", Timeout: q.Timeout, UDPSize: 1232, Dialer: &net.Dialer{Timeout: q.Timeout}}
	if q.TCP {
		c.Net = "tcp"
	}
	if q.Source.IsValid() {
		at := netip.AddrPortFrom(q.Source, 0)
		c.Dialer.LocalAddr = net.UDPAddrFromAddrPort(at)
		if q.TCP {
			c.Dialer.LocalAddr = net.TCPAddrFromAddrPort(at)
		}
	}
	got, _, err := c.ExchangeContext(ctx, msg, q.Server.String())
	if err == nil && got.Truncated && !q.TCP {
		q.TCP = true
		return Ask(ctx, q)
	}
	if err != nil {
		return Answer{Error: err.Error(), Refused: refused(err)}
	}
	a.Rcode = dns.RcodeToString[got.Rcode]
	for _, rr := range got.Answer {
		a.Records = append(a.Records, rr.String())
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if addr, ok := netip.AddrFromSlice(ip); ok {
			a.Addrs = append(a.Addrs, addr.Unmap())
		}
	}
	return a
}
