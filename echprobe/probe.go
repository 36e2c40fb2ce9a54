// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package echprobe

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/internal/brief"
)

// result is what a probe has found. The zero value says least.
type result uint8

const (
	failed result = iota
	known
	ignored
)

// probe asks the server, and at the same time for its name's HTTPS record.
// It says why where a hello may hide something.
func (p *Prober) probe(to netip.AddrPort, name dnsname.Name) (found result, why string) {
	ctx, cancel := p.begin()
	defer cancel()
	record := make(chan result, 1)
	var missed error // of asking for the record
	go func() {
		found, err := p.published(ctx, name)
		missed = err
		record <- found
	}()
	switch said, err := p.handshake(ctx, to, name); said {
	case known:
		cancel() // the record could not change that
		<-record
		return known, "its server has keys for what is hidden"
	case failed:
		cancel()
		<-record
		return failed, fmt.Sprintf("its server, %s, does not tell whether it has keys for what is hidden: %s", to, brief.Error(err))
	}
	switch said := <-record; said {
	case known:
		return known, "the HTTPS record of its name has keys for what is hidden"
	case failed:
		return failed, "it is not known whether its name's HTTPS record has keys for what is hidden: " + brief.Error(missed)
	}
	return ignored, ""
}

// published returns what the name's record says of the server.
func (p *Prober) published(ctx context.Context, name dnsname.Name) (result, error) {
	switch has, err := p.cfg.Published(ctx, name); {
	case err != nil:
		return failed, err
	case has:
		return known, nil
	}
	return ignored, nil
}

// handshake returns what the server says of itself. A server with keys MUST answer
// a hello that it cannot decrypt with retry_configs (RFC 9849 section 7.1). They
// are encrypted, so this is known only behind the handshake, which we break off
// (section 6.1.6). Below TLS 1.3 the extension does not exist. When it says nothing,
// the error says why.
func (p *Prober) handshake(ctx context.Context, to netip.AddrPort, name dnsname.Name) (result, error) {
	config, err := madeUp(name)
	if err != nil {
		return failed, err
	}
	err = p.greet(ctx, to, &tls.Config{
		ServerName: name.String(), MinVersion: tls.VersionTLS13, EncryptedClientHelloConfigList: config,
		// Who the server is does not matter: it is the one that the client talks to.
		EncryptedClientHelloRejectionVerify: func(tls.ConnectionState) error { return nil },
	})
	if rejected, ok := errors.AsType[*tls.ECHRejectionError](err); ok {
		if len(rejected.RetryConfigList) == 0 {
			return ignored, nil
		}
		return known, nil
	}
	if err == nil { // it has decrypted what nobody could
		return known, nil
	}
	// Old servers end this in many ways, for want of TLS 1.3. They are told by the
	// version that they take when they may.
	var taken uint16
	_ = p.greet(ctx, to, &tls.Config{
		ServerName: name.String(), MinVersion: tls.VersionTLS10, InsecureSkipVerify: true, // #nosec G402: nothing is sent
		VerifyConnection: func(c tls.ConnectionState) error {
			taken = c.Version
			return errors.New("seen enough")
		},
	})
	if taken != 0 && taken < tls.VersionTLS13 {
		return ignored, nil
	}
	return failed, err
}

// greet makes a handshake with a server on a connection of its own.
func (p *Prober) greet(ctx context.Context, to netip.AddrPort, cfg *tls.Config) error {
	conn, err := p.cfg.Dial(ctx, to)
	if err != nil {
		return err
	}
	defer conn.Close()
	return tls.Client(conn, cfg).HandshakeContext(ctx)
}

// madeUp returns an ECHConfigList with one configuration whose key is nobody's. Its
// public name is what the outer hello says.
func madeUp(name dnsname.Name) ([]byte, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	var id [1]byte
	_, _ = rand.Read(id[:])
	return List(EncodeConfig(id[0], key.PublicKey(), name.String())), nil
}
