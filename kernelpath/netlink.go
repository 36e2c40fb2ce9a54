// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// nlSocket is a raw netlink socket of the netfilter family, for those subsystems
// whose messages are too many for a general library: the packet queue, the packet
// log and the ends of connections.
type nlSocket struct {
	fd   int
	port uint32
	seq  uint32
}

// Message types and attributes (linux/netfilter/nfnetlink*.h).
const (
	subsysULog  = 4
	subsysQueue = 3

	nlmsgHdr = unix.SizeofNlMsghdr
	nfgenHdr = 4 // family, version, resource id (big endian)
	attrHdr  = unix.SizeofNlAttr

	nlaTypeMask = 0x3fff // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
)

// openNetlink opens a socket whose receive buffer is asked to be rcvbuf bytes
// and which does not report overruns: a packet that finds no room is dropped by
// the kernel, and the client sends it again.
func openNetlink(rcvbuf int) (*nlSocket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	s := &nlSocket{fd: fd}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		s.close()
		return nil, os.NewSyscallError("bind", err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		s.close()
		return nil, os.NewSyscallError("getsockname", err)
	}
	s.port = sa.(*unix.SockaddrNetlink).Pid
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_NO_ENOBUFS, 1)
	// Past the system's limit only with CAP_NET_ADMIN in the first user
	// namespace; the ordinary option takes what it gets.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, rcvbuf) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, rcvbuf)
	}
	return s, nil
}

// reportOverruns has the socket tell when a message found no room, in inbox.overrun.
func (s *nlSocket) reportOverruns() error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(s.fd, unix.SOL_NETLINK, unix.NETLINK_NO_ENOBUFS, 0))
}

func (s *nlSocket) close() { _ = unix.Close(s.fd) }

// attr is a netlink attribute to send.
type attr struct {
	typ  uint16
	data []byte
}

// config sends one configuration message about resource res and waits for the
// kernel's answer.
func (s *nlSocket) config(typ uint16, nfproto byte, res uint16, attrs ...attr) error {
	s.seq++
	msg := make([]byte, nlmsgHdr, 128)
	msg = append(msg, nfproto, 0)
	msg = binary.BigEndian.AppendUint16(msg, res)
	for _, a := range attrs {
		msg = appendAttr(msg, a.typ, a.data)
	}
	putHeader(msg, typ, unix.NLM_F_REQUEST|unix.NLM_F_ACK, s.seq, s.port)
	if err := unix.Sendto(s.fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	buf := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(s.fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		for m := range messages(buf[:n]) {
			if m.typ == unix.NLMSG_ERROR && m.seq == s.seq && len(m.data) >= 4 {
				if code := int32(binary.NativeEndian.Uint32(m.data)); code != 0 {
					return unix.Errno(-code)
				}
				return nil
			}
		}
	}
}

func putHeader(msg []byte, typ, flags uint16, seq, port uint32) {
	binary.NativeEndian.PutUint32(msg[0:], uint32(len(msg)))
	binary.NativeEndian.PutUint16(msg[4:], typ)
	binary.NativeEndian.PutUint16(msg[6:], flags)
	binary.NativeEndian.PutUint32(msg[8:], seq)
	binary.NativeEndian.PutUint32(msg[12:], port)
}

// message is one netlink message of a datagram; data is behind its header.
type message struct {
	typ  uint16
	seq  uint32
	data []byte
}

// messages yields the messages of a datagram, as far as they are whole.
func messages(b []byte) func(yield func(message) bool) {
	return func(yield func(message) bool) {
		for len(b) >= nlmsgHdr {
			n := int(binary.NativeEndian.Uint32(b))
			if n < nlmsgHdr || n > len(b) {
				return
			}
			m := message{binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint32(b[8:]), b[nlmsgHdr:n]}
			if !yield(m) {
				return
			}
			b = b[min(align4(n), len(b)):]
		}
	}
}

// attributes yields the type, without its flags, and the data of each attribute
// in b, as far as they are whole.
func attributes(b []byte) func(yield func(uint16, []byte) bool) {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= attrHdr {
			n := int(binary.NativeEndian.Uint16(b))
			if n < attrHdr || n > len(b) {
				return
			}
			if !yield(binary.NativeEndian.Uint16(b[2:])&nlaTypeMask, b[attrHdr:n]) {
				return
			}
			b = b[min(align4(n), len(b)):]
		}
	}
}

func align4(n int) int { return (n + 3) &^ 3 }

// batch is how many messages one system call takes.
const batch = 64

// inbox takes messages from a socket, up to a batch with one system call.
type inbox struct {
	bufs [batch][]byte
	iovs [batch]unix.Iovec
	msgs [batch]mmsghdr
	// overrun says that messages got lost. receive sets it, for a socket that reports it.
	overrun bool
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// newInbox returns an inbox for messages of up to size bytes.
func newInbox(size int) *inbox {
	in := new(inbox)
	backing := make([]byte, batch*size)
	for i := range in.bufs {
		in.bufs[i] = backing[i*size : (i+1)*size]
		in.iovs[i].Base = &in.bufs[i][0]
		in.iovs[i].SetLen(size)
		in.msgs[i].hdr.Iov = &in.iovs[i]
		in.msgs[i].hdr.SetIovlen(1)
	}
	return in
}

// receive takes what waits at a socket, and returns how many datagrams there
// were: none when there is nothing in time.
//
// The runtime does not know that it may wait, so it keeps the thread's processor
// for it. Told, it looks every 20 us whether to give that away, which took a
// fifth of the process's time. It ends the wait with a signal when it has to.
func (in *inbox) receive(fd int, flags uintptr) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&in.msgs[0])), batch, flags, 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case unix.ENOBUFS:
		in.overrun = true
		return 0, nil
	case unix.EINTR, unix.EAGAIN:
		return 0, nil
	}
	return 0, os.NewSyscallError("recvmmsg", errno)
}

// messages yields the messages of the first n datagrams.
func (in *inbox) messages(n int) func(yield func(message) bool) {
	return func(yield func(message) bool) {
		for i := range n {
			for m := range messages(in.bufs[i][:in.msgs[i].n]) {
				if !yield(m) {
					return
				}
			}
		}
	}
}

// gatherTime is how long messages about what has happened may wait to be read
// together: each would wake the process otherwise.
const gatherTime = 5 * time.Millisecond

// watch reads messages of up to size bytes until ctx ends, then closes the
// socket. Nobody waits for an answer to them.
func (s *nlSocket) watch(ctx context.Context, size int, take func(message)) error {
	if err := unix.SetNonblock(s.fd, true); err != nil {
		s.close()
		return os.NewSyscallError("fcntl", err)
	}
	// The runtime waits for it along with its other sockets, and needs no thread.
	f := os.NewFile(uintptr(s.fd), "netlink")
	defer f.Close()
	defer context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })()
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	in := newInbox(size)
	for {
		var n int
		var failed error
		err := conn.Read(func(fd uintptr) bool {
			n, failed = in.receive(int(fd), unix.MSG_DONTWAIT)
			return n > 0 || failed != nil
		})
		if ctx.Err() != nil {
			return nil
		}
		if err := errors.Join(err, failed); err != nil {
			return err
		}
		for m := range in.messages(n) {
			take(m)
		}
		if n < batch {
			time.Sleep(gatherTime)
		}
	}
}

// patience sets how long receive waits for a first message.
func (s *nlSocket) patience(d time.Duration) error {
	tv := unix.NsecToTimeval(int64(d))
	return os.NewSyscallError("setsockopt", unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
}

// wait returns whether the socket became readable within the time, in
// milliseconds.
func (s *nlSocket) wait(ms int) (bool, error) {
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, ms)
	if errors.Is(err, unix.EINTR) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("poll: %w", err)
	}
	return n > 0, nil
}
