// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxypath

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/httphead"
)

const (
	firstBuffer = 4 << 10
	chunkBuffer = 32 << 10
	// piece is how much of a body passes between two looks at the clock.
	piece = 1 << 20
)

// errBody says that the body of a message breaks its own framing.
var errBody = errors.New("the body breaks its framing")

// stream is one side of the proxy: a connection, and what was read from it and
// not yet used. One goroutine reads at a time and one writes.
type stream struct {
	conn  net.Conn
	moved *atomic.Uint64 // bytes that moved on either side of the session
	buf   []byte
	r     int // buf[r:] is not yet used

	read, sent uint64 // bytes

	mu      sync.Mutex
	stall   time.Duration // how long one read or write may take
	stopped bool          // reading is over
}

// patience returns when a read or write that begins now must have ended.
func (s *stream) patience() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.stall)
}

// arm sets the time for the next read, stall from now when until is zero. It
// returns false when reading is over.
func (s *stream) arm(until time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	if until.IsZero() {
		until = time.Now().Add(s.stall)
	}
	_ = s.conn.SetReadDeadline(until)
	return true
}

// data returns what was read and not yet used.
func (s *stream) data() []byte { return s.buf[s.r:] }

// take uses the first n bytes of data.
func (s *stream) take(n int) { s.r += n }

// room makes room for reading: at least one byte, as long as data is shorter
// than a head may be.
func (s *stream) room(size int) {
	if s.r > 0 && (s.r == len(s.buf) || len(s.buf) == cap(s.buf)) {
		s.buf = s.buf[:copy(s.buf, s.buf[s.r:])]
		s.r = 0
	}
	if len(s.buf) == cap(s.buf) || cap(s.buf) < size {
		grown := make([]byte, len(s.buf), max(size, min(2*cap(s.buf), httphead.MaxHead)))
		copy(grown, s.buf)
		s.buf = grown
	}
}

// fill reads more, once, until a point in time; see arm.
func (s *stream) fill(until time.Time, size int) error {
	if !s.arm(until) {
		return os.ErrDeadlineExceeded
	}
	s.room(size)
	n, err := s.conn.Read(s.buf[len(s.buf):cap(s.buf)])
	s.buf = s.buf[:len(s.buf)+n]
	s.read += uint64(n)
	s.moved.Add(uint64(n))
	if n > 0 {
		return nil
	}
	return err
}

// await reads more, once. It is patient as long as something moves on either
// side: an answer may come long after an upload began.
func (s *stream) await(size int) error {
	for {
		before := s.moved.Load()
		err := s.fill(time.Time{}, size)
		if !errors.Is(err, os.ErrDeadlineExceeded) || s.moved.Load() == before || s.isStopped() {
			return err
		}
	}
}

// stop ends reading, now and from now on.
func (s *stream) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	_ = s.conn.SetReadDeadline(time.Unix(1, 0))
}

func (s *stream) isStopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

// write sends b.
func (s *stream) write(b []byte) error {
	_ = s.conn.SetWriteDeadline(s.patience())
	n, err := s.conn.Write(b)
	s.sent += uint64(n)
	s.moved.Add(uint64(n))
	return err
}

// pass sends to dst the first n bytes that src has at hand, a head, and the body
// behind it, without holding more than a buffer of it. What was malformed before
// the first byte left leaves no byte.
func pass(dst, src *stream, n int, body httphead.Body) error {
	var chunks httphead.Chunks
	left, done := body.Length, body.Kind == httphead.NoBody
	switch data := src.data(); body.Kind {
	case httphead.Sized:
		k := min(left, int64(len(data)-n))
		n, left = n+int(k), left-k
	case httphead.Chunked:
		k, end, err := chunks.Scan(data[n:])
		if err != nil {
			return errors.Join(errBody, err)
		}
		n, done = n+k, end
	case httphead.UntilClose:
		n = len(data)
	}
	if n > 0 {
		if err := dst.write(src.data()[:n]); err != nil {
			return err
		}
		src.take(n)
	}
	switch {
	case done:
		return nil
	case body.Kind == httphead.Sized:
		return passSized(dst, src, left)
	case body.Kind == httphead.Chunked:
		return passChunks(dst, src, &chunks)
	}
	for {
		if err := passSized(dst, src, piece); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// passSized moves n bytes from socket to socket: splice(2) when both are TCP,
// so that they stay in the kernel. The error is io.EOF when src ends early.
//
// A read that times out has taken nothing, and goes on as await does. It comes
// back twice in the time that await waits, since the other side's await sees
// what moved only then. A write that times out has lost bytes on their way, so
// its time ends well after.
func passSized(dst, src *stream, n int64) error {
	for quiet := 0; n > 0; {
		before := src.moved.Load()
		now := time.Now()
		wait := src.patience().Sub(now) / 2
		if !src.arm(now.Add(wait)) {
			return os.ErrDeadlineExceeded
		}
		until := now.Add(wait + dst.patience().Sub(now))
		_ = dst.conn.SetWriteDeadline(until)
		k, err := io.CopyN(dst.conn, src.conn, min(n, piece))
		src.read += uint64(k)
		dst.sent += uint64(k)
		src.moved.Add(uint64(k))
		n -= k
		if err != nil && (!errors.Is(err, os.ErrDeadlineExceeded) || !time.Now().Before(until)) {
			return err
		}
		if src.moved.Load() != before {
			quiet = 0
		} else if quiet++; quiet == 2 {
			return err
		}
	}
	return nil
}

// passChunks moves the rest of a chunked body.
func passChunks(dst, src *stream, chunks *httphead.Chunks) error {
	for {
		if len(src.data()) == 0 {
			if err := src.await(chunkBuffer); err != nil {
				return err
			}
		}
		n, done, err := chunks.Scan(src.data())
		if err != nil {
			return errors.Join(errBody, err)
		}
		if err := dst.write(src.data()[:n]); err != nil {
			return err
		}
		src.take(n)
		if done {
			return nil
		}
	}
}

// quiet reports whether the peer has neither closed nor sent something that
// nobody asked for.
func (s *stream) quiet() bool {
	if len(s.data()) > 0 {
		return false
	}
	_, err := s.peek()
	return errors.Is(err, unix.EAGAIN)
}

// hasMore reports whether the peer has sent something that was not read yet.
func (s *stream) hasMore() bool {
	n, err := s.peek()
	return err == nil && n > 0
}

// peek looks at the next byte of the peer and neither waits nor takes it. The
// error is unix.EAGAIN when there is none, and nil with n 0 at the peer's end.
func (s *stream) peek() (n int, err error) {
	sc, ok := s.conn.(syscall.Conn)
	if !ok {
		return 0, unix.EAGAIN // the next read finds out
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, err
	}
	var b [1]byte
	controlErr := raw.Control(func(fd uintptr) {
		n, _, err = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	return n, errors.Join(controlErr, err)
}

// closeWrite tells the peer that nothing more comes.
func (s *stream) closeWrite() {
	if c, ok := s.conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
}

// reset closes with a TCP reset.
func (s *stream) reset() {
	if c, ok := s.conn.(interface{ SetLinger(int) error }); ok {
		_ = c.SetLinger(0)
	}
	_ = s.conn.Close()
}

// linger closes so that the peer can read what was sent: a socket closed with
// bytes unread answers with a reset, which throws away what is on its way.
func (s *stream) linger(wait time.Duration) {
	s.closeWrite()
	_ = s.conn.SetReadDeadline(time.Now().Add(wait))
	_, _ = io.CopyN(io.Discard, s.conn, piece)
	_ = s.conn.Close()
}

// hurry gives what is still to be read no more than a short time.
func (s *stream) hurry(wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stall = min(s.stall, wait)
	if !s.stopped {
		_ = s.conn.SetReadDeadline(time.Now().Add(s.stall))
	}
}
