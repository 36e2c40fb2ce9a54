// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package load is the two ends of a benchmark: servers that read a whole
// ClientHello, or a request, and then answer, and clients that send one. Both
// speak no TLS behind the hello, so that what is measured is the way between
// them.
package load

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/lab/agent"
)

// Kinds of load, and of the servers for it.
const (
	Bulk  = "bulk"  // a connection is answered with bytes as long as it takes them
	Short = "short" // it is answered with two, and then reset by the client
	Idle  = "idle"  // it is answered with two, and then stands still
	Count = "count" // of clients: a short one that carries numbers, one each millisecond, and each comes back
	Web   = "web"   // as bulk, of a plain HTTP response
	Names = "names" // DNS questions over UDP
)

// Server is where a server listens.
type Server struct {
	Addr  netip.AddrPort          `json:"addr"`
	Kind  string                  `json:"kind"`
	Names map[string][]netip.Addr `json:"names,omitempty"` // of a name server: names that lead to more than an address made up for them
}

// Load is what clients are to do.
type Load struct {
	Kind     string         `json:"kind"`
	To       netip.AddrPort `json:"to"`
	Name     string         `json:"name"`    // server name in the hello, Host of a request, or what names are below
	Clients  int            `json:"clients"` // connections at a time; idle ones in all
	Duration time.Duration  `json:"duration"`
	Rate     int            `json:"rate,omitempty"`    // connections a second, of all clients; 0: as many as they can
	Sources  []netip.Addr   `json:"sources,omitempty"` // of the clients, in turn; none: the host's
	Names    int            `json:"names,omitempty"`   // how many names to ask for
	Once     bool           `json:"once,omitempty"`    // ask for each name until it is answered, and end
}

// Result is what clients did.
type Result struct {
	Bytes   int64           `json:"bytes"`
	Conns   int64           `json:"conns"` // answered; of those with numbers, that lived to the end
	Failed  int64           `json:"failed"`
	Elapsed time.Duration   `json:"elapsed"`
	First   []time.Duration `json:"first,omitempty"`   // from the hello to the first byte, sorted; a sample
	Lost    int64           `json:"lost,omitempty"`    // packets with numbers that had to be sent again, by either end
	Longest time.Duration   `json:"longest,omitempty"` // between two numbers
	Err     string          `json:"err,omitempty"`     // of one that failed
}

// Ops returns the operations for an agent.
func Ops() agent.Ops {
	return agent.Ops{"load-serve": agent.Op(serve), "load-run": agent.Op(run)}
}

// Hello returns the ClientHello that crypto/tls sends for name: a post-quantum
// one of 1.5 kB.
func Hello(name string) ([]byte, error) {
	var c capture
	err := tls.Client(&c, &tls.Config{ServerName: name}).Handshake()
	if len(c.sent) == 0 {
		return nil, fmt.Errorf("make a ClientHello: %w", err)
	}
	return c.sent, nil
}

// capture is a connection that keeps what is written first and answers nothing.
type capture struct {
	net.Conn
	sent []byte
}

func (c *capture) Write(b []byte) (int, error) {
	c.sent = append(c.sent, b...)
	return len(b), nil
}
func (c *capture) Read([]byte) (int, error)         { return 0, io.EOF }
func (c *capture) SetDeadline(time.Time) error      { return nil }
func (c *capture) SetReadDeadline(time.Time) error  { return nil }
func (c *capture) SetWriteDeadline(time.Time) error { return nil }
func (c *capture) Close() error                     { return nil }
