// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
)

// Messages and attributes of the packet log (linux/netfilter/nfnetlink_log.h).
const (
	nfulnlMsgPacket = subsysULog << 8
	nfulnlMsgConfig = subsysULog<<8 | 1

	nfulaPayload = 9
	nfulaPrefix  = 10

	nfulaCfgCmd     = 1
	nfulaCfgMode    = 2
	nfulaCfgBufSize = 3
	nfulaCfgQThres  = 5
)

// recordSize is more than a message about a packet takes.
const recordSize = 4 << 10

// kernelLog turns what the table decides without user space into records.
type kernelLog struct {
	sock  *nlSocket
	judge *Judge
	group uint16
	event flowlog.Event
}

func openKernelLog(group uint16, j *Judge) (*kernelLog, error) {
	sock, err := openLog(group, 1<<20, recordSize)
	if err != nil {
		return nil, err
	}
	return &kernelLog{sock: sock, judge: j, group: group}, nil
}

// openLog binds to a log group, alone. Each packet is logged in a message of its
// own at once; the kernel allocates size bytes for it, and rcvbuf is what may wait.
func openLog(group uint16, rcvbuf int, size uint32) (*nlSocket, error) {
	sock, err := openNetlink(rcvbuf)
	if err != nil {
		return nil, fmt.Errorf("open packet log: %w", err)
	}
	mode := append(binary.BigEndian.AppendUint32(nil, 256), copyPacket, 0)
	for _, a := range []attr{
		{nfulaCfgCmd, []byte{cfgCmdBind}},
		{nfulaCfgMode, mode},
		{nfulaCfgBufSize, binary.BigEndian.AppendUint32(nil, size)},
		{nfulaCfgQThres, binary.BigEndian.AppendUint32(nil, 1)},
	} {
		if err := sock.config(nfulnlMsgConfig, unix.NFPROTO_UNSPEC, group, a); err != nil {
			sock.close()
			if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EPERM) {
				return nil, fmt.Errorf("packet log group %d belongs to another process: %w", group, err)
			}
			return nil, fmt.Errorf("set up packet log group %d: %w", group, err)
		}
	}
	return sock, nil
}

// run reads messages until ctx ends.
func (k *kernelLog) run(ctx context.Context) error {
	err := k.sock.watch(ctx, recordSize, func(m message) {
		if m.typ == nfulnlMsgPacket && len(m.data) >= nfgenHdr {
			k.message(m.data[nfgenHdr:], k.judge.now())
		}
	})
	if err != nil {
		return fmt.Errorf("read packet log group %d: %w", k.group, err)
	}
	return nil
}

// message records one logged packet.
func (k *kernelLog) message(b []byte, now time.Time) {
	var prefix string
	var payload []byte
	for typ, data := range attributes(b) {
		switch typ {
		case nfulaPrefix:
			prefix = strings.TrimRight(string(data), "\x00")
		case nfulaPayload:
			payload = data
		}
	}
	p, ok := readPacket(payload)
	if !ok && !p.src.IsValid() {
		return
	}
	if prefix == logSpoke { // by the server, and a flow is told from the client's side
		p.src, p.dst, p.srcPort, p.dstPort = p.dst, p.src, p.dstPort, p.srcPort
	}
	f := flowOf(&p)
	d, detail := k.decision(prefix, &f, now)
	e := &k.event
	e.At, e.Flow, e.SrcPort, e.Decision, e.Path, e.Detail, e.NameLen = now, f, p.srcPort, d, "kernel", detail, 0
	e.Refused = isRefused(prefix)
	k.judge.Record(e)
}

// decision says what the table decided, with the rule behind it.
func (k *kernelLog) decision(prefix string, f *flow.Flow, now time.Time) (d flow.Decision, detail string) {
	switch prefix {
	case logAddress:
		f.Proof = flow.ByAddress
		return k.judge.Rules().Decide(*f, now), ""
	case logSource, logNoWayBack, logStranger:
		return flow.Decision{Reason: flow.SourceNotAllowed}, "the source is no part of the cluster that the gateway sees"
	case logDNS:
		return flow.Decision{Reason: flow.OtherResolver}, ""
	case logPing:
		return flow.Decision{Reason: flow.PingDenied}, ""
	case logICMP:
		return flow.Decision{Reason: flow.ICMPDenied}, ""
	case logProto:
		return flow.Decision{Reason: flow.TransportDenied}, ""
	case logState:
		return flow.Decision{Reason: flow.OutOfState}, ""
	case logUrgent:
		f.App = flow.TLS
		return flow.Decision{Reason: flow.MalformedHello}, "urgent data before the name is proved"
	case logElsewhere:
		return flow.Decision{Reason: flow.SourceNotAllowed}, "the source is the cluster's, and the packet did not come from there"
	case logTooMany, logCrowd:
		return flow.Decision{Reason: flow.Overload}, "the source has more connections, or asks more questions, than one may"
	case logPublished, logVisitor:
		return k.judge.inbound(f)
	case logOneWay:
		return flow.Decision{Reason: flow.AsymmetricRouting}, "publish the port under gateway.publish, and let clients come to the gateway"
	case logEarly:
		return flow.Decision{Reason: flow.OutOfState}, "a SYN with payload, before there is a connection"
	case logMultipath:
		return flow.Decision{Reason: flow.OutOfState}, "a SYN that offers multipath TCP twice, or to a kernel that cannot take it out"
	case logSpoke:
		return flow.Decision{Reason: flow.NotTLS}, "the server speaks first"
	}
	// Unbound: a rule may know the address, but not this port or source, or not
	// any more; or names lead to the address, and what is wrong is the port.
	if d := k.judge.Rules().Decide(*f, now); d.Verdict == flow.Deny && d.Reason != flow.AddressNotAllowed {
		return d, ""
	}
	if f.Transport == flow.UDP && f.Port == 443 {
		detail = "QUIC is refused so that clients fall back to TCP"
	}
	if d, name := k.judge.binding(f, now); !name.IsZero() && d.Verdict == flow.Deny {
		guess(f)
		return d, detail
	}
	f.Proof = flow.Unproved
	return flow.Decision{Reason: flow.UnboundAddress}, detail
}
