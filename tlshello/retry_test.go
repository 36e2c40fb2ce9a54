// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package tlshello

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/flow"
)

// answerOf returns the first bytes of crypto/tls as a server to a hello.
func answerOf(t testing.TB, config *tls.Config, hello []byte) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		_ = tls.Server(far, config).Handshake()
		_ = far.Close()
	}()
	_ = near.SetDeadline(time.Now().Add(10 * time.Second))
	go func() { _, _ = near.Write(hello) }()
	b := make([]byte, 4096)
	n, err := io.ReadAtLeast(near, b, 6)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// reply reads b in pieces of some bytes, and returns the reply and how many of
// them it took.
func reply(b []byte, piece int) (reply Reply, took int) {
	var r Replies
	for part := range slices.Chunk(b, piece) {
		rest, reply := r.Read(part)
		took += len(part) - len(rest)
		if reply != Undecided {
			return reply, took
		}
	}
	return Undecided, took
}

func serverConfig(t testing.TB) *tls.Config {
	t.Helper()
	cert, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}

func TestAServerOfGoAsksForAnotherHello(t *testing.T) {
	config := serverConfig(t)
	hello := firstBytes(&tls.Config{ServerName: "a.example", CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP384}})
	for _, x := range []struct {
		about string
		group tls.CurveID
		tls   uint16
		want  Reply
	}{
		{"it has a share for the server's group", tls.X25519, tls.VersionTLS13, Final},
		{"it has none", tls.CurveP384, tls.VersionTLS13, Retry},
		{"TLS 1.2 asks for none", tls.CurveP384, tls.VersionTLS12, Final},
	} {
		t.Run(x.about, func(t *testing.T) {
			config := config.Clone()
			config.CurvePreferences, config.MaxVersion = []tls.CurveID{x.group}, x.tls
			answer := answerOf(t, config, hello)
			for piece := 1; piece <= 64; piece++ {
				if got, _ := reply(answer, piece); got != x.want {
					t.Fatalf("in pieces of %d: got %d of % x", piece, got, answer)
				}
			}
		})
	}
}

func TestReplies(t *testing.T) {
	serverHello := func(random []byte) []byte {
		return append(append([]byte{2, 0, 0, 70, 3, 3}, random...), make([]byte, 38)...)
	}
	record := func(typ byte, body []byte) []byte {
		return append([]byte{typ, 3, 3, byte(len(body) >> 8), byte(len(body))}, body...)
	}
	random := bytes.Repeat([]byte{0xcf}, 32)
	nearly := slices.Clone(retryRandom[:])
	nearly[31]++
	warning, fatal := record(21, []byte{1, 112}), record(21, []byte{2, 40})
	ccs := record(20, []byte{1})
	retry := record(22, serverHello(retryRandom[:]))
	for about, x := range map[string]struct {
		stream []byte
		want   Reply
	}{
		"a ServerHello":                               {record(22, serverHello(random)), Final},
		"a random that differs in its last byte":      {record(22, serverHello(nearly)), Final},
		"a HelloRetryRequest":                         {retry, Retry},
		"of it one byte less than tells":              {retry[:42], Undecided},
		"behind a warning":                            {slices.Concat(warning, retry), Retry},
		"behind two, and a change of the cipher":      {slices.Concat(warning, ccs, warning, retry), Retry},
		"a warning and nothing else":                  {warning, Undecided},
		"the end of the connection":                   {slices.Concat(fatal, retry), Final},
		"an empty record ahead":                       {slices.Concat(record(22, nil), retry), Retry},
		"a ServerHello cut up into records":           {record(22, serverHello(random)[:20]), Retry},
		"another message":                             {record(22, []byte{0, 0, 0, 0}), Final},
		"no TLS":                                      {[]byte("HTTP/1.1 400 Bad Request\r\n"), Final},
		"TLS 0":                                       {[]byte{22, 2}, Final},
		"data":                                        {record(23, random), Final},
		"nothing":                                     {nil, Undecided},
		"the end of the record belongs to the answer": {slices.Concat(retry, retry)[:len(retry)], Retry},
	} {
		t.Run(about, func(t *testing.T) {
			for piece := 1; piece <= 200; piece++ {
				if got, _ := reply(x.stream, piece); got != x.want {
					t.Fatalf("in pieces of %d: got %d, want %d", piece, got, x.want)
				}
			}
		})
	}
	t.Run("the reply to the other hello is read behind the first", func(t *testing.T) {
		var r Replies
		rest, got := r.Read(slices.Concat(retry, ccs, retry, ccs, record(22, serverHello(random)), []byte("more")))
		for _, want := range []Reply{Retry, Retry, Final} {
			if got != want {
				t.Fatalf("got %d, want %d", got, want)
			}
			rest, got = r.Read(rest)
		}
		if got != Final || !bytes.HasSuffix(rest, []byte("more")) {
			t.Errorf("got %d with %q left", got, rest)
		}
	})
}

func TestNext(t *testing.T) {
	ccs := []byte{20, 3, 3, 0, 1, 1}
	data := append([]byte{23, 3, 3, 0, 20}, make([]byte, 20)...)
	alert := []byte{21, 3, 3, 0, 2, 2, 47}
	second := hello(serverName("b.example"))
	for about, x := range map[string]struct {
		stream []byte
		at     int
		found  bool
		reason flow.Reason
	}{
		"nothing":                        {nil, 0, false, flow.NotDecided},
		"a hello":                        {second, 0, true, flow.NotDecided},
		"its first byte":                 {second[:1], 0, true, flow.NotDecided},
		"a change of the cipher":         {ccs, 6, false, flow.NotDecided},
		"and a hello":                    {slices.Concat(ccs, second), 6, true, flow.NotDecided},
		"early data":                     {slices.Concat(ccs, data, data, second), 56, true, flow.NotDecided},
		"early data of which more comes": {data[:9], 25, false, flow.NotDecided},
		"a part of a header":             {slices.Concat(ccs, data[:4]), 6, false, flow.NotDecided},
		"an alert":                       {slices.Concat(alert, second), 7, true, flow.NotDecided},
		"no TLS":                         {slices.Concat(ccs, []byte("GET /")), 6, false, flow.MalformedHello},
		"another version":                {[]byte{23, 2}, 0, false, flow.MalformedHello},
		"a long change of the cipher":    {[]byte{20, 3, 3, 0, 2}, 0, false, flow.MalformedHello},
		"a record that is too long":      {[]byte{23, 3, 3, 0x41, 1}, 0, false, flow.MalformedHello},
	} {
		if at, found, reason := Next(x.stream); at != x.at || found != x.found || reason != x.reason {
			t.Errorf("%s: got %d %t %v, want %d %t %v", about, at, found, reason, x.at, x.found, x.reason)
		}
	}
}

func TestReadNext(t *testing.T) {
	ahead := []byte{20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 2, 0, 0}
	stream := slices.Concat(ahead, hello(serverName("b.example")))
	scratch := make([]byte, MaxBytes)
	for n := range stream {
		if _, more, reason := ReadNext(stream[:n], scratch); !more || reason != flow.NotDecided {
			t.Fatalf("%d of %d bytes: more=%t %v", n, len(stream), more, reason)
		}
	}
	if h, more, reason := ReadNext(slices.Concat(stream, ahead), scratch); more || reason != flow.NotDecided || string(h.Name) != "b.example" || h.Len != len(stream) {
		t.Errorf("got %q, which ends at %d of %d, more=%t %v", h.Name, h.Len, len(stream), more, reason)
	}
	if _, more, reason := ReadNext([]byte("GET /"), scratch); more || reason != flow.MalformedHello {
		t.Errorf("no hello: more=%t %v", more, reason)
	}
}

// FuzzRetry checks that answers do not depend on how the bytes arrive.
func FuzzRetry(f *testing.F) {
	config := serverConfig(f)
	config.CurvePreferences = []tls.CurveID{tls.CurveP384}
	first := firstBytes(&tls.Config{ServerName: "a.example", CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP384}})
	f.Add(answerOf(f, config, first), byte(7))
	f.Add([]byte{20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 1, 0, 22}, byte(1))
	f.Add([]byte{21, 3, 3, 0, 2, 1, 112, 22, 3, 3, 0, 1, 2}, byte(3))
	f.Fuzz(func(t *testing.T, b []byte, piece byte) {
		whole, took := reply(b, max(len(b), 1))
		if part, partTook := reply(b, int(piece)+1); part != whole || partTook != took {
			t.Errorf("in pieces of %d: got %d after %d bytes, want %d after %d", int(piece)+1, part, partTook, whole, took)
		}
		if whole == Final && bytes.Equal(b[max(0, took-32):took], retryRandom[:]) {
			t.Error("a HelloRetryRequest that is final")
		}
		at, found, reason := Next(b)
		for n := range b {
			switch a, f, r := Next(b[:n]); {
			case a > at || f && (!found || a != at) || r != flow.NotDecided && (r != reason || a != at):
				t.Errorf("%d bytes: got %d %t %v, of all of them %d %t %v", n, a, f, r, at, found, reason)
			}
		}
	})
}
