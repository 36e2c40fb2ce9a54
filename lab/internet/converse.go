// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package internet

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"strings"
	"time"
)

const (
	// patience is how long a server waits for a client to say something.
	patience = 30 * time.Second
	// greeting is what a server says that speaks first. It is an SSH banner (RFC
	// 4253 section 4.2), so that an SSH client too can tell that it got through.
	greeting = "SSH-2.0-SallyportLab\r\n"
	// word begins the line of a client that speaks plain TCP; its nonce follows.
	word = "SALLYPORT "
)

// converse speaks whatever protocol the client's first bytes are.
func (w *World) converse(c net.Conn, first bool) {
	_ = c.SetDeadline(time.Now().Add(patience))
	if first {
		if _, err := c.Write([]byte(greeting)); err != nil {
			_ = c.Close()
			return
		}
	}
	r := bufio.NewReader(c)
	head, err := r.Peek(1)
	if err != nil {
		_ = c.Close()
		return
	}
	heard := &readConn{Conn: c, r: r}
	switch {
	case head[0] == 0x16: // a TLS handshake record
		t := tls.Server(heard, w.secrets)
		if t.HandshakeContext(context.Background()) != nil {
			_ = c.Close()
			return
		}
		w.web.put(&secureConn{t, t.ConnectionState().ServerName})
	case isHTTP(r):
		w.web.put(heard)
	default:
		w.echo(heard)
	}
}

// isHTTP reports whether what comes next is a request line. Only a method's
// first letters are looked at.
func isHTTP(r *bufio.Reader) bool {
	head, _ := r.Peek(3)
	for _, m := range []string{"GET", "POS", "PUT", "HEA", "OPT", "CON", "DEL", "PAT"} {
		if bytes.Equal(head, []byte(m)) {
			return true
		}
	}
	return false
}

// echo answers every line with itself and notes the nonces.
func (w *World) echo(c *readConn) {
	defer func() { _ = c.Close() }()
	for {
		line, err := c.r.ReadString('\n')
		if nonce, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), word); ok {
			w.emit(Event{
				Kind: Served, Proto: "tcp", Local: addrPort(c.LocalAddr()), Remote: addrPort(c.RemoteAddr()),
				Nonce: nonce, Bytes: len(line),
			})
		}
		if err != nil {
			return
		}
		if _, err := c.Write([]byte(line)); err != nil {
			return
		}
	}
}

// readConn is a connection some of which has been read already.
type readConn struct {
	net.Conn
	r *bufio.Reader
}

func (c *readConn) Read(b []byte) (int, error) { return c.r.Read(b) }

// secureConn hides that a connection is TLS: net/http would hang up on a
// protocol it does not know.
type secureConn struct {
	net.Conn
	serverName string
}

// handOver is a net.Listener whose connections are put into it.
type handOver struct {
	conns chan net.Conn
	done  chan struct{}
}

func newHandOver() *handOver {
	return &handOver{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (h *handOver) put(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.done:
		_ = c.Close()
	}
}

func (h *handOver) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		_ = c.SetDeadline(time.Time{})
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

func (h *handOver) Close() error   { close(h.done); return nil }
func (h *handOver) Addr() net.Addr { return &net.TCPAddr{} }
