// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"slices"
)

// Extensions that hellos are changed in (IANA TLS ExtensionType Values).
const (
	ExtServerName     = 0
	ExtKeyShare       = 51
	ExtEncryptedHello = 0xfe0d // RFC 9849
)

// recordHeader is the length of a TLS record's header (RFC 8446 section 5.1).
const recordHeader = 5

var errNoHello = errors.New("not a ClientHello in one record")

// WithExtension returns hello with the data of one extension replaced, or with
// the extension added behind all others. No check is made of what data says.
func WithExtension(hello []byte, typ uint16, data []byte) ([]byte, error) {
	at, err := extensionsOf(hello)
	if err != nil {
		return nil, err
	}
	ext := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, typ), uint16(len(data)))
	ext = append(ext, data...)
	var list []byte
	replaced := false
	for rest := hello[at+2:]; len(rest) >= 4; {
		n := 4 + int(binary.BigEndian.Uint16(rest[2:]))
		if n > len(rest) {
			return nil, errNoHello
		}
		if binary.BigEndian.Uint16(rest) == typ {
			list, replaced = append(list, ext...), true
		} else {
			list = append(list, rest[:n]...)
		}
		rest = rest[n:]
	}
	if !replaced {
		list = append(list, ext...)
	}
	out := slices.Clone(hello[:at])
	out = binary.BigEndian.AppendUint16(out, uint16(len(list)))
	out = append(out, list...)
	binary.BigEndian.PutUint16(out[3:], uint16(len(out)-recordHeader))
	binary.BigEndian.PutUint16(out[7:], uint16(len(out)-recordHeader-4)) // the low bytes of 24 bits
	return out, nil
}

// WithGREASE returns hello with the encrypted_client_hello of a client that has no
// keys (RFC 9849 section 6.2), as BoringSSL makes it: HKDF-SHA256 and AES-128-GCM,
// any configuration, a key and a payload of random bytes.
func WithGREASE(hello []byte) ([]byte, error) {
	const key, payload = 32, 128 + 16
	random := make([]byte, 1+key+payload)
	_, _ = rand.Read(random)
	return WithExtension(hello, ExtEncryptedHello, slices.Concat(
		[]byte{0, 0, 1, 0, 1, random[0], 0, key}, random[1:1+key], []byte{0, payload}, random[1+key:],
	))
}

// extensionsOf returns where the length of the extensions stands in hello (RFC
// 8446 section 4.1.2).
func extensionsOf(hello []byte) (int, error) {
	const session = recordHeader + 4 + 2 + 32
	if len(hello) < session+1 || hello[0] != 22 || hello[5] != 1 ||
		int(binary.BigEndian.Uint16(hello[3:])) != len(hello)-recordHeader {
		return 0, errNoHello
	}
	at := session + 1 + int(hello[session])
	if at+2 > len(hello) {
		return 0, errNoHello
	}
	at += 2 + int(binary.BigEndian.Uint16(hello[at:])) // cipher suites
	if at >= len(hello) {
		return 0, errNoHello
	}
	at += 1 + int(hello[at]) // compression methods
	if at+2 > len(hello) {
		return 0, errNoHello
	}
	return at, nil
}

// ServerNameData returns the data of a server_name extension with that name,
// whatever it is (RFC 6066 section 3).
func ServerNameData(name []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(name)+3))
	b = append(b, 0) // host_name
	return append(binary.BigEndian.AppendUint16(b, uint16(len(name))), name...)
}

// InRecords returns hello spread over TLS records that end at the given places
// of its handshake message; two equal ones make an empty record between them.
func InRecords(hello []byte, ends ...int) []byte {
	var out []byte
	from := recordHeader
	for _, end := range append(ends, len(hello)-recordHeader) {
		part := hello[from : recordHeader+end]
		out = append(out, hello[:3]...)
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(part))), part...)
		from = recordHeader + end
	}
	return out
}
