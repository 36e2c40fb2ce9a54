// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// resetter sends TCP resets to servers in the name of clients whose flow was
// refused, so that the server does not wait for a hello that never comes. The
// packets leave by this host's own routes; conntrack knows the flow and
// translates the client's address as it did before.
type resetter struct {
	fd4, fd6 int
	ends     wireEnds
}

func openResetter() (*resetter, error) {
	fd4, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_RAW)
	if err != nil {
		return nil, fmt.Errorf("open raw socket for resets: %w", os.NewSyscallError("socket", err))
	}
	// Without IPv6 on this host there is nothing to reset there.
	fd6, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_RAW)
	if err != nil {
		fd6 = -1
	}
	return &resetter{fd4: fd4, fd6: fd6}, nil
}

func (r *resetter) close() {
	_ = unix.Close(r.fd4)
	if r.fd6 >= 0 {
		_ = unix.Close(r.fd6)
	}
}

// send resets the flow at the server, which expects seq next. That it does not
// arrive costs the server a time-out and nothing else, so errors are not
// reported.
func (r *resetter) send(key flowKey, seq uint32) {
	key = r.ends.of(key)
	src, dst := key.src.Addr(), key.dst.Addr()
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp[0:], key.src.Port())
	binary.BigEndian.PutUint16(tcp[2:], key.dst.Port())
	binary.BigEndian.PutUint32(tcp[4:], seq)
	tcp[12], tcp[13] = 5<<4, flagRST
	binary.BigEndian.PutUint16(tcp[16:], tcpChecksum(src.AsSlice(), dst.AsSlice(), tcp))
	if dst.Is4() {
		ip := make([]byte, 20, 40)
		ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_TCP // the kernel fills length, id and checksum
		copy(ip[12:], src.AsSlice())
		copy(ip[16:], dst.AsSlice())
		_ = unix.Sendto(r.fd4, append(ip, tcp...), 0, &unix.SockaddrInet4{Addr: dst.As4()})
		return
	}
	if r.fd6 >= 0 {
		ip := make([]byte, 40, 60)
		ip[0], ip[5], ip[6], ip[7] = 0x60, 20, unix.IPPROTO_TCP, 64
		copy(ip[8:], src.AsSlice())
		copy(ip[24:], dst.AsSlice())
		_ = unix.Sendto(r.fd6, append(ip, tcp...), 0, &unix.SockaddrInet6{Addr: dst.As16()})
	}
}

// tcpChecksum returns the checksum of a segment under its pseudo header
// (RFC 9293 section 3.1, RFC 8200 section 8.1).
func tcpChecksum(src, dst, segment []byte) uint16 {
	var sum uint32
	add := func(b []byte) {
		for ; len(b) > 1; b = b[2:] {
			sum += uint32(binary.BigEndian.Uint16(b))
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	add(src)
	add(dst)
	sum += unix.IPPROTO_TCP + uint32(len(segment))
	add(segment)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
