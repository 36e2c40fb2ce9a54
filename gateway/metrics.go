// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sallyport/sallyport/kernelpath"
)

// What a gateway measures, by the names that docs/gateway.md lists. Most of it is
// read when somebody asks, so that nothing of it is on a packet's way.
var (
	descDecisions = desc("decisions_total", "Flows and questions that were decided.", "verdict", "reason", "rule", "path")
	descDropped   = desc("records_dropped_total", "Records that found no room or could not be written.")
	descHeld      = desc("held_flows", "Flows whose first bytes are held, or on their way to the server.")
	descCrowded   = desc("crowded_out_total", "Flows whose first bytes were dropped because one source held too many.")
	descHold      = desc("hold_seconds", "Time from a hello's first segment to its verdict, of hellos that were allowed.")
	descWaiting   = desc("queue_packets", "Packets in the kernel that wait for a verdict.")
	descOverflow  = desc("queue_dropped_total", "Packets dropped because the queue to the gateway had no room.")
	descTable     = desc("table_packets_total", "Packets that a counter of the table has seen.", "counter")
	descBindings  = desc("bindings", "Pairs of a name and an address that it leads to.")
	descOpen      = desc("open_flows", "Allowed flows that have not ended, with what proved them.")
	descConntrack = desc("conntrack_entries", "Entries of the kernel's connection table, of this host whoever made them.")
	descConnMax   = desc("conntrack_entries_limit", "How many entries the kernel's connection table may have.")
	descProbes    = desc("ech_probes_total", "Servers that were asked whether they know an encrypted hello.", "result")
	descReloads   = desc("reloads_total", "Times that the rules were loaded anew.", "result")
	descReloadOK  = desc("last_reload_successful", "1 when the files as they are now are in force, 0 when they were refused.")
	descGen       = desc("generation", "How many times the rules have been exchanged.")
	descRules     = desc("rules", "Rules in force.", "edition")
	descCut       = desc("flows_cut_total", "Proved flows cut because the rules had changed.")
	descAudit     = desc("audit", "1 when what is denied is recorded and passes all the same, 0 when it is refused.")
	descFailed    = desc("scrape_errors", "Numbers that could not be read this time.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sallyport_"+name, help, labels, nil)
}

// collector reads a gateway's numbers.
type collector struct {
	g      *Gateway
	engine *kernelpath.Engine
}

// Describe says nothing of what Collect will send, so it may differ.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect reads every number.
func (c collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	g := c.g
	for k, n := range g.records.Counts() {
		count(descDecisions, n, k.Verdict.String(), k.Reason.String(), string(k.Rule), k.Path)
	}
	count(descDropped, g.records.Dropped())
	gauge(descBindings, float64(g.names.Len()))
	gauge(descOpen, float64(g.flows.Len()))
	probes := g.probes.Counts()
	count(descProbes, probes.Ignored, "ignored")
	count(descProbes, probes.Known, "known")
	count(descProbes, probes.Failed, "failed")
	count(descReloads, g.stats.reloads.Load(), "taken")
	count(descReloads, g.stats.reloadsFailed.Load(), "refused")
	ok := 0.0
	if g.stats.reloadOK.Load() {
		ok = 1
	}
	gauge(descReloadOK, ok)
	gauge(descGen, float64(g.stats.reloads.Load()))
	count(descCut, g.stats.flowsCut.Load())
	p := g.force.Load().Program
	audit := 0.0
	if g.opt.Audit {
		audit = 1
	}
	gauge(descAudit, audit)
	gauge(descRules, float64(len(p.Rules)), p.Edition.ID)

	n, err := c.engine.Numbers()
	failed := 0.0
	if err != nil {
		failed = 1
		g.log.Warn("numbers not read", "err", err)
	}
	gauge(descFailed, failed)
	gauge(descHeld, float64(n.Held))
	count(descCrowded, n.CrowdedOut)
	gauge(descWaiting, float64(n.Waiting))
	count(descOverflow, n.Dropped)
	gauge(descConntrack, float64(n.Conntrack.Count))
	gauge(descConnMax, float64(n.Conntrack.Max))
	for name, packets := range n.Counters {
		count(descTable, packets, name)
	}
	buckets := make(map[float64]uint64)
	var sum uint64
	for i, bound := range kernelpath.HoldBuckets {
		sum += n.Judged[i]
		buckets[bound.Seconds()] = sum
	}
	sum += n.Judged[len(kernelpath.HoldBuckets)]
	out <- prometheus.MustNewConstHistogram(descHold, sum, n.HoldTime.Seconds(), buckets)
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

// serveMetrics serves /metrics and /healthz until ctx ends.
func (g *Gateway) serveMetrics(ctx context.Context, l net.Listener, engine *kernelpath.Engine) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{g, engine}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if err := g.healthy(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
