// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package internet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// perFlow is how many bytes of a flow the witness tells of; a nonce is always
// among the first. snap is how much of a packet it looks at.
const (
	perFlow  = 8 << 10
	snap     = 4 << 10
	maxFlows = 1 << 16
)

// witness reports payload as it arrives on an interface, whoever it is for and
// whether or not anybody listens: what a test calls a leak must not depend on a
// server understanding it.
func (w *World) witness(name string) error {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("open packet socket: %w", err)
	}
	// The kernel copies no more of a packet than is looked at.
	filter := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: snap}}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := errors.Join(
		os.NewSyscallError("setsockopt", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog)),
		os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<20)),
		os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifi.Index})),
	); err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("watch %s: %w", name, err)
	}
	stop := make(chan struct{})
	ended := make(chan struct{})
	w.onClose(func() { close(stop); <-ended })
	go func() {
		defer close(ended)
		defer func() { _ = unix.Close(fd) }()
		w.watch(fd, stop)
	}()
	return nil
}

func (w *World) watch(fd int, stop chan struct{}) {
	told := make(map[packetFlow]int)
	buf := make([]byte, snap)
	for {
		select {
		case <-stop:
			return
		default:
		}
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EAGAIN) {
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
			continue
		}
		if err != nil {
			if errors.Is(err, unix.EINTR) {
				continue
			}
			return
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		f, data, ok := parse(buf[:n])
		if !ok || len(data) == 0 {
			continue
		}
		if len(told) >= maxFlows {
			clear(told)
		}
		room := perFlow - told[f]
		if room <= 0 {
			continue
		}
		told[f] += len(data)
		w.emit(Event{
			Kind: Payload, Proto: f.proto, Local: f.to, Remote: f.from, Bytes: len(data),
			Data: data[:min(len(data), room)],
		})
	}
}

type packetFlow struct {
	proto    string
	from, to netip.AddrPort
}

// parse returns the flow and the payload of an IP packet. Neighbour discovery
// and other ICMP than echo and errors carry nothing of a client's and are left out.
func parse(b []byte) (f packetFlow, data []byte, ok bool) {
	if len(b) < 20 {
		return f, nil, false
	}
	var proto byte
	var src, dst netip.Addr
	fragment := false
	switch b[0] >> 4 {
	case 4:
		head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
		if head < 20 || head > len(b) || total < head {
			return f, nil, false
		}
		proto, fragment = b[9], binary.BigEndian.Uint16(b[6:])&0x1fff != 0
		src, dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		data = b[head:min(len(b), total)]
	case 6:
		if len(b) < 40 {
			return f, nil, false
		}
		proto = b[6]
		src, dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		data = b[40:min(len(b), 40+int(binary.BigEndian.Uint16(b[4:])))]
	default:
		return f, nil, false
	}
	f.from, f.to = netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0)
	if fragment {
		f.proto = "fragment"
		return f, data, true
	}
	ports := func(head int) bool {
		if len(data) < head || head < 8 {
			return false
		}
		f.from = netip.AddrPortFrom(src, binary.BigEndian.Uint16(data))
		f.to = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(data[2:]))
		data = data[head:]
		return true
	}
	switch proto {
	case unix.IPPROTO_TCP:
		f.proto = "tcp"
		return f, data, len(data) >= 20 && ports(int(data[12]>>4)*4)
	case unix.IPPROTO_UDP:
		f.proto = "udp"
		return f, data, ports(8)
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		f.proto = "icmp"
		if len(data) < 8 {
			return f, data, false
		}
		typ := data[0]
		echo := typ == 8 && proto == unix.IPPROTO_ICMP || typ == 128 && proto == unix.IPPROTO_ICMPV6
		failed := (typ == 3 || typ == 11 || typ == 12) && proto == unix.IPPROTO_ICMP || typ <= 4 && proto == unix.IPPROTO_ICMPV6
		if failed {
			f.proto = "icmp-error"
		}
		return f, data[8:], echo || failed
	}
	f.proto = fmt.Sprintf("ip%d", proto)
	return f, data, !dst.IsMulticast()
}
