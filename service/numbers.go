// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sallyport/sallyport/echprobe"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/program"
)

// Exchanges counts what came of new rules.
type Exchanges struct {
	Taken, Refused atomic.Uint64
	UpToDate       atomic.Bool   // whether the files as they are now are in force
	FlowsCut       atomic.Uint64 // under way, that new rules did not allow
}

// Numbers are those that every way to enforce has, by the names that
// docs/gateway.md lists. They are read when somebody asks.
type Numbers struct {
	Records *flowlog.Log
	Flows   *flowlog.Flows
	Probes  *echprobe.Prober
	Rules   *Exchanges
	Program func() *program.Program // the one in force
	// Incomplete is whether a number beside these could not be read this time.
	Incomplete bool
}

var (
	descDecisions = Desc("decisions_total", "Flows and questions that were decided.", "verdict", "reason", "rule", "path")
	descDropped   = Desc("records_dropped_total", "Records that found no room or could not be written.")
	descOpen      = Desc("open_flows", "Allowed flows that have not ended, with what proved them.")
	descProbes    = Desc("ech_probes_total", "Servers that were asked whether they know an encrypted hello.", "result")
	descReloads   = Desc("reloads_total", "Times that the rules were loaded anew.", "result")
	descReloadOK  = Desc("last_reload_successful", "1 when the files as they are now are in force, 0 when they were refused.")
	descGen       = Desc("generation", "How many times the rules have been exchanged.")
	descRules     = Desc("rules", "Rules in force.", "edition")
	descFailed    = Desc("scrape_errors", "Numbers that could not be read this time.")
	descCut       = Desc("flows_cut_total", "Proved flows cut because the rules had changed.")
)

// Desc describes a number of ours.
func Desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sallyport_"+name, help, labels, nil)
}

// Out is where numbers are told.
type Out chan<- prometheus.Metric

// Gauge tells one that goes up and down.
func (o Out) Gauge(d *prometheus.Desc, v float64, labels ...string) {
	o <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// Count tells one that only grows.
func (o Out) Count(d *prometheus.Desc, v uint64, labels ...string) {
	o <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

// Flag is 1 for true.
func Flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe says nothing of what Collect will send, so it may differ.
func (n Numbers) Describe(chan<- *prometheus.Desc) {}

// Collect reads every number.
func (n Numbers) Collect(c chan<- prometheus.Metric) {
	out := Out(c)
	for k, times := range n.Records.Counts() {
		out.Count(descDecisions, times, k.Verdict.String(), k.Reason.String(), string(k.Rule), k.Path)
	}
	out.Count(descDropped, n.Records.Dropped())
	out.Gauge(descOpen, float64(n.Flows.Len()))
	probes := n.Probes.Counts()
	out.Count(descProbes, probes.Ignored, "ignored")
	out.Count(descProbes, probes.Known, "known")
	out.Count(descProbes, probes.Failed, "failed")
	out.Count(descReloads, n.Rules.Taken.Load(), "taken")
	out.Count(descReloads, n.Rules.Refused.Load(), "refused")
	out.Gauge(descReloadOK, Flag(n.Rules.UpToDate.Load()))
	out.Gauge(descGen, float64(n.Rules.Taken.Load()))
	out.Count(descCut, n.Rules.FlowsCut.Load())
	out.Gauge(descFailed, Flag(n.Incomplete))
	p := n.Program()
	out.Gauge(descRules, float64(len(p.Rules)), p.Edition.ID)
}

// Serve serves /metrics, with what c collects, and /healthz, until ctx ends.
// Whoever sends traffic here may ask for the health, and send it elsewhere.
func Serve(ctx context.Context, l net.Listener, c prometheus.Collector, healthy func(context.Context) error) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if err := healthy(r.Context()); err != nil {
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
