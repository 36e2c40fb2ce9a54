// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
)

// Released returns the flows that the kernel forwards because of our marks:
// those released and those whose verified hello is on its way.
func Released(m Marks) ([]Running, error) {
	conn, err := conntrack.Dial(nil)
	if err != nil {
		return nil, fmt.Errorf("open conntrack: %w", err)
	}
	defer conn.Close()
	var out []Running
	for _, bit := range []uint32{m.Released(), m.Pending()} {
		flows, err := conn.DumpFilter(conntrack.NewFilter().Mark(bit).MarkMask(bit), nil)
		if err != nil {
			return nil, fmt.Errorf("list conntrack flows: %w", err)
		}
		for i := range flows {
			r := Running{Tuple: tupleOf(flows[i].TupleOrig), Entry: flows[i].ID}
			if tcp := flows[i].ProtoInfo.TCP; tcp != nil {
				r.Ended = hasEnded(tcp.State)
			}
			if uint32(flows[i].Status)&ctStatusDNAT != 0 {
				r.Led = behind(&flows[i])
			}
			out = append(out, r)
		}
	}
	return out, nil
}

// behind returns a flow as it leaves this host: what its answers are, turned round.
func behind(f *conntrack.Flow) flowlog.Tuple {
	t := tupleOf(f.TupleReply)
	t.Src, t.Dst = t.Dst, t.Src
	return t
}

func tupleOf(t conntrack.Tuple) flowlog.Tuple {
	return flowlog.Tuple{
		Transport: flow.Transport(t.Proto.Protocol),
		Src:       netip.AddrPortFrom(t.IP.SourceAddress.Unmap(), t.Proto.SourcePort),
		Dst:       netip.AddrPortFrom(t.IP.DestinationAddress.Unmap(), t.Proto.DestinationPort),
	}
}

// Attributes of conntrack messages (linux/netfilter/nfnetlink_conntrack.h).
const (
	subsysConntrack = 1
	ctNew           = subsysConntrack << 8   // IPCTNL_MSG_CT_NEW, which also changes what is there
	ctDelete        = subsysConntrack<<8 | 2 // IPCTNL_MSG_CT_DELETE

	ctaTupleOrig = 1
	ctaMark      = 8
	ctaMarkMask  = 21

	ctaTupleIP    = 1
	ctaTupleProto = 2
	ctaIPv4Src    = 1
	ctaIPv4Dst    = 2
	ctaIPv6Src    = 3
	ctaIPv6Dst    = 4
	ctaProtoNum   = 1
	ctaProtoSrc   = 2
	ctaProtoDst   = 3

	nlaNested = 1 << 15
)

// Revoke takes the release from flows, and leaves everybody else's bits: the next
// packet of a TCP connection resets it at both ends, and other flows are judged as
// if nothing had been proved. Flows that have ended meanwhile are no error.
func Revoke(m Marks, flows []Running) error {
	if len(flows) == 0 {
		return nil
	}
	s, err := openNetlink(1 << 16)
	if err != nil {
		return fmt.Errorf("open conntrack: %w", err)
	}
	defer s.close()
	var errs []error
	for _, t := range flows {
		family := byte(unix.AF_INET)
		if t.Src.Addr().Is6() {
			family = unix.AF_INET6
		}
		if t.To().IsValid() && t.Transport != flow.TCP {
			// It would be led on as before; without its entry it is judged anew.
			errs = tolerate(errs, t.Tuple, s.config(ctDelete, family, 0, attr{ctaTupleOrig | nlaNested, tupleAttrs(t.Tuple)}))
			continue
		}
		mark := uint32(0)
		if t.Transport == flow.TCP {
			mark = m.Denied()
		}
		err := s.config(ctNew, family, 0,
			attr{ctaTupleOrig | nlaNested, tupleAttrs(t.Tuple)},
			attr{ctaMark, binary.BigEndian.AppendUint32(nil, mark)},
			attr{ctaMarkMask, binary.BigEndian.AppendUint32(nil, m.Mask())})
		errs = tolerate(errs, t.Tuple, err)
	}
	return errors.Join(errs...)
}

// tolerate adds err to a few others, unless the flow has ended.
func tolerate(errs []error, t flowlog.Tuple, err error) []error {
	if err == nil || errors.Is(err, unix.ENOENT) || len(errs) >= 4 {
		return errs
	}
	return append(errs, fmt.Errorf("revoke the flow from %s to %s: %w", t.Src, t.Dst, err))
}

// tupleAttrs returns what is nested in an attribute about a tuple.
func tupleAttrs(t flowlog.Tuple) []byte {
	src, dst := uint16(ctaIPv4Src), uint16(ctaIPv4Dst)
	if t.Src.Addr().Is6() {
		src, dst = ctaIPv6Src, ctaIPv6Dst
	}
	port := func(p uint16) []byte { return binary.BigEndian.AppendUint16(nil, p) }
	ip := appendAttr(appendAttr(nil, src, t.Src.Addr().AsSlice()), dst, t.Dst.Addr().AsSlice())
	proto := appendAttr(nil, ctaProtoNum, []byte{byte(t.Transport)})
	proto = appendAttr(appendAttr(proto, ctaProtoSrc, port(t.Src.Port())), ctaProtoDst, port(t.Dst.Port()))
	return appendAttr(appendAttr(nil, ctaTupleIP|nlaNested, ip), ctaTupleProto|nlaNested, proto)
}

func appendAttr(b []byte, typ uint16, data []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(attrHdr+len(data)))
	b = append(binary.NativeEndian.AppendUint16(b, typ), data...)
	for len(b)%unix.NLA_ALIGNTO != 0 {
		b = append(b, 0)
	}
	return b
}
