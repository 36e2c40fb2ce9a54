// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/lab/agent"
	"github.com/sallyport/sallyport/lab/load"
)

// BenchOptions is what a benchmark is to measure.
type BenchOptions struct {
	Pairs int       // interleaved pairs of each measurement
	Out   io.Writer // progress, a line each; io.Discard for none
}

// BenchResult is the outcome of a benchmark: every figure is a ratio to plain
// kernel forwarding with masquerade, measured right beside it.
type BenchResult struct {
	Schema string       `json:"schema"`
	Pairs  int          `json:"pairs"`
	Rows   []BenchRow   `json:"rows"`
	Host   BenchHost    `json:"host"`
	First  BenchLatency `json:"firstByte"`
	Cost   BenchCost    `json:"cost"`
}

// BenchCost is what the gateway's process takes: the kernel's part is in the
// ratios.
type BenchCost struct {
	CPUPer10k    float64 `json:"cpuSecondsPer10000Connections"`
	CPUPerGiB    float64 `json:"cpuSecondsPerGiB"`
	IdleFlows    int     `json:"idleFlows"`
	MemoryIdle   float64 `json:"memoryMiBAtIdleFlows"`
	MemoryBefore float64 `json:"memoryMiBBefore"`
}

// BenchHost says where it was measured.
type BenchHost struct {
	Kernel string `json:"kernel"`
	CPUs   int    `json:"cpus"`
}

// BenchRow is one measurement.
type BenchRow struct {
	Name    string `json:"name"`
	Noise   Ratio  `json:"plainAgainstPlain"`
	Gateway Ratio  `json:"gatewayAgainstPlain"`
	// AtLeast is the ratio that is asked for, and Answer whether the interval
	// lies above it: "yes", "no" or "inconclusive".
	AtLeast float64 `json:"atLeast"`
	Answer  string  `json:"answer"`
}

// BenchLatency is the time from the hello to the first byte, added to that of
// plain forwarding.
type BenchLatency struct {
	P50 time.Duration `json:"p50"`
	P99 time.Duration `json:"p99"`
}

// The addresses of the benchmark. Each way has its own two servers, all on one
// host, so that no measurement has to change a route.
var (
	benchNode  = netip.MustParseAddr("10.240.0.4")
	benchShort = map[string]netip.Addr{"plain": netip.MustParseAddr("20.40.1.1"), "gateway": netip.MustParseAddr("20.40.2.1")}
	benchBulk  = map[string]netip.Addr{"plain": netip.MustParseAddr("20.40.1.2"), "gateway": netip.MustParseAddr("20.40.2.2")}
)

// benchName is the API server's name: a gateway binds it from the start, so no
// DNS is needed.
const benchName = "bench-1.hcp.westeurope.azmk8s.io"

const benchCluster = `provider: aks
cloud: AzureCloud
location: westeurope
apiServer: {name: ` + benchName + `, addresses: [20.40.2.1, 20.40.2.2]}
tunnel: konnectivity
network: {plugin: kubenet, nodes: [10.240.0.0/16], pods: [10.244.0.0/16]}
gateway: {privateAddress: 10.1.0.4, publicAddress: 20.40.9.9}
`

// bench is a node with two ways to one host: over a plain router and over a
// gateway.
type bench struct {
	node, server *Agent
	plain, gate  *Agent
	dir          string
	gatewayProc  *Proc
	all          []*Agent
}

// Bench measures what a gateway costs. Rounds of plain, gateway and plain again
// are interleaved, so that what drifts on the machine drifts in all of them.
func Bench(ctx context.Context, opt BenchOptions) (BenchResult, error) {
	b := &bench{}
	defer b.close()
	if err := b.build(ctx); err != nil {
		return BenchResult{}, err
	}
	out := BenchResult{Schema: "sallyport.bench/1", Pairs: opt.Pairs, Host: thisHost()}
	for _, m := range []struct {
		name    string
		load    load.Load
		servers map[string]netip.Addr
		figure  func(load.Result) float64
		atLeast float64
	}{
		{"bulk, 1 connection", load.Load{Kind: load.Bulk, Clients: 1, Duration: time.Second}, benchBulk,
			func(r load.Result) float64 { return float64(r.Bytes) / r.Elapsed.Seconds() }, 0.9},
		{"bulk, 8 connections", load.Load{Kind: load.Bulk, Clients: 8, Duration: 500 * time.Millisecond}, benchBulk,
			func(r load.Result) float64 { return float64(r.Bytes) / r.Elapsed.Seconds() }, 0.9},
		{"new connections/s, 16 clients", load.Load{Kind: load.Short, Clients: 16, Duration: 600 * time.Millisecond}, benchShort,
			func(r load.Result) float64 { return float64(r.Conns) / r.Elapsed.Seconds() }, 0.5},
		{"new connections/s, 64 clients", load.Load{Kind: load.Short, Clients: 64, Duration: 600 * time.Millisecond}, benchShort,
			func(r load.Result) float64 { return float64(r.Conns) / r.Elapsed.Seconds() }, 0.5},
	} {
		var cpu, conns, gib float64
		var noise, ratios []float64
		for i := range opt.Pairs {
			var figures [3]float64
			for k, way := range []string{"plain", "gateway", "plain"} {
				l := m.load
				l.Name, l.To = benchName, netip.AddrPortFrom(m.servers[way], 443)
				var r load.Result
				began := cpuSeconds(b.gatewayProc.PID)
				if err := b.node.Call(ctx, "load-run", l, &r); err != nil {
					return out, err
				}
				if way == "gateway" {
					cpu += cpuSeconds(b.gatewayProc.PID) - began
					conns += float64(r.Conns)
					gib += float64(r.Bytes) / (1 << 30)
				}
				if r.Bytes == 0 {
					return out, fmt.Errorf("%s over %s: nothing came through: %s", m.name, way, r.Err)
				}
				figures[k] = m.figure(r)
			}
			noise = append(noise, figures[2]/figures[0])
			ratios = append(ratios, 2*figures[1]/(figures[0]+figures[2]))
			fmt.Fprintf(opt.Out, "%s: round %d of %d\n", m.name, i+1, opt.Pairs)
		}
		row := BenchRow{Name: m.name, Noise: MedianRatio(noise), Gateway: MedianRatio(ratios), AtLeast: m.atLeast}
		row.Answer = row.Gateway.AtLeast(m.atLeast)
		out.Rows = append(out.Rows, row)
		if m.load.Kind == load.Bulk {
			out.Cost.CPUPerGiB = max(out.Cost.CPUPerGiB, cpu/gib)
		} else {
			out.Cost.CPUPer10k = max(out.Cost.CPUPer10k, cpu/conns*10_000)
		}
	}
	var err error
	if out.First, err = b.firstByte(ctx, opt); err != nil {
		return out, err
	}
	return out, b.idle(ctx, &out.Cost)
}

// idleFlows is how many proved flows stand still while the process's memory is
// looked at; a process may hold 20,000 descriptors here, and both ends are one.
const idleFlows = 9000

// idle measures what the process holds while proved flows stand still.
func (b *bench) idle(ctx context.Context, cost *BenchCost) (err error) {
	if cost.MemoryBefore, err = residentMiB(b.gatewayProc.PID); err != nil {
		return err
	}
	done := make(chan error, 1)
	var r load.Result
	go func() {
		done <- b.node.Call(ctx, "load-run", load.Load{Kind: load.Idle, Clients: idleFlows, Duration: 8 * time.Second, Name: benchName,
			To: netip.AddrPortFrom(benchShort["gateway"], 443)}, &r)
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(7 * time.Second):
	}
	cost.MemoryIdle, err = residentMiB(b.gatewayProc.PID)
	if err := errors.Join(err, <-done); err != nil {
		return err
	}
	cost.IdleFlows = int(r.Conns)
	return nil
}

// cpuSeconds returns the processor time that a process has taken, 0 when it is
// gone (proc(5), stat: utime and stime, in hundredths of a second).
func cpuSeconds(pid int) float64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(data), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) / 100
}

// firstByte measures one connection at a time.
func (b *bench) firstByte(ctx context.Context, opt BenchOptions) (BenchLatency, error) {
	samples := map[string][]time.Duration{}
	for range opt.Pairs {
		for _, way := range []string{"plain", "gateway"} {
			l := load.Load{Kind: load.Short, Clients: 1, Duration: 200 * time.Millisecond, Name: benchName,
				To: netip.AddrPortFrom(benchShort[way], 443)}
			var r load.Result
			if err := b.node.Call(ctx, "load-run", l, &r); err != nil {
				return BenchLatency{}, err
			}
			samples[way] = append(samples[way], r.First...)
		}
	}
	at := func(way string, q float64) time.Duration { return quantile(samples[way], q) }
	return BenchLatency{at("gateway", 0.5) - at("plain", 0.5), at("gateway", 0.99) - at("plain", 0.99)}, nil
}

// build makes the four hosts and starts the gateway.
func (b *bench) build(ctx context.Context) (err error) {
	if b.dir == "" {
		b.dir, err = os.MkdirTemp("", "sallyport-bench-")
	}
	if err != nil {
		return err
	}
	for name, to := range map[string]**Agent{"node": &b.node, "server": &b.server, "plain": &b.plain, "gateway": &b.gate} {
		if *to, err = startAgent(name, nil); err != nil {
			return err
		}
		b.all = append(b.all, *to)
	}
	if err := b.connect(ctx); err != nil {
		return err
	}
	for _, s := range []load.Server{
		{Addr: netip.AddrPortFrom(benchShort["plain"], 443), Kind: load.Short},
		{Addr: netip.AddrPortFrom(benchShort["gateway"], 443), Kind: load.Short},
		{Addr: netip.AddrPortFrom(benchBulk["plain"], 443), Kind: load.Bulk},
		{Addr: netip.AddrPortFrom(benchBulk["gateway"], 443), Kind: load.Bulk},
	} {
		if err := b.server.Call(ctx, "load-serve", s, nil); err != nil {
			return err
		}
	}
	if err := b.plain.Call(ctx, "plain", agent.Plain{On: true, Outside: OutsideLink}, nil); err != nil {
		return err
	}
	return b.startGateway(ctx)
}

// connect wires node and server to both routers.
func (b *bench) connect(ctx context.Context) error {
	setups := map[*Agent]*agent.Setup{}
	for _, a := range b.all {
		setups[a] = &agent.Setup{Sysctls: quiet()}
	}
	setups[b.node].Links = []agent.Link{{Name: "lo", Addrs: alone(benchNode)}}
	servers := agent.Link{Name: "lo"}
	for i, w := range []struct {
		router *Agent
		way    string
	}{{b.plain, "plain"}, {b.gate, "gateway"}} {
		inside := netip.AddrFrom4([4]byte{10, 1, byte(i), 4})
		outside := netip.AddrFrom4([4]byte{20, 41, byte(i), 2})
		beyond := netip.AddrFrom4([4]byte{20, 41, byte(i), 1})
		near, far := "to-"+w.way, "from-"+w.way
		for _, pair := range []struct {
			a, b      *Agent
			nameA, nB string
		}{{b.node, w.router, near, InsideLink}, {w.router, b.server, OutsideLink, far}} {
			attrs := netlink.NewLinkAttrs()
			attrs.Name, attrs.Namespace, attrs.MTU = pair.nameA, netlink.NsPid(pair.a.PID), 1500
			veth := &netlink.Veth{LinkAttrs: attrs, PeerName: pair.nB, PeerNamespace: netlink.NsPid(pair.b.PID)}
			if err := netlink.LinkAdd(veth); err != nil {
				return fmt.Errorf("connect %s: %w", w.way, err)
			}
		}
		node, router, server := setups[b.node], setups[w.router], setups[b.server]
		node.Links = append(node.Links, agent.Link{Name: near})
		node.Routes = append(node.Routes, agent.Route{Dst: single(inside), Dev: near})
		for _, to := range []netip.Addr{benchShort[w.way], benchBulk[w.way]} {
			node.Routes = append(node.Routes, agent.Route{Dst: single(to), Dev: near, Via: inside})
			router.Routes = append(router.Routes, agent.Route{Dst: single(to), Dev: OutsideLink, Via: beyond})
			servers.Addrs = append(servers.Addrs, single(to))
		}
		router.Links = []agent.Link{
			{Name: InsideLink, Addrs: alone(inside)}, {Name: OutsideLink, Addrs: alone(outside)},
		}
		router.Routes = append([]agent.Route{
			{Dst: single(benchNode), Dev: InsideLink}, {Dst: single(beyond), Dev: OutsideLink},
		}, router.Routes...)
		server.Links = append(server.Links, agent.Link{Name: far, Addrs: alone(beyond)})
		server.Routes = append(server.Routes, agent.Route{Dst: single(outside), Dev: far})
	}
	setups[b.server].Links = append([]agent.Link{servers}, setups[b.server].Links...)
	for _, a := range b.all {
		if err := a.Call(ctx, "configure", setups[a], nil); err != nil {
			return err
		}
	}
	return nil
}

// clusterFile is what the gateway reads its rules from.
func (b *bench) clusterFile() string { return filepath.Join(b.dir, "cluster.yaml") }

func (b *bench) startGateway(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	file := b.clusterFile()
	if err := os.WriteFile(file, []byte(benchCluster), 0o644); err != nil {
		return err
	}
	state := filepath.Join(b.dir, "state")
	b.gatewayProc, err = b.gate.Start(ctx, Cmd{Argv: []string{
		self, "gateway", "--cluster", file, "--inside", InsideLink, "--outside", OutsideLink,
		"--state", state, "--records", filepath.Join(b.dir, "records"),
	}, Stdout: filepath.Join(b.dir, "log"), Stderr: filepath.Join(b.dir, "log")})
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := os.Stat(filepath.Join(state, "ready")); err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			_ = b.gatewayProc.Kill(ctx)
			said, _ := os.ReadFile(filepath.Join(b.dir, "log"))
			return fmt.Errorf("the gateway does not start: %s", said)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (b *bench) close() {
	for _, a := range b.all {
		a.close()
	}
	_ = os.RemoveAll(b.dir)
}
