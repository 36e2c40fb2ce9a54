// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package httphead

import (
	"bytes"
	"net/netip"

	"github.com/sallyport/sallyport/flow"
)

// ReadProxyRequest is ReadRequest for a client that knows that it speaks to a
// proxy (RFC 9112 section 3.2): the target is an absolute URI with the scheme
// http, or the method is CONNECT and the target a host with its port. Such a
// client may name an address instead of a host; r.Addr holds it then. Anything
// else is flow.MalformedRequest, a target in origin form too, since it asks the
// proxy itself.
func ReadProxyRequest(b []byte) (r Request, n int, more bool, reason flow.Reason) {
	return readRequest(b, true)
}

// IsConnect reports whether the request asks for a tunnel (RFC 9110 section
// 9.3.6). Methods are case-sensitive.
func (r Request) IsConnect() bool { return string(r.Method) == "CONNECT" }

// readTunnel reads the target of CONNECT: a host and, always, a port.
func readTunnel(target []byte) (a authority, reason flow.Reason) {
	if a, reason = readEndpoint(target); reason == flow.NotDecided && a.port == 0 {
		return authority{}, flow.MalformedRequest
	}
	return a, reason
}

// tunnel returns where CONNECT leads, given what its target names. Host may
// leave the port out, as Java's client does, and HTTP/1.0 may leave out Host, as
// Python's did before 3.12; what is there must agree.
func (f *fields) tunnel(named authority, minor int) (authority, flow.Reason) {
	if !f.hostSeen && minor == 0 {
		return named, flow.NotDecided
	}
	host, reason := f.authority(true)
	if reason == flow.NotDecided && host.port == 0 {
		host.port = named.port
	}
	return host, reason
}

// readEndpoint is readAuthority for a host that may be an address, IPv6 in
// brackets. An address has one spelling here: the one that netip writes.
func readEndpoint(b []byte) (a authority, reason flow.Reason) {
	if a, reason = readAuthority(b); reason != flow.AddressAsName {
		return a, reason
	}
	host, port := b, []byte(nil)
	if i := bytes.LastIndexByte(b, ':'); i > bytes.LastIndexByte(b, ']') {
		host, port = b[:i], b[i+1:]
	}
	a = authority{}
	if port != nil {
		var ok bool
		if a.port, ok = readPort(port); !ok {
			return authority{}, flow.MalformedRequest
		}
	}
	inner, bracketed := bytes.CutPrefix(host, []byte{'['})
	if bracketed {
		if inner, bracketed = bytes.CutSuffix(inner, []byte{']'}); !bracketed {
			return authority{}, flow.AddressAsName
		}
	}
	addr, err := netip.ParseAddr(string(inner))
	if err != nil || addr.Is6() != bracketed || addr.Is4In6() || addr.Zone() != "" || addr.String() != string(inner) {
		return authority{}, flow.AddressAsName
	}
	a.addr = addr
	return a, flow.NotDecided
}

// AppendOrigin appends head, for which ReadProxyRequest has returned r, to dst
// as the server that it names is to read it: the target in origin form (RFC
// 9112 section 3.2.1), without the fields that are for the proxy alone. All
// other bytes stay as they came, Host too, which is known to agree with the
// target. The result is shorter than head.
func AppendOrigin(dst, head []byte, r Request) []byte {
	const scheme = "http://"
	path := r.Target[len(scheme):]
	if i := bytes.IndexAny(path, "/?"); i >= 0 {
		path = path[i:]
	} else {
		path = nil
	}
	dst = append(append(dst, r.Method...), ' ')
	switch {
	case len(path) == 0 && string(r.Method) == "OPTIONS": // RFC 9112 section 3.2.4
		dst = append(dst, '*')
	case len(path) == 0 || path[0] == '?':
		dst = append(dst, '/')
	}
	dst = append(dst, path...)
	rest := head[len(r.Method)+1+len(r.Target):]
	for line := range bytes.SplitAfterSeq(rest, []byte{'\n'}) {
		if name, _, _ := bytes.Cut(line, []byte{':'}); !isForProxy(name) {
			dst = append(dst, line...)
		}
	}
	return dst
}

// isForProxy reports whether a field is for the first proxy that reads it and
// for nobody behind it (RFC 9110 section 11.7.2; Proxy-Connection is what old
// clients send in place of Connection).
func isForProxy(name []byte) bool {
	return is(name, "proxy-connection") || is(name, "proxy-authorization")
}
