// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package flow holds the nouns that travel through Sallyport: a Flow, the Proof
// that its name is its own, and the Decision about it. It decides nothing.
package flow

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/dnsname"
)

// Transport is an IP protocol number (IANA protocol numbers).
type Transport uint8

// The transports that rules speak of.
const (
	TCP Transport = 6
	UDP Transport = 17
)

// String returns the protocol's name, or the number of one that no record names.
func (t Transport) String() string {
	switch t {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case 1:
		return "icmp"
	case 58:
		return "icmpv6"
	case 132:
		return "sctp"
	case 47:
		return "gre"
	case 50:
		return "esp"
	}
	return strconv.Itoa(int(t))
}

// MarshalText writes the transport as String does.
func (t Transport) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads "tcp" or "udp".
func (t *Transport) UnmarshalText(text []byte) error {
	switch strings.ToLower(string(text)) {
	case "tcp":
		*t = TCP
	case "udp":
		*t = UDP
	default:
		return fmt.Errorf("transport %q is neither tcp nor udp", text)
	}
	return nil
}

// App is the protocol spoken on a flow, apart from its port: it says which
// first bytes prove the name.
type App uint8

// The application protocols that rules speak of.
const (
	Raw  App = iota // nothing is read from the payload
	TLS             // begins with a TLS ClientHello, which names the server
	HTTP            // plain HTTP/1.x, whose every request names the host
)

// String returns "raw", "https" or "http".
func (a App) String() string {
	switch a {
	case Raw:
		return "raw"
	case TLS:
		return "https"
	case HTTP:
		return "http"
	}
	return "app" + strconv.Itoa(int(a))
}

// MarshalText writes the protocol as String does.
func (a App) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Protocol is a transport and an application protocol as users write them:
// https, http, tcp or udp.
type Protocol struct {
	Transport Transport
	App       App
}

// The four protocols that can be written.
var (
	ProtoHTTPS = Protocol{TCP, TLS}
	ProtoHTTP  = Protocol{TCP, HTTP}
	ProtoTCP   = Protocol{TCP, Raw}
	ProtoUDP   = Protocol{UDP, Raw}
)

// ParseProtocol reads https, http, tcp or udp in any case.
func ParseProtocol(s string) (Protocol, error) {
	switch strings.ToLower(s) {
	case "https", "tls":
		return ProtoHTTPS, nil
	case "http":
		return ProtoHTTP, nil
	case "tcp":
		return ProtoTCP, nil
	case "udp":
		return ProtoUDP, nil
	}
	return Protocol{}, fmt.Errorf("protocol %q is not one of https, http, tcp, udp", s)
}

// String returns https, http, tcp or udp.
func (p Protocol) String() string {
	if p.App == Raw {
		return p.Transport.String()
	}
	return p.App.String()
}

// MarshalText writes the protocol as String does.
func (p Protocol) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads a protocol as ParseProtocol does.
func (p *Protocol) UnmarshalText(text []byte) (err error) {
	*p, err = ParseProtocol(string(text))
	return err
}

// Proof says how it is known that a flow belongs to its name. The zero Proof
// is none.
type Proof uint8

// Proofs. ByDNS is the weakest: it says only that the name led to the address,
// which other names may share.
const (
	Unproved      Proof = iota
	ByAddress           // the rule is about the address; no name is needed
	ByDNS               // the address is bound to the name; the payload says nothing
	BySNI               // the ClientHello names the server, and the address is bound to that name
	ByHost              // the request names the host, and the gateway itself dialled what the name resolves to
	ByConnect           // a CONNECT authority and the ClientHello inside name the same host
	ByResolvedSNI       // the ClientHello names the server, and the gateway itself dialled what the name resolves to
)

var proofNames = [...]string{"none", "address", "dns-bound", "sni+bound", "host+resolved", "connect+sni", "sni+resolved"}

// String returns the proof as records spell it.
func (p Proof) String() string {
	if int(p) < len(proofNames) {
		return proofNames[p]
	}
	return "proof" + strconv.Itoa(int(p))
}

// MarshalText writes the proof as String does.
func (p Proof) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Proves reports whether p is enough for a name rule about app.
func (p Proof) Proves(app App) bool {
	switch app {
	case Raw:
		return p == ByDNS
	case TLS:
		return p == BySNI || p == ByConnect || p == ByResolvedSNI
	case HTTP:
		return p == ByHost
	}
	return false
}

// Flow is one connection, or one UDP exchange, as far as it is known when it
// is judged.
type Flow struct {
	Src       netip.Addr // the source as the gateway sees it, behind any node SNAT; never mapped
	Dst       netip.Addr // the destination; invalid when only the name is asked about
	Port      uint16     // destination port
	Transport Transport
	App       App          // what the first bytes were, Raw when they were not looked at
	Name      dnsname.Name // zero when the flow names nothing
	Proof     Proof        // how Name is known to belong to Dst
}

// Protocol returns the flow's transport and application protocol.
func (f Flow) Protocol() Protocol { return Protocol{f.Transport, f.App} }

// String writes the flow in one line, for people.
func (f Flow) String() string {
	var b strings.Builder
	if f.Src.IsValid() {
		fmt.Fprintf(&b, "%s -> ", f.Src)
	}
	b.WriteString(f.Protocol().String())
	b.WriteByte('/')
	switch {
	case !f.Name.IsZero() && f.Dst.IsValid():
		fmt.Fprintf(&b, "%s(%s)", f.Name, f.Dst)
	case !f.Name.IsZero():
		b.WriteString(f.Name.String())
	case f.Dst.Is6():
		fmt.Fprintf(&b, "[%s]", f.Dst)
	default:
		b.WriteString(f.Dst.String())
	}
	fmt.Fprintf(&b, ":%d", f.Port)
	return b.String()
}
