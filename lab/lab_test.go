// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/cluster"
	"github.com/sallyport/sallyport/internal/exampletest"
	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
	"github.com/sallyport/sallyport/lab/internet"
	"github.com/sallyport/sallyport/program"
)

func TestMain(m *testing.M) {
	if handled, code := lab.Main(os.Args); handled {
		os.Exit(code)
	}
	done, code, err := lab.Enter()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if done {
		os.Exit(code)
	}
	code = m.Run()
	if builtIn != "" {
		_ = os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

const description = `
cloud: AzureCloud
location: westeurope
edition: seed
apiServer:
  name: shop-1a2b3c4d.hcp.westeurope.azmk8s.io
  addresses: [20.76.10.20]
  byAddress: true
tunnel: tunnel-front
network:
  plugin: azure
  mode: overlay
  nodes: [10.240.0.0/24]
  pods: [10.244.0.0/16]
  services: [10.0.0.0/16]
addOns: [monitoring, azure-policy]
optional: true
gateway:
  privateAddress: 10.1.0.4
allow:
  - {name: licenses.example.net, ports: [tcp/1688], reason: licence server}
  - {cidr: 20.50.0.0/16, ports: [udp/1000-2000], reason: telemetry}
`

// compiled returns a cluster and its program.
func compiled(t *testing.T, text string) (*cluster.Cluster, *program.Program) {
	t.Helper()
	return exampletest.Compile(t, "cluster.yaml", []byte(text))
}

func addrPort(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

func newLab(t *testing.T, text string, change func(*lab.Options)) *lab.Lab {
	t.Helper()
	c, p := compiled(t, text)
	opt := lab.Options{Cluster: c, Program: p}
	if change != nil {
		change(&opt)
	}
	l, err := lab.New(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func TestEverythingIsReachedByPlainForwarding(t *testing.T) {
	for name, text := range map[string]string{
		"ipv4":      description,
		"dualstack": strings.Replace(description, "[10.240.0.0/24]", `[10.240.0.0/24, "fd00:240::/64"]`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, text, nil)
			if err := l.Plain(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for _, r := range l.Plan.Reaches {
				wg.Go(func() {
					target, got := l.Reach(t.Context(), r.Target())
					if !got.OK {
						t.Errorf("%s: %+v", r, got)
						return
					}
					if err := r.Witnessed(t.Context(), l.Internet, target, got); err != nil {
						t.Errorf("%s: %v", r, err)
					}
				})
			}
			wg.Wait()
		})
	}
}

func TestNothingIsReachedByAClosedGateway(t *testing.T) {
	l := newLab(t, description, nil)
	_, got := l.Reach(t.Context(), client.Target{Kind: client.HTTPS, Addr: l.Plan.Shared, Name: "mcr.microsoft.com", Port: 443, Timeout: time.Second})
	if got.OK {
		t.Errorf("reached %s although nothing forwards", got.Remote)
	}
}

func TestTheWitnessSeesWhatNobodyUnderstands(t *testing.T) {
	l := newLab(t, description, nil)
	if err := l.Plain(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	ping := []byte("secret in a ping")
	if _, err := l.Ping(t.Context(), client.Ping{To: l.Plan.Attacker, Data: ping}); err != nil {
		t.Fatal(err)
	}
	if at, ok := l.Internet.Arrived(t.Context(), ping, time.Second); !ok || at.Addr() != l.Plan.Attacker {
		t.Errorf("the ping's payload: got %v, %v, want it at %s", at, ok, l.Plan.Attacker)
	}
	a, err := l.Ask(t.Context(), client.Question{Name: "deadbeef." + lab.AttackerZone})
	if err != nil || len(a.Addrs) != 1 {
		t.Fatalf("ask for a name of the attacker's: %+v, %v", a, err)
	}
}

func TestDownloadsAreTheSameBytes(t *testing.T) {
	l := newLab(t, description, nil)
	if err := l.Plain(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	const n = 3 << 20
	_, got := l.Reach(t.Context(), client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443, Path: fmt.Sprintf("/bytes/%d", n)})
	if !got.OK || got.Bytes != n || got.SHA256 != internet.Hash(n) {
		t.Errorf("got %+v, want %d bytes with hash %s", got, n, internet.Hash(n))
	}
}

func TestAShorterPathIsFound(t *testing.T) {
	l := newLab(t, description, func(o *lab.Options) { o.PathMTU = 1400 })
	if err := l.Plain(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	_, got := l.Reach(t.Context(), client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443})
	if !got.OK {
		t.Errorf("got %+v", got)
	}
}

func TestOrdinaryClientsSeeTheLab(t *testing.T) {
	l := newLab(t, description, nil)
	if err := l.Plain(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	got, err := l.Node.Run(t.Context(), lab.Cmd{Argv: []string{"cat", "/etc/resolv.conf", "/proc/net/route"}})
	if err != nil || got.Code != 0 || !strings.Contains(string(got.Stdout), "nameserver 168.63.129.16") {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAProcessIsKilledAndItsEndIsTold(t *testing.T) {
	l := newLab(t, description, nil)
	p, err := l.Gateway.Start(t.Context(), lab.Cmd{Argv: []string{"sleep", "100"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := p.Wait(t.Context()); err != nil || r.Code != 137 {
		t.Errorf("got code %d, %v, want 137", r.Code, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := l.Node.Run(ctx, lab.Cmd{Argv: []string{"sleep", "100"}}); err == nil {
		t.Error("a command outlived its context")
	}
}
