// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package internet

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"net/netip"
	"slices"
)

// ECH is the keys for encrypted hellos of the servers at some addresses (RFC 9849).
type ECH struct {
	At          []netip.Addr
	Config, Key []byte // an ECHConfig, and its private key
}

// NewECH makes keys for servers at those addresses. Whoever encrypts a hello for
// them sends publicName in the clear.
func NewECH(publicName string, at ...netip.Addr) (ECH, error) {
	const version, id, kem, kdf, aead = 0xfe0d, 1, 0x0020, 0x0001, 0x0001 // X25519, HKDF-SHA256, AES-128-GCM
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return ECH{}, err
	}
	be := binary.BigEndian
	public := key.PublicKey().Bytes()
	c := be.AppendUint16([]byte{id}, kem)
	c = append(be.AppendUint16(c, uint16(len(public))), public...)
	c = be.AppendUint16(be.AppendUint16(be.AppendUint16(c, 4), kdf), aead)
	c = append(c, 0, byte(len(publicName)))
	c = be.AppendUint16(append(c, publicName...), 0) // no extensions
	config := be.AppendUint16(be.AppendUint16(nil, version), uint16(len(c)))
	return ECH{At: at, Config: append(config, c...), Key: key.Bytes()}, nil
}

// List returns what clients are given: the configuration in an ECHConfigList.
func (e ECH) List() []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(e.Config))), e.Config...)
}

// keysFor returns the keys of the server that a client has connected to.
func (e ECH) keysFor(h *tls.ClientHelloInfo) ([]tls.EncryptedClientHelloKey, error) {
	if !slices.Contains(e.At, addrPort(h.Conn.LocalAddr()).Addr()) {
		return nil, nil
	}
	return []tls.EncryptedClientHelloKey{{Config: e.Config, PrivateKey: e.Key, SendAsRetry: true}}, nil
}
