// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// plainTable is the table of the comparison: forwarding and masquerade, and no
// rule unless one is asked for.
const plainTable = "lab_plain"

// Plain is a router that lets everything pass.
type Plain struct {
	On      bool   `json:"on"`
	Outside string `json:"outside"` // behind whose address sources are hidden
	Rules   int    `json:"rules"`   // so many that match nothing, for each packet to pass
}

// SetPlain turns plain forwarding on or off in the agent's namespace.
func SetPlain(_ context.Context, p Plain) (struct{}, error) {
	for _, path := range []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"} {
		value := "0"
		if p.On {
			value = "1"
		}
		if err := os.WriteFile(path, []byte(value), 0o644); err != nil && !os.IsNotExist(err) {
			return struct{}{}, err
		}
	}
	conn, err := nftables.New()
	if err != nil {
		return struct{}{}, fmt.Errorf("open nftables: %w", err)
	}
	t := &nftables.Table{Family: nftables.TableFamilyINet, Name: plainTable}
	conn.AddTable(t) // so that deleting it cannot fail
	conn.DelTable(t)
	if p.On {
		conn.AddTable(t)
		chain := conn.AddChain(&nftables.Chain{
			Name: "postrouting", Table: t, Type: nftables.ChainTypeNAT,
			Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
		})
		name := make([]byte, unix.IFNAMSIZ)
		copy(name, p.Outside)
		conn.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name},
			&expr.Masq{},
		}})
		p.addRules(conn, t)
	}
	if err := conn.Flush(); err != nil {
		return struct{}{}, fmt.Errorf("load nftables table inet %s: %w", plainTable, err)
	}
	return struct{}{}, nil
}

// addRules adds rules that a packet meets one after the other: each drops what
// is for an address of documentation (RFC 5737).
func (p Plain) addRules(conn *nftables.Conn, t *nftables.Table) {
	if p.Rules == 0 {
		return
	}
	chain := conn.AddChain(&nftables.Chain{
		Name: "forward", Table: t, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
	})
	for i := range p.Rules {
		conn.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.NFPROTO_IPV4}},
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{192, 0, 2, byte(i)}},
			&expr.Verdict{Kind: expr.VerdictDrop},
		}})
	}
}

// CountRules returns how many nftables rules the agent's namespace has.
func CountRules(_ context.Context, _ struct{}) (int, error) {
	conn, err := nftables.New()
	if err != nil {
		return 0, fmt.Errorf("open nftables: %w", err)
	}
	chains, err := conn.ListChains()
	if err != nil {
		return 0, fmt.Errorf("list nftables chains: %w", err)
	}
	n := 0
	for _, c := range chains {
		rules, err := conn.GetRules(c.Table, c)
		if err != nil {
			return 0, fmt.Errorf("list nftables rules of %s: %w", c.Name, err)
		}
		n += len(rules)
	}
	return n, nil
}
