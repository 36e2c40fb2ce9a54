// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package lab is a cluster's surroundings in network namespaces: a node that
// has the cluster's addresses, a host for the gateway, and an internet with
// every server that the cluster's program knows, and an attacker's. Nothing of
// it touches the host's own namespaces, and it needs no privilege where user
// namespaces are allowed.
//
// A program that makes labs calls Main first, then Enter, then New:
//
//	func TestMain(m *testing.M) {
//		if handled, code := lab.Main(os.Args); handled {
//			os.Exit(code)
//		}
//		done, code, err := lab.Enter()
//		...
//	}
//
// The package knows no rule: what is to happen comes from the program, and what
// did happen from the servers that were reached.
package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/cluster"
	"github.com/sallyport/sallyport/lab/agent"
	"github.com/sallyport/sallyport/lab/client"
	"github.com/sallyport/sallyport/lab/internet"
	"github.com/sallyport/sallyport/program"
)

// Options is what a lab is made for.
type Options struct {
	Cluster *cluster.Cluster
	Program *program.Program
	TTL     uint32 // of the internet's DNS records, in seconds; 10 when 0
	// PathMTU is how long packets may be between gateway and internet, while
	// both ends believe in 1500; 0 for 1500.
	PathMTU int
	// Single gives the gateway host one interface, which leads both ways.
	Single bool
	// NoWitness leaves out the witness, which costs time for each packet.
	NoWitness bool
}

// Lab is a running lab.
type Lab struct {
	Node     *Agent
	Gateway  *Agent
	Internet *Internet

	Plan Plan
	Dir  string // files of this lab, removed by Close

	opt      Options
	wire     netlink.Link // that all share; nil: there is none
	mu       sync.Mutex
	resolver netip.AddrPort // whom the node asks
}

// New makes a lab, in which the gateway host forwards nothing yet. The caller
// closes it.
func New(ctx context.Context, opt Options) (l *Lab, err error) {
	if opt.TTL == 0 {
		opt.TTL = 10
	}
	l = &Lab{opt: opt}
	defer func() {
		if err != nil {
			l.Close()
			l = nil
		}
	}()
	if l.Plan, err = PlanFor(opt.Program, opt.Cluster); err != nil {
		return l, err
	}
	if opt.Single {
		l.Plan.Outside = [2]netip.Addr{l.Plan.Gateway, l.Plan.Gateway6}
	}
	if l.Dir, err = os.MkdirTemp("", "sallyport-lab-"); err != nil {
		return l, err
	}
	ca, key, err := internet.NewCA()
	if err != nil {
		return l, fmt.Errorf("make the lab's CA: %w", err)
	}
	l.Plan.World.CACert, l.Plan.World.CAKey, l.Plan.World.TTL = ca, key, opt.TTL
	if len(l.Plan.OnShared) > 0 {
		if l.Plan.World.ECH, err = internet.NewECH(l.Plan.OnShared[0], cdn, cdn6); err != nil {
			return l, fmt.Errorf("make keys for encrypted hellos: %w", err)
		}
	}
	if !opt.NoWitness {
		l.Plan.World.Watch = outLink
	}
	if err := l.writeFiles(ca); err != nil {
		return l, err
	}
	if err := l.startAgents(); err != nil {
		return l, err
	}
	if err := l.connect(ctx); err != nil {
		return l, err
	}
	if err := l.Internet.Call(ctx, "serve", l.Plan.World, nil); err != nil {
		return l, err
	}
	return l, l.UseResolver(l.Plan.Resolver)
}

func (l *Lab) startAgents() (err error) {
	if l.Node, err = startAgent("node", nil); err != nil {
		return err
	}
	if l.Gateway, err = startAgent("gateway", nil); err != nil {
		return err
	}
	l.Internet, err = startInternet()
	return err
}

// Files of the lab's directory.
func (l *Lab) path(name string) string { return filepath.Join(l.Dir, name) }

// CAFile returns the path of the CA certificate that the internet's servers
// have theirs from.
func (l *Lab) CAFile() string { return l.path("ca.pem") }

func (l *Lab) writeFiles(ca []byte) error {
	hosts := "127.0.0.1 localhost\n::1 localhost\n"
	if name, err := os.Hostname(); err == nil {
		hosts += "127.0.0.1 " + name + "\n"
	}
	return errors.Join(
		os.WriteFile(l.CAFile(), ca, 0o644),
		os.WriteFile(l.path("resolv.conf"), nil, 0o644),
		os.WriteFile(l.path("hosts"), []byte(hosts), 0o644),
		os.Chmod(l.Dir, 0o755), // clients that drop their privileges read these
	)
}

// UseResolver makes the node ask at, both the clients of this package and, in
// /etc/resolv.conf, all others.
func (l *Lab) UseResolver(at netip.AddrPort) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resolver = at
	// The file is bind-mounted, so it must stay the same file.
	text := fmt.Sprintf("nameserver %s\noptions timeout:2 attempts:2\n", at.Addr())
	return os.WriteFile(l.path("resolv.conf"), []byte(text), 0o644)
}

// Resolver returns whom the node asks.
func (l *Lab) Resolver() netip.AddrPort {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.resolver
}

// Plain makes the gateway host forward and masquerade everything, or stops it
// from doing so, and points the node at the internet's resolver, or back at the
// gateway.
func (l *Lab) Plain(ctx context.Context, on bool) error {
	if err := l.Gateway.Call(ctx, "plain", agent.Plain{On: on, Outside: l.OutsideLink()}, nil); err != nil {
		return err
	}
	if on {
		return l.UseResolver(l.Plan.Resolver)
	}
	return l.UseResolver(netip.AddrPortFrom(l.Plan.Gateway, 53))
}

// Reach goes for t from the node. What t leaves open is filled in: the nonce,
// whom to ask for names, and the lab's CA.
func (l *Lab) Reach(ctx context.Context, t client.Target) (client.Target, client.Result) {
	if t.Nonce == "" {
		t.Nonce = client.NewNonce()
	}
	if !t.Resolver.IsValid() {
		t.Resolver = l.Resolver()
	}
	if !t.Source.IsValid() {
		t.Source = l.Plan.Sources[0]
	}
	if len(t.TLS.Roots) == 0 {
		t.TLS.Roots = l.Plan.World.CACert
	}
	var r client.Result
	if err := l.Node.Call(ctx, "reach", t, &r); err != nil {
		r.Error = err.Error()
	}
	return t, r
}

// Say sends what r says from the node.
func (l *Lab) Say(ctx context.Context, r client.Raw) (h client.Heard, err error) {
	if !r.Source.IsValid() && r.To.Addr().Is4() {
		r.Source = l.Plan.Sources[0]
	}
	err = l.Node.Call(ctx, "say", r, &h)
	return h, err
}

// Ask asks a name server from the node, the node's own when q names none.
func (l *Lab) Ask(ctx context.Context, q client.Question) (a client.Answer, err error) {
	if !q.Server.IsValid() {
		q.Server = l.Resolver()
	}
	if !q.Source.IsValid() && q.Server.Addr().Is4() {
		q.Source = l.Plan.Sources[0]
	}
	err = l.Node.Call(ctx, "ask", q, &a)
	return a, err
}

// Ping sends an ICMP echo with a payload from the node.
func (l *Lab) Ping(ctx context.Context, p client.Ping) (h client.Heard, err error) {
	err = l.Node.Call(ctx, "ping", p, &h)
	return h, err
}

// Forge sends a segment past the node's own TCP.
func (l *Lab) Forge(ctx context.Context, s client.Segment) (h client.Heard, err error) {
	err = l.Node.Call(ctx, "forge", s, &h)
	return h, err
}

// Enterings returns, for each part of the lab, the command by which a shell
// gets into it.
func (l *Lab) Enterings() []string {
	var out []string
	for _, a := range []*Agent{l.Node, l.Gateway, l.Internet.Agent} {
		flags := "-n -m"
		if os.Getuid() == 0 && underUserNamespace() {
			flags = "-U --preserve-credentials " + flags
		}
		out = append(out, fmt.Sprintf("%-9s nsenter -t %d %s", a.Name+":", a.PID, flags))
	}
	return out
}

// underUserNamespace reports whether this process's root is somebody else's
// ordinary user.
func underUserNamespace() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	f := strings.Fields(string(b))
	return err == nil && len(f) == 3 && f[2] != "4294967295"
}

// Close ends everything in the lab and removes its files.
func (l *Lab) Close() {
	for _, a := range []*Agent{l.Node, l.Gateway} {
		if a != nil {
			a.close()
		}
	}
	if l.Internet != nil {
		l.Internet.close()
	}
	if l.wire != nil {
		_ = netlink.LinkDel(l.wire)
	}
	if l.Dir != "" {
		_ = os.RemoveAll(l.Dir)
	}
}
