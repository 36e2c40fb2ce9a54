// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Multipath TCP is kept from clients: there a server puts the stream together by
// numbers of its own, and what comes first in a flow need not come first in the
// stream (RFC 8684 section 3.3.1). It is not offered to servers, and so clients go
// on without.

// onePath drops the SYNs that still offer it when strip has taken one option out,
// and all that do where strip is not to be had.
func (b *table) onePath() {
	b.rule("from_cluster", aSYN(), jump("multipath"))
	offered := exprs{
		&expr.Exthdr{DestRegister: reg, Type: optMPTCP, Len: 1, Op: expr.ExthdrOpTcpopt, Flags: unix.NFT_EXTHDR_F_PRESENT},
		cmp(expr.CmpOpEq, []byte{1}),
	}
	b.dropped("multipath", logMultipath, counterInvalid, offered)
}

// strip puts "reset tcp option mptcp" ahead of the rule of onePath, which the
// nftables package has no expression for. The kernel has it from 5.17 on
// (net/netfilter/nft_exthdr.c); on an older one the rule stays alone.
func strip() error {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	defer conn.Close()
	e := netlink.NewAttributeEncoder()
	e.ByteOrder = binary.BigEndian
	e.String(unix.NFTA_RULE_TABLE, TableName)
	e.String(unix.NFTA_RULE_CHAIN, "multipath")
	e.Nested(unix.NFTA_RULE_EXPRESSIONS, func(e *netlink.AttributeEncoder) error {
		e.Nested(unix.NFTA_LIST_ELEM, func(e *netlink.AttributeEncoder) error {
			e.String(unix.NFTA_EXPR_NAME, "exthdr")
			e.Nested(unix.NFTA_EXPR_DATA, func(e *netlink.AttributeEncoder) error {
				e.Uint8(unix.NFTA_EXTHDR_TYPE, optMPTCP)
				e.Uint32(unix.NFTA_EXTHDR_OP, unix.NFT_EXTHDR_OP_TCPOPT)
				return nil
			})
			return nil
		})
		return nil
	})
	attrs, err := e.Encode()
	if err != nil {
		return err
	}
	message := func(typ uint16, flags netlink.HeaderFlags, family byte, res uint16, attrs []byte) netlink.Message {
		return netlink.Message{
			Header: netlink.Header{Type: netlink.HeaderType(typ), Flags: netlink.Request | flags},
			Data:   append(binary.BigEndian.AppendUint16([]byte{family, 0}, res), attrs...),
		}
	}
	if _, err := conn.SendMessages([]netlink.Message{
		message(unix.NFNL_MSG_BATCH_BEGIN, 0, 0, unix.NFNL_SUBSYS_NFTABLES, nil),
		message(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWRULE, netlink.Create|netlink.Acknowledge, unix.NFPROTO_INET, 0, attrs),
		message(unix.NFNL_MSG_BATCH_END, 0, 0, unix.NFNL_SUBSYS_NFTABLES, nil),
	}); err != nil {
		return fmt.Errorf("load the rule against multipath TCP: %w", err)
	}
	if _, err := conn.Receive(); err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("load the rule against multipath TCP: %w", err)
	}
	return nil
}
