// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/lab/agent"
	"github.com/sallyport/sallyport/lab/load"
)

// The ways from the node to the servers that are none of a peer.
const (
	wayPlain    = "plain"   // forwarding and masquerade, and no rule at all
	wayRules    = "rules"   // the same behind as many rules as the gateway's table has
	wayGateway  = "gateway" // what is measured
	wayUnbound  = "unbound" // a resolver beside the gateway's own
	benchSecond = 200       // sources of the node, beyond its address
)

// The servers of a way, by the last byte of their addresses. They are all on one
// host, and each way has its own, so that no measurement has to change a route.
const (
	atShort = 1
	atBulk  = 2
	atWeb   = 3
	atIdle  = 11 // and the next ones, a process each
	atNames = 53
)

// idleServers is how many processes serve idle connections over the gateway.
const idleServers = 8

var benchNode = netip.MustParseAddr("10.240.0.4")

// Names of the servers. A gateway binds the API server's from the start, so no
// DNS is needed for it.
const (
	benchName = "bench-1.hcp.westeurope.azmk8s.io"
	benchWeb  = "web.bench.example"
	benchZone = "names.bench.example"
)

const benchCluster = `provider: aks
cloud: AzureCloud
location: westeurope
apiServer:
  name: ` + benchName + `
  addresses: [20.40.2.1, 20.40.2.2, 20.40.2.11, 20.40.2.12, 20.40.2.13, 20.40.2.14, 20.40.2.15, 20.40.2.16, 20.40.2.17, 20.40.2.18]
tunnel: konnectivity
network: {plugin: kubenet, nodes: [10.240.0.0/16], pods: [10.244.0.0/16]}
gateway: {privateAddress: 10.1.1.4, publicAddress: 20.41.1.2}
dns: {servers: [20.40.2.53]}
`

// benchAllow is what a benchmark allows beyond that.
const benchAllow = `allow:
- {name: ` + benchWeb + `, ports: http, reason: bench}
- {name: "*.` + benchZone + `", ports: https, reason: bench}
`

// way is one of the ways from the node to the servers, over a router of its own.
type way struct {
	name   string
	number byte // part of its addresses
	router *Agent
	proc   *Proc // of what runs on the router, nil when nothing does
	peer   *peer // nil for plain forwarding and the gateway
}

func (w *way) inside() netip.Addr        { return netip.AddrFrom4([4]byte{10, 1, w.number, 4}) }
func (w *way) outside() netip.Addr       { return netip.AddrFrom4([4]byte{20, 41, w.number, 2}) }
func (w *way) beyond() netip.Addr        { return netip.AddrFrom4([4]byte{20, 41, w.number, 1}) }
func (w *way) at(n byte) netip.Addr      { return netip.AddrFrom4([4]byte{20, 40, w.number + 1, n}) }
func (w *way) tls(n byte) netip.AddrPort { return netip.AddrPortFrom(w.at(n), 443) }

// servers are the addresses behind the way.
func (w *way) servers() []netip.Addr {
	out := []netip.Addr{w.at(atShort), w.at(atBulk), w.at(atWeb), w.at(atNames)}
	for i := range byte(idleServers) {
		out = append(out, w.at(atIdle+i))
	}
	return out
}

// bench is a node with several ways to one host of servers.
type bench struct {
	node, server *Agent
	ways         []*way
	all          []*Agent
	dir          string
}

// way returns the one of that name, nil when there is none.
func (b *bench) way(name string) *way {
	for _, w := range b.ways {
		if w.name == name {
			return w
		}
	}
	return nil
}

// build makes the hosts and wires them, and starts the servers; the routers do
// nothing yet, but for plain forwarding.
func (b *bench) build(ctx context.Context, peers ...*peer) (err error) {
	if b.dir == "" {
		if b.dir, err = os.MkdirTemp("", "sallyport-bench-"); err != nil {
			return err
		}
	}
	// Peers that give up root read their files here.
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return err
	}
	start := func(name string) (a *Agent, err error) {
		if a, err = startAgent(name, nil); err == nil {
			b.all = append(b.all, a)
		}
		return a, err
	}
	if b.node, err = start("node"); err != nil {
		return err
	}
	if b.server, err = start("server"); err != nil {
		return err
	}
	b.ways = []*way{{name: wayPlain}, {name: wayGateway}, {name: wayRules}}
	for _, p := range peers {
		b.ways = append(b.ways, &way{name: p.name, peer: p})
	}
	for i, w := range b.ways {
		w.number = byte(i)
		if w.router, err = start(w.name); err != nil {
			return err
		}
	}
	if err := b.connect(ctx); err != nil {
		return err
	}
	for _, w := range b.ways {
		for _, s := range []load.Server{
			{Addr: w.tls(atShort), Kind: load.Short}, {Addr: w.tls(atBulk), Kind: load.Bulk},
			{Addr: netip.AddrPortFrom(w.at(atWeb), 80), Kind: load.Web},
			{Addr: netip.AddrPortFrom(w.at(atNames), 53), Kind: load.Names, Names: map[string][]netip.Addr{
				benchWeb: {w.at(atWeb)}, benchName: {w.at(atShort), w.at(atBulk)},
			}},
		} {
			if err := b.server.Call(ctx, "load-serve", s, nil); err != nil {
				return err
			}
		}
	}
	return b.way(wayPlain).router.Call(ctx, "plain", agent.Plain{On: true, Outside: OutsideLink}, nil)
}

// sources are n addresses of the node, from the first one beyond its own.
func sources(n int) []netip.Addr {
	out := make([]netip.Addr, n)
	for i := range out {
		out[i] = netip.AddrFrom4([4]byte{10, 240, 1, byte(1 + i)})
	}
	return out
}

// connect wires node and server to every router.
func (b *bench) connect(ctx context.Context) error {
	setups := map[*Agent]*agent.Setup{}
	for _, a := range b.all {
		setups[a] = &agent.Setup{Sysctls: quiet(
			agent.Sysctl{Path: "net/ipv4/conf/all/rp_filter", Value: "0"},
			agent.Sysctl{Path: "net/ipv4/conf/default/rp_filter", Value: "0"},
			// Tens of thousands of connections, many of them at once.
			agent.Sysctl{Path: "net/ipv4/ip_local_port_range", Value: "1024 65535"},
			agent.Sysctl{Path: "net/core/somaxconn", Value: "8192"},
			agent.Sysctl{Path: "net/ipv4/tcp_max_syn_backlog", Value: "8192"},
		)}
	}
	node, server := setups[b.node], setups[b.server]
	node.Links = []agent.Link{{Name: "lo", Addrs: alone(append(sources(benchSecond), benchNode)...)}}
	servers := agent.Link{Name: "lo"}
	for _, w := range b.ways {
		near, far := "to-"+w.name, "from-"+w.name
		for _, pair := range []struct {
			a, b         *Agent
			nameA, nameB string
		}{{b.node, w.router, near, InsideLink}, {w.router, b.server, OutsideLink, far}} {
			attrs := netlink.NewLinkAttrs()
			attrs.Name, attrs.Namespace, attrs.MTU = pair.nameA, netlink.NsPid(pair.a.PID), 1500
			veth := &netlink.Veth{LinkAttrs: attrs, PeerName: pair.nameB, PeerNamespace: netlink.NsPid(pair.b.PID)}
			if err := netlink.LinkAdd(veth); err != nil {
				return fmt.Errorf("connect %s: %w", w.name, err)
			}
		}
		behind := netip.PrefixFrom(w.at(0), 24)
		node.Links = append(node.Links, agent.Link{Name: near})
		node.Routes = append(node.Routes,
			agent.Route{Dst: single(w.inside()), Dev: near}, agent.Route{Dst: behind, Dev: near, Via: w.inside()})
		router := setups[w.router]
		router.Links = []agent.Link{
			{Name: InsideLink, Addrs: alone(w.inside())}, {Name: OutsideLink, Addrs: alone(w.outside())},
		}
		router.Routes = []agent.Route{
			{Dst: netip.PrefixFrom(benchNode, 16).Masked(), Dev: InsideLink}, {Dst: single(w.beyond()), Dev: OutsideLink},
			{Dst: behind, Dev: OutsideLink, Via: w.beyond()},
		}
		servers.Addrs = append(servers.Addrs, alone(w.servers()...)...)
		server.Links = append(server.Links, agent.Link{Name: far, Addrs: alone(w.beyond())})
		server.Routes = append(server.Routes, agent.Route{Dst: single(w.outside()), Dev: far})
	}
	server.Links = append([]agent.Link{servers}, server.Links...)
	for _, a := range b.all {
		if err := a.Call(ctx, "configure", setups[a], nil); err != nil {
			return err
		}
	}
	return nil
}

// offloads lets every link carry long packets, or none.
func (b *bench) offloads(ctx context.Context, on bool) error {
	for _, a := range b.all {
		if err := a.Call(ctx, "offloads", agent.Offloads{On: on}, nil); err != nil {
			return err
		}
	}
	return nil
}

// clusterFile is what the gateway reads its rules from.
func (b *bench) clusterFile() string { return filepath.Join(b.dir, "cluster.yaml") }

// gatewayLog is where it says what it does.
func (b *bench) gatewayLog() string { return filepath.Join(b.dir, "log") }

func (b *bench) writeCluster(text string) error {
	return os.WriteFile(b.clusterFile(), []byte(text), 0o644)
}

// startGateway starts the gateway, with the description that stands in its file.
func (b *bench) startGateway(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	state, w := filepath.Join(b.dir, "state"), b.way(wayGateway)
	ready := filepath.Join(state, "ready")
	_ = os.Remove(ready)
	w.proc, err = w.router.Start(ctx, Cmd{Argv: []string{
		self, "gateway", "--cluster", b.clusterFile(), "--inside", InsideLink, "--outside", OutsideLink,
		"--state", state, "--records", filepath.Join(b.dir, "records"),
	}, Stdout: b.gatewayLog(), Stderr: b.gatewayLog()})
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(startup); ; {
		if _, err := os.Stat(ready); err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			_ = w.proc.Kill(ctx)
			said, _ := os.ReadFile(b.gatewayLog())
			return fmt.Errorf("the gateway does not start: %s", said)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// leaveOut forgets a way that cannot be measured.
func (b *bench) leaveOut(w *way) {
	w.killAll()
	b.ways = slices.DeleteFunc(b.ways, func(x *way) bool { return x == w })
}

func (b *bench) close() {
	for _, w := range b.ways {
		if w.peer != nil && w.router != nil {
			w.killAll() // a process that has given up root outlives who started it
		}
	}
	for _, a := range b.all {
		a.close()
	}
	_ = os.RemoveAll(b.dir)
}
