// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package httphead

import (
	"bytes"

	"github.com/sallyport/sallyport/flow"
)

// fields collects the header fields that say where a message goes and where
// it ends. All others only have to be well formed.
type fields struct {
	host     []byte // trimmed; nil when absent
	length   int64  // Content-Length
	lengths  int    // how many there are
	codings  int    // how many Transfer-Encoding lines there are; each says chunked
	expects  int
	expect   bool // 100-continue
	closes   bool // Connection: close
	persist  bool // Connection: keep-alive
	upgrade  bool // Upgrade, or Connection: upgrade
	hostSeen bool
}

// add takes in one field line (RFC 9112 section 5). A space before the colon
// and a folded line have a character in the name that belongs in none.
func (f *fields) add(line []byte) flow.Reason {
	name, raw, found := bytes.Cut(line, []byte{':'})
	if !found || !isFieldName(name) {
		return flow.MalformedRequest
	}
	value := trim(raw)
	ok := true
	switch {
	case is(name, "host"):
		return f.addHost(raw, value)
	case is(name, "content-length"):
		f.length, ok = readLength(value)
		f.lengths++
		ok = ok && f.lengths == 1
	case is(name, "transfer-encoding"):
		// Only the one spelling that no reader can miss.
		f.codings++
		ok = f.codings == 1 && string(value) == "chunked"
	case is(name, "content_length"), is(name, "transfer_encoding"):
		ok = false // gateways to CGI and WSGI read these as the ones with a hyphen
	case is(name, "connection"):
		ok = f.addConnection(value)
	case is(name, "trailer"):
		ok = noneFramed(value)
	case is(name, "upgrade"):
		f.upgrade = true
	case is(name, "expect"):
		f.expects++
		f.expect = is(value, "100-continue")
		ok = f.expect && f.expects == 1
	}
	if !ok {
		return flow.MalformedRequest
	}
	return flow.NotDecided
}

func (f *fields) addHost(raw, value []byte) flow.Reason {
	if f.hostSeen {
		return flow.AmbiguousHost
	}
	f.host, f.hostSeen = value, true
	if bytes.IndexByte(raw, '\t') >= 0 {
		return flow.MalformedRequest
	}
	return flow.NotDecided
}

// addConnection reads a list of connection options (RFC 9110 section 7.6.1).
// One that names a field makes the next hop drop that field, so the ones that
// framing and routing hang on may not be named.
func (f *fields) addConnection(list []byte) bool {
	for option := range bytes.SplitSeq(list, []byte{','}) {
		option = trim(option)
		switch {
		case is(option, "close"):
			f.closes = true
		case is(option, "keep-alive"):
			f.persist = true
		case is(option, "upgrade"):
			f.upgrade = true
		}
	}
	return noneFramed(list)
}

// authority returns the host that the fields name, which may be an address for
// a client that knows that it speaks to a proxy.
func (f *fields) authority(explicit bool) (authority, flow.Reason) {
	switch {
	case !f.hostSeen:
		return authority{}, flow.AmbiguousHost
	case explicit:
		return readEndpoint(f.host)
	}
	return readAuthority(f.host)
}

// framing returns the body that the fields announce; given is false when they
// say nothing. ok is false when the length can be read in two ways (RFC 9112
// section 6.1), which HTTP/1.0 with a transfer coding is too.
func (f *fields) framing(minor int) (body Body, given, ok bool) {
	switch {
	case f.codings > 0 && (f.lengths > 0 || minor == 0):
		return Body{}, false, false
	case f.codings > 0:
		return Body{Kind: Chunked}, true, true
	case f.length > 0:
		return Body{Kind: Sized, Length: f.length}, true, true
	}
	return Body{}, f.lengths > 0, true
}

// persists reports whether the connection outlives the message (RFC 9112
// section 9.3).
func (f *fields) persists(minor int) bool { return !f.closes && (minor >= 1 || f.persist) }

// isFieldName reports whether name is a token.
func isFieldName(name []byte) bool {
	for _, c := range name {
		if !isToken(c) {
			return false
		}
	}
	return len(name) > 0
}

// isFraming reports whether a field says where a message goes or ends, so that
// it may be neither dropped on the way nor come behind the body.
func isFraming(name []byte) bool {
	return is(name, "host") || is(name, "content-length") || is(name, "transfer-encoding") || is(name, "trailer")
}

// noneFramed reports whether no member of a comma-separated list is a framing
// field.
func noneFramed(list []byte) bool {
	for name := range bytes.SplitSeq(list, []byte{','}) {
		if isFraming(trim(name)) {
			return false
		}
	}
	return true
}

// readLength reads a Content-Length: digits alone, no leading zero.
func readLength(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 18 || b[0] == '0' && len(b) > 1 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
