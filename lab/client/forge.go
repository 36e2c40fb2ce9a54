// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// TCP flags of forged segments.
const (
	SYN = 0x02
	PSH = 0x08
	ACK = 0x10
)

// Segment is a TCP segment over IPv4 as no kernel would send it.
type Segment struct {
	From        netip.AddrPort `json:"from"`
	To          netip.AddrPort `json:"to"`
	Seq         uint32         `json:"seq"`
	Ack         uint32         `json:"ack"`
	Flags       byte           `json:"flags"`
	Options     []byte         `json:"options,omitempty"` // a multiple of four bytes
	Data        []byte         `json:"data"`
	BadChecksum bool           `json:"badChecksum,omitempty"`
	Hops        byte           `json:"hops,omitempty"`     // that it may take; 64 when 0
	Fragment    int            `json:"fragment,omitempty"` // bytes of it in each IP fragment, a multiple of 8; 0: not in fragments
}

// Forge sends a segment past the kernel's own TCP.
func Forge(_ context.Context, s Segment) (h Heard) {
	h.Local = s.From
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		h.Error = os.NewSyscallError("socket", err).Error()
		return h
	}
	defer func() { _ = unix.Close(fd) }()
	for _, p := range s.packets() {
		if err := unix.Sendto(fd, p, 0, &unix.SockaddrInet4{Addr: s.To.Addr().As4()}); err != nil {
			h.Error = os.NewSyscallError("sendto", err).Error()
			return h
		}
	}
	h.Sent = len(s.Data)
	return h
}

// packets returns the IP packets that s is made of.
func (s Segment) packets() (out [][]byte) {
	tcp := make([]byte, 20, 20+len(s.Options)+len(s.Data))
	binary.BigEndian.PutUint16(tcp[0:], s.From.Port())
	binary.BigEndian.PutUint16(tcp[2:], s.To.Port())
	binary.BigEndian.PutUint32(tcp[4:], s.Seq)
	binary.BigEndian.PutUint32(tcp[8:], s.Ack)
	tcp[12], tcp[13] = byte(5+len(s.Options)/4)<<4, s.Flags
	binary.BigEndian.PutUint16(tcp[14:], 502) // window
	tcp = append(append(tcp, s.Options...), s.Data...)
	sum := checksum(unix.IPPROTO_TCP, s.From.Addr(), s.To.Addr(), tcp)
	if s.BadChecksum {
		sum ^= 0x5555
	}
	binary.BigEndian.PutUint16(tcp[16:], sum)
	size := s.Fragment
	if size == 0 {
		size = len(tcp)
	}
	for at := 0; at < len(tcp); at += size {
		ip := make([]byte, 20, 20+size)
		ip[0], ip[8], ip[9] = 0x45, cmp.Or(s.Hops, 64), unix.IPPROTO_TCP // the kernel fills length and checksum
		binary.BigEndian.PutUint16(ip[4:], s.From.Port())
		where := uint16(at / 8)
		if at+size < len(tcp) {
			where |= 1 << 13 // more fragments
		}
		binary.BigEndian.PutUint16(ip[6:], where)
		src, dst := s.From.Addr().As4(), s.To.Addr().As4()
		copy(ip[12:], src[:])
		copy(ip[16:], dst[:])
		out = append(out, append(ip, tcp[at:min(at+size, len(tcp))]...))
	}
	return out
}

// checksum is that of TCP and UDP with their pseudo header (RFC 9293 section 3.1,
// RFC 8200 section 8.1).
func checksum(proto byte, src, dst netip.Addr, segment []byte) uint16 {
	pseudo := binary.BigEndian.AppendUint32(nil, uint32(len(segment)))
	return fold(src.AsSlice(), dst.AsSlice(), pseudo, []byte{0, proto}, segment)
}

// fold is the Internet checksum over parts of which only the last is of an odd
// length (RFC 1071).
func fold(parts ...[]byte) uint16 {
	var sum uint32
	for _, b := range parts {
		for ; len(b) > 1; b = b[2:] {
			sum += uint32(binary.BigEndian.Uint16(b))
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// Decoy is a forged segment in a connection that the kernel has opened.
type Decoy struct {
	Offset      int    `json:"offset"` // from the first byte of the stream
	Data        []byte `json:"data"`
	BadChecksum bool   `json:"badChecksum,omitempty"`
	Hops        byte   `json:"hops,omitempty"`  // that it may take; 64 when 0
	Stale       bool   `json:"stale,omitempty"` // with an old timestamp, for which the server throws it away (RFC 7323 section 5)
}

// opening is what a server's SYN,ACK tells.
type opening struct {
	seq, ack     uint32
	tsVal, tsEcr uint32
	stamped      bool
}

// listener is a raw socket that sees every segment that arrives here.
type listener int

func hearSegments() (listener, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	return listener(fd), nil
}

func (l listener) close() { _ = unix.Close(int(l)) }

// opening waits for the answer to the SYN of a connection.
func (l listener) opening(local, remote netip.AddrPort) (o opening, err error) {
	buf := make([]byte, 2048)
	for until := time.Now().Add(time.Second); time.Now().Before(until); {
		n, _, err := unix.Recvfrom(int(l), buf, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EAGAIN) {
			time.Sleep(time.Millisecond)
			continue
		}
		if err != nil {
			return o, os.NewSyscallError("recvfrom", err)
		}
		if o, ok := readOpening(buf[:n], local, remote); ok {
			return o, nil
		}
	}
	return o, fmt.Errorf("the SYN,ACK of %s was not seen", remote)
}

func readOpening(b []byte, local, remote netip.AddrPort) (o opening, ok bool) {
	if len(b) < 20 || len(b) < int(b[0]&15)*4+20 || netip.AddrFrom4([4]byte(b[12:16])) != remote.Addr() {
		return o, false
	}
	tcp := b[int(b[0]&15)*4:]
	head := int(tcp[12]>>4) * 4
	if binary.BigEndian.Uint16(tcp) != remote.Port() || binary.BigEndian.Uint16(tcp[2:]) != local.Port() ||
		tcp[13]&(SYN|ACK) != SYN|ACK || head < 20 || head > len(tcp) {
		return o, false
	}
	o.seq, o.ack = binary.BigEndian.Uint32(tcp[4:]), binary.BigEndian.Uint32(tcp[8:])
	for opts := tcp[20:head]; len(opts) > 0 && opts[0] != 0; {
		if opts[0] == 1 {
			opts = opts[1:]
			continue
		}
		if len(opts) < 2 || opts[1] < 2 || int(opts[1]) > len(opts) {
			break
		}
		if opts[0] == 8 && opts[1] == 10 {
			o.tsVal, o.tsEcr, o.stamped = binary.BigEndian.Uint32(opts[2:]), binary.BigEndian.Uint32(opts[6:]), true
		}
		opts = opts[opts[1]:]
	}
	return o, true
}

// segment returns d as a segment of the connection that o opened.
func (d Decoy) segment(o opening, local, remote netip.AddrPort) (Segment, error) {
	s := Segment{
		From: local, To: remote, Seq: o.ack + uint32(d.Offset), Ack: o.seq + 1, Flags: PSH | ACK,
		Data: d.Data, BadChecksum: d.BadChecksum, Hops: d.Hops,
	}
	if d.Stale {
		if !o.stamped {
			return s, errors.New("the server takes no timestamps")
		}
		s.Options = []byte{1, 1, 8, 10}
		s.Options = binary.BigEndian.AppendUint32(s.Options, o.tsEcr-1_000_000)
		s.Options = binary.BigEndian.AppendUint32(s.Options, o.tsVal)
	}
	return s, nil
}
