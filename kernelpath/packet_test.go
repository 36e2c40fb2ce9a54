// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
)

// ip6 writes an IPv6 packet with the given extension headers, each with its
// first byte left to be filled.
func ip6(proto byte, src, dst netip.Addr, body []byte, extensions ...[]byte) []byte {
	b := make([]byte, 40)
	b[0], b[7] = 0x60, 64
	copy(b[8:], src.AsSlice())
	copy(b[24:], dst.AsSlice())
	next := &b[6]
	for _, e := range extensions {
		*next = e[0]
		at := len(b)
		b = append(b, e...)
		next = &b[at]
	}
	*next = proto
	b = append(b, body...)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
	return b
}

func TestReadPacketOfIPv6(t *testing.T) {
	src, dst := netip.MustParseAddr("2600::4"), netip.MustParseAddr("2600::1")
	segment := tcp(clientEnd, serverEnd, 7, 9, flagACK, []byte("hello"))[20:]
	options := []byte{unix.IPPROTO_HOPOPTS, 0, 1, 4, 0, 0, 0, 0}
	for about, raw := range map[string][]byte{
		"plain":             ip6(unix.IPPROTO_TCP, src, dst, segment),
		"hop-by-hop":        ip6(unix.IPPROTO_TCP, src, dst, segment, options),
		"two options":       ip6(unix.IPPROTO_TCP, src, dst, segment, options, append([]byte{unix.IPPROTO_DSTOPTS}, options[1:]...)),
		"padding behind it": append(ip6(unix.IPPROTO_TCP, src, dst, segment), 0, 0, 0),
	} {
		p, ok := readPacket(raw)
		if !ok || p.src != src || p.dst != dst || p.seq != 7 || p.ack != 9 || string(p.payload) != "hello" || p.payloadBytes != 5 || p.truncated {
			t.Errorf("%s: %+v %t", about, p, ok)
		}
	}
	if p, ok := readPacket(ip6(unix.IPPROTO_TCP, src, dst, segment, []byte{unix.IPPROTO_FRAGMENT, 0, 0, 1, 0, 0, 0, 1})); ok && p.transport == flow.TCP {
		t.Errorf("a fragment is read: %+v", p)
	}
	jumbo := ip6(unix.IPPROTO_TCP, src, dst, segment)
	jumbo[4], jumbo[5] = 0, 0
	if p, ok := readPacket(jumbo); !ok || string(p.payload) != "hello" {
		t.Errorf("a packet larger than 64 kB by offload: %+v %t", p, ok)
	}
}

// FuzzReadPacket states: nothing panics; a packet that is read has valid
// addresses of one family, and its payload is the end of its bytes.
func FuzzReadPacket(f *testing.F) {
	f.Add(tcp(clientEnd, serverEnd, 1, 2, flagACK, []byte("hello")))
	f.Add(withOptions(tcp(clientEnd, serverEnd, 1, 2, flagACK, []byte("hello")), stampOption(1, 2)))
	f.Add(udp(clientEnd, serverEnd, []byte("hello")))
	f.Add(ip6(unix.IPPROTO_UDP, netip.MustParseAddr("2600::4"), netip.MustParseAddr("2600::1"), make([]byte, 9), []byte{0, 0, 0, 0, 0, 0, 0, 0}))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := readPacket(b)
		if !ok {
			return
		}
		if !p.src.IsValid() || p.src.BitLen() != p.dst.BitLen() {
			t.Fatalf("%x: from %v to %v", b, p.src, p.dst)
		}
		if len(p.payload) > p.payloadBytes || p.truncated != (len(p.payload) < p.payloadBytes) && (p.transport == flow.TCP || p.transport == flow.UDP) {
			t.Fatalf("%x: %d bytes of %d, truncated %t", b, len(p.payload), p.payloadBytes, p.truncated)
		}
		if o := openingOf(&p); o.scale > 14 || o.stamped && len(p.options) < 10 {
			t.Fatalf("%x: options %x are read as %+v", b, p.options, o)
		}
	})
}

func TestMarksAreFourBitsOfTheMask(t *testing.T) {
	w := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		mask := w.Uint32() & w.Uint32()
		m, err := NewMarks(mask)
		if (err == nil) != (bits.OnesCount32(mask) >= 4) {
			t.Fatalf("%#x: %v", mask, err)
		}
		if err != nil {
			continue
		}
		all := uint32(0)
		for _, bit := range []uint32{m.Released(), m.Pending(), m.Denied(), m.Proxied()} {
			if bits.OnesCount32(bit) != 1 || bit&mask == 0 || bit&all != 0 {
				t.Fatalf("mask %#x: bit %#x", mask, bit)
			}
			all |= bit
		}
		if m.Mask() != all {
			t.Fatalf("mask %#x: %#x, want %#x", mask, m.Mask(), all)
		}
	}
	if m, err := NewMarks(DefaultMask); err != nil || m.Released() != 0x01000000 || m.Proxied() != 0x08000000 {
		t.Errorf("the default: %#x %v", m.Mask(), err)
	}
}

// The kernel refuses elements that overlap: boxes share no flow, and hold
// together exactly what the rules do.
func TestBoxesAreDisjointAndHoldWhatTheRulesDo(t *testing.T) {
	w := rand.New(rand.NewPCG(3, 4))
	addr := func() netip.Addr {
		if w.IntN(4) == 0 {
			return netip.AddrFrom16([16]byte{0x26, 15: byte(w.IntN(8))})
		}
		return netip.AddrFrom4([4]byte{20, 0, 0, byte(w.IntN(8))})
	}
	set := func() netset.Set {
		var ps []netip.Prefix
		for range 1 + w.IntN(3) {
			a := addr()
			ps = append(ps, netip.PrefixFrom(a, a.BitLen()-w.IntN(3)))
		}
		return netset.Of(ps...)
	}
	for range 300 {
		var rules []program.Rule
		for range w.IntN(7) {
			r := program.Rule{Sources: set(), Prefixes: set(), Protocol: flow.ProtoTCP}
			lo := uint16(1 + w.IntN(4))
			r.Ports = portset.OfRanges(portset.Range{Lo: lo, Hi: lo + uint16(w.IntN(3))})
			if w.IntN(3) == 0 {
				r.Protocol = flow.ProtoUDP
			}
			if w.IntN(5) == 0 {
				r.Prefixes, r.Pattern = netset.Set{}, dnsname.MustParsePattern("a.example") // not for the kernel
			}
			rules = append(rules, r)
		}
		bs := boxes(rules)
		for range 2000 {
			src, dst, port, transport := addr(), addr(), uint16(1+w.IntN(7)), []flow.Transport{flow.TCP, flow.UDP}[w.IntN(2)]
			want := false
			for _, r := range rules {
				want = want || !r.ByName() && r.Protocol.Transport == transport && r.Sources.Contains(src) && r.Prefixes.Contains(dst) && r.Ports.Contains(port)
			}
			in := 0
			for _, b := range bs {
				if b.transport == transport && b.src.Contains(src) && b.dst.Contains(dst) && b.ports.Contains(port) {
					in++
				}
			}
			if in > 1 || (in == 1) != want {
				t.Fatalf("%v -> %v:%d is in %d of the boxes %+v of %+v", src, dst, port, in, bs, rules)
			}
		}
		for _, b := range bs {
			if b.src.IsEmpty() || b.dst.IsEmpty() || b.ports.IsEmpty() {
				t.Fatalf("an empty box %+v", b)
			}
		}
	}
}
