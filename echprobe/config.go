// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package echprobe

import (
	"crypto/ecdh"
	"encoding/binary"
)

// EncodeConfig returns an ECHConfig (RFC 9849 section 4) with an X25519 key, for
// HKDF-SHA256 and AES-128-GCM (RFC 9180 section 7). Whoever encrypts a hello for it
// sends publicName, of at most 255 bytes, in the clear.
func EncodeConfig(id byte, key *ecdh.PublicKey, publicName string) []byte {
	const version, kem, kdf, aead = 0xfe0d, 0x0020, 0x0001, 0x0001
	be := binary.BigEndian
	contents := be.AppendUint16([]byte{id}, kem)
	public := key.Bytes()
	contents = append(be.AppendUint16(contents, uint16(len(public))), public...)
	contents = be.AppendUint16(be.AppendUint16(be.AppendUint16(contents, 4), kdf), aead)
	contents = append(contents, 0, byte(len(publicName)))
	contents = be.AppendUint16(append(contents, publicName...), 0) // no extensions
	config := be.AppendUint16(be.AppendUint16(nil, version), uint16(len(contents)))
	return append(config, contents...)
}

// List returns the ECHConfigList of one ECHConfig, which is what clients are given.
func List(config []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(config))), config...)
}
