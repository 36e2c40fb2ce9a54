// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package echprobe

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// served is a TLS server of crypto/tls.
type served struct {
	keys, retry bool   // has keys for ECH, and tells them
	only12      bool   // speaks TLS 1.2 and nothing newer
	resets13    bool   // and resets what offers nothing older
	resets      bool   // every connection, behind its hello
	says        string // in place of an answer
	askCert     bool
	otherGroup  bool // takes none of the key shares, and says which one it wants
	refuses     bool // has no certificate for the name

	l net.Listener
}

// start serves until the test ends.
func (s *served) start(t *testing.T) {
	t.Helper()
	cfg := &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	if s.keys {
		cfg.EncryptedClientHelloKeys = []tls.EncryptedClientHelloKey{serverKey(t, s.retry)}
	}
	if s.only12 {
		cfg.MaxVersion = tls.VersionTLS12
	}
	if s.askCert {
		cfg.ClientAuth = tls.RequireAnyClientCert
	}
	if s.otherGroup {
		cfg.CurvePreferences = []tls.CurveID{tls.CurveP384}
	}
	if s.refuses {
		cfg.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("no such name") }
	}
	var err error
	if s.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		_ = s.l.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			c, err := s.l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				s.converse(c, cfg)
			})
		}
	})
}

func (s *served) converse(c net.Conn, cfg *tls.Config) {
	head := make([]byte, 4096)
	n, _ := c.Read(head)
	with12 := bytes.Contains(head[:n], []byte{3, 4, 3, 3}) // supported_versions goes on behind 1.3
	switch {
	case s.resets, s.resets13 && !with12:
		_ = c.(*net.TCPConn).SetLinger(0)
	case s.says != "":
		_, _ = io.WriteString(c, s.says)
	default:
		t := tls.Server(&heard{c, bytes.NewReader(head[:n])}, cfg)
		if t.Handshake() == nil {
			_, _ = io.Copy(io.Discard, t)
		}
	}
}

func (s *served) dial(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", s.l.Addr().String())
}

// heard is a connection some of which has been read already.
type heard struct {
	net.Conn
	first *bytes.Reader
}

func (h *heard) Read(b []byte) (int, error) {
	if h.first.Len() > 0 {
		return h.first.Read(b)
	}
	return h.Conn.Read(b)
}

// serverKey returns a key of a server whose public name is another than those of
// the tests, as it is for one that serves many.
func serverKey(t *testing.T, retry bool) tls.EncryptedClientHelloKey {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return tls.EncryptedClientHelloKey{Config: EncodeConfig(1, key.PublicKey(), "public.example"), PrivateKey: key.Bytes(), SendAsRetry: retry}
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"a.example"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
