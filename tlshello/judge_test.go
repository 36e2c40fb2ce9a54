// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package tlshello

import (
	"bytes"
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
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
)

// capture is a hello that crypto/tls wrote.
type capture struct {
	about  string
	name   string
	stream []byte
	traits traits
}

type traits struct {
	tls13, ech, ticket, psk bool
	alpn                    string
}

// captures returns hellos of crypto/tls; the first is the post-quantum one.
func captures(t testing.TB) []capture {
	t.Helper()
	all, err := capturesOnce()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var capturesOnce = sync.OnceValues(func() ([]capture, error) {
	const name = "mcr.microsoft.com"
	old := []tls.CurveID{tls.X25519, tls.CurveP256}
	out := []capture{
		{"post-quantum", name, firstBytes(&tls.Config{ServerName: name, NextProtos: []string{"h2", "http/1.1"}}), traits{tls13: true, alpn: "\x02h2\x08http/1.1"}},
		{"tls13", name, firstBytes(&tls.Config{ServerName: name, CurvePreferences: old}), traits{tls13: true}},
		{"tls12", name, firstBytes(&tls.Config{ServerName: name, MaxVersion: tls.VersionTLS12, CurvePreferences: old}), traits{}},
		{"ech", "public.example", firstBytes(&tls.Config{ServerName: name, EncryptedClientHelloConfigList: echConfigList("public.example")}), traits{tls13: true, ech: true}},
	}
	if n := len(out[0].stream); n < 1400 {
		return nil, errors.New("the post-quantum hello is too small to be one")
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		stream, err := resumption(version)
		if err != nil {
			return nil, err
		}
		tr := traits{ticket: true}
		if version == tls.VersionTLS13 {
			tr = traits{tls13: true, psk: true}
		}
		out = append(out, capture{"resumed-" + strings.ReplaceAll(tls.VersionName(version), " ", ""), "resumed.example", stream, tr})
	}
	return out, nil
})

// wire is a net.Conn that serves in and keeps what is written to it.
type wire struct {
	in  io.Reader
	out bytes.Buffer
	net.Conn
}

func (w *wire) Read(p []byte) (int, error)  { return w.in.Read(p) }
func (w *wire) Write(p []byte) (int, error) { return w.out.Write(p) }
func (w *wire) Close() error                { return nil }
func (w *wire) SetDeadline(time.Time) error { return nil }

func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// firstBytes returns what a client with the configuration writes first.
func firstBytes(config *tls.Config) []byte {
	w := &wire{in: strings.NewReader("")}
	_ = tls.Client(w, config).Handshake() // fails: nobody answers
	return w.out.Bytes()
}

// selfSigned returns a certificate for resumed.example.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"resumed.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: cert}, err
}

// resumption returns the first bytes of a client that has been there before.
func resumption(version uint16) ([]byte, error) {
	cert, err := selfSigned()
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	client := &tls.Config{ServerName: "resumed.example", RootCAs: roots, MaxVersion: version,
		CurvePreferences: []tls.CurveID{tls.X25519}, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	server := &tls.Config{Certificates: []tls.Certificate{cert}}

	near, far := net.Pipe()
	done := make(chan error, 1)
	go func() {
		conn := tls.Server(far, server)
		_, err := conn.Write([]byte("x")) // behind the session ticket
		done <- err
	}()
	conn := tls.Client(near, client)
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return nil, err
	}
	if err := <-done; err != nil {
		return nil, err
	}
	return firstBytes(client), nil
}

// echConfigList returns an ECHConfigList (RFC 9849 section 4) with one config.
func echConfigList(publicName string) []byte {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	public := key.PublicKey().Bytes()
	contents := slices.Concat([]byte{42}, u16(0x0020), u16(len(public)), public, // config id, DHKEM(X25519)
		u16(4), u16(1), u16(1), // HKDF-SHA256, AES-128-GCM
		[]byte{0, byte(len(publicName))}, []byte(publicName), u16(0))
	config := slices.Concat(u16(extECH), u16(len(contents)), contents)
	return append(u16(len(config)), config...)
}

// judgement is what crypto/tls reads from the same bytes.
func judgement(stream []byte) (serverName string, accepted bool) {
	stop := errors.New("read enough")
	config := &tls.Config{GetConfigForClient: func(info *tls.ClientHelloInfo) (*tls.Config, error) {
		serverName, accepted = info.ServerName, true
		return nil, stop
	}}
	_ = tls.Server(&wire{in: bytes.NewReader(stream)}, config).Handshake()
	return serverName, accepted
}

func TestJudgeAgreesOnCaptures(t *testing.T) {
	for _, c := range captures(t) {
		if name, ok := judgement(c.stream); !ok || name != c.name {
			t.Errorf("%s: crypto/tls reads %q %t, want %q", c.about, name, ok, c.name)
		}
	}
}

// FuzzRead states: nothing panics; an answer about a prefix is the answer
// about the whole; and where crypto/tls reads a hello that is accepted here,
// both read the same name.
func FuzzRead(f *testing.F) {
	for _, c := range captures(f) {
		f.Add(c.stream)
		f.Add(records(c.stream[recordHeader:], 3, 90))
	}
	f.Add(hello(ext(extServerName, "\x00\x08\x00\x00\x01a\x00\x00\x01b")))
	f.Add(hello(serverName("A.Example."), ext(extECH, "\x01")))
	f.Add(hello(serverName("10.0.0.1")))
	f.Add([]byte("SSH-2.0-x\r\n"))
	otherVersion := hello(serverName("a.example"))
	otherVersion[1] = 0x0b
	f.Add(otherVersion)
	f.Fuzz(func(t *testing.T, stream []byte) {
		scratch := make([]byte, MaxBytes)
		h, more, reason := Read(stream, scratch)
		if more && (reason != flow.NotDecided || len(stream) >= MaxStream) {
			t.Fatalf("asks for more after %d bytes with %v", len(stream), reason)
		}
		step := 1 + len(stream)/64
		for n := 0; n < len(stream); n += step {
			got, m, r := Read(stream[:n], make([]byte, MaxBytes))
			if !m && (more || r != reason || !reflect.DeepEqual(got, h)) {
				t.Fatalf("%d of %d bytes: %+v %v, whole: %+v more=%t %v", n, len(stream), got, r, h, more, reason)
			}
		}
		if more {
			return
		}
		name, accepted := judgement(stream)
		if !accepted {
			return
		}
		switch reason {
		case flow.NotDecided:
			ours, err := dnsname.Parse(string(h.Name))
			if err != nil {
				t.Fatalf("accepted %q: %v", h.Name, err)
			}
			theirs, err := dnsname.Parse(name)
			if err != nil || ours != theirs {
				t.Fatalf("read %q, crypto/tls %q (%v)", h.Name, name, err)
			}
		case flow.NoName:
			if name != "" {
				t.Fatalf("read no name, crypto/tls %q", name)
			}
		case flow.AddressAsName, flow.InvalidName:
			if name != string(h.Name) {
				t.Fatalf("read %q, crypto/tls %q", h.Name, name)
			}
		case flow.NotTLS:
			// crypto/tls takes any record version below 0x1000; no client sends
			// another major version than 3, and we take no other.
			if stream[1] == 3 {
				t.Fatalf("not TLS here, but crypto/tls reads %q", name)
			}
		}
	})
}
