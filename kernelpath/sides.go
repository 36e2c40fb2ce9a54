// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Which side a packet belongs to. With two interfaces the interface says it. With
// one that is both, as on an appliance with a single one, the cluster's addresses
// do: what has one of them as its source comes from the cluster, what has one as
// its destination, behind the translation back, goes there, and what has neither
// is refused as a source that is no part of the cluster.

// single reports whether inside and outside are one interface.
func (c Config) single() bool { return c.Inside == c.Outside }

// fromInside matches what comes from the cluster's side, in one family.
func (b *table) fromInside(f family) exprs {
	if b.cfg.single() {
		return join(inFrom(b.cfg.Inside), f.match(), f.source(b.sets["sources"+f.name], false))
	}
	return join(inFrom(b.cfg.Inside), f.match())
}

// fromOutside matches what comes from the other side, in one family.
func (b *table) fromOutside(f family) exprs {
	if b.cfg.single() {
		return join(inFrom(b.cfg.Outside), f.match(), f.source(b.sets["sources"+f.name], true))
	}
	return join(inFrom(b.cfg.Outside), f.match())
}

// eachSide returns match for every family, or what says the same of all of them at
// once: with two interfaces the interface alone.
func (b *table) eachSide(match func(family) exprs, name string) []exprs {
	if b.cfg.single() {
		return []exprs{match(ipv4), match(ipv6)}
	}
	return []exprs{inFrom(name)}
}

// sides sends forwarded packets to the chain of their direction.
func (b *table) sides() {
	if b.cfg.single() {
		for _, f := range []family{ipv4, ipv6} {
			b.rule("filter", outTo(b.cfg.Inside), f.match(), f.destination(b.sets["sources"+f.name], false), goTo("to_cluster"))
		}
		b.rule("filter", inFrom(b.cfg.Inside), goTo("from_cluster"))
		return
	}
	b.rule("filter", inFrom(b.cfg.Inside), goTo("from_cluster"))
	b.rule("filter", outTo(b.cfg.Inside), goTo("to_cluster"))
}

// leaving matches what leaves the cluster's side.
func (b *table) leaving(f family) exprs {
	match := join(outTo(b.cfg.Outside), f.match(), f.source(b.sets["sources"+f.name], false))
	if b.cfg.single() {
		match = join(match, f.destination(b.sets["sources"+f.name], true))
	}
	return match
}

// noRedirects keeps the kernel from telling a neighbour of a shorter way, where a
// packet leaves by the interface it came in by: the way around us. Over IPv4 a
// sysctl does (host.go); over IPv6 there is none.
func (b *table) noRedirects() {
	b.base("redirects", nftables.ChainTypeFilter, nftables.ChainHookOutput, prioFilter)
	const redirect = 137 // RFC 4861 section 4.5
	b.rule("redirects", outTo(b.cfg.Outside), l4proto(unix.IPPROTO_ICMPV6), icmpType(redirect)[0], drop())
}
