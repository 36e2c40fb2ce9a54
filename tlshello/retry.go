// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package tlshello

import "github.com/sallyport/sallyport/flow"

// A server of TLS 1.3 may ask for another ClientHello (HelloRetryRequest, RFC 8446
// section 4.1.4). The client must repeat the name of its first one, but a server
// need not look whether it does: which name is served is then what the second one
// says.

// Asked says in a record that a hello is one that its server has asked for.
const Asked = "the server asked for another ClientHello"

// Content types of records that may stand between the two hellos, or ahead of an
// answer (RFC 8446 section 5.1).
const (
	typeChangeCipherSpec = 20
	typeAlert            = 21
	typeApplicationData  = 23

	maxCiphertext   = maxRecord + 256 // RFC 8446 section 5.2
	typeServerHello = 2
	alertWarning    = 1
)

// retryRandom is the random of a ServerHello that asks for another ClientHello: the
// SHA-256 of "HelloRetryRequest" (RFC 8446 section 4.1.3).
var retryRandom = [32]byte{
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
}

// Next finds the handshake record that follows a client's hello, in what the client
// has sent behind that: a change_cipher_spec record, alerts and early data are passed
// over. at is where it begins, or, when found is false, how much there is ahead of
// it as far as is known, which may be more than there is of stream. reason is
// flow.MalformedHello when something else follows. An answer about a prefix is the
// answer about the whole.
func Next(stream []byte) (at int, found bool, reason flow.Reason) {
	for at < len(stream) {
		rest := stream[at:]
		most := maxCiphertext
		switch rest[0] {
		case typeHandshake:
			return at, true, flow.NotDecided
		case typeChangeCipherSpec:
			most = 1
		case typeAlert:
			most = 2
		case typeApplicationData:
		default:
			return at, false, flow.MalformedHello
		}
		if len(rest) >= 2 && rest[1] != majorVersion {
			return at, false, flow.MalformedHello
		}
		if len(rest) < recordHeader {
			return at, false, flow.NotDecided
		}
		size := int(rest[3])<<8 | int(rest[4])
		if size > most {
			return at, false, flow.MalformedHello
		}
		at += recordHeader + size
	}
	return at, false, flow.NotDecided
}

// ReadNext is Read for the hello that a server has asked for: it passes over what may
// stand ahead of it. h.Len counts from the beginning of stream.
func ReadNext(stream, scratch []byte) (h Hello, more bool, reason flow.Reason) {
	at, found, reason := Next(stream)
	if !found {
		return Hello{}, reason == flow.NotDecided, reason
	}
	h, more, reason = Read(stream[at:], scratch)
	h.Len += at
	return h, more, reason
}

// Reply is what a server's first bytes are to a hello.
type Reply uint8

const (
	Undecided Reply = iota // not enough has arrived to tell
	Final                  // the server does not ask for another hello any more
	Retry                  // it asks for another one
)

// Replies reads what a server says, from its first byte on, as far as it takes to
// tell whether it asks for another hello. Its zero value is at the beginning.
type Replies struct {
	head  [recordHeader + handshakeHeader + 2 + len(retryRandom)]byte
	have  int // of head
	skip  int // bytes of the stream until the next record
	final bool
}

// Read takes in what the server says next, and returns what it did not look at yet
// when it could tell. Behind a Retry the rest is to be read for the reply to the other
// hello; a Final stays final. What cannot be told, such as a ServerHello in records
// of a few bytes, is taken for a Retry.
func (r *Replies) Read(b []byte) (rest []byte, reply Reply) {
	for !r.final {
		n := min(r.skip, len(b))
		r.skip, b = r.skip-n, b[n:]
		if len(b) == 0 {
			return nil, Undecided
		}
		r.head[r.have], b = b[0], b[1:]
		r.have++
		if reply = r.look(); reply == Retry {
			return b, Retry
		}
	}
	return b, Final
}

// look looks at head, which has one byte more than the last time.
func (r *Replies) look() Reply {
	const random = recordHeader + handshakeHeader + 2
	head := r.head[:r.have]
	typ, last := head[0], head[len(head)-1]
	size := 0
	if len(head) >= recordHeader {
		size = int(head[3])<<8 | int(head[4])
	}
	next := func() { r.have, r.skip = 0, recordHeader+size-len(head) }
	switch {
	case len(head) == 1:
		r.final = typ != typeHandshake && typ != typeAlert && typ != typeChangeCipherSpec
	case len(head) == 2:
		r.final = last != majorVersion
	case len(head) < recordHeader:
	case len(head) == recordHeader && (typ == typeChangeCipherSpec || size == 0):
		next()
	case len(head) == recordHeader:
	case typ == typeAlert:
		if r.final = last != alertWarning; !r.final {
			next()
		}
	case len(head) == recordHeader+1:
		r.final = last != typeServerHello
		if !r.final && size < len(r.head)-recordHeader {
			next()
			return Retry
		}
	case len(head) > random:
		r.final = last != retryRandom[len(head)-random-1]
		if !r.final && len(head) == len(r.head) {
			next()
			return Retry
		}
	}
	return Undecided
}
