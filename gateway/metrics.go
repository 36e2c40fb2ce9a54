// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport/sallyport/kernelpath"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/service"
)

// What a gateway measures, by the names that docs/gateway.md lists. Most of it is
// read when somebody asks, so that nothing of it is on a packet's way.
var (
	descHeld      = service.Desc("held_flows", "Flows whose first bytes are held, or on their way to the server.")
	descCrowded   = service.Desc("crowded_out_total", "Flows whose first bytes were dropped because one source held too many.")
	descHold      = service.Desc("hold_seconds", "Time from a hello's first segment to its verdict, of hellos that were allowed.")
	descWaiting   = service.Desc("queue_packets", "Packets in the kernel that wait for a verdict.")
	descOverflow  = service.Desc("queue_dropped_total", "Packets dropped because the queue to the gateway had no room.")
	descTable     = service.Desc("table_packets_total", "Packets that a counter of the table has seen.", "counter")
	descBindings  = service.Desc("bindings", "Pairs of a name and an address that it leads to.")
	descConntrack = service.Desc("conntrack_entries", "Entries of the kernel's connection table, of this host whoever made them.")
	descConnMax   = service.Desc("conntrack_entries_limit", "How many entries the kernel's connection table may have.")
	descAudit     = service.Desc("audit", "1 when what is denied is recorded and passes all the same, 0 when it is refused.")
)

// collector reads a gateway's numbers.
type collector struct {
	service.Numbers
	g      *Gateway
	engine *kernelpath.Engine
}

// Collect reads every number.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	g, out := c.g, service.Out(ch)
	n, err := c.engine.Numbers()
	if err != nil {
		g.log.Warn("numbers not read", "err", err)
	}
	c.Incomplete = err != nil
	c.Numbers.Collect(ch)
	out.Gauge(descBindings, float64(g.names.Len()))
	out.Gauge(descAudit, service.Flag(g.opt.Audit))
	out.Gauge(descHeld, float64(n.Held))
	out.Count(descCrowded, n.CrowdedOut)
	out.Gauge(descWaiting, float64(n.Waiting))
	out.Count(descOverflow, n.Dropped)
	out.Gauge(descConntrack, float64(n.Conntrack.Count))
	out.Gauge(descConnMax, float64(n.Conntrack.Max))
	for name, packets := range n.Counters {
		out.Count(descTable, packets, name)
	}
	buckets := make(map[float64]uint64)
	var sum uint64
	for i, bound := range kernelpath.HoldBuckets {
		sum += n.Judged[i]
		buckets[bound.Seconds()] = sum
	}
	sum += n.Judged[len(kernelpath.HoldBuckets)]
	ch <- prometheus.MustNewConstHistogram(descHold, sum, n.HoldTime.Seconds(), buckets)
}

// healthy says why the gateway is not, nil when it is: whoever sends traffic here
// may ask, and send it elsewhere.
func (g *Gateway) healthy(ctx context.Context) error {
	present, err := kernelpath.Present()
	if err == nil && !present {
		err = errors.New("the table is gone from the kernel")
	}
	return errors.Join(err, g.answers(ctx))
}

// answers asks the gateway's own resolver for its status, which it does not know
// (RFC 1035 section 4.1.1): that it says so shows that its sockets are served, and
// nothing is decided or recorded for it.
func (g *Gateway) answers(ctx context.Context) error {
	q := new(dns.Msg)
	q.Id, q.Opcode = dns.Id(), dns.OpcodeStatus
	c := dns.Client{Timeout: time.Second}
	if _, _, err := c.ExchangeContext(ctx, q, netip.AddrPortFrom(g.host.inside[0], 53).String()); err != nil {
		return fmt.Errorf("the resolver does not answer: %w", err)
	}
	return nil
}

// collector returns what reads the gateway's numbers.
func (g *Gateway) collector(engine *kernelpath.Engine) collector {
	return collector{service.Numbers{
		Records: g.records, Flows: g.flows, Probes: g.probes, Rules: &g.exchanges,
		Program: func() *program.Program { return g.force.Load().Program },
	}, g, engine}
}
