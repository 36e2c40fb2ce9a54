// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netset"
)

// Feature is something the kernel must have, and what was found.
type Feature struct {
	Name   string // as an administrator knows it
	Config string // kernel option that brings it
	Err    error  // nil when it is there
}

// ErrPrivilege says that the process lacks CAP_NET_ADMIN.
var ErrPrivilege = errors.New("no permission to change nftables: run as root, or with CAP_NET_ADMIN and CAP_NET_RAW")

// Probe asks the kernel for everything the table uses. Each question is one
// transaction that adds a table and deletes it again, so nothing of it is ever
// in force. It returns ErrPrivilege when the kernel does not let us ask.
func Probe() ([]Feature, error) {
	m, _ := NewMarks(DefaultMask)
	questions := []struct {
		name, config string
		hook         *nftables.ChainHook
		typ          nftables.ChainType
		rule         exprs
		sets, limits bool
		opened       bool
		publish      bool
	}{
		{name: "nftables in the inet family", config: "NF_TABLES_INET"},
		{name: "sets over concatenated ranges", config: "NF_TABLES", sets: true},
		{name: "match on the first payload byte (@ih)", config: "NF_TABLES, Linux 5.16", rule: hasPayload()},
		{name: "conntrack state and mark", config: "NFT_CT, NF_CONNTRACK_MARK", rule: setCtMark(m.Mask(), m.Released())},
		{name: "reject with TCP reset and ICMP", config: "NFT_REJECT_INET", rule: join(l4proto(unix.IPPROTO_TCP), rejectReset())},
		{name: "NFQUEUE target", config: "NETFILTER_XT_TARGET_NFQUEUE, NFT_COMPAT, NETFILTER_NETLINK_QUEUE", rule: queueTo(0, 1, false)},
		{name: "packet log (nflog)", config: "NFT_LOG, NETFILTER_NETLINK_LOG", rule: logTo(1, "probe")},
		{name: "rate limit", config: "NFT_LIMIT", rule: limit(logRate, logBurst)},
		{name: "reverse path lookup", config: "NFT_FIB_INET, NFT_FIB_IPV4, NFT_FIB_IPV6", hook: nftables.ChainHookInput, rule: noWayBack()},
		{name: "limits for each source", config: "NFT_CONNLIMIT, NFT_LIMIT", hook: nftables.ChainHookPrerouting, limits: true},
		{name: "sets that rules fill", config: "NF_TABLES", hook: nftables.ChainHookPrerouting, opened: true},
		{name: "transparent proxy", config: "NFT_TPROXY", hook: nftables.ChainHookPrerouting,
			rule: join(ipv4.match(), l4proto(unix.IPPROTO_TCP), ipv4.tproxy(1))},
		{name: "match on transparent sockets", config: "NFT_SOCKET", hook: nftables.ChainHookPrerouting, rule: transparentSocket()},
		{name: "masquerade", config: "NFT_MASQ", hook: nftables.ChainHookPostrouting, typ: nftables.ChainTypeNAT,
			rule: exprs{&expr.Masq{}}},
		{name: "translation of destinations", config: "NFT_NAT", hook: nftables.ChainHookPrerouting, typ: nftables.ChainTypeNAT, publish: true},
	}
	var out []Feature
	for _, q := range questions {
		conn, err := nftables.New()
		if err != nil {
			return nil, fmt.Errorf("open nftables: %w", err)
		}
		t := &nftables.Table{Family: nftables.TableFamilyINet, Name: TableName + "_probe"}
		b := &table{conn: conn, t: t, chains: make(map[string]*nftables.Chain), sets: make(map[string]*nftables.Set)}
		conn.AddTable(t)
		if q.sets {
			if err := b.betweenSet("probe", ipv4, nil); err != nil {
				return nil, err
			}
			if err := b.addressSet("probe2", ipv4, netset.Private()); err != nil {
				return nil, err
			}
		}
		if q.hook == nil {
			q.hook = nftables.ChainHookForward
		}
		if q.typ == "" {
			q.typ = nftables.ChainTypeFilter
		}
		b.base("probe", q.typ, q.hook, prioFilter)
		if q.rule != nil {
			b.rule("probe", q.rule)
		}
		if q.limits {
			if err := b.addLimitSets(); err != nil {
				return nil, err
			}
			b.rule("probe", ipv4.match(), ipv4.perSource(b.sets["connected4"], unix.NFT_DYNSET_OP_ADD, over(connsPerSource())))
			b.rule("probe", ipv4.match(), ipv4.perSource(b.sets["asking4"], unix.NFT_DYNSET_OP_UPDATE, askedOver()))
		}
		if q.opened {
			if err := b.addOpened(); err != nil {
				return nil, err
			}
			b.rule("probe", ipv6.match(), ipv6.opened(b.sets["opened6"]))
			b.rule("probe", ipv6.match(), ipv6.openedBy(b.sets["opened6"]))
		}
		if q.publish {
			if err := b.addPublishSets(); err != nil {
				return nil, err
			}
			b.rule("probe", ipv4.match(), ipv4.leads(b.sets["publish4"]), ipv4.dnat())
			b.rule("probe", ipv6.match(), ipv6.leads(b.sets["publish6"]), ipv6.dnat())
		}
		conn.DelTable(t)
		err = conn.Flush()
		if errors.Is(err, unix.EPERM) {
			return nil, ErrPrivilege
		}
		out = append(out, Feature{q.name, q.config, err})
	}
	return out, nil
}
