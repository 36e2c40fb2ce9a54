// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
)

// Asked returns the flows that a rule of a program asks for. A flow to a name may
// go to any address: the list gives names because their addresses change.
func Asked(r program.Rule) flowset.Set {
	b := flowset.Box{Src: r.Sources, Class: ClassOf(r.Protocol), Ports: r.Ports}
	if r.ByName() {
		b.Names, b.Dst = nameset.Of(GlobOf(r.Pattern)), netset.All()
	} else {
		b.Names, b.Nameless, b.Dst = nameset.All(), true, r.Prefixes
	}
	return flowset.Of(b)
}

// ClassOf returns the traffic that a protocol stands for. TCP without more said
// is any TCP.
func ClassOf(p flow.Protocol) flowset.Class {
	switch p {
	case flow.ProtoHTTPS:
		return flowset.TLS
	case flow.ProtoHTTP:
		return flowset.HTTP
	case flow.ProtoUDP:
		return flowset.UDP
	}
	return flowset.TCP
}

// GlobOf returns a pattern as a glob.
func GlobOf(p dnsname.Pattern) nameset.Glob {
	if n, exact := p.Name(); exact {
		return nameset.Exact(n)
	}
	apex, _ := p.Apex()
	return nameset.Under(apex)
}
