// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab/client"
)

// Ways out on another port, or with another protocol than the port is for.

var literalOrPort = []Try{
	{What: "address literal", Want: []flow.Reason{flow.UnboundAddress}, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		hello, err := e.Hello(client.TLS{NoName: true}, "")
		if err != nil {
			return false, "", err
		}
		return e.SayHello(ctx, e.attacker(443), hello)
	}},
	onPort("port 8443", 8443, flow.PortNotAllowed, func(e *Env, name string) ([]byte, error) { return e.Hello(client.TLS{}, name) }),
	onPort("port 22", 22, flow.PortNotAllowed, sshBanner),
	onPort("port 80", 80, flow.PortNotAllowed, func(e *Env, name string) ([]byte, error) {
		return fmt.Appendf(nil, "GET /echo/%s HTTP/1.1\r\nHost: %s\r\n\r\n", e.Nonce, name), nil
	}),
}

// onPort is the try of another TCP port of an address that an allowed name has
// bound.
func onPort(what string, port uint16, want flow.Reason, message func(e *Env, name string) ([]byte, error)) Try {
	return Try{What: what, Want: []flow.Reason{want}, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		name, at, err := e.Shared(ctx)
		if err != nil {
			return false, "", err
		}
		b, err := message(e, name)
		if err != nil {
			return false, "", err
		}
		return e.SayHello(ctx, netip.AddrPortFrom(at.Addr(), port), b)
	}}
}

func sshBanner(e *Env, _ string) ([]byte, error) {
	return fmt.Appendf(nil, "SSH-2.0-%s\r\n", e.Nonce), nil
}

var otherProtocol = []Try{
	onPort("SSH, client first", 443, flow.NotTLS, sshBanner),
	onPort("plain HTTP", 443, flow.NotTLS, func(e *Env, name string) ([]byte, error) {
		return fmt.Appendf(nil, "GET /echo/%s HTTP/1.1\r\nHost: %s\r\n\r\n", e.Nonce, name), nil
	}),
	{What: "SSH, server first", Want: []flow.Reason{flow.NotTLS}, Do: serverSpeaksFirst},
}

// serverSpeaksFirst makes an allowed name lead to a server that greets: what it
// says must not come in, nor what the client says then go out.
func serverSpeaksFirst(ctx context.Context, e *Env) (leaked bool, detail string, err error) {
	name, err := e.Fresh()
	if err != nil {
		return false, "", err
	}
	net, at := e.Lab.Internet, e.Lab.Plan.Greeter
	if err := net.SetRecords(ctx, map[string][]string{name: {addressRecord(at)}}); err != nil {
		return false, "", err
	}
	defer func() { err = errors.Join(err, net.SetRecords(ctx, map[string][]string{name: nil})) }()
	if _, err := e.Resolve(ctx, name); err != nil {
		return false, "", err
	}
	banner, _ := sshBanner(e, "")
	leaked, h, detail, err := e.say(ctx, client.Raw{
		To: netip.AddrPortFrom(at, 443), First: true, Chunks: [][]byte{banner}, Listen: settle,
	})
	if err != nil {
		return false, "", err
	}
	switch {
	case e.Held() && len(h.Data) > 0:
		return true, fmt.Sprintf("the server's %q came in", h.Data), nil
	case !leaked:
		detail = h.Outcome()
	}
	return leaked, detail, nil
}

// datagram is the try of one UDP datagram. The shared address is bound before.
func datagram(what string, want []flow.Reason, to func(e *Env) netip.AddrPort, message func(e *Env) []byte) Try {
	return Try{What: what, Want: want, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		if _, _, err := e.Shared(ctx); err != nil {
			return false, "", err
		}
		return e.Say(ctx, client.Raw{UDP: true, To: to(e), Chunks: [][]byte{message(e)}})
	}}
}

var quic = []Try{
	datagram("version 1", []flow.Reason{flow.ProtocolMismatch, flow.PortNotAllowed}, sharedQUIC, quicBytes(1)),
	datagram("version 2", []flow.Reason{flow.ProtocolMismatch, flow.PortNotAllowed}, sharedQUIC, quicBytes(0x6b3343cf)),
	datagram("to the attacker", []flow.Reason{flow.UnboundAddress}, func(e *Env) netip.AddrPort { return e.attacker(443) }, quicBytes(1)),
}

func sharedQUIC(e *Env) netip.AddrPort { return netip.AddrPortFrom(e.Lab.Plan.Shared, 443) }

// quicBytes makes what has the shape of a client's Initial packet (RFC 9000
// section 17.2.2, RFC 9369 section 3.2); what it protects is the nonce, in clear.
func quicBytes(version uint32) func(e *Env) []byte {
	return func(e *Env) []byte {
		b := binary.BigEndian.AppendUint32([]byte{0xc3}, version)
		b = append(b, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0) // destination and source id, no token
		const whole = 1200
		b = binary.BigEndian.AppendUint16(b, 0x4000|uint16(whole-len(b)-2))
		b = append(b, 0, 0, 0, 0)
		b = append(b, e.Nonce...)
		return append(b, bytes.Repeat([]byte{0x5a}, whole-len(b))...)
	}
}

func quicInitial(e *Env) ([]byte, error) { return quicBytes(1)(e), nil }

var ping = []Try{
	pinging("the attacker", func(p *Plan) netip.Addr { return p.Attacker }),
	pinging("an allowed address", func(p *Plan) netip.Addr { return p.Shared }),
	{What: "an error about a connection that has proved nothing", Want: []flow.Reason{flow.ICMPDenied}, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		_, at, err := e.Shared(ctx)
		if err != nil {
			return false, "", err
		}
		// The connection tracking of the way knows it from its SYN on.
		port := uint16(1024 + rand.IntN(30000))
		syn := client.Segment{From: netip.AddrPortFrom(e.Source, port), To: at, Seq: rand.Uint32(), Flags: client.SYN}
		if _, err := e.Lab.Forge(ctx, syn); err != nil {
			return false, "", err
		}
		return e.ping(ctx, client.Ping{Source: e.Source, To: at.Addr(), Data: []byte(e.Nonce), Ports: [2]uint16{port, at.Port()}})
	}},
}

// ping sends it and reports whether anything of it arrived anywhere.
func (e *Env) ping(ctx context.Context, p client.Ping) (leaked bool, detail string, err error) {
	h, err := e.Lab.Ping(ctx, p)
	if err != nil {
		return false, "", err
	}
	e.flows = append(e.flows, triedFlow{"icmp", netip.AddrPortFrom(p.Source, 0), netip.AddrPortFrom(p.To, 0)})
	if leaked, detail = e.Leaked(ctx); !leaked {
		detail = h.Outcome()
	}
	return leaked, detail, nil
}

func pinging(what string, to func(p *Plan) netip.Addr) Try {
	return Try{What: what, Want: []flow.Reason{flow.PingDenied}, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		if _, _, err := e.Shared(ctx); err != nil {
			return false, "", err
		}
		at := to(&e.Lab.Plan)
		from := e.sourceFor(at)
		return e.ping(ctx, client.Ping{Source: from, To: at, Data: []byte(e.Nonce)})
	}}
}

// sourceFor returns the node's address to talk to a from.
func (e *Env) sourceFor(a netip.Addr) netip.Addr {
	for _, s := range e.Lab.Plan.Sources {
		if s.Is4() == a.Is4() {
			return s
		}
	}
	return e.Source
}

var tunnelPorts = []Try{
	datagram("NTP", []flow.Reason{flow.UnboundAddress}, attackerPort(123), ntpBytes),
	datagram("NTP to a web server", []flow.Reason{flow.PortNotAllowed, flow.ProtocolMismatch}, func(e *Env) netip.AddrPort {
		return netip.AddrPortFrom(e.Lab.Plan.Shared, 123)
	}, ntpBytes),
	datagram("UDP 1194", []flow.Reason{flow.UnboundAddress}, attackerPort(1194), nonceBytes),
	datagram("UDP 9000", []flow.Reason{flow.UnboundAddress}, attackerPort(9000), nonceBytes),
	toAttacker("TCP 9000", 9000),
	toAttacker("TCP 22", 22),
}

func attackerPort(port uint16) func(e *Env) netip.AddrPort {
	return func(e *Env) netip.AddrPort { return e.attacker(port) }
}

func nonceBytes(e *Env) []byte { return []byte(e.Nonce) }

// ntpBytes is a client's packet whose last two timestamps are the nonce.
func ntpBytes(e *Env) []byte {
	return append(append([]byte{4<<3 | 3}, make([]byte, 31)...), e.Nonce...)
}

func toAttacker(what string, port uint16) Try {
	return Try{What: what, Want: []flow.Reason{flow.UnboundAddress}, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		banner, err := sshBanner(e, "")
		if err != nil {
			return false, "", err
		}
		return e.SayHello(ctx, e.attacker(port), banner)
	}}
}
