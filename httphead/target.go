// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package httphead

import (
	"bytes"
	"net/netip"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
)

// authority is a host with an optional port. The zero authority is none.
type authority struct {
	name dnsname.Name
	addr netip.Addr // instead of name, only where the client knows that it speaks to a proxy
	port uint16     // 0 when not written
}

// agrees reports whether a and b lead to the same place over plain HTTP.
func (a authority) agrees(b authority) bool {
	return a.name == b.name && a.addr == b.addr && a.orDefault() == b.orDefault()
}

func (a authority) orDefault() uint16 {
	if a.port == 0 {
		return 80
	}
	return a.port
}

// readTarget judges a request target (RFC 9112 section 3.2) and returns its
// authority, as host reads it, when it is in absolute form.
func readTarget(method, target []byte, host func([]byte) (authority, flow.Reason)) (absolute authority, reason flow.Reason) {
	for _, c := range target {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return authority{}, flow.MalformedRequest
		}
	}
	if string(target) == "*" {
		if string(method) != "OPTIONS" {
			return authority{}, flow.MalformedRequest
		}
		return authority{}, flow.NotDecided
	}
	path := target
	if len(target) == 0 || target[0] != '/' {
		const scheme = "http://"
		if len(target) < len(scheme) || !is(target[:len(scheme)], scheme) {
			return authority{}, flow.MalformedRequest
		}
		rest := target[len(scheme):]
		end := bytes.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		if absolute, reason = host(rest[:end]); reason != flow.NotDecided {
			return authority{}, reason
		}
		path = rest[end:]
	}
	if path, _, _ = bytes.Cut(path, []byte{'?'}); !isEscaped(path) {
		return authority{}, flow.MalformedRequest
	}
	return absolute, flow.NotDecided
}

// isEscaped reports whether every percent sign of path begins an escape (RFC
// 3986 section 2.1).
func isEscaped(path []byte) bool {
	for i, c := range path {
		if c == '%' && (i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2])) {
			return false
		}
	}
	return true
}

// readAuthority reads "host" or "host:port" (RFC 9110 section 7.2). User
// information, lists and anything behind the port could be read as another
// host.
func readAuthority(b []byte) (a authority, reason flow.Reason) {
	if len(b) == 0 || bytes.ContainsAny(b, "@,/\\?# \t") {
		return authority{}, flow.AmbiguousHost
	}
	host := b
	if i := bytes.IndexByte(b, ':'); b[0] != '[' && i >= 0 && i == bytes.LastIndexByte(b, ':') {
		var ok bool
		if a.port, ok = readPort(b[i+1:]); !ok {
			return authority{}, flow.MalformedRequest
		}
		host = b[:i]
	}
	if len(host) == 0 {
		return authority{}, flow.AmbiguousHost
	}
	var buf [dnsname.MaxName]byte
	canonical, err := dnsname.AppendCanonical(buf[:0], host)
	switch {
	case dnsname.IsAddress(err):
		return authority{}, flow.AddressAsName
	case err != nil:
		return authority{}, flow.InvalidName
	}
	if a.name, err = dnsname.Parse(string(canonical)); err != nil {
		return authority{}, flow.InvalidName
	}
	return a, flow.NotDecided
}

// readPort reads a port from 1 to 65535 without leading zeros.
func readPort(b []byte) (port uint16, ok bool) {
	if len(b) == 0 || len(b) > 5 || b[0] == '0' {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return uint16(n), n <= 65535
}
