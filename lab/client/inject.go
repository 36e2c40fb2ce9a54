// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Injection is a UDP datagram laid on a wire, whatever its source is and wherever
// the routes of here lead.
type Injection struct {
	Dev  string         `json:"dev"`
	Next netip.Addr     `json:"next"` // the neighbour that gets it
	From netip.AddrPort `json:"from"`
	To   netip.AddrPort `json:"to"`
	Data []byte         `json:"data"`
}

// Inject sends it.
func Inject(ctx context.Context, i Injection) (h Heard) {
	h.Local = i.From
	err := i.send(ctx)
	if err != nil {
		h.Error = err.Error()
		return h
	}
	h.Sent = len(i.Data)
	return h
}

func (i Injection) send(ctx context.Context) error {
	link, err := netlink.LinkByName(i.Dev)
	if err != nil {
		return fmt.Errorf("find %s: %w", i.Dev, err)
	}
	at := &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_IP), Ifindex: link.Attrs().Index, Halen: 6}
	if i.To.Addr().Is6() {
		at.Protocol = networkOrder(unix.ETH_P_IPV6)
	}
	mac, err := i.neighbour(ctx, link)
	if err != nil {
		return err
	}
	copy(at.Addr[:], mac)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }()
	return os.NewSyscallError("sendto", unix.Sendto(fd, i.packet(), 0, at))
}

// neighbour returns the hardware address of Next, which a datagram to it makes
// the kernel find out.
func (i Injection) neighbour(ctx context.Context, link netlink.Link) (net.HardwareAddr, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp", netip.AddrPortFrom(i.Next, 9).String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	_, _ = c.Write([]byte{0})
	for until := time.Now().Add(time.Second); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		family := netlink.FAMILY_V4
		if i.Next.Is6() {
			family = netlink.FAMILY_V6
		}
		known, err := netlink.NeighList(link.Attrs().Index, family)
		if err != nil {
			return nil, err
		}
		for _, n := range known {
			if a, ok := netip.AddrFromSlice(n.IP); ok && a.Unmap() == i.Next && len(n.HardwareAddr) == 6 {
				return n.HardwareAddr, nil
			}
		}
	}
	return nil, errors.New("nobody knows where " + i.Next.String() + " is")
}

// packet returns the datagram with its headers (RFC 768, RFC 791, RFC 8200).
func (i Injection) packet() []byte {
	src, dst := i.From.Addr(), i.To.Addr()
	udp := binary.BigEndian.AppendUint16(nil, i.From.Port())
	udp = binary.BigEndian.AppendUint16(udp, i.To.Port())
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(i.Data)))
	udp = append(append(udp, 0, 0), i.Data...)
	binary.BigEndian.PutUint16(udp[6:], checksum(unix.IPPROTO_UDP, src, dst, udp))
	if dst.Is6() {
		ip := binary.BigEndian.AppendUint16([]byte{0x60, 0, 0, 0}, uint16(len(udp)))
		ip = append(ip, unix.IPPROTO_UDP, 64)
		return append(append(append(ip, src.AsSlice()...), dst.AsSlice()...), udp...)
	}
	ip := binary.BigEndian.AppendUint16([]byte{0x45, 0}, uint16(20+len(udp)))
	ip = append(ip, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0)
	ip = append(append(ip, src.AsSlice()...), dst.AsSlice()...)
	binary.BigEndian.PutUint16(ip[10:], fold(ip))
	return append(ip, udp...)
}

// networkOrder returns n as a socket address wants it.
func networkOrder(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}
