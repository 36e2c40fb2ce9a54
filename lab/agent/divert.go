// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Divert brings TCP connections that pass the agent's host to proxies on it, and
// forwards nothing.
type Divert struct {
	Inside string     `json:"inside"` // where the connections come from
	Port   uint16     `json:"port"`   // what they are for
	To     []Diverted `json:"to"`
	// Transparent says that the proxies' sockets are so: connections come to them
	// with the address they were for, and no address is translated.
	Transparent bool `json:"transparent"`
}

// Diverted is a proxy's port, for the connections to one address, or to all when
// that is not valid.
type Diverted struct {
	Dst  netip.Addr `json:"dst,omitzero"`
	Port uint16     `json:"port"`
}

const (
	divertTable = "lab_divert"
	divertMark  = 1
	divertRoute = 100 // routing table that leads everything to this host
)

// SetDivert sets it up in the agent's namespace.
func SetDivert(_ context.Context, d Divert) (struct{}, error) {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("0"), 0o644); err != nil {
		return struct{}{}, err
	}
	conn, err := nftables.New()
	if err != nil {
		return struct{}{}, fmt.Errorf("open nftables: %w", err)
	}
	t := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: divertTable})
	chain := &nftables.Chain{
		Name: "prerouting", Table: t, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest,
	}
	if d.Transparent {
		chain.Type, chain.Priority = nftables.ChainTypeFilter, nftables.ChainPriorityMangle
	}
	conn.AddChain(chain)
	mark := []expr.Any{
		&expr.Immediate{Register: 1, Data: binary.NativeEndian.AppendUint32(nil, divertMark)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1},
		&expr.Verdict{Kind: expr.VerdictAccept},
	}
	if d.Transparent {
		// What has a socket already needs no look at the listeners.
		conn.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: append(append(d.match(netip.Addr{}),
			&expr.Socket{Key: expr.SocketKeyTransparent, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{1}}), mark...)})
	}
	for _, to := range d.To {
		rule := append(d.match(to.Dst), &expr.Immediate{Register: 1, Data: binary.BigEndian.AppendUint16(nil, to.Port)})
		if d.Transparent {
			rule = append(append(rule, &expr.TProxy{Family: unix.NFPROTO_IPV4, TableFamily: unix.NFPROTO_IPV4, RegPort: 1}), mark...)
		} else {
			rule = append(rule, &expr.Redir{RegisterProtoMin: 1})
		}
		conn.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: rule})
	}
	if err := conn.Flush(); err != nil {
		return struct{}{}, fmt.Errorf("load nftables table ip %s: %w", divertTable, err)
	}
	if !d.Transparent {
		return struct{}{}, nil
	}
	return struct{}{}, routeMarkedHere()
}

// match is what the connections have in common, and the one destination when it
// is valid.
func (d Divert) match(dst netip.Addr) []expr.Any {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, d.Inside)
	out := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, d.Port)},
	}
	if dst.IsValid() {
		out = append(out,
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: dst.AsSlice()})
	}
	return out
}

// routeMarkedHere makes this host take packets with the mark for its own,
// whoever they are for.
func routeMarkedHere() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	rule := netlink.NewRule()
	rule.Mark, rule.Table, rule.Family = divertMark, divertRoute, netlink.FAMILY_V4
	if err := netlink.RuleAdd(rule); err != nil {
		return fmt.Errorf("add routing rule: %w", err)
	}
	route := &netlink.Route{
		LinkIndex: lo.Attrs().Index, Dst: ipNet(netip.PrefixFrom(netip.IPv4Unspecified(), 0)),
		Table: divertRoute, Type: unix.RTN_LOCAL, Scope: netlink.SCOPE_HOST,
	}
	if err := netlink.RouteReplace(route); err != nil {
		return fmt.Errorf("add local route: %w", err)
	}
	return nil
}
