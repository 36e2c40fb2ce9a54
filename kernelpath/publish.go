// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/program"
)

// What comes in. A published port of this host leads on to a load balancer or a
// node, and the source becomes this host's own address, so that the answer comes
// back by the way the question took: a reply that took the cluster's default route
// instead would belong to no connection here.
//
// Such a flow is decided by its first packet alone. It is marked released before
// it is translated, so it costs the filter the one rule that every released flow
// does, and a change of the rules finds it by that mark. Nothing else opens
// anything inwards.

// dataReg is the register that holds what a map leads to: behind the longest key.
const dataReg = unix.NFT_REG32_00 + 8

// ctStatusDNAT is IPS_DST_NAT (linux/netfilter/nf_conntrack_common.h).
const ctStatusDNAT = 1 << 5

// addPublishSets adds where published ports lead, for each source; who may use
// which, since a rule that only asked the map would not be listed with it; and the
// ports, whoever may use them.
func (b *table) addPublishSets() error {
	ports := &nftables.Set{
		Table: b.t, Name: "ports", Concatenation: true,
		KeyType: nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeInetService),
	}
	if err := b.set(ports, portElements(b.cfg.Publish)); err != nil {
		return err
	}
	for _, f := range []family{ipv4, ipv6} {
		if err := b.addressSet("front"+f.name, f, b.cfg.Front); err != nil {
			return err
		}
		leads := &nftables.Set{
			Table: b.t, Name: "publish" + f.name, Concatenation: true, Interval: true, IsMap: true,
			KeyType:  nftables.MustConcatSetType(f.keyType, nftables.TypeInetProto, nftables.TypeInetService),
			DataType: nftables.MustConcatSetType(f.keyType, nftables.TypeInetService),
		}
		visitors := &nftables.Set{Table: b.t, Name: "visitors" + f.name, Concatenation: true, Interval: true, KeyType: leads.KeyType}
		if err := errors.Join(b.set(leads, publishElements(f, b.cfg.Publish)), b.set(visitors, visitorElements(f, b.cfg.Publish))); err != nil {
			return err
		}
		// Of their own, so that the outside does not use up the places in which
		// the cluster's sources are counted.
		visiting := &nftables.Set{Table: b.t, Name: "visiting" + f.name, KeyType: f.keyType, Dynamic: true, Size: maxGuests}
		if err := b.set(visiting, nil); err != nil {
			return err
		}
	}
	return nil
}

// publishElements returns ip saddr . meta l4proto . th dport : ip addr . port.
func publishElements(f family, list []program.Publication) []nftables.SetElement {
	var elements []nftables.SetElement
	for _, x := range list {
		if familyOf(x.To.Addr()).name != f.name {
			continue
		}
		to := append(x.To.Addr().AsSlice(), portKey(x.To.Port())...)
		for _, r := range x.From.Ranges() {
			if r.Lo.BitLen() != int(f.size)*8 {
				continue
			}
			key := func(src netip.Addr) []byte {
				return Element{Addr: src, Protocol: flow.Protocol{Transport: x.Transport}, Port: x.Port}.key()
			}
			elements = append(elements, nftables.SetElement{Key: key(r.Lo), KeyEnd: key(r.Hi), Val: to})
		}
	}
	return elements
}

// visitorElements returns ip saddr . meta l4proto . th dport of those who may.
func visitorElements(f family, list []program.Publication) []nftables.SetElement {
	elements := publishElements(f, list)
	for i := range elements {
		elements[i].Val = nil
	}
	return elements
}

// portElements returns meta l4proto . th dport of what is published.
func portElements(list []program.Publication) []nftables.SetElement {
	var elements []nftables.SetElement
	seen := make(map[[2]uint16]bool)
	for _, x := range list {
		if p := [2]uint16{uint16(x.Transport), x.Port}; !seen[p] {
			seen[p] = true
			elements = append(elements, nftables.SetElement{Key: append([]byte{byte(x.Transport), 0, 0, 0}, portKey(x.Port)...)})
		}
	}
	return elements
}

func portKey(port uint16) []byte { return append(binary.BigEndian.AppendUint16(nil, port), 0, 0) }

// publish leads published ports on. What a map does not hold passes these chains
// untouched, to be refused by the next ones.
func (b *table) publish() {
	m := b.cfg.Marks
	b.base("publish", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, prioDNAT)
	// A source that is not counted, since too many are, gets no further either.
	room := &expr.Connlimit{Count: connsPerSource()}
	for _, f := range []family{ipv4, ipv6} {
		published := join(b.fromOutside(f), f.destination(b.sets["front"+f.name], false), f.visiting(b.sets["visitors"+f.name]))
		b.rule("publish", published, f.perSource(b.sets["visiting"+f.name], unix.NFT_DYNSET_OP_ADD, room), goTo("published"))
		b.rule("publish", published, goTo("too_many"))
	}
	b.rule("published", limit(logRate, logBurst), logTo(b.cfg.LogGroup, logPublished))
	for _, f := range []family{ipv4, ipv6} {
		b.rule("published", f.match(), f.leads(b.sets["publish"+f.name]), setCtMark(m.Mask(), m.Released()), f.dnat())
	}

	// What is still for this host on such a port is from somebody else. It is told
	// nothing, as the outside never is; what a service of the host has under way on
	// the port goes on.
	for _, f := range []family{ipv4, ipv6} {
		b.dropped("input", logVisitor, counterUnsolicited,
			ctState(expr.CtStateBitNEW), b.fromOutside(f), f.destination(b.sets["front"+f.name], false), onPort(b.sets["ports"]))
	}
}

// sourceOfPublished makes published flows come from this host: from the address
// of the interface towards where they lead.
func (b *table) sourceOfPublished() {
	b.rule("masquerade", ctMark(b.cfg.Marks.Released()), ctStatus(ctStatusDNAT), exprs{&expr.Masq{}})
}

// oneWay reports the answer to a connection that did not come in here: the
// cluster's default route leads replies of a public load balancer to us, who know
// nothing of the question. The next rule drops it with all that has no state.
func (b *table) oneWay() {
	b.rule("from_cluster", ctState(expr.CtStateBitINVALID), l4proto(unix.IPPROTO_TCP), tcpFlags(flagSYN|flagACK|flagRST, flagSYN|flagACK),
		limit(logRate, logBurst), logTo(b.cfg.LogGroup, logOneWay))
}

// ip saddr . meta l4proto . th dport
func (f family) visitor() exprs {
	return exprs{
		f.load(f.saddr, reg),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: f.next()},
		&expr.Payload{DestRegister: f.next() + 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
	}
}

// ip saddr . meta l4proto . th dport @SET
func (f family) visiting(set *nftables.Set) exprs {
	return join(f.visitor(), exprs{&expr.Lookup{SourceRegister: reg, SetName: set.Name, SetID: set.ID}})
}

// ip saddr . meta l4proto . th dport map @MAP, into the data register
func (f family) leads(set *nftables.Set) exprs {
	return join(f.visitor(), exprs{
		&expr.Lookup{SourceRegister: reg, SetName: set.Name, SetID: set.ID, IsDestRegSet: true, DestRegister: dataReg},
	})
}

// dnat ip|ip6 to what the data register holds: ADDRESS . PORT
func (f family) dnat() exprs {
	return exprs{&expr.NAT{
		Type: expr.NATTypeDestNAT, Family: uint32(f.nfproto),
		RegAddrMin: dataReg, RegAddrMax: dataReg, RegProtoMin: dataReg + f.size/4, RegProtoMax: dataReg + f.size/4,
	}}
}

// meta l4proto . th dport @SET
func onPort(set *nftables.Set) exprs {
	return exprs{
		meta(expr.MetaKeyL4PROTO),
		&expr.Payload{DestRegister: reg32 + 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Lookup{SourceRegister: reg, SetName: set.Name, SetID: set.ID},
	}
}

// ct status & BITS != 0
func ctStatus(bits uint32) exprs {
	return exprs{
		&expr.Ct{Key: expr.CtKeySTATUS, Register: reg},
		&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		cmp(expr.CmpOpNeq, make([]byte, 4)),
	}
}

// inbound says what the table decided about a flow from outside, for the log.
func (j *Judge) inbound(f *flow.Flow) (flow.Decision, string) {
	if j.Inbound == nil {
		return flow.Decision{Reason: flow.NotPublished}, ""
	}
	d := j.Inbound(*f)
	if d.Verdict == flow.Allow {
		f.Proof = flow.ByAddress
	}
	return d, ""
}

// Running is a flow that the kernel forwards because of our marks.
type Running struct {
	flowlog.Tuple               // as the client sees it
	Entry         uint32        // the kernel's number of what it keeps of the flow; another connection on the same ports has another
	Ended         bool          // TCP that both ends are done with; its entry still forwards
	Led           flowlog.Tuple // the same behind this host: from us, to where it leads; zero for a flow that was not published
}

// To returns where a published flow leads, not valid for others.
func (r Running) To() netip.AddrPort { return r.Led.Dst }

// Revoking tells which flows are about to be revoked: of a published one the rest
// of the engine sees only the middle, from the client to where it leads, and a
// reset has to go out as one end or the other knows the flow.
func (e *Engine) Revoking(flows []Running) {
	for _, r := range flows {
		if r.To().IsValid() && r.Transport == flow.TCP {
			e.inject.ends.note(r)
		}
	}
}

// wireEnds is how published flows that were revoked look at their ends, by how
// they look in the middle.
type wireEnds struct {
	mu sync.Mutex
	by map[flowKey]flowKey
}

// maxWireEnds bounds them; what comes beyond is reset at one end alone.
const maxWireEnds = 100_000

func (w *wireEnds) note(r Running) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by == nil || len(w.by) >= maxWireEnds {
		w.by = make(map[flowKey]flowKey)
	}
	w.by[flowKey{r.Src, r.Led.Dst}] = flowKey{r.Led.Src, r.Led.Dst}
	w.by[flowKey{r.Led.Dst, r.Src}] = flowKey{r.Dst, r.Src}
}

// of returns the flow as the end it goes to knows it.
func (w *wireEnds) of(key flowKey) flowKey {
	w.mu.Lock()
	defer w.mu.Unlock()
	if end, ok := w.by[key]; ok {
		return end
	}
	return key
}
