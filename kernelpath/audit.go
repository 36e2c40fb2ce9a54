// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/flow"
)

// Audit mode: what the table or a verdict would refuse of the cluster's flows is
// logged as always, and then let pass. A TCP or UDP flow is marked released by
// that, so that it costs the kernel one rule from then on, and a gateway that
// enforces finds it by its mark when it starts. What has no ports passes packet by
// packet: the mark of such a flow could not be taken back, and without one the
// next table judges it at once.
//
// Refused all the same is what is no flow of the cluster's: packets without a
// connection, what comes from outside unasked, and sources that are forged or, with
// one interface, not known.

// isUnmarked reports whether a prefix is for packets that get no mark, or may get
// none: of those the first of a flow is logged.
func isUnmarked(prefix string) bool {
	return prefix == logPing || prefix == logICMP || prefix == logProto || prefix == logSource
}

// letPass is where refusals lead in audit mode.
func (b *table) letPass() {
	if !b.cfg.Audit {
		return
	}
	b.rule("let_pass", count(counterDenied))
	for _, proto := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
		b.rule("let_pass", l4proto(proto), setCtMark(b.cfg.Marks.Mask(), b.cfg.Marks.Released()), accept())
	}
	b.rule("let_pass", accept())
	b.rule("crowd", limit(logRate/10, logBurst/10), logTo(b.cfg.LogGroup, logCrowd))
	b.rule("crowd", count(counterTooMany)) // and on with the rule behind
}

// answersPass lets in what answers a flow without ports, and what a server sends
// before its client has been judged.
func (b *table) answersPass() {
	spoke := join(l4proto(unix.IPPROTO_TCP), ctReply(), hasPayload())
	b.rule("to_cluster", spoke, limit(logRate, logBurst), logTo(b.cfg.LogGroup, logSpoke))
	b.rule("to_cluster", spoke, count(counterEarly), goTo("let_pass"))
	b.rule("to_cluster", ctReply(), accept())
}

// strangers refuses, with one interface, what is not from the cluster: it may be
// from anybody outside, and a gateway that let it pass would be an open relay.
func (b *table) strangers() {
	for _, f := range []family{ipv4, ipv6} {
		b.stranger(f, logStranger)
	}
}

// isRefused reports whether the table refuses what has this prefix in audit mode
// too.
func isRefused(prefix string) bool {
	switch prefix {
	case logState, logElsewhere, logTooMany, logPublished, logVisitor, logOneWay, logNoWayBack, logStranger, logMultipath:
		return true
	}
	return false
}

// guess names the application that a flow by name most likely is, so that the rule
// that is suggested for it is the one that its owner would write: one for tcp lets
// every name on the address through.
func guess(f *flow.Flow) {
	switch {
	case f.Transport == flow.TCP && f.Port == 443:
		f.App = flow.TLS
	case f.Transport == flow.TCP && f.Port == 80:
		f.App = flow.HTTP
	}
}
