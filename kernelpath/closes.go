// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
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
// gatherTime late.
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
	err = sock.watch(ctx, closeSize, func(msg message) {
		if c, mark, ok := closed(msg); ok && mark&m.Released() != 0 {
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

	ctaCountersOrig  = 9
	ctaCountersReply = 10

	ctaCountersPackets = 1
	ctaCountersBytes   = 2
)

// closed reads a message about a connection that has ended.
func closed(m message) (c flowlog.Closed, mark uint32, ok bool) {
	if m.typ != ctDelete || len(m.data) < nfgenHdr {
		return c, 0, false
	}
	for typ, data := range attributes(m.data[nfgenHdr:]) {
		switch {
		case typ == ctaTupleOrig:
			c.Tuple, ok = readTuple(data)
		case typ == ctaMark && len(data) == 4:
			mark = binary.BigEndian.Uint32(data)
		case typ == ctaCountersOrig:
			c.PktsOut, c.BytesOut = readCounts(data)
		case typ == ctaCountersReply:
			c.PktsIn, c.BytesIn = readCounts(data)
		}
	}
	c.Counted = c.PktsOut > 0
	return c, mark, ok
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
