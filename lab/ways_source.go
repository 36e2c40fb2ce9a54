// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
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
	return Try{What: what, Want: []flow.Reason{flow.NameNotAllowed}, Do: func(ctx context.Context, e *Env) (leaked bool, detail string, err error) {
		_, at, err := e.Shared(ctx)
		if err != nil {
			return false, "", err
		}
		hello, err := refusedHello(e, "")
		if err != nil {
			return false, "", err
		}
		nft := func(script string) error {
			r, err := e.Lab.Gateway.Run(ctx, Cmd{Argv: []string{"nft", script}})
			if err == nil && r.Code != 0 {
				err = fmt.Errorf("nft %s: %s", script, strings.TrimSpace(string(r.Stderr)))
			}
			return err
		}
		table := fmt.Sprintf("inet forged_%x", mark) // others are tried at the same time
		if err := nft(fmt.Sprintf("add table %[1]s; add chain %[1]s c { type filter hook prerouting priority -300; }; add rule %[1]s c iifname %[2]s meta mark set %[3]d",
			table, InsideLink, mark)); err != nil {
			return false, "", err
		}
		defer func() { err = errors.Join(err, nft("delete table "+table)) }()
		return e.SayHello(ctx, at, hello)
	}}
}
