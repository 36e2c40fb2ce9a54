// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package tlshello

import "github.com/sallyport/sallyport/flow"

// The record layer (RFC 8446 section 5.1) and the handshake header (section 4)
// as far as a ClientHello needs them.
const (
	recordHeader    = 5
	maxRecord       = 1 << 14
	typeHandshake   = 22
	majorVersion    = 3 // SSL 3.0 and every TLS
	handshakeHeader = 4
	typeClientHello = 1
)

// message finds the ClientHello in stream and returns it with its header, and
// the number of stream bytes it took. The message aliases stream when one
// record holds it, else it is gathered in scratch, once it is all there.
//
// Bytes are judged in the order they arrive and each as soon as it can be, so
// an answer about a prefix is the answer about the whole.
func message(stream, scratch []byte) (msg []byte, n int, more bool, reason flow.Reason) {
	var head [handshakeHeader]byte
	rest, got := stream, 0 // got: message bytes in the records before rest
	for range MaxRecords {
		if len(rest) >= 1 && rest[0] != typeHandshake || len(rest) >= 2 && rest[1] != majorVersion {
			if got > 0 {
				return nil, 0, false, flow.MalformedHello
			}
			return nil, 0, false, flow.NotTLS // also an SSL 2.0 hello, whose first byte is 0x80 or more
		}
		if len(rest) < recordHeader {
			return nil, 0, true, flow.NotDecided
		}
		size := int(rest[3])<<8 | int(rest[4])
		if size == 0 || size > maxRecord {
			return nil, 0, false, flow.MalformedHello
		}
		body := rest[recordHeader:min(recordHeader+size, len(rest))]
		if got < handshakeHeader {
			copy(head[got:], body)
		}
		if got+len(body) >= 1 && head[0] != typeClientHello {
			return nil, 0, false, flow.NotTLS
		}
		if got+len(body) >= handshakeHeader {
			want := handshakeHeader + (int(head[1])<<16 | int(head[2])<<8 | int(head[3]))
			switch {
			case want > MaxBytes:
				return nil, 0, false, flow.HelloTooLong
			case got+size > want:
				// Another handshake message behind it in the same record: no
				// client may send one yet (RFC 8446 section 4.1.2).
				return nil, 0, false, flow.MalformedHello
			case got+len(body) == want && got == 0:
				return body, recordHeader + size, false, flow.NotDecided
			case got+len(body) == want:
				n = len(stream) - len(rest) + recordHeader + size
				if want > len(scratch) {
					return nil, 0, false, flow.HelloTooLong
				}
				return gather(scratch[:0], stream[:n]), n, false, flow.NotDecided
			}
		}
		if len(body) < size {
			return nil, 0, true, flow.NotDecided
		}
		got += size
		rest = rest[recordHeader+size:]
	}
	return nil, 0, false, flow.HelloTooLong
}

// gather appends the payload of whole records to dst.
func gather(dst, records []byte) []byte {
	for len(records) > 0 {
		end := recordHeader + (int(records[3])<<8 | int(records[4]))
		dst = append(dst, records[recordHeader:end]...)
		records = records[end:]
	}
	return dst
}
