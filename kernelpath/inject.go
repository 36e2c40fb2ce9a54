// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// segment is a TCP segment that this host sends in the name of one end of a flow
// to the other.
type segment struct {
	src, dst netip.AddrPort
	seq, ack uint32
	flags    byte
	window   uint16
	stamps   *stamps // nil: without the option
	payload  []byte
}

// stamps are a timestamp option's (RFC 7323 section 3.2): what the sender's clock
// says, and what it last heard of the other's.
type stamps struct{ own, echo uint32 }

// TCP options (RFC 9293 section 3.1, RFC 7323, RFC 8684).
const (
	optEnd    = 0
	optNop    = 1
	optScale  = 3
	optStamps = 8
	optMPTCP  = 30
)

// opening is what a server's answer to a SYN says about its side of the flow.
type opening struct {
	next    uint32 // the sequence number of its first byte
	window  uint32 // how many bytes the client may send, as later segments say it: shifted by scale
	scale   uint8
	stamped bool
}

// openingOf reads a server's answer to a SYN.
func openingOf(p *packet) opening {
	o := opening{next: p.seq + 1, window: uint32(p.window)}
	if data := tcpOption(p.options, optScale); len(data) == 1 {
		o.scale = min(data[0], 14) // RFC 7323 section 2.3
	}
	_, _, o.stamped = stampsOf(p.options)
	return o
}

// stamps returns the timestamps of a segment of the flow, nil when the ends have
// not agreed on them.
func (o opening) stamps(own, echo uint32) *stamps {
	if !o.stamped {
		return nil
	}
	return &stamps{own, echo}
}

// stampsOf returns what a timestamp option says of its sender's clock, and what that
// has last heard of the other's.
func stampsOf(options []byte) (own, echo uint32, ok bool) {
	data := tcpOption(options, optStamps)
	if len(data) != 8 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[4:]), true
}

// tcpOption returns the data of the first option of a kind, nil when there is
// none.
func tcpOption(options []byte, kind byte) []byte {
	for len(options) > 0 && options[0] != optEnd {
		if options[0] == optNop {
			options = options[1:]
			continue
		}
		if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
			return nil
		}
		if options[0] == kind {
			return options[2:options[1]]
		}
		options = options[options[1]:]
	}
	return nil
}

// injector sends segments. They leave by this host's own routes; conntrack knows
// the flow and translates the client's address as it did before.
type injector struct {
	fd4, fd6 int
	ends     wireEnds
}

// CanReset fails where a gateway could not send resets, and says why.
func CanReset() error {
	in, err := openInjector()
	if err == nil {
		in.close()
	}
	return err
}

func openInjector() (*injector, error) {
	fd4, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_RAW)
	if err != nil {
		if errors.Is(err, unix.EPERM) {
			return nil, errors.New("no permission to send resets: run as root, or with CAP_NET_RAW")
		}
		return nil, fmt.Errorf("open raw socket for resets: %w", os.NewSyscallError("socket", err))
	}
	// Without IPv6 on this host there is nothing to send there.
	fd6, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_RAW)
	if err != nil {
		fd6 = -1
	}
	return &injector{fd4: fd4, fd6: fd6}, nil
}

func (in *injector) close() {
	_ = unix.Close(in.fd4)
	if in.fd6 >= 0 {
		_ = unix.Close(in.fd6)
	}
}

// send sends a segment. One that gets lost is no different from one that the
// network loses, so errors are not reported.
func (in *injector) send(s segment) {
	ends := in.ends.of(flowKey{s.src, s.dst})
	src, dst := ends.src.Addr(), ends.dst.Addr()
	tcp := s.header(ends)
	tcp = append(tcp, s.payload...)
	binary.BigEndian.PutUint16(tcp[16:], tcpChecksum(src.AsSlice(), dst.AsSlice(), tcp))
	if dst.Is4() {
		ip := make([]byte, 20, 20+len(tcp))
		ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_TCP // the kernel fills length, id and checksum
		copy(ip[12:], src.AsSlice())
		copy(ip[16:], dst.AsSlice())
		_ = unix.Sendto(in.fd4, append(ip, tcp...), 0, &unix.SockaddrInet4{Addr: dst.As4()})
		return
	}
	if in.fd6 >= 0 {
		ip := make([]byte, 40, 40+len(tcp))
		ip[0], ip[6], ip[7] = 0x60, unix.IPPROTO_TCP, 64
		binary.BigEndian.PutUint16(ip[4:], uint16(len(tcp)))
		copy(ip[8:], src.AsSlice())
		copy(ip[24:], dst.AsSlice())
		_ = unix.Sendto(in.fd6, append(ip, tcp...), 0, &unix.SockaddrInet6{Addr: dst.As16()})
	}
}

// header writes the TCP header between the given ends, without its checksum.
func (s *segment) header(ends flowKey) []byte {
	tcp := make([]byte, 20, 32+len(s.payload))
	if s.stamps != nil {
		tcp = append(tcp, optNop, optNop, optStamps, 10)
		tcp = binary.BigEndian.AppendUint32(tcp, s.stamps.own)
		tcp = binary.BigEndian.AppendUint32(tcp, s.stamps.echo)
	}
	binary.BigEndian.PutUint16(tcp[0:], ends.src.Port())
	binary.BigEndian.PutUint16(tcp[2:], ends.dst.Port())
	binary.BigEndian.PutUint32(tcp[4:], s.seq)
	binary.BigEndian.PutUint32(tcp[8:], s.ack)
	tcp[12], tcp[13] = byte(len(tcp)/4)<<4, s.flags
	binary.BigEndian.PutUint16(tcp[14:], s.window)
	return tcp
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
