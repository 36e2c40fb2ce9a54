// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// web sends one request over c and reads the whole answer. HTTP is written by
// hand onto the one connection, so that nothing retries or picks another.
func web(ctx context.Context, c net.Conn, t Target, r *Result) error {
	phase := Answering
	if t.Kind == HTTPS {
		cfg, err := t.TLS.config(t.Name)
		if err != nil {
			return err
		}
		s := tls.Client(c, cfg)
		if err := s.HandshakeContext(ctx); err != nil {
			return in(Greeting, err)
		}
		c, r.ALPN, r.Resumed = s, s.ConnectionState().NegotiatedProtocol, s.ConnectionState().DidResume
	}
	host := t.Host
	if host == "" {
		host = t.Name
	}
	if host == "" {
		host = r.Remote.Addr().String()
	}
	path := t.Path
	if path == "" {
		path = "/echo/" + t.Nonce
	}
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nX-Lab-Nonce: %s\r\nConnection: close\r\n\r\n", path, host, t.Nonce); err != nil {
		return in(phase, err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return in(phase, err)
	}
	defer resp.Body.Close()
	r.Status = resp.StatusCode
	h := sha256.New()
	var head strings.Builder
	r.Bytes, err = io.Copy(io.MultiWriter(h, &firstBytes{&head}), resp.Body)
	r.SHA256 = hex.EncodeToString(h.Sum(nil))
	if err != nil {
		return in(phase, err)
	}
	if resp.StatusCode != http.StatusOK {
		return in(phase, fmt.Errorf("the answer is %s: %s", resp.Status, strings.TrimSpace(head.String())))
	}
	if t.Path == "" && trimmed(head.String()) != word+t.Nonce {
		return in(phase, fmt.Errorf("the answer %q is not from a server of the lab", head.String()))
	}
	return nil
}

func (t TLS) config(name string) (*tls.Config, error) {
	cfg := &tls.Config{ServerName: name, NextProtos: t.ALPN, InsecureSkipVerify: t.Unverified, ClientSessionCache: t.sessions}
	if t.ServerName != "" {
		cfg.ServerName = t.ServerName
	}
	if t.NoName {
		cfg.ServerName, cfg.InsecureSkipVerify = "", true // nothing to verify it against
	}
	if t.Classical {
		cfg.CurvePreferences = []tls.CurveID{tls.X25519}
	}
	if len(t.ECH) > 0 {
		cfg.EncryptedClientHelloConfigList, cfg.MinVersion = t.ECH, tls.VersionTLS13
	}
	if len(t.Roots) > 0 {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(t.Roots) {
			return nil, errors.New("the roots given hold no certificate")
		}
	}
	return cfg, nil
}

// firstBytes keeps the beginning of what is written to it, for messages.
type firstBytes struct{ to *strings.Builder }

func (f *firstBytes) Write(b []byte) (int, error) {
	f.to.Write(b[:min(len(b), 200-min(f.to.Len(), 200))])
	return len(b), nil
}

// Hello returns the bytes of the ClientHello that Go's client would send.
func Hello(t TLS, name string) ([]byte, error) {
	cfg, err := t.config(name)
	if err != nil {
		return nil, err
	}
	sink := new(sinkConn)
	_ = tls.Client(sink, cfg).Handshake() // fails once it wants an answer
	if len(sink.sent) == 0 {
		return nil, errors.New("no ClientHello was made")
	}
	return sink.sent, nil
}

// sinkConn keeps what is written and answers nothing.
type sinkConn struct {
	net.Conn
	sent []byte
}

func (s *sinkConn) Write(b []byte) (int, error) { s.sent = append(s.sent, b...); return len(b), nil }
func (s *sinkConn) Read([]byte) (int, error)    { return 0, io.EOF }
func (s *sinkConn) Close() error                { return nil }
