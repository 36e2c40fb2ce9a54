// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/tlshello"
)

// serve starts a server that lives as long as the process.
func serve(_ context.Context, s Server) (struct{}, error) {
	if s.Kind == Names {
		return struct{}{}, serveNames(s)
	}
	l, err := net.Listen("tcp", s.Addr.String())
	if err != nil {
		return struct{}{}, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answer(c, s.Kind)
		}
	}()
	return struct{}{}, nil
}

var block = make([]byte, 256<<10)

// stands are the connections that stand still: without a goroutine each, since
// there are tens of thousands.
var stands struct {
	sync.Mutex
	conns []net.Conn
}

func stand(c net.Conn) {
	_ = c.SetDeadline(time.Time{})
	stands.Lock()
	stands.conns = append(stands.conns, c)
	stands.Unlock()
}

func answer(c net.Conn, kind string) {
	kept := false
	defer func() {
		if !kept {
			_ = c.Close()
		}
	}()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	read := readHello
	if kind == Web {
		read = readRequest
	}
	if read(c) != nil {
		return
	}
	switch kind {
	case Short:
		returnNumbers(c)
		return
	case Idle:
		if _, err := c.Write([]byte("ok")); err == nil {
			kept = true
			stand(c)
		}
		return
	case Web:
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 1099511627776\r\n\r\n"); err != nil {
			return
		}
	}
	for {
		if _, err := c.Write(block); err != nil {
			return
		}
	}
}

// returnNumbers answers, sends every number back that comes then, and for the
// last one how many packets this end had to send again.
func returnNumbers(c net.Conn) {
	var b [8]byte
	if _, err := c.Write([]byte("ok")); err != nil {
		return
	}
	for {
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return
		}
		last := binary.BigEndian.Uint64(b[:]) == lastNumber
		if last {
			binary.BigEndian.PutUint64(b[:], uint64(sentAgain(c)))
		}
		if _, err := c.Write(b[:]); err != nil || last {
			return
		}
	}
}

// readRequest reads a whole HTTP request without a body.
func readRequest(c net.Conn) error {
	return readUntil(c, func(b []byte) (whole bool, err error) {
		return bytes.Contains(b, []byte("\r\n\r\n")), nil
	})
}

// readHello reads a whole ClientHello.
func readHello(c net.Conn) error {
	var scratch [tlshello.MaxBytes]byte
	return readUntil(c, func(b []byte) (whole bool, err error) {
		_, more, reason := tlshello.Read(b, scratch[:])
		if !more && reason != flow.NotDecided {
			err = errors.New(reason.Text())
		}
		return !more, err
	})
}

// readUntil reads until what has come is whole, or is nothing that will be.
func readUntil(c net.Conn, done func([]byte) (whole bool, err error)) error {
	buf := make([]byte, 0, 4096)
	for {
		if len(buf) == cap(buf) {
			return errors.New("what the client says is too long")
		}
		n, err := c.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return err
		}
		buf = buf[:len(buf)+n]
		if whole, err := done(buf); whole || err != nil {
			return err
		}
	}
}
