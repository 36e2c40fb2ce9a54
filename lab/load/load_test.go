// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// free returns an address of this host where nobody listens.
func free(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// served starts a server of a kind.
func served(t *testing.T, kind string) netip.AddrPort {
	t.Helper()
	at := free(t)
	if _, err := serve(t.Context(), Server{Addr: at, Kind: kind}); err != nil {
		t.Fatal(err)
	}
	return at
}

func TestEachKindIsAnswered(t *testing.T) {
	short := served(t, Short)
	for _, row := range []struct {
		kind  string
		to    netip.AddrPort
		conns int64 // at least
	}{
		{Short, short, 10}, {Count, short, 2}, {Bulk, served(t, Bulk), 2}, {Web, served(t, Web), 2}, {Idle, served(t, Idle), 2},
	} {
		t.Run(row.kind, func(t *testing.T) {
			r, err := run(t.Context(), Load{Kind: row.kind, To: row.to, Name: "a.example", Clients: 2, Duration: 200 * time.Millisecond})
			if err != nil || r.Conns < row.conns || r.Failed > 0 || r.Bytes == 0 || r.Lost > 0 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// A middlebox that refuses a hello answers it too.
func TestAnAlertIsNoAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = readHello(c)
			_, _ = c.Write([]byte{21, 3, 1, 0, 2, 2, 80})
			_ = c.Close()
		}
	}()
	to := l.Addr().(*net.TCPAddr).AddrPort()
	for _, kind := range []string{Short, Count, Idle} {
		r, err := run(t.Context(), Load{Kind: kind, To: to, Name: "a.example", Clients: 1, Duration: 20 * time.Millisecond})
		if err != nil || r.Conns > 0 || r.Failed == 0 {
			t.Errorf("%s: %+v, %v", kind, r, err)
		}
	}
}

func TestEachNameIsAskedForOnce(t *testing.T) {
	at := served(t, Names)
	for _, row := range []struct {
		names int
		want  int64
	}{{0, 1}, {100, 100}} {
		r, err := run(t.Context(), Load{Kind: Names, To: at, Name: "zone.example", Clients: 1, Names: row.names, Once: true, Duration: 5 * time.Second})
		if err != nil || r.Conns != row.want {
			t.Errorf("%d names: %+v, %v", row.names, r, err)
		}
	}
}
