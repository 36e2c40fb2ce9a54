// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/echprobe"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/nametable"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/tlshello"
)

// Judge decides about flows that are by name. Its functions are called from
// every queue's thread.
type Judge struct {
	Rules   func() *decide.Snapshot // the rules in force; never nil
	Names   *nametable.Table
	Sources func() netset.Set             // the cluster's addresses, which tell the two directions apart
	Inbound func(flow.Flow) flow.Decision // what is published; nil: nothing
	Record  func(*flowlog.Event)          // must neither block nor keep the event
	End     func(flowlog.Closed)          // told of allowed flows that were not released and never will be; nil: nobody is
	Now     func() time.Time              // time.Now when nil
	// ECH says whether a server knows what to do with an encrypted hello, and why it
	// is taken to; must not block nor keep the name. Nil: each may.
	ECH func(source netip.Addr, to netip.AddrPort, name []byte) (a echprobe.Answer, why string)
}

func (j *Judge) now() time.Time {
	if j.Now == nil {
		return time.Now()
	}
	return j.Now()
}

// hello judges a flow by its whole ClientHello, but for what hides returns. f has
// everything but the name and the proof.
func (j *Judge) hello(f *flow.Flow, h tlshello.Hello, reason flow.Reason, name []byte, at time.Time) flow.Decision {
	f.App = flow.TLS
	switch {
	case reason != flow.NotDecided:
		return flow.Decision{Reason: reason}
	case h.DraftECH: // no server that speaks a draft could be asked for its keys
		return flow.Decision{Reason: flow.EncryptedHello}
	}
	bound := j.Names.Bound(name, f.Dst, at)
	f.Proof = flow.Unproved
	if bound {
		f.Proof = flow.BySNI
	}
	d := j.Rules().DecideBytes(*f, name, at)
	if d.Reason == flow.NameUnproved {
		d.Reason = flow.NameAddressMismatch
	}
	return d
}

// hides reports whether a hello that is allowed otherwise may hide another name:
// when its server knows ECH, or nobody can tell, and why that is.
func (j *Judge) hides(key flowKey, h tlshello.Hello, name []byte) (a echprobe.Answer, why string) {
	switch {
	case !h.ECH:
		return echprobe.Ignored, ""
	case j.ECH == nil:
		return echprobe.Known, ""
	}
	return j.ECH(key.src.Addr(), key.dst, name)
}

// binding judges a flow by nothing but the names that lead to its address. It
// returns the name that allows it, or the one that came nearest.
func (j *Judge) binding(f *flow.Flow, at time.Time) (flow.Decision, dnsname.Name) {
	best := flow.Decision{Reason: flow.UnboundAddress}
	var bestName dnsname.Name
	rules := j.Rules()
	f.App, f.Proof = flow.Raw, flow.ByDNS
	j.Names.Each(f.Dst, at, func(n dnsname.Name) bool {
		f.Name = n
		// Of reasons by name, a later one in flow's list is nearer to allowing.
		if d := rules.Decide(*f, at); d.Verdict == flow.Allow || bestName.IsZero() || d.Reason > best.Reason {
			best, bestName = d, n
		}
		return best.Verdict != flow.Allow
	})
	f.Name = bestName
	if best.Verdict != flow.Allow {
		f.Proof = flow.Unproved
	}
	return best, bestName
}

// awaitsHello reports whether some name that leads to the flow's address is
// allowed over TLS, so that a connection may be opened and judged by its hello.
func (j *Judge) awaitsHello(f flow.Flow, at time.Time) bool {
	rules, yes := j.Rules(), false
	f.App, f.Proof = flow.TLS, flow.BySNI
	j.Names.Each(f.Dst, at, func(n dnsname.Name) bool {
		f.Name = n
		yes = rules.Decide(f, at).Verdict == flow.Allow
		return !yes
	})
	return yes
}
