// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package tlshello reads the name out of a TLS ClientHello while its bytes are
// still arriving. It keeps no state and does not allocate: the caller holds the
// client's stream and asks again when it has grown. It does no cryptography,
// and it does not decide whether a name is allowed.
package tlshello

import (
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
)

// Limits of what is read; a hello beyond them is flow.HelloTooLong.
const (
	MaxBytes   = 16 << 10 // of the handshake message with its 4-byte header
	MaxRecords = 16       // that the message is spread over

	// MaxStream is the longest stream for which Read asks for more: whoever
	// holds that many bytes has an answer.
	MaxStream = MaxBytes + MaxRecords*recordHeader
)

// Hello is what a ClientHello tells. Its slices alias the stream or the
// scratch space it was read from.
type Hello struct {
	Name []byte // host_name of server_name (RFC 6066 section 3) as sent; nil when there is none
	ALPN []byte // protocol names, each behind its length byte (RFC 7301 section 3.1); nil when absent
	Len  int    // bytes of the stream up to the end of the hello, record headers included

	Version   uint16 // legacy_version: 0x0303 for TLS 1.2 and 1.3
	TLS13     bool   // supported_versions offers TLS 1.3
	ECH       bool   // encrypted_client_hello (RFC 9849), or GREASE that looks like it
	DraftECH  bool   // the like of it in a draft, which GREASE does not use
	Ticket    bool   // a non-empty session_ticket (RFC 5077)
	PSK       bool   // pre_shared_key: a resumption, or an external key
	EarlyData bool   // early_data: 0-RTT follows
}

// Read reads the client's first bytes, as far as they have arrived in stream.
// When more is true the hello is not whole yet and nothing is wrong so far.
// Otherwise reason is flow.NotDecided for a well-formed hello with a valid
// name, or why it is denied; h is filled also for flow.NoName,
// flow.AddressAsName and flow.InvalidName, so that a record can show what was
// sent. An answer, once given, stays the same for every longer stream: records
// behind the hello are not looked at.
//
// A hello that spans records is put together in scratch. MaxBytes of it are
// always enough; a hello that does not fit is flow.HelloTooLong.
//
// h.ECH is not a reason here: by its bytes GREASE (RFC 9849 section 6.2) is like
// the real thing, and which it is depends on the server (package echprobe).
func Read(stream, scratch []byte) (h Hello, more bool, reason flow.Reason) {
	msg, n, more, reason := message(stream, scratch)
	if more || reason != flow.NotDecided {
		return Hello{}, more, reason
	}
	if !h.parse(msg) {
		return Hello{}, false, flow.MalformedHello
	}
	h.Len = n
	return h, false, judge(h.Name)
}

// judge says what is wrong with a server name.
func judge(name []byte) flow.Reason {
	if len(name) == 0 {
		return flow.NoName
	}
	var buf [dnsname.MaxName]byte
	_, err := dnsname.AppendCanonical(buf[:0], name)
	switch {
	case err == nil:
		return flow.NotDecided
	case dnsname.IsAddress(err):
		return flow.AddressAsName
	default:
		return flow.InvalidName
	}
}
