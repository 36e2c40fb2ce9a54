// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
)

const (
	// closesRoom is what the socket holds, in bytes; ends that find no room have no
	// record.
	closesRoom = 8 << 20
	// closeSize is more than the kernel says about a connection.
	closeSize = 4 << 10
)

// WatchCloses reports the end of every released flow until ctx ends. Whether
// bytes are counted is up to the sysctl nf_conntrack_acct. The time is up to
// gatherTime late. An entry of a TCP connection outlives it, by two minutes as a
// rule: that time is told too, since Linux 5.9.
//
// It reads the messages itself: there is one for each connection of this host,
// and a general library took a seventh of the process's time for them.
func WatchCloses(ctx context.Context, m Marks, ended func(flowlog.Closed)) error {
	sock, err := openNetlink(closesRoom)
	if err != nil {
		return fmt.Errorf("open conntrack: %w", err)
	}
	if err := unix.SetsockoptInt(sock.fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, groupDestroy); err != nil {
		sock.close()
		return fmt.Errorf("listen to conntrack: %w", os.NewSyscallError("setsockopt", err))
	}
	keeps := keepTimes()
	err = sock.watch(ctx, closeSize, func(msg message) {
		if c, mark, ok := closed(msg, &keeps); ok && mark&m.Released() != 0 {
			c.At = time.Now()
			ended(c)
		}
	})
	if err != nil {
		return fmt.Errorf("read conntrack events: %w", err)
	}
	return nil
}

// Messages and attributes about connections that end
// (linux/netfilter/nfnetlink_conntrack.h).
const (
	groupDestroy = 3 // NFNLGRP_CONNTRACK_DESTROY

	ctaProtoInfo     = 4
	ctaTimeout       = 7
	ctaCountersOrig  = 9
	ctaCountersReply = 10

	ctaCountersPackets = 1
	ctaCountersBytes   = 2

	ctaProtoInfoTCP   = 1
	ctaProtoTCPState  = 1
	tcpStates         = 9 // linux/netfilter/nf_conntrack_tcp.h
	tcpStateFinWait   = 4
	tcpStateCloseWait = 5
	tcpStateLastAck   = 6
	tcpStateTimeWait  = 7
	tcpStateClose     = 8
)

// keepTime is how long an entry is kept, in seconds, by the state of its
// connection, behind its last packet. It is known for connections that end.
type keepTime [tcpStates]uint32

// keepTimes reads them from where the host's owner may have changed them. What
// cannot be read counts as nothing.
func keepTimes() (k keepTime) {
	for state, name := range map[int]string{
		tcpStateFinWait: "fin_wait", tcpStateCloseWait: "close_wait", tcpStateLastAck: "last_ack",
		tcpStateTimeWait: "time_wait", tcpStateClose: "close",
	} {
		b, _ := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_" + name)
		n, _ := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
		k[state] = uint32(n)
	}
	return k
}

// hasEnded reports whether both ends of a TCP connection in this state are done
// with it.
func hasEnded(state uint8) bool { return state == tcpStateTimeWait || state == tcpStateClose }

// closed reads a message about a connection that has ended.
func closed(m message, keeps *keepTime) (c flowlog.Closed, mark uint32, ok bool) {
	var left, kept uint32 // seconds
	if m.typ != ctDelete || len(m.data) < nfgenHdr {
		return c, 0, false
	}
	for typ, data := range attributes(m.data[nfgenHdr:]) {
		switch {
		case typ == ctaTupleOrig:
			c.Tuple, ok = readTuple(data)
		case typ == ctaMark && len(data) == 4:
			mark = binary.BigEndian.Uint32(data)
		case typ == ctaTimeout && len(data) == 4:
			left = binary.BigEndian.Uint32(data)
		case typ == ctaProtoInfo:
			if s := readTCPState(data); int(s) < len(keeps) {
				kept = keeps[s]
			}
		case typ == ctaCountersOrig:
			c.PktsOut, c.BytesOut = readCounts(data)
		case typ == ctaCountersReply:
			c.PktsIn, c.BytesIn = readCounts(data)
		}
	}
	c.Counted = c.PktsOut > 0
	if kept > left {
		c.Still = time.Duration(kept-left) * time.Second
	}
	return c, mark, ok
}

// readTCPState reads the state of a TCP connection; 0 where there is none.
func readTCPState(b []byte) (state uint8) {
	for typ, info := range attributes(b) {
		for field, data := range attributes(info) {
			if typ == ctaProtoInfoTCP && field == ctaProtoTCPState && len(data) == 1 {
				state = data[0]
			}
		}
	}
	return state
}

// readTuple reads the addresses, the protocol and the ports of a direction.
func readTuple(b []byte) (t flowlog.Tuple, ok bool) {
	var src, dst netip.Addr
	var srcPort, dstPort uint16
	for typ, part := range attributes(b) {
		for field, data := range attributes(part) {
			switch {
			case typ == ctaTupleIP && (field == ctaIPv4Src || field == ctaIPv6Src):
				src, _ = netip.AddrFromSlice(data)
			case typ == ctaTupleIP && (field == ctaIPv4Dst || field == ctaIPv6Dst):
				dst, _ = netip.AddrFromSlice(data)
			case typ == ctaTupleProto && field == ctaProtoNum && len(data) == 1:
				t.Transport = flow.Transport(data[0])
			case typ == ctaTupleProto && field == ctaProtoSrc && len(data) == 2:
				srcPort = binary.BigEndian.Uint16(data)
			case typ == ctaTupleProto && field == ctaProtoDst && len(data) == 2:
				dstPort = binary.BigEndian.Uint16(data)
			}
		}
	}
	t.Src, t.Dst = netip.AddrPortFrom(src.Unmap(), srcPort), netip.AddrPortFrom(dst.Unmap(), dstPort)
	return t, src.IsValid() && dst.IsValid()
}

// readCounts reads what was counted in a direction.
func readCounts(b []byte) (packets, bytes uint64) {
	for typ, data := range attributes(b) {
		switch {
		case typ == ctaCountersPackets && len(data) == 8:
			packets = binary.BigEndian.Uint64(data)
		case typ == ctaCountersBytes && len(data) == 8:
			bytes = binary.BigEndian.Uint64(data)
		}
	}
	return packets, bytes
}
