// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package httphead reads HTTP/1.x heads and follows the bodies behind them, for
// a proxy that decides every request and forwards its bytes unchanged. It is
// stricter than RFC 9112: what two readers might read differently is refused,
// since the server behind us is the other reader. It does not read body
// content and does not decide whether a host is allowed.
package httphead

import (
	"bytes"
	"net/netip"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
)

// MaxHead is the longest head that is read, in bytes with its final empty line.
const MaxHead = 64 << 10

// maxMethod is the longest method that is taken for one.
const maxMethod = 32

// Request is what a request head says. Its slices alias the bytes it was read
// from.
type Request struct {
	Method   []byte
	Target   []byte // as sent: "/path", "*" or "http://host/path"
	Minor    int    // HTTP/1.Minor: 0 or 1
	HostSent []byte // the value of Host as sent, for records

	Host dnsname.Name // canonical
	Addr netip.Addr   // instead of Host, from ReadProxyRequest alone: the host as an address
	Port uint16       // from Host or from the target of CONNECT; 0 when it has none

	Body      Body
	KeepAlive bool // the client will send another request on this connection
	Upgrade   bool // the client asks to leave HTTP/1.x behind this request
	Expect100 bool // the client waits for a 100 before it sends the body
}

// ReadRequest reads a request head at the front of b. When more is true the
// head is not whole yet and nothing is wrong so far. Otherwise reason is
// flow.NotDecided and n is the length of the head with its final empty line, or
// reason says why it is denied; r.Host is valid only in the first case.
//
// An answer, once given, stays the same for every longer b. Behind the method
// it can change from "more" only where a line ends, so a caller need not ask
// again before the next line feed or MaxHead bytes.
func ReadRequest(b []byte) (r Request, n int, more bool, reason flow.Reason) {
	return readRequest(b, false)
}

// readRequest reads a head; explicit tells whether its client knows that it
// speaks to a proxy.
func readRequest(b []byte, explicit bool) (r Request, n int, more bool, reason flow.Reason) {
	if !maybeMethod(b) {
		return Request{}, 0, false, flow.NotHTTP
	}
	l := lines{b: b[:min(len(b), MaxHead)]}
	line, more, ok := l.next()
	if more {
		return l.partial()
	}
	if !ok {
		return Request{}, 0, false, flow.MalformedRequest
	}
	named, reason := r.requestLine(line, explicit)
	if reason != flow.NotDecided {
		return r, 0, false, reason
	}

	var f fields
	for {
		line, more, ok = l.next()
		switch {
		case more:
			return l.partial()
		case !ok:
			return r, 0, false, flow.MalformedRequest
		}
		if len(line) == 0 {
			break
		}
		if reason = f.add(line); reason != flow.NotDecided {
			r.HostSent = f.host
			return r, 0, false, reason
		}
	}
	r.HostSent = f.host
	host, reason := f.authority(explicit)
	if r.IsConnect() {
		host, reason = f.tunnel(named, r.Minor)
	}
	if reason != flow.NotDecided {
		return r, 0, false, reason
	}
	if named != (authority{}) && !named.agrees(host) {
		return r, 0, false, flow.AmbiguousHost
	}
	body, _, ok := f.framing(r.Minor)
	if !ok || r.IsConnect() && body.Kind != NoBody {
		return r, 0, false, flow.MalformedRequest
	}
	r.Host, r.Addr, r.Port, r.Body = host.name, host.addr, host.port, body
	r.KeepAlive = f.persists(r.Minor)
	r.Upgrade, r.Expect100 = f.upgrade, f.expect
	return r, l.at, false, flow.NotDecided
}

// maybeMethod reports whether b may be the beginning of a request: a method
// and a space, as far as they are there.
func maybeMethod(b []byte) bool {
	for i, c := range b[:min(len(b), maxMethod+1)] {
		if c == ' ' {
			return i > 0
		}
		if !isToken(c) {
			return false
		}
	}
	return len(b) <= maxMethod
}

// requestLine reads a request line (RFC 9112 section 3) whose characters are
// known to be printable, tabs apart. It returns the authority that the target
// names, if it does.
func (r *Request) requestLine(line []byte, explicit bool) (named authority, reason flow.Reason) {
	last := bytes.LastIndexByte(line, ' ') + 1
	version := line[last:]
	if len(version) < 5 || !is(version[:5], "http/") {
		return authority{}, flow.NotHTTP // HTTP/0.9, SIP, an SMTP greeting
	}
	first := bytes.IndexByte(line, ' ')
	r.Method = line[:first]
	if string(r.Method) == "PRI" && string(version) == "HTTP/2.0" {
		return authority{}, flow.NotHTTP // the preface of RFC 9113 section 3.4
	}
	minor, ok := minorVersion(version)
	if !ok || first+1 >= last {
		return authority{}, flow.MalformedRequest
	}
	r.Minor, r.Target = minor, line[first+1:last-1]
	switch {
	case !explicit && r.IsConnect():
		return authority{}, flow.MalformedRequest // a tunnel is not a request that is forwarded
	case !explicit:
		return readTarget(r.Method, r.Target, readAuthority)
	case r.IsConnect():
		return readTunnel(r.Target)
	}
	if named, reason = readTarget(r.Method, r.Target, readEndpoint); reason == flow.NotDecided && named == (authority{}) {
		return authority{}, flow.MalformedRequest // for a server, and not for a proxy
	}
	return named, reason
}

// minorVersion reads "HTTP/1.0" or "HTTP/1.1".
func minorVersion(version []byte) (minor int, ok bool) {
	switch string(version) {
	case "HTTP/1.0":
		return 0, true
	case "HTTP/1.1":
		return 1, true
	}
	return 0, false
}
