// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/flow"
)

// packet is an IP packet as far as this path looks at it. Its slices alias the
// buffer it was read from.
type packet struct {
	src, dst     netip.Addr
	transport    flow.Transport
	srcPort      uint16
	dstPort      uint16
	seq, ack     uint32 // TCP
	flags        byte   // TCP
	window       uint16 // TCP, as it is sent: not scaled
	options      []byte // TCP
	payload      []byte // behind the TCP or UDP header
	icmpType     byte
	truncated    bool // the buffer holds less than the packet
	payloadBytes int  // length of the payload on the wire
}

// readPacket reads an IPv4 or IPv6 packet, without a link header. ok is false
// when it is not whole up to the end of the transport header, or has headers
// that this path does not look behind: fragments come defragmented, IPv6
// extension headers other than hop-by-hop, destination and routing are not
// walked.
func readPacket(b []byte) (p packet, ok bool) {
	if len(b) == 0 {
		return p, false
	}
	var proto byte
	var total int
	switch b[0] >> 4 {
	case 4:
		if len(b) < 20 {
			return p, false
		}
		head := int(b[0]&0xf) * 4
		total = int(binary.BigEndian.Uint16(b[2:]))
		if head < 20 || head > len(b) || total < head {
			return p, false
		}
		if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
			return p, false // a fragment
		}
		p.src, p.dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		proto, b, total = b[9], b[head:], total-head
	case 6:
		if len(b) < 40 {
			return p, false
		}
		total = int(binary.BigEndian.Uint16(b[4:]))
		if total == 0 && b[6] != unix.IPPROTO_HOPOPTS {
			total = len(b) - 40 // larger than 65,535 by segmentation offload
		}
		p.src, p.dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		proto, b = b[6], b[40:]
		for proto == unix.IPPROTO_HOPOPTS || proto == unix.IPPROTO_DSTOPTS || proto == unix.IPPROTO_ROUTING {
			if len(b) < 8 {
				return p, false
			}
			n := 8 + int(b[1])*8
			if n > len(b) || n > total {
				return p, false
			}
			proto, b, total = b[0], b[n:], total-n
		}
	default:
		return p, false
	}
	p.transport = flow.Transport(proto)
	if len(b) > total {
		b = b[:total]
	}
	p.truncated = len(b) < total
	switch proto {
	case unix.IPPROTO_TCP:
		if len(b) < 20 {
			return p, false
		}
		head := int(b[12]>>4) * 4
		if head < 20 || head > len(b) {
			return p, false
		}
		p.srcPort, p.dstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		p.seq, p.ack = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
		p.flags, p.window, p.options = b[13], binary.BigEndian.Uint16(b[14:]), b[20:head]
		p.payload, p.payloadBytes = b[head:], total-head
	case unix.IPPROTO_UDP:
		if len(b) < 8 {
			return p, false
		}
		p.srcPort, p.dstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		p.payload, p.payloadBytes = b[8:], total-8
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		if len(b) < 1 {
			return p, false
		}
		p.icmpType = b[0]
	}
	return p, true
}
