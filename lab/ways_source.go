// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"strings"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab/client"
)

// Ways out as somebody else: with another's address, or another's marks.

// spoofed are segments whose source is no part of the cluster. No answer would
// come back to the client, and none is needed to carry something out.
var spoofed = []Try{
	forged("a SYN with data, from nowhere", flow.SourceNotAllowed, func(e *Env, s *client.Segment) {
		s.From = netip.MustParseAddrPort("192.0.2.9:1024")
		s.Flags, s.Ack, s.To = client.SYN, 0, e.attacker(443)
	}),
	forged("a SYN with data, to an allowed address", flow.SourceNotAllowed, func(_ *Env, s *client.Segment) {
		s.From = netip.MustParseAddrPort("198.18.7.9:1024")
		s.Flags, s.Ack = client.SYN, 0
	}),
	forged("a pod's own address, of a network the gateway never sees", flow.SourceNotAllowed, func(e *Env, s *client.Segment) {
		s.From = netip.AddrPortFrom(e.unseen(), 1024)
		s.Flags, s.Ack, s.To = client.SYN, 0, e.attacker(443)
	}),
	injected("a datagram, over IPv6 where there is any", func(e *Env) netip.Addr {
		if e.Lab.Plan.IPv6 {
			return netip.MustParseAddr("2001:db8::9")
		}
		return netip.MustParseAddr("192.0.2.9")
	}, nodeSide),
	answeredElsewhere("a closed port of the gateway's, that would tell the attacker"),
	injected("the node's own address, arriving outside", func(e *Env) netip.Addr { return e.Source }, internetSide),
}

// nodeSide and internetSide are the wires on which a datagram is laid.
const (
	nodeSide = iota
	internetSide
)

// injected is the try of a datagram to the attacker with that source, on the wire
// between the gateway and one of its sides.
func injected(what string, source func(e *Env) netip.Addr, side int) Try {
	t := Try{What: what, Want: []flow.Reason{flow.SourceNotAllowed}}
	if side == internetSide {
		// On one interface nobody can tell that it comes from there: it is judged as
		// the node's own.
		t.Single = []flow.Reason{flow.UnboundAddress}
	}
	t.Do = func(ctx context.Context, e *Env) (leaked bool, detail string, err error) {
		p := &e.Lab.Plan
		at, dev, nexts := e.Lab.Node, nodeLink, [2]netip.Addr{p.Gateway, p.Gateway6}
		if side == internetSide {
			at, dev, nexts = e.Lab.Internet.Agent, outLink, p.Outside
		}
		from, to, next := source(e), p.Attacker, nexts[0]
		if from.Is6() {
			to, next = attacker6, nexts[1]
		}
		i := client.Injection{
			Dev: dev, Next: next, From: netip.AddrPortFrom(from, uint16(1024+rand.IntN(30000))), To: netip.AddrPortFrom(to, 9000), Data: nonceBytes(e),
		}
		return e.inject(ctx, at, i)
	}
	return t
}

// inject lays a datagram on a wire and reports whether anything of it arrived anywhere.
func (e *Env) inject(ctx context.Context, at *Agent, i client.Injection) (leaked bool, detail string, err error) {
	var h client.Heard
	if err := at.Call(ctx, "inject", i, &h); err != nil {
		return false, "", err
	}
	if h.Error != "" {
		return false, "", errors.New(h.Error)
	}
	e.flows = append(e.flows, triedFlow{"udp", i.From, i.To})
	if leaked, detail = e.Leaked(ctx); !leaked {
		detail = "silence"
	}
	return leaked, detail, nil
}

// answeredElsewhere is the try of a datagram to the gateway itself, in the name of the
// attacker: whoever refuses it quotes it to him.
func answeredElsewhere(what string) Try {
	return Try{What: what, Want: []flow.Reason{flow.SourceNotAllowed}, TwoSides: true, Do: func(ctx context.Context, e *Env) (leaked bool, detail string, err error) {
		p := &e.Lab.Plan
		i := client.Injection{
			Dev: nodeLink, Next: p.Gateway, From: netip.AddrPortFrom(p.Attacker, uint16(1024+rand.IntN(30000))),
			To: netip.AddrPortFrom(p.Gateway, 9999), Data: nonceBytes(e),
		}
		return e.inject(ctx, e.Lab.Node, i)
	}}
}

// unseen is an address of the cluster that its nodes hide behind their own, or
// one of nobody's.
func (e *Env) unseen() netip.Addr {
	for _, g := range e.Program.Groups {
		if !g.Visible {
			for _, p := range g.Set.Prefixes() {
				if p.Addr().Is4() {
					return p.Addr().Next()
				}
			}
		}
	}
	return netip.MustParseAddr("172.30.0.9")
}

// forgedMarks makes something else on the gateway's host put our marks on every
// packet before we see it, as a neighbour's rule or a client that shares the host
// might: they must count for nothing.
var forgedMarks = []Try{
	marked("released, on a refused name", 0x01000000),
	marked("all of them, on a refused name", 0xffffffff),
}

func needsNft(*Plan) error {
	if _, err := exec.LookPath("nft"); err != nil {
		return errors.New("nft is not installed: apt install nftables")
	}
	return nil
}

func marked(what string, mark uint32) Try {
	refused := saidThere(what, []flow.Reason{flow.NameNotAllowed}, refusedHello)
	return Try{What: what, Want: refused.Want, Do: func(ctx context.Context, e *Env) (leaked bool, detail string, err error) {
		nft := func(script string) error {
			r, err := e.Lab.Gateway.Run(ctx, Cmd{Argv: []string{"nft", script}})
			if err == nil && r.Code != 0 {
				err = fmt.Errorf("nft %s: %s", script, strings.TrimSpace(string(r.Stderr)))
			}
			return err
		}
		table := fmt.Sprintf("inet forged_%x", mark) // others are tried at the same time
		if err := nft(fmt.Sprintf("add table %[1]s; add chain %[1]s c { type filter hook prerouting priority -300; }; add rule %[1]s c iifname %[2]s meta mark set %[3]d",
			table, e.Lab.InsideLink(), mark)); err != nil {
			return false, "", err
		}
		defer func() { err = errors.Join(err, nft("delete table "+table)) }()
		return refused.Do(ctx, e)
	}}
}
