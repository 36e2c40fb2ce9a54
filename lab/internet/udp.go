// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package internet

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

const ntpPort = 123

// serveUDP answers datagrams at one address: as a time server on port 123, and
// elsewhere with what came.
func (w *World) serveUDP(at netip.AddrPort) error {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return err
	}
	w.onClose(func() { _ = c.Close() })
	go func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			got := time.Now()
			from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
			e := Event{Kind: Served, Proto: "udp", Local: at, Remote: from, Bytes: n}
			answer := buf[:n]
			if at.Port() == ntpPort && isTimeRequest(answer) {
				e.Proto, e.Nonce = "ntp", fmt.Sprintf("%016x", binary.BigEndian.Uint64(answer[40:48]))
				answer = timeAnswer(answer, got)
			} else if nonce, ok := strings.CutPrefix(string(answer), word); ok {
				e.Nonce = strings.TrimSpace(nonce)
			}
			w.emit(e)
			_, _ = c.WriteToUDPAddrPort(answer, from)
		}
	}()
	return nil
}

// isTimeRequest reports whether b is an NTP client's packet (RFC 5905 section
// 7.3): mode 3, at least the 48 bytes of the header.
func isTimeRequest(b []byte) bool { return len(b) >= 48 && b[0]&7 == 3 }

// timeAnswer is a server's packet for q, as a stratum 2 server would send it
// whose clock is this machine's.
func timeAnswer(q []byte, received time.Time) []byte {
	a := make([]byte, 48)
	a[0] = q[0]&0x38 | 4                        // no leap warning, the client's version, mode server
	a[1] = 2                                    // stratum
	a[2] = q[2]                                 // poll
	a[3] = 0xec                                 // precision 2^-20 s
	binary.BigEndian.PutUint32(a[4:], 0x40)     // root delay, about 1 ms
	binary.BigEndian.PutUint32(a[8:], 0x40)     // root dispersion
	copy(a[12:16], []byte{20, 40, 0, 1})        // reference id: the server it follows
	putTime(a[16:], received.Add(-time.Minute)) // last set
	copy(a[24:32], q[40:48])                    // origin: the client's transmit time, which is its nonce
	putTime(a[32:], received)
	putTime(a[40:], time.Now())
	return a
}

// ntpEpoch is 1900-01-01 in Unix time.
const ntpEpoch = -2208988800

func putTime(b []byte, t time.Time) {
	binary.BigEndian.PutUint32(b, uint32(t.Unix()-ntpEpoch))
	binary.BigEndian.PutUint32(b[4:], uint32(uint64(t.Nanosecond())<<32/1e9))
}
