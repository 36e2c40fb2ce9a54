// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Messages and attributes of the packet queue (linux/netfilter/nfnetlink_queue.h).
const (
	nfqnlMsgPacket  = subsysQueue << 8
	nfqnlMsgVerdict = subsysQueue<<8 | 1
	nfqnlMsgConfig  = subsysQueue<<8 | 2

	nfqaPacketHdr  = 1
	nfqaVerdictHdr = 2
	nfqaMark       = 3
	nfqaPayload    = 10

	nfqaCfgCmd         = 1
	nfqaCfgParams      = 2
	nfqaCfgQueueMaxLen = 3
	nfqaCfgMask        = 4
	nfqaCfgFlags       = 5

	cfgCmdBind = 1
	copyPacket = 2
	cfgFlagGSO = 1 << 2 // NFQA_CFG_F_GSO: packets come as they are, without being segmented first
	// NFQA_CFG_F_FAIL_OPEN: packets that find no room go on instead of being dropped
	cfgFlagFailOpen = 1 << 0

	// NF_DROP, NF_ACCEPT and NF_REPEAT (linux/netfilter.h).
	verdictDrop   = 0
	verdictAccept = 1
	verdictRepeat = 4
)

const (
	// copyRange is how many bytes of a packet are copied to user space: one TLS
	// record of the largest size, with headers.
	copyRange = 17 << 10
	// queueLen is how many packets wait in the kernel for a verdict; more are
	// dropped. Half of it is what undecided flows may hold, so that there is always
	// room for what is new.
	queueLen = 2 * undecidedRoom
	// tick is how often held hellos are looked at for their time limit, and
	// shortTick while one of them waits for something short.
	tick      = 250 * time.Millisecond
	shortTick = 25 * time.Millisecond
	// hotTime is how long the thread waits for the next packet without the
	// runtime's knowledge, see inbox.receive.
	hotTime = 4 * time.Millisecond
)

// verdict is the answer about one queued packet: its id, what happens to it, and
// what its mark becomes unless it is dropped.
type verdict struct {
	id   uint32
	code uint32
	mark uint32
}

// queue is one NFQUEUE with the thread that serves it.
type queue struct {
	num  uint16
	sock *nlSocket
	hold *hold
	out  []byte // verdict messages of the batch under way
}

// openQueue binds to queue num, alone: when another process is bound to it, the
// error says so.
func openQueue(num uint16, h *hold) (*queue, error) {
	sock, err := openNetlink(8 << 20)
	if err != nil {
		return nil, fmt.Errorf("open packet queue %d: %w", num, err)
	}
	q := &queue{num: num, sock: sock, hold: h, out: make([]byte, 0, batch*64)}
	flags := uint32(cfgFlagGSO)
	if h.audit {
		flags |= cfgFlagFailOpen
	}
	steps := []struct {
		what string
		attr []attr
	}{
		{"bind to", []attr{{nfqaCfgCmd, []byte{cfgCmdBind, 0, 0, 0}}}},
		{"set the copy range of", []attr{{nfqaCfgParams, append(binary.BigEndian.AppendUint32(nil, copyRange), copyPacket)}}},
		{"set the length of", []attr{{nfqaCfgQueueMaxLen, binary.BigEndian.AppendUint32(nil, queueLen)}}},
		{"set the flags of", []attr{
			{nfqaCfgFlags, binary.BigEndian.AppendUint32(nil, flags)},
			{nfqaCfgMask, binary.BigEndian.AppendUint32(nil, flags)},
		}},
	}
	for _, s := range steps {
		if err := sock.config(nfqnlMsgConfig, unix.NFPROTO_UNSPEC, num, s.attr...); err != nil {
			sock.close()
			if s.what == "bind to" && (errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EPERM)) {
				return nil, fmt.Errorf("packet queue %d belongs to another process: %w", num, err)
			}
			return nil, fmt.Errorf("%s packet queue %d: %w", s.what, num, err)
		}
	}
	return q, nil
}

// run serves the queue until ctx ends. It keeps its thread: packets of one flow
// always come to one queue, so their order is the order on the wire.
func (q *queue) run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer q.sock.close()
	in := newInbox(copyRange + 1024) // with the other attributes of a message
	if err := q.sock.patience(hotTime); err != nil {
		return err
	}
	lastTick, overdue, hot := q.hold.judge.now(), 0, false
	for ctx.Err() == nil {
		every := tick
		if q.hold.soon() {
			every = shortTick
		}
		var err error
		if !hot {
			if hot, err = q.sock.wait(int(every / time.Millisecond)); err != nil {
				return err
			}
		}
		n := 0
		if hot {
			if n, err = in.receive(q.sock.fd, unix.MSG_WAITFORONE); err != nil {
				return fmt.Errorf("read packet queue %d: %w", q.num, err)
			}
			hot = n > 0
		}
		now := q.hold.judge.now()
		q.hold.now = now
		if err := q.hold.begun.read(now); err != nil {
			return err
		}
		for m := range in.messages(n) {
			if m.typ == nfqnlMsgPacket && len(m.data) >= nfgenHdr {
				q.packet(m.data[nfgenHdr:])
			}
		}
		if now.Sub(lastTick) >= every {
			// What came in time may still be queued when this thread was kept from
			// running: nobody is refused for that, but a flood puts nothing off.
			if overdue++; n < batch || overdue > queueLen/batch {
				lastTick, overdue = now, 0
				q.hold.expire()
			}
		}
		if err := q.flush(); err != nil {
			return err
		}
		q.hold.endBatch()
	}
	q.hold.end()
	return q.flush()
}

// packet reads one queued packet and hands it to the hold. A message without an
// id cannot be answered; one without a readable packet is dropped.
func (q *queue) packet(b []byte) {
	var id uint32
	var payload []byte
	var mark uint32
	haveID := false
	for typ, data := range attributes(b) {
		switch typ {
		case nfqaPacketHdr:
			if len(data) >= 4 {
				id, haveID = binary.BigEndian.Uint32(data), true
			}
		case nfqaPayload:
			payload = data
		case nfqaMark:
			if len(data) == 4 {
				mark = binary.BigEndian.Uint32(data)
			}
		}
	}
	if !haveID {
		return
	}
	q.hold.packet(id, mark, payload)
}

// verdictsAtOnce is how many verdicts go into one system call. All those of an
// ordinary batch fit. When thousands of flows end at one tick there are more, and
// what is longer than the socket's buffer the kernel refuses to take (EMSGSIZE).
const verdictsAtOnce = 8 * batch

// flush sends the verdicts of the batch.
func (q *queue) flush() error {
	for some := range slices.Chunk(q.hold.verdicts, verdictsAtOnce) {
		if err := q.send(some); err != nil {
			return err
		}
	}
	q.hold.verdicts = q.hold.verdicts[:0]
	return nil
}

// send sends verdicts in one system call.
func (q *queue) send(verdicts []verdict) error {
	for _, v := range verdicts {
		q.out = q.appendVerdict(q.out, v)
	}
	err := sendto(q.sock.fd, q.out)
	q.out = q.out[:0]
	// A verdict about a packet that is no longer queued is ENOENT, and harmless.
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("send verdicts to packet queue %d: %w", q.num, err)
	}
	return nil
}

func (q *queue) appendVerdict(b []byte, v verdict) []byte {
	begin := len(b)
	b = append(b, zeros[:nlmsgHdr]...)
	b = append(b, unix.NFPROTO_UNSPEC, 0)
	b = binary.BigEndian.AppendUint16(b, q.num)
	b = binary.NativeEndian.AppendUint16(b, attrHdr+8)
	b = binary.NativeEndian.AppendUint16(b, nfqaVerdictHdr)
	b = binary.BigEndian.AppendUint32(b, v.code)
	b = binary.BigEndian.AppendUint32(b, v.id)
	if v.code != verdictDrop {
		b = binary.NativeEndian.AppendUint16(b, attrHdr+4)
		b = binary.NativeEndian.AppendUint16(b, nfqaMark)
		b = binary.BigEndian.AppendUint32(b, v.mark)
	}
	putHeader(b[begin:], nfqnlMsgVerdict, unix.NLM_F_REQUEST, 0, 0)
	return b
}

var zeros [nlmsgHdr]byte

// sendto sends b to the kernel without the allocation of a socket address. It is
// kept from the runtime as receive is: the kernel forwards the packets meanwhile.
func sendto(fd int, b []byte) error {
	sa := unix.RawSockaddrNetlink{Family: unix.AF_NETLINK}
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
			0, uintptr(unsafe.Pointer(&sa)), unix.SizeofSockaddrNetlink)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}
