// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package flowset holds sets of flows: source, kind of traffic, port, name and
// destination address, exact under union, intersection and difference, with a
// whole flow as witness. It is what two rule sets are compared by, whatever
// language they are written in.
package flowset

import (
	"net/netip"
	"strings"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
)

// Class is a set of kinds of traffic that rules tell apart.
type Class uint8

// Kinds of traffic. TCP that is neither TLS nor plain HTTP is OtherTCP; what is
// neither TCP, UDP nor ICMP is OtherIP and has no port.
const (
	TLS Class = 1 << iota
	HTTP
	OtherTCP
	UDP
	ICMP
	OtherIP

	TCP        = TLS | HTTP | OtherTCP
	AnyTraffic = TCP | UDP | ICMP | OtherIP
)

var classNames = []struct {
	class Class
	name  string
}{
	{AnyTraffic, "any"}, {TCP, "tcp"}, {TLS, "https"}, {HTTP, "http"}, {OtherTCP, "other tcp"},
	{UDP, "udp"}, {ICMP, "icmp"}, {OtherIP, "other ip"},
}

// String lists the kinds, such as "https, udp".
func (c Class) String() string {
	var out []string
	for _, n := range classNames {
		if c&n.class == n.class && n.class != 0 {
			out = append(out, n.name)
			c &^= n.class
		}
	}
	return strings.Join(out, ", ")
}

// hasPorts reports whether traffic of c has ports.
func (c Class) hasPorts() bool { return c&(TCP|UDP) != 0 }

// Box is the flows whose every part lies in the set of that part. A flow that
// gives no name has Nameless set in the box it lies in.
type Box struct {
	Src      netset.Set
	Class    Class
	Ports    portset.Set // of traffic without ports: not looked at
	Names    nameset.Set
	Nameless bool
	Dst      netset.Set
}

// Everything is the box of every flow.
func Everything() Box {
	return Box{Src: netset.All(), Class: AnyTraffic, Ports: portset.All(), Names: nameset.All(), Nameless: true, Dst: netset.All()}
}

// IsEmpty reports whether no flow lies in b.
func (b Box) IsEmpty() bool {
	return b.Src.IsEmpty() || b.Class == 0 || b.Dst.IsEmpty() || b.Names.IsEmpty() && !b.Nameless ||
		b.Class.hasPorts() && b.Class&^(TCP|UDP) == 0 && b.Ports.IsEmpty()
}

// intersect returns the flows of both.
func (b Box) intersect(o Box) Box {
	return Box{
		Src: b.Src.Intersect(o.Src), Class: b.Class & o.Class, Ports: b.Ports.Intersect(o.Ports),
		Names: b.Names.Intersect(o.Names), Nameless: b.Nameless && o.Nameless, Dst: b.Dst.Intersect(o.Dst),
	}
}

// minus returns the flows of b that are not in o, in boxes that do not overlap.
func (b Box) minus(o Box) []Box {
	if b.intersect(o).normal() == nil {
		return []Box{b}
	}
	var out []Box
	rest := b
	cut := func(part Box) {
		out = append(out, part.normal()...)
	}
	part := rest
	part.Class = rest.Class &^ o.Class
	cut(part)
	rest.Class &= o.Class

	part = rest
	part.Src = rest.Src.Minus(o.Src)
	cut(part)
	rest.Src = rest.Src.Intersect(o.Src)

	if rest.Class.hasPorts() {
		part = rest
		part.Class &= TCP | UDP
		part.Ports = rest.Ports.Minus(o.Ports)
		cut(part)
		// What has no ports is not split by them.
		rest.Ports = rest.Ports.Intersect(o.Ports)
	}

	part = rest
	part.Dst = rest.Dst.Minus(o.Dst)
	cut(part)
	rest.Dst = rest.Dst.Intersect(o.Dst)

	part = rest
	part.Names, part.Nameless = rest.Names.Minus(o.Names), rest.Nameless && !o.Nameless
	cut(part)
	return out
}

// normal returns b as boxes that are not empty: traffic with ports and traffic
// without stand apart where only one of them has members.
func (b Box) normal() []Box {
	if b.Class.hasPorts() && b.Ports.IsEmpty() {
		b.Class &^= TCP | UDP
	}
	if b.IsEmpty() {
		return nil
	}
	return []Box{b}
}

// Flow is one flow of a set, as an example.
type Flow struct {
	Src   netip.Addr
	Class Class // one kind
	Port  uint16
	Name  dnsname.Name // zero: none
	Dst   netip.Addr
}

// String writes the flow in one line: "https to mcr.microsoft.com:443 from
// 10.0.0.1".
func (f Flow) String() string {
	var b strings.Builder
	b.WriteString(f.Class.String() + " to ")
	where := f.Dst.String()
	if !f.Name.IsZero() {
		where = f.Name.String()
	}
	if f.Class.hasPorts() {
		where = joinPort(where, f.Port)
	}
	b.WriteString(where + " from " + f.Src.String())
	return b.String()
}

// witness returns a flow of b, the plainest there is.
func (b Box) witness() (f Flow, ok bool) {
	if b.normal() == nil {
		return Flow{}, false
	}
	b = b.normal()[0]
	f.Src, _ = plainest(b.Src, "10.240.0.4")
	f.Dst, _ = plainest(b.Dst, "198.51.100.7")
	for c := Class(1); c <= OtherIP; c <<= 1 {
		if b.Class&c != 0 && (!c.hasPorts() || !b.Ports.IsEmpty()) {
			f.Class = c
			break
		}
	}
	if f.Class.hasPorts() {
		f.Port, _ = b.Ports.Witness()
		for _, usual := range []uint16{443, 80} {
			if b.Ports.Contains(usual) && (f.Class == TLS && usual == 443 || f.Class == HTTP && usual == 80) {
				f.Port = usual
			}
		}
	}
	// A rule about a few addresses is shown by an address, others by a name.
	if !b.Nameless || f.Class&(TLS|HTTP) != 0 && b.Dst.Contains(netip.MustParseAddr("198.51.100.7")) {
		f.Name, _ = b.Names.Witness()
	}
	return f, f.Class != 0
}

// plainest prefers the address that people know, then one of the Internet.
func plainest(s netset.Set, usual string) (netip.Addr, bool) {
	if a := netip.MustParseAddr(usual); s.Contains(a) {
		return a, true
	}
	a, ok := s.Minus(netset.Private()).Minus(netset.Never()).Witness()
	if ok {
		return a, true
	}
	// Nobody sits on a network's own address, nor on the first few in Azure.
	if a, ok = s.Witness(); ok {
		for host, i := a, 0; i < 4 && s.Contains(host.Next()); i++ {
			if host = host.Next(); i == 3 {
				a = host
			}
		}
	}
	return a, ok
}
