// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package internet

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/echprobe"
)

// ECH is the keys for encrypted hellos of the servers at some addresses (RFC 9849).
type ECH struct {
	At          []netip.Addr
	Config, Key []byte // an ECHConfig, and its private key
}

// NewECH makes keys for servers at those addresses. Whoever encrypts a hello for
// them sends publicName in the clear.
func NewECH(publicName string, at ...netip.Addr) (ECH, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return ECH{}, err
	}
	return ECH{At: at, Config: echprobe.EncodeConfig(1, key.PublicKey(), publicName), Key: key.Bytes()}, nil
}

// keysFor returns the keys of the server that a client has connected to.
func (e ECH) keysFor(h *tls.ClientHelloInfo) ([]tls.EncryptedClientHelloKey, error) {
	if !slices.Contains(e.At, addrPort(h.Conn.LocalAddr()).Addr()) {
		return nil, nil
	}
	return []tls.EncryptedClientHelloKey{{Config: e.Config, PrivateKey: e.Key, SendAsRetry: true}}, nil
}
