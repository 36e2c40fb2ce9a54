// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"encoding/binary"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// A match or an action is a few nftables expressions. The functions below write
// the ones this table uses, each as nft spells it in its comment.
type exprs = []expr.Any

// Registers: reg is the 128-bit register every simple match loads into. A
// concatenated key begins there and goes on in 32-bit registers, one for every
// four bytes begun (nft_set_ext_key; registers 8 to 23 are the 32-bit view).
const (
	reg      = unix.NFT_REG_1
	reg32    = unix.NFT_REG32_00
	innerHdr = expr.PayloadBase(3) // NFT_PAYLOAD_INNER_HEADER, kernel 5.16: behind the transport header
)

// join puts matches and actions behind one another into one rule.
func join(parts ...exprs) exprs {
	var out exprs
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func meta(key expr.MetaKey) expr.Any { return &expr.Meta{Key: key, Register: reg} }

func cmp(op expr.CmpOp, data []byte) expr.Any { return &expr.Cmp{Op: op, Register: reg, Data: data} }

// iifname NAME
func inFrom(name string) exprs {
	return exprs{meta(expr.MetaKeyIIFNAME), cmp(expr.CmpOpEq, ifname(name))}
}

// iifname != NAME
func notInFrom(name string) exprs {
	return exprs{meta(expr.MetaKeyIIFNAME), cmp(expr.CmpOpNeq, ifname(name))}
}

// fib saddr . iif oif missing: an answer to the source would not leave by the
// interface that the packet came from.
func noWayBack() exprs {
	return exprs{
		&expr.Fib{Register: reg, ResultOIF: true, FlagSADDR: true, FlagIIF: true, FlagPRESENT: true},
		cmp(expr.CmpOpEq, []byte{0}),
	}
}

// oifname NAME
func outTo(name string) exprs {
	return exprs{meta(expr.MetaKeyOIFNAME), cmp(expr.CmpOpEq, ifname(name))}
}

func ifname(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

// meta l4proto PROTO
func l4proto(proto byte) exprs {
	return exprs{meta(expr.MetaKeyL4PROTO), cmp(expr.CmpOpEq, []byte{proto})}
}

// meta l4proto != { tcp, udp }
func neitherTCPNorUDP() exprs {
	return exprs{meta(expr.MetaKeyL4PROTO), cmp(expr.CmpOpNeq, []byte{unix.IPPROTO_TCP}), cmp(expr.CmpOpNeq, []byte{unix.IPPROTO_UDP})}
}

// meta nfproto ipv4|ipv6
func (f family) match() exprs {
	return exprs{meta(expr.MetaKeyNFPROTO), cmp(expr.CmpOpEq, []byte{f.nfproto})}
}

// family is what differs between IPv4 and IPv6.
type family struct {
	name         string
	nfproto      byte
	keyType      nftables.SetDatatype
	saddr, daddr uint32 // offsets in the network header
	size         uint32 // bytes of an address
}

var (
	ipv4 = family{"4", unix.NFPROTO_IPV4, nftables.TypeIPAddr, 12, 16, 4}
	ipv6 = family{"6", unix.NFPROTO_IPV6, nftables.TypeIP6Addr, 8, 24, 16}
)

// next returns the register that follows this family's address in a key.
func (f family) next() uint32 { return reg32 + f.size/4 }

func (f family) load(offset, into uint32) expr.Any {
	return &expr.Payload{DestRegister: into, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: f.size}
}

// ip saddr @SET, or != @SET
func (f family) source(set *nftables.Set, invert bool) exprs {
	return exprs{f.load(f.saddr, reg), &expr.Lookup{SourceRegister: reg, SetName: set.Name, SetID: set.ID, Invert: invert}}
}

// ip daddr @SET, or != @SET
func (f family) destination(set *nftables.Set, invert bool) exprs {
	return exprs{f.load(f.daddr, reg), &expr.Lookup{SourceRegister: reg, SetName: set.Name, SetID: set.ID, Invert: invert}}
}

// ip daddr . meta l4proto . th dport @SET
func (f family) bound(set *nftables.Set) exprs {
	return exprs{
		f.load(f.daddr, reg),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: f.next()},
		&expr.Payload{DestRegister: f.next() + 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Lookup{SourceRegister: reg, SetName: set.Name, SetID: set.ID},
	}
}

// ip saddr . meta l4proto . th sport @SET
func (f family) answering(set *nftables.Set) exprs {
	return exprs{
		f.load(f.saddr, reg),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: f.next()},
		&expr.Payload{DestRegister: f.next() + 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2},
		&expr.Lookup{SourceRegister: reg, SetName: set.Name, SetID: set.ID},
	}
}

// ip saddr . ip daddr . meta l4proto . th dport @SET
func (f family) between(set *nftables.Set) exprs {
	words := f.size / 4
	return exprs{
		f.load(f.saddr, reg),
		f.load(f.daddr, reg32+words),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg32 + 2*words},
		&expr.Payload{DestRegister: reg32 + 2*words + 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Lookup{SourceRegister: reg, SetName: set.Name, SetID: set.ID},
	}
}

// loadOpening is ip saddr . ip daddr . tcp sport . tcp dport . tcp sequence
func (f family) loadOpening() exprs {
	words := f.size / 4
	tcp := func(offset, size, into uint32) expr.Any {
		return &expr.Payload{DestRegister: reg32 + into, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: size}
	}
	return exprs{
		f.load(f.saddr, reg), f.load(f.daddr, reg32+words),
		tcp(0, 2, 2*words), tcp(2, 2, 2*words+1), tcp(4, 4, 2*words+2),
	}
}

// loadOpening @SET
func (f family) openedBy(set *nftables.Set) exprs {
	return append(f.loadOpening(), &expr.Lookup{SourceRegister: reg, SetName: set.Name, SetID: set.ID})
}

// add @SET { loadOpening }
func (f family) opened(set *nftables.Set) exprs {
	return append(f.loadOpening(), &expr.Dynset{SrcRegKey: reg, SetName: set.Name, SetID: set.ID, Operation: unix.NFT_DYNSET_OP_ADD})
}

// th dport PORT
func dport(port uint16) exprs {
	return exprs{
		&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		cmp(expr.CmpOpEq, binary.BigEndian.AppendUint16(nil, port)),
	}
}

// hasPayload matches a TCP segment that carries at least one byte: loading the
// first byte behind the transport header ends the rule when there is none.
func hasPayload() exprs {
	return exprs{
		&expr.Payload{DestRegister: reg, Base: innerHdr, Offset: 0, Len: 1},
		&expr.Range{Op: expr.CmpOpEq, Register: reg, FromData: []byte{0}, ToData: []byte{0xff}},
	}
}

// tcp flags & MASK == VALUE
func tcpFlags(mask, value byte) exprs {
	return exprs{
		&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
		&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: 1, Mask: []byte{mask}, Xor: []byte{0}},
		cmp(expr.CmpOpEq, []byte{value}),
	}
}

// aSYN matches what asks for a TCP connection.
func aSYN() exprs {
	return join(l4proto(unix.IPPROTO_TCP), tcpFlags(flagSYN|flagACK|flagRST, flagSYN))
}

// The TCP flags rules look at.
const (
	flagSYN = 0x02
	flagRST = 0x04
	flagPSH = 0x08
	flagACK = 0x10
	flagURG = 0x20
)

// icmp type TYPE, of either family
func icmpType(types ...byte) []exprs {
	var out []exprs
	for _, t := range types {
		out = append(out, exprs{
			&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
			cmp(expr.CmpOpEq, []byte{t}),
		})
	}
	return out
}

// ct state STATE
func ctState(state uint32) exprs {
	return exprs{
		&expr.Ct{Key: expr.CtKeySTATE, Register: reg},
		&expr.Bitwise{
			SourceRegister: reg, DestRegister: reg, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(state), Xor: make([]byte, 4),
		},
		cmp(expr.CmpOpNeq, make([]byte, 4)),
	}
}

// ct direction reply
func ctReply() exprs {
	return exprs{&expr.Ct{Key: expr.CtKeyDIRECTION, Register: reg}, cmp(expr.CmpOpEq, []byte{1})}
}

// ct mark & BITS != 0
func ctMark(bits uint32) exprs {
	return exprs{&expr.Ct{Key: expr.CtKeyMARK, Register: reg}, and(bits), cmp(expr.CmpOpNeq, make([]byte, 4))}
}

// meta mark & BITS != 0
func packetMark(bits uint32) exprs {
	return exprs{meta(expr.MetaKeyMARK), and(bits), cmp(expr.CmpOpNeq, make([]byte, 4))}
}

func and(bits uint32) expr.Any {
	return &expr.Bitwise{
		SourceRegister: reg, DestRegister: reg, Len: 4,
		Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4),
	}
}

// replace writes value over the bits of mask in the register and keeps the rest.
func replace(mask, value uint32) expr.Any {
	return &expr.Bitwise{
		SourceRegister: reg, DestRegister: reg, Len: 4,
		Mask: binaryutil.NativeEndian.PutUint32(^mask), Xor: binaryutil.NativeEndian.PutUint32(value),
	}
}

// ct mark set ct mark & ~MASK | VALUE
func setCtMark(mask, value uint32) exprs {
	return exprs{
		&expr.Ct{Key: expr.CtKeyMARK, Register: reg}, replace(mask, value),
		&expr.Ct{Key: expr.CtKeyMARK, Register: reg, SourceRegister: true},
	}
}

// meta mark set meta mark & ~MASK | VALUE
func setPacketMark(mask, value uint32) exprs {
	return exprs{
		meta(expr.MetaKeyMARK), replace(mask, value),
		&expr.Meta{Key: expr.MetaKeyMARK, Register: reg, SourceRegister: true},
	}
}

func accept() exprs { return exprs{&expr.Verdict{Kind: expr.VerdictAccept}} }
func drop() exprs   { return exprs{&expr.Verdict{Kind: expr.VerdictDrop}} }

func goTo(chain string) exprs { return exprs{&expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}} }
func jump(chain string) exprs { return exprs{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}} }

// reject with tcp reset
func rejectReset() exprs { return exprs{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}} }

// reject with icmpx port-unreachable|admin-prohibited
func rejectICMP(code byte) exprs {
	return exprs{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: code}}
}

// counter name NAME
func count(name string) exprs { return exprs{&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: name}} }

// limit rate RATE/second burst BURST packets
func limit(rate uint64, burst uint32) exprs {
	return exprs{&expr.Limit{Type: expr.LimitTypePkts, Rate: rate, Unit: expr.LimitTimeSecond, Burst: burst}}
}

// log group GROUP prefix PREFIX snaplen SNAPLEN
func logTo(group uint16, prefix string) exprs {
	return exprs{&expr.Log{
		Key:   1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_PREFIX | 1<<unix.NFTA_LOG_SNAPLEN | 1<<unix.NFTA_LOG_QTHRESHOLD,
		Group: group, Snaplen: 128, QThreshold: 1, Data: []byte(prefix),
	}}
}

// queue to the queues from FIRST on, one of COUNT by flow: when nobody listens the
// packet is dropped, or goes on where bypass says so. It is the NFQUEUE target of xtables at
// revision 3 (linux/netfilter/xt_NFQUEUE.h), since some kernels lack the queue
// expression of nftables. The target's hash looks at both addresses in sorted
// order, so both directions of a flow come to one queue.
func queueTo(first, count uint16, bypass bool) exprs {
	info := xt.Unknown(make([]byte, 8)) // queuenum, queues_total, flags, padding to 8
	binary.NativeEndian.PutUint16(info[0:], first)
	binary.NativeEndian.PutUint16(info[2:], count)
	if bypass {
		binary.NativeEndian.PutUint16(info[4:], 1) // NFQ_FLAG_BYPASS
	}
	return exprs{&expr.Target{Name: "NFQUEUE", Rev: 3, Info: &info}}
}

// socket transparent 1
func transparentSocket() exprs {
	return exprs{
		&expr.Socket{Key: expr.SocketKeyTransparent, Register: reg},
		cmp(expr.CmpOpEq, []byte{1}),
	}
}

// tproxy ip|ip6 to :PORT
func (f family) tproxy(port uint16) exprs {
	return exprs{
		&expr.Immediate{Register: reg, Data: binary.BigEndian.AppendUint16(nil, port)},
		&expr.TProxy{Family: f.nfproto, TableFamily: unix.NFPROTO_INET, RegPort: reg},
	}
}
