// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package kernelpath enforces a program with the kernel's packet filter: flows
// by address and proved flows are forwarded by nftables alone, and only the
// first bytes of a flow by name come to user space, through NFQUEUE. It owns
// one nftables table and touches nothing else but what host.go saves first.
//
// The way of a packet from the cluster, in the order of the rules:
//
//	ct mark released           forward, at kernel speed
//	ct mark denied             queue: reset what a change of the rules has revoked
//	rule about addresses       forward, mark released
//	(address, port) bound raw  queue the first packet: judge it by the binding
//	(address, port) bound tls  let the handshake pass, queue what has payload:
//	                           hold it until the ClientHello is whole
//	(address, port) bound http, or to a strict rule
//	                           to the transparent proxy (already in prerouting)
//	everything else            log and reject; in audit mode log and forward (audit.go)
//
// What comes in answers a flow of the cluster's, or is for a port that the cluster's
// owner publishes: that is translated, and marked released, by its first packet
// (publish.go). Inside and outside may be one interface (sides.go).
//
// A hello that is verified marks its flow pending; the flow is released when the
// server answers behind the whole hello, so what was verified is what the server got,
// and does not ask for another one, which would be verified in its turn.
package kernelpath

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
)

// TableName is the name of the one table, of family inet, that is ours.
const TableName = "sallyport"

// Config says what the table is to be.
type Config struct {
	Inside, Outside string // interface names; one and the same for both is told apart by Sources
	Marks           Marks
	FirstQueue      uint16
	Queues          uint16 // how many, from FirstQueue on
	LogGroup        uint16 // of records; the next one is of answers to SYNs
	ProxyPort       uint16 // where the transparent proxy listens
	Sources         netset.Set
	Resolver        netset.Set // this host's addresses on which the resolver answers
	Masquerade      bool
	Audit           bool                  // nothing of the cluster's is refused (audit.go)
	Front           netset.Set            // this host's addresses outside, whose published ports lead inwards
	Publish         []program.Publication // the ports that do
}

// Prefixes of log messages: which rule of the table decided.
const (
	logAddress   = "sallyport:address"
	logSource    = "sallyport:source"
	logDNS       = "sallyport:resolver"
	logPing      = "sallyport:ping"
	logICMP      = "sallyport:icmp"
	logUnbound   = "sallyport:unbound"
	logState     = "sallyport:state"
	logEarly     = "sallyport:early"
	logUrgent    = "sallyport:urgent"
	logProto     = "sallyport:transport"
	logTooMany   = "sallyport:toomany"
	logElsewhere = "sallyport:elsewhere"
	logPublished = "sallyport:published"
	logVisitor   = "sallyport:visitor"
	logOneWay    = "sallyport:oneway"
	logNoWayBack = "sallyport:nowayback"
	logCrowd     = "sallyport:crowd"
	logSpoke     = "sallyport:spoke"
	logStranger  = "sallyport:stranger"
	logMultipath = "sallyport:multipath"
)

// Records of what the kernel decides are limited to this many a second for each
// rule; what goes beyond shows only in the table's counters.
const (
	logRate  = 500
	logBurst = 1000
)

// Counter names in the table.
const (
	counterInvalid     = "invalid"
	counterUnsolicited = "unsolicited"
	counterEarly       = "server_spoke_first"
	counterDenied      = "denied"
	counterTooMany     = "too_many"
)

// table is the table under construction in one nftables batch.
type table struct {
	conn   *nftables.Conn
	cfg    Config
	t      *nftables.Table
	chains map[string]*nftables.Chain
	sets   map[string]*nftables.Set
}

// Path is the table in the kernel. Its methods are not safe for concurrent use.
type Path struct {
	cfg  Config
	sets map[string]*nftables.Set
	have map[setElement]bool // learned elements in the kernel
}

// New returns the path for cfg; Apply puts it into the kernel.
func New(cfg Config) *Path {
	return &Path{cfg: cfg, have: make(map[setElement]bool)}
}

// Apply replaces the whole table in one transaction, with the rules about
// addresses from rules, which are all taken as live; on an error of it the old
// table stays as it was. The learned elements of bindings follow in transactions
// of their own, since one is no larger than a socket's buffer: until they are
// there, new flows to them are refused.
func (p *Path) Apply(rules []program.Rule, bindings []Element) error {
	conn, err := openBatch()
	if err != nil {
		return err
	}
	b := &table{conn: conn, cfg: p.cfg, chains: make(map[string]*nftables.Chain), sets: make(map[string]*nftables.Set)}
	b.t = &nftables.Table{Family: nftables.TableFamilyINet, Name: TableName}
	conn.AddTable(b.t) // so that deleting it cannot fail
	conn.DelTable(b.t)
	conn.AddTable(b.t)
	if err := errors.Join(b.addSets(rules), b.addLimitSets(), b.addOpened(), b.addPublishSets()); err != nil {
		return err
	}
	b.addChains()
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("load nftables table inet %s: %w", TableName, err)
	}
	if err := strip(); err != nil {
		return err
	}
	p.sets, p.have = b.sets, make(map[setElement]bool)
	return p.Learn(bindings)
}

// Remove deletes the table; that it is not there is no error.
func Remove() error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	t := &nftables.Table{Family: nftables.TableFamilyINet, Name: TableName}
	conn.AddTable(t)
	conn.DelTable(t)
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("delete nftables table inet %s: %w", TableName, err)
	}
	return nil
}

// Present reports whether the table is in the kernel.
func Present() (bool, error) {
	conn, err := nftables.New()
	if err != nil {
		return false, fmt.Errorf("open nftables: %w", err)
	}
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return false, fmt.Errorf("list nftables tables: %w", err)
	}
	for _, t := range tables {
		if t.Name == TableName {
			return true, nil
		}
	}
	return false, nil
}

func (b *table) rule(chain string, parts ...exprs) {
	b.conn.AddRule(&nftables.Rule{Table: b.t, Chain: b.chains[chain], Exprs: join(parts...)})
}

func (b *table) chain(name string) {
	b.chains[name] = b.conn.AddChain(&nftables.Chain{Name: name, Table: b.t})
}

func (b *table) base(name string, typ nftables.ChainType, hook *nftables.ChainHook, prio int32) {
	policy := nftables.ChainPolicyAccept
	b.chains[name] = b.conn.AddChain(&nftables.Chain{
		Name: name, Table: b.t, Type: typ, Hooknum: hook, Priority: nftables.ChainPriorityRef(nftables.ChainPriority(prio)),
		Policy: &policy,
	})
}

// Priorities of the base chains. The steering runs where others mangle, the
// filter where others filter, and the chain that acts on verdicts right behind
// it: a packet that comes back from a queue goes on with the next chain.
const (
	prioSteer   = -150
	prioDNAT    = -100
	prioFilter  = 0
	prioVerdict = 1
	prioSNAT    = 100
)

func (b *table) addChains() {
	for _, name := range []string{counterInvalid, counterUnsolicited, counterEarly, counterDenied, counterTooMany} {
		b.conn.AddObj(&nftables.NamedObj{Table: b.t, Name: name, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}})
	}
	for _, name := range []string{"reject", "unbound", "by_address", "raw", "hello", "icmp", "judged", "from_cluster", "to_cluster", "too_many", "published", "let_pass", "crowd", "multipath", "no_address", "syn"} {
		b.chain(name)
	}
	b.base("steer", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, prioSteer)
	b.base("filter", nftables.ChainTypeFilter, nftables.ChainHookForward, prioFilter)
	b.base("verdict", nftables.ChainTypeFilter, nftables.ChainHookForward, prioVerdict)

	b.base("input", nftables.ChainTypeFilter, nftables.ChainHookInput, prioFilter)

	b.steer()
	b.input()
	b.filter()
	b.fromCluster()
	b.toCluster()
	b.refuse()
	b.letPass()
	b.verdict()
	b.publish()
	b.noRedirects()
	b.base("masquerade", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, prioSNAT)
	b.sourceOfPublished()
	if b.cfg.Masquerade {
		for _, f := range []family{ipv4, ipv6} {
			b.rule("masquerade", b.leaving(f), f.destination(b.sets["private"+f.name], true), exprs{&expr.Masq{}})
			if b.cfg.Audit {
				// Also what comes from sources that are none of the cluster's.
				b.rule("masquerade", outTo(b.cfg.Outside), ctMark(b.cfg.Marks.Released()), f.match(), f.destination(b.sets["private"+f.name], true), exprs{&expr.Masq{}})
			}
		}
	}
}

// steer clears marks that only we may set and sends bound HTTP to the proxy.
func (b *table) steer() {
	m := b.cfg.Marks
	for _, name := range []string{b.cfg.Inside, b.cfg.Outside} {
		b.rule("steer", inFrom(name), packetMark(m.Mask()), setPacketMark(m.Mask(), 0))
	}
	insides := b.eachSide(b.fromInside, b.cfg.Inside)
	b.rule("steer", aSYN(), jump("syn"))
	b.opens(insides)
	// What is released needs no more than the filter's first rule.
	b.rule("steer", ctMark(m.Released()), accept())
	b.forged()
	b.tooMany()
	for _, inside := range insides {
		b.rule("steer", inside, l4proto(unix.IPPROTO_TCP), transparentSocket(), setPacketMark(m.Mask(), m.Proxied()), accept())
	}
	for _, f := range []family{ipv4, ipv6} {
		b.rule("steer", b.fromInside(f), l4proto(unix.IPPROTO_TCP), f.bound(b.sets["proxied"+f.name]),
			f.tproxy(b.cfg.ProxyPort), setPacketMark(m.Mask(), m.Proxied()), accept())
	}
}

// opens says what becomes of a flow when its client sends a SYN. That may open a new
// connection in an entry of conntrack that is about to end, and which must not inherit
// what the last one has proved.
func (b *table) opens(insides []exprs) {
	m := b.cfg.Marks
	if !b.cfg.Audit {
		// The network may deliver a SYN twice, and the second one behind what it has
		// opened. That says nothing new, and goes nowhere: a server that has lost the
		// connection meanwhile would open another one.
		for _, f := range []family{ipv4, ipv6} {
			b.rule("syn", b.fromInside(f), ctMark(m.Released()|m.Pending()), ctState(expr.CtStateBitESTABLISHED),
				f.openedBy(b.sets["opened"+f.name]), count(counterInvalid), drop())
		}
		// In a pending entry a verdict may be under way that marks it released, and would
		// do so behind the SYN: there it has to come again. That rule is ahead of the next
		// one, since pending becomes released and not the other way round.
		for _, inside := range insides {
			b.dropped("syn", logState, counterInvalid, inside, ctMark(m.Pending()))
		}
	}
	for _, inside := range insides {
		b.rule("syn", inside, ctMark(m.Released()|m.Pending()|m.Denied()), setCtMark(m.Mask(), 0))
	}
}

// forged drops what comes from inside in the name of somebody who is not there: this
// host would answer it by itself, with all that a ping says, or with what it refuses,
// and so to whoever the source names. In audit mode it is as any other stranger; with
// one interface nobody can tell it from what comes from outside.
func (b *table) forged() {
	if b.cfg.Audit || b.cfg.single() {
		return
	}
	for _, f := range []family{ipv4, ipv6} {
		nobody := exprs{f.load(f.saddr, reg), cmp(expr.CmpOpEq, make([]byte, f.size))}
		b.rule("steer", inFrom(b.cfg.Inside), f.match(), nobody, goTo("no_address"))
		b.dropped("steer", logNoWayBack, counterDenied, inFrom(b.cfg.Inside), f.match(), f.source(b.sets["sources"+f.name], true), noWayBack())
	}
	// Who has no address yet may ask for one (RFC 2131 section 4.1), look for routers and
	// for others who have it, and say what groups it is in (RFC 4861 section 4, RFC 3590).
	b.rule("no_address", l4proto(unix.IPPROTO_UDP), dport(67), accept())
	for _, t := range icmpType(131, 132, 133, 135, 143) {
		b.rule("no_address", l4proto(unix.IPPROTO_ICMPV6), t, accept())
	}
	b.dropped("no_address", logNoWayBack, counterDenied)
}

// input closes our own ports, and no other, to the outside: the resolver and the
// proxy are for the cluster. The resolver answers nobody whom the answer would
// not reach through the inside.
func (b *table) input() {
	for _, f := range []family{ipv4, ipv6} {
		for _, proto := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
			b.rule("input", b.fromOutside(f), f.destination(b.sets["resolver"+f.name], false),
				l4proto(proto), dport(53), count(counterUnsolicited), drop())
		}
	}
	for _, outside := range b.eachSide(b.fromOutside, b.cfg.Outside) {
		b.rule("input", outside, l4proto(unix.IPPROTO_TCP), dport(b.cfg.ProxyPort), count(counterUnsolicited), drop())
	}
	b.dropped("input", logNoWayBack, counterUnsolicited, inFrom(b.cfg.Inside), l4proto(unix.IPPROTO_UDP), dport(53), noWayBack())
}

// filter is the forward hook: proved flows first, so that they cost one rule.
// Traffic between other interfaces of this host is none of our business.
func (b *table) filter() {
	m := b.cfg.Marks
	b.rule("filter", ctMark(m.Released()), accept())
	if !b.cfg.Audit {
		b.rule("filter", l4proto(unix.IPPROTO_TCP), ctMark(m.Denied()), setPacketMark(m.Mask(), m.Denied()), b.queue())
	}
	// The cluster is behind the inside and nowhere else: what says that it comes
	// from there and arrives elsewhere is forged, or has lost its way around us.
	for _, f := range []family{ipv4, ipv6} {
		b.dropped("filter", logElsewhere, counterDenied, notInFrom(b.cfg.Inside), f.match(), f.source(b.sets["sources"+f.name], false))
	}
	// Traffic among the cluster's own addresses is never filtered at this level:
	// AKS does not support it, and it leaves nothing.
	for _, f := range []family{ipv4, ipv6} {
		b.rule("filter", inFrom(b.cfg.Inside), outTo(b.cfg.Inside), f.match(), f.source(b.sets["sources"+f.name], false),
			f.destination(b.sets["sources"+f.name], false), accept())
	}
	b.sides()
}

func (b *table) fromCluster() {
	m := b.cfg.Marks
	// What has no payload is the tail of closed connections, and no attempt.
	b.rule("from_cluster", ctState(expr.CtStateBitINVALID), hasPayload(), limit(logRate, logBurst), logTo(b.cfg.LogGroup, logState))
	b.rule("from_cluster", ctState(expr.CtStateBitINVALID), neitherTCPNorUDP(), limit(logRate, logBurst), logTo(b.cfg.LogGroup, logState))
	b.oneWay()
	b.rule("from_cluster", ctState(expr.CtStateBitINVALID), count(counterInvalid), drop())
	if b.cfg.Audit && b.cfg.single() {
		b.strangers()
	}
	b.onePath()
	for _, f := range []family{ipv4, ipv6} {
		b.stranger(f, logSource)
	}
	b.rule("from_cluster", l4proto(unix.IPPROTO_ICMP), goTo("icmp"))
	b.rule("from_cluster", l4proto(unix.IPPROTO_ICMPV6), goTo("icmp"))
	for _, f := range []family{ipv4, ipv6} {
		b.rule("from_cluster", f.match(), f.between(b.sets["address"+f.name]), goTo("by_address"))
		b.rule("from_cluster", f.match(), f.bound(b.sets["raw"+f.name]), jump("raw"))
		b.rule("from_cluster", f.match(), f.bound(b.sets["tls"+f.name]), goTo("hello"))
	}
	b.rule("from_cluster", goTo("unbound"))

	b.rule("by_address", ctState(expr.CtStateBitNEW), limit(logRate, logBurst), logTo(b.cfg.LogGroup, logAddress))
	b.rule("by_address", setCtMark(m.Mask(), m.Released()), accept())

	early := join(count(counterInvalid), drop())
	if b.cfg.Audit {
		early = goTo("let_pass")
	} else {
		for _, f := range []family{ipv4, ipv6} {
			for _, chain := range []string{"raw", "hello"} {
				b.rule(chain, aSYN(), ctState(expr.CtStateBitNEW), f.match(), f.opened(b.sets["opened"+f.name]))
			}
		}
	}
	b.rule("raw", l4proto(unix.IPPROTO_UDP), b.queue())
	b.rule("raw", aSYN(), hasPayload(), limit(logRate, logBurst), logTo(b.cfg.LogGroup, logEarly))
	b.rule("raw", aSYN(), hasPayload(), early)
	b.rule("raw", aSYN(), b.queue()) // also in an entry whose server has answered an earlier one

	b.rule("hello", tcpFlags(flagSYN, flagSYN), hasPayload(), limit(logRate, logBurst), logTo(b.cfg.LogGroup, logEarly))
	b.rule("hello", tcpFlags(flagSYN, flagSYN), hasPayload(), early)
	// A server reads a stream without its urgent byte, and so another hello than
	// the one that would be judged.
	b.refused("hello", logUrgent, tcpFlags(flagURG, flagURG))
	b.rule("hello", hasPayload(), b.queue())
	b.rule("hello", accept())

	b.icmp()
}

// toCluster lets in what answers a flow of the cluster, and no payload before
// the flow is released: a server that speaks first is no TLS server.
func (b *table) toCluster() {
	m := b.cfg.Marks
	b.rule("to_cluster", ctState(expr.CtStateBitINVALID), count(counterInvalid), drop())
	// The answer to a SYN says where the client's stream begins: a hello from
	// before that would be judged, thrown away by the server and acknowledged
	// all the same.
	for _, f := range []family{ipv4, ipv6} {
		b.rule("to_cluster", f.match(), l4proto(unix.IPPROTO_TCP), ctReply(), tcpFlags(flagSYN|flagACK|flagRST, flagSYN|flagACK),
			f.answering(b.sets["tls"+f.name]), logTo(b.cfg.LogGroup+1, ""))
	}
	// An acknowledgement alone goes on below.
	for _, says := range []exprs{hasPayload(), tcpFlags(flagRST, flagRST)} {
		b.rule("to_cluster", ctMark(m.Pending()), l4proto(unix.IPPROTO_TCP), ctReply(), says, b.queue())
	}
	// Released by another processor since the first rule looked, and not pending any
	// more: what the server says behind its first bytes would get lost.
	b.rule("to_cluster", ctMark(m.Released()), accept())
	if b.cfg.Audit {
		b.answersPass()
	}
	b.rule("to_cluster", l4proto(unix.IPPROTO_TCP), ctReply(), hasPayload(), count(counterEarly), drop())
	b.rule("to_cluster", l4proto(unix.IPPROTO_TCP), ctReply(), accept())
	for _, rule := range usefulICMP() {
		b.rule("to_cluster", ctState(expr.CtStateBitRELATED), rule, accept())
	}
	b.rule("to_cluster", count(counterUnsolicited), drop())
}

// usefulICMP matches the messages that flows need: destination unreachable
// (with fragmentation needed), time exceeded and parameter problem; for IPv6
// also packet too big (RFC 4890 section 4.3.1).
func usefulICMP() []exprs {
	var out []exprs
	for _, t := range icmpType(3, 11, 12) {
		out = append(out, join(l4proto(unix.IPPROTO_ICMP), t))
	}
	for _, t := range icmpType(1, 2, 3, 4) {
		out = append(out, join(l4proto(unix.IPPROTO_ICMPV6), t))
	}
	return out
}

// icmp refuses what the cluster says over ICMP. Messages about a flow that is
// released passed with it in the filter's first rule; about any other the server
// has said nothing yet that they could be about, and they carry payload.
func (b *table) icmp() {
	for _, echo := range []exprs{
		join(l4proto(unix.IPPROTO_ICMP), icmpType(8)[0]),
		join(l4proto(unix.IPPROTO_ICMPV6), icmpType(128)[0]),
	} {
		b.refused("icmp", logPing, echo)
	}
	if b.cfg.Audit {
		b.refused("icmp", logICMP)
		return
	}
	b.dropped("icmp", logICMP, counterDenied)
}

// stranger refuses what is not from the cluster, or in audit mode lets it pass. An
// answer goes to whoever the source names and quotes what the packet says, so it must
// not lead out: who is not behind the inside got none already (forged), and with one
// interface nobody does.
func (b *table) stranger(f family, prefix string) {
	source := join(f.match(), f.source(b.sets["sources"+f.name], true))
	if b.cfg.Audit && !isRefused(prefix) {
		b.refused("from_cluster", prefix, source)
		return
	}
	b.rule("from_cluster", source, limit(logRate, logBurst), logTo(b.cfg.LogGroup, prefix))
	if b.cfg.single() {
		b.rule("from_cluster", source, count(counterDenied), drop())
		return
	}
	b.rule("from_cluster", source, goTo("reject"))
}

// refused logs what parts match, within the limit, and rejects it, or in audit
// mode lets it pass.
func (b *table) refused(chain, prefix string, parts ...exprs) {
	match, end := join(parts...), "reject"
	logged := match
	if b.cfg.Audit {
		if end = "let_pass"; isUnmarked(prefix) {
			logged = join(match, ctState(expr.CtStateBitNEW))
		}
	}
	b.rule(chain, logged, limit(logRate, logBurst), logTo(b.cfg.LogGroup, prefix))
	b.rule(chain, match, goTo(end))
}

// dropped logs what parts match, within the limit, and drops it.
func (b *table) dropped(chain, prefix, counter string, parts ...exprs) {
	match := join(parts...)
	b.rule(chain, match, limit(logRate, logBurst), logTo(b.cfg.LogGroup, prefix))
	b.rule(chain, match, count(counter), drop())
}

// queue sends a packet to one of our queues.
func (b *table) queue() exprs { return queueTo(b.cfg.FirstQueue, b.cfg.Queues, b.cfg.Audit) }

// refuse tells the client: TCP gets a reset, UDP port unreachable, the rest
// administratively prohibited (RFC 1122 section 3.2.2.1, RFC 4443 section 3.1).
func (b *table) refuse() {
	for _, port := range []uint16{53, 853} {
		for _, proto := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
			b.refused("unbound", logDNS, l4proto(proto), dport(port))
		}
	}
	for _, proto := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
		b.refused("unbound", logUnbound, l4proto(proto))
	}
	b.refused("unbound", logProto)

	const portUnreachable, adminProhibited = 1, 3 // NFT_REJECT_ICMPX_*
	b.rule("reject", count(counterDenied))
	b.rule("reject", l4proto(unix.IPPROTO_TCP), rejectReset())
	b.rule("reject", l4proto(unix.IPPROTO_UDP), rejectICMP(portUnreachable))
	b.rule("reject", rejectICMP(adminProhibited))
}

// verdict acts on the marks that packets bring back from the queue.
func (b *table) verdict() {
	m := b.cfg.Marks
	b.rule("verdict", ctMark(m.Released()), accept()) // as nearly every packet is
	b.rule("verdict", inFrom(b.cfg.Inside), goTo("judged"))
	b.rule("verdict", outTo(b.cfg.Inside), goTo("judged"))
	b.rule("verdict", ctMark(m.Denied()), goTo("judged")) // also a published flow that leads out again
	b.rule("judged", packetMark(m.Denied()), goTo("reject"))
	b.rule("judged", packetMark(m.Released()), setCtMark(m.Mask(), m.Released()), accept())
	b.rule("judged", packetMark(m.Pending()), setCtMark(m.Mask(), m.Pending()), accept())
	b.rule("judged", packetMark(m.Unmarked()), setCtMark(m.Mask(), 0), accept())
}
