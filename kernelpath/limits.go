// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Limits of one source, so that none uses up what all share. A packet of a
// released flow meets none of them.
const (
	// askRate is how many questions a second a source may ask the resolver over
	// UDP, and askBurst how many at once: the socket's buffer holds the burst of
	// several. A cache speaks for thousands of pods, so it is not little.
	askRate  = 20000
	askBurst = 8000
	// connShare is the part of the kernel's connection table that one source may
	// have: table / connShare.
	connShare    = 8
	leastConns   = 1024
	maxGuests    = 65535 // sources that are counted at a time
	guestTimeout = time.Minute
)

// connsPerSource returns how many connections one source may have at a time.
func connsPerSource() uint32 {
	b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_max")
	if err != nil {
		return leastConns
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil {
		return leastConns
	}
	return max(uint32(n)/connShare, leastConns)
}

// addLimitSets adds the sets of the sources that are counted. The kernel fills
// them, and forgets a source that has no connection, or has asked nothing for a
// time.
func (b *table) addLimitSets() error {
	for _, f := range []family{ipv4, ipv6} {
		for _, set := range []*nftables.Set{
			{Name: "asking" + f.name, HasTimeout: true, Timeout: guestTimeout},
			{Name: "connected" + f.name},
		} {
			set.Table, set.KeyType, set.Dynamic, set.Size = b.t, f.keyType, true, maxGuests
			if err := b.set(set, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// tooMany drops what a source has too much of: new connections, whoever they are
// for but the resolver, and questions to that. It sends no answer, since that is
// what a flood would want.
func (b *table) tooMany() {
	conns, crowded := over(connsPerSource()), goTo("too_many")
	if b.cfg.Audit {
		crowded = jump("crowd")
	}
	for _, f := range []family{ipv4, ipv6} {
		b.rule("steer", ctState(expr.CtStateBitNEW), b.fromInside(f), f.destination(b.sets["resolver"+f.name], true),
			f.perSource(b.sets["connected"+f.name], unix.NFT_DYNSET_OP_ADD, conns), crowded)
		b.rule("input", b.fromInside(f), f.destination(b.sets["resolver"+f.name], false), l4proto(unix.IPPROTO_UDP), dport(53),
			f.perSource(b.sets["asking"+f.name], unix.NFT_DYNSET_OP_UPDATE, askedOver()), goTo("too_many"))
	}
	b.rule("too_many", limit(logRate/10, logBurst/10), logTo(b.cfg.LogGroup, logTooMany))
	b.rule("too_many", count(counterTooMany), drop())
}

// ct count over N
func over(n uint32) expr.Any { return &expr.Connlimit{Count: n, Flags: expr.NFT_CONNLIMIT_F_INV} }

// limit rate over ASKRATE/second burst ASKBURST packets
func askedOver() expr.Any {
	return &expr.Limit{Type: expr.LimitTypePkts, Rate: askRate, Unit: expr.LimitTimeSecond, Burst: askBurst, Over: true}
}

// perSource is add|update @SET { ip saddr STATEMENT }
func (f family) perSource(set *nftables.Set, op uint32, statement expr.Any) exprs {
	return exprs{
		f.load(f.saddr, reg),
		&expr.Dynset{SrcRegKey: reg, SetName: set.Name, SetID: set.ID, Operation: op, Exprs: []expr.Any{statement}},
	}
}
