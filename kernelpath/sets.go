// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
)

// Element is one destination that names lead to, and how flows to it are judged.
type Element struct {
	Addr     netip.Addr
	Protocol flow.Protocol
	Port     uint16
	Strict   bool // through the proxy, whatever it is
}

// setElement is an element of one of the learned sets.
type setElement struct {
	set string
	Element
}

// learned returns the set that e belongs to.
func (e Element) learned() setElement {
	kind := "raw"
	switch {
	case e.Strict || e.Protocol.App == flow.HTTP:
		// One element for all that goes there: the proxy tells them apart.
		kind, e.Strict, e.Protocol = "proxied", false, flow.ProtoHTTP
	case e.Protocol.App == flow.TLS:
		kind = "tls"
	}
	return setElement{kind + familyOf(e.Addr).name, e}
}

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return ipv4
	}
	return ipv6
}

// key returns the element as ip daddr . meta l4proto . th dport.
func (e Element) key() []byte {
	k := e.Addr.AsSlice()
	k = append(k, byte(e.Protocol.Transport), 0, 0, 0)
	return append(binary.BigEndian.AppendUint16(k, e.Port), 0, 0)
}

// chunk is how many elements go into one netlink message: its attribute length
// is 16 bits, and an element with a key of 24 bytes takes about 50.
const chunk = 500

// addSets adds the sets that rules look into: fixed ones with their elements,
// and the learned ones, empty.
func (b *table) addSets(rules []program.Rule) error {
	private := netset.Private()
	for _, f := range []family{ipv4, ipv6} {
		if err := b.addressSet("sources"+f.name, f, b.cfg.Sources); err != nil {
			return err
		}
		if err := b.addressSet("private"+f.name, f, private); err != nil {
			return err
		}
		if err := b.addressSet("resolver"+f.name, f, b.cfg.Resolver); err != nil {
			return err
		}
		if err := b.betweenSet("address"+f.name, f, rules); err != nil {
			return err
		}
		for _, kind := range []string{"tls", "raw", "proxied"} {
			set := &nftables.Set{
				Table: b.t, Name: kind + f.name, Concatenation: true,
				KeyType: nftables.MustConcatSetType(f.keyType, nftables.TypeInetProto, nftables.TypeInetService),
			}
			if err := b.set(set, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// SYNs that open connections are known again for as long as a network may keep the
// second copy of one; those that find no room are not.
const (
	openedTime = 10 * time.Second
	openedRoom = 65536
)

// addOpened adds the sets of the SYNs that have opened connections. The kernel fills
// them.
func (b *table) addOpened() error {
	for _, f := range []family{ipv4, ipv6} {
		set := &nftables.Set{
			Table: b.t, Name: "opened" + f.name, Concatenation: true, Dynamic: true,
			HasTimeout: true, Timeout: openedTime, Size: openedRoom,
			// Sequence numbers have no type of their own; a mark is of four bytes, too.
			KeyType: nftables.MustConcatSetType(f.keyType, f.keyType, nftables.TypeInetService, nftables.TypeInetService, nftables.TypeMark),
		}
		if err := b.set(set, nil); err != nil {
			return err
		}
	}
	return nil
}

// addressSet adds an interval set of addresses.
func (b *table) addressSet(name string, f family, s netset.Set) error {
	set := &nftables.Set{Table: b.t, Name: name, KeyType: f.keyType, Interval: true}
	return b.set(set, addressElements(f, s))
}

// set adds a set with its elements.
func (b *table) set(set *nftables.Set, elements []nftables.SetElement) error {
	b.sets[set.Name] = set
	if err := b.conn.AddSet(set, nil); err != nil {
		return fmt.Errorf("add set %s: %w", set.Name, err)
	}
	return addElements(b.conn, set, elements)
}

// addressElements returns the addresses of one family. An interval set holds the
// start of each range and the address behind its end.
func addressElements(f family, s netset.Set) []nftables.SetElement {
	var elements []nftables.SetElement
	for _, r := range s.Ranges() {
		if r.Lo.BitLen() != int(f.size)*8 {
			continue
		}
		elements = append(elements, nftables.SetElement{Key: r.Lo.AsSlice()})
		if end := r.Hi.Next(); end.IsValid() {
			elements = append(elements, nftables.SetElement{Key: end.AsSlice(), IntervalEnd: true})
		}
	}
	return elements
}

// betweenSet adds the set of ip saddr . ip daddr . meta l4proto . th dport that
// the rules about addresses allow.
func (b *table) betweenSet(name string, f family, rules []program.Rule) error {
	set := &nftables.Set{
		Table: b.t, Name: name, Concatenation: true, Interval: true,
		KeyType: nftables.MustConcatSetType(f.keyType, f.keyType, nftables.TypeInetProto, nftables.TypeInetService),
	}
	return b.set(set, betweenElements(f, rules))
}

// betweenElements returns what rules about addresses allow in one family.
func betweenElements(f family, rules []program.Rule) []nftables.SetElement {
	var elements []nftables.SetElement
	for _, x := range boxes(rules) {
		for _, src := range x.src.Ranges() {
			for _, dst := range x.dst.Ranges() {
				if src.Lo.BitLen() != int(f.size)*8 || dst.Lo.BitLen() != int(f.size)*8 {
					continue
				}
				for _, ports := range x.ports.Ranges() {
					key := func(src, dst netip.Addr, port uint16) []byte {
						return append(src.AsSlice(), Element{Addr: dst, Protocol: flow.Protocol{Transport: x.transport}, Port: port}.key()...)
					}
					elements = append(elements, nftables.SetElement{
						Key: key(src.Lo, dst.Lo, ports.Lo), KeyEnd: key(src.Hi, dst.Hi, ports.Hi),
					})
				}
			}
		}
	}
	return elements
}

// box is a set of flows by address: every combination of its parts.
type box struct {
	transport flow.Transport
	src, dst  netset.Set
	ports     portset.Set
}

// boxes returns what the rules about addresses allow as disjoint boxes, since
// the kernel refuses elements that overlap.
func boxes(rules []program.Rule) []box {
	var out []box
	var spans []netset.Range // of the destinations in out
	for _, r := range rules {
		if r.ByName() || r.Prefixes.IsEmpty() {
			continue
		}
		whole := spanOf(r.Prefixes)
		pieces := []box{{r.Protocol.Transport, r.Sources, r.Prefixes, r.Ports}}
		for k, have := range out {
			// Each rule is compared with every other one, and most are far apart.
			if r.Protocol.Transport != have.transport || whole.Hi.Less(spans[k].Lo) || spans[k].Hi.Less(whole.Lo) {
				continue
			}
			var next []box
			for _, p := range pieces {
				next = append(next, p.minus(have)...)
			}
			pieces = next
		}
		out = append(out, pieces...)
		for _, p := range pieces {
			spans = append(spans, spanOf(p.dst))
		}
	}
	return out
}

// spanOf returns the first and the last address of a set that is not empty.
func spanOf(s netset.Set) netset.Range {
	ranges := s.Ranges()
	return netset.Range{Lo: ranges[0].Lo, Hi: ranges[len(ranges)-1].Hi}
}

// minus returns the part of x that is not in y, as disjoint boxes.
func (x box) minus(y box) []box {
	src, dst, ports := x.src.Intersect(y.src), x.dst.Intersect(y.dst), x.ports.Intersect(y.ports)
	if x.transport != y.transport || src.IsEmpty() || dst.IsEmpty() || ports.IsEmpty() {
		return []box{x}
	}
	var out []box
	for _, rest := range []box{
		{x.transport, x.src.Minus(y.src), x.dst, x.ports},
		{x.transport, src, x.dst.Minus(y.dst), x.ports},
		{x.transport, src, dst, x.ports.Minus(y.ports)},
	} {
		if !rest.src.IsEmpty() && !rest.dst.IsEmpty() && !rest.ports.IsEmpty() {
			out = append(out, rest)
		}
	}
	return out
}

// Learn puts elements into the learned sets and returns when the kernel has them.
// Elements that are there already cost nothing.
func (p *Path) Learn(elements []Element) error {
	return p.change(elements, false)
}

// Forget takes elements out of the learned sets.
func (p *Path) Forget(elements []Element) error {
	return p.change(elements, true)
}

func (p *Path) change(elements []Element, remove bool) error {
	for some := range slices.Chunk(elements, chunk) {
		if err := p.changeSome(some, remove); err != nil {
			return err
		}
	}
	return nil
}

// changeSome changes at most chunk elements, in one transaction.
func (p *Path) changeSome(elements []Element, remove bool) error {
	grouped := make(map[string][]nftables.SetElement)
	var changed []setElement
	for _, e := range elements {
		le := e.learned()
		if p.have[le] != remove {
			continue
		}
		p.have[le] = !remove // also so that one call does not do it twice
		changed = append(changed, le)
		grouped[le.set] = append(grouped[le.set], nftables.SetElement{Key: e.key()})
	}
	if len(changed) == 0 {
		return nil
	}
	err := p.flush(grouped, remove)
	if err != nil {
		for _, le := range changed {
			p.have[le] = remove
		}
	}
	return err
}

func (p *Path) flush(grouped map[string][]nftables.SetElement, remove bool) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	for name, elements := range grouped {
		set := p.sets[name]
		if set == nil {
			return fmt.Errorf("set %s: the table is not loaded", name)
		}
		op := conn.SetAddElements
		if remove {
			op = conn.SetDeleteElements
		}
		if err := op(set, elements); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("change learned elements: %w", err)
	}
	return nil
}
