// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nftables

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/netset"
)

// bench is a client, a router with the rules, and a server that answers for
// every destination, each in a network namespace.
type bench struct {
	client, router, server string
	ends                   ends
}

// ends are the addresses and ports between which flows go.
type ends struct {
	sources, targets []netip.Addr
	ports            []uint16
}

func addrs(texts ...string) (out []netip.Addr) {
	for _, t := range texts {
		out = append(out, netip.MustParseAddr(t))
	}
	return out
}

// plain are ends of both families for the random programs.
var plain = ends{
	sources: addrs("10.1.0.9", "10.2.0.9", "192.168.0.9", "fd00::9"),
	targets: addrs("20.1.2.3", "20.0.0.1", "21.1.1.1", "2600::1", "2600:1::5"),
	ports:   []uint16{80, 443, 8443, 9004, 9011},
}

// newBench connects two namespaces through a third with veth pairs.
func newBench(t *testing.T, ends ends) bench {
	t.Helper()
	for _, program := range []string{"nft", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(program + " is not installed: apt install nftables iproute2")
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	id := fmt.Sprintf("sp%d", os.Getpid())
	b := bench{id + "c", id + "r", id + "s", ends}
	script := fmt.Sprintf("C=%s; R=%s; S=%s\n", b.client, b.router, b.server) + `
for n in $C $R $S; do ip netns add $n; ip -n $n link set lo up; done
ip -n $R link add rc type veth peer name eth netns $C
ip -n $R link add rs type veth peer name eth netns $S
ip -n $R link set rc up; ip -n $R link set rs up; ip -n $C link set eth up; ip -n $S link set eth up
ip -n $R addr add 172.31.1.1/24 dev rc; ip -n $C addr add 172.31.1.2/24 dev eth
ip -n $R addr add 172.31.2.1/24 dev rs; ip -n $S addr add 172.31.2.2/24 dev eth
ip -n $R addr add fdff:1::1/64 dev rc nodad; ip -n $C addr add fdff:1::2/64 dev eth nodad
ip -n $R addr add fdff:2::1/64 dev rs nodad; ip -n $S addr add fdff:2::2/64 dev eth nodad
ip netns exec $R sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
ip -n $C route add default via 172.31.1.1; ip -n $C -6 route add default via fdff:1::1
ip -n $S route add default via 172.31.2.1; ip -n $S -6 route add default via fdff:2::1
ip -n $R -6 route add 2600::/16 via fdff:2::2
`
	for _, target := range ends.targets {
		script += fmt.Sprintf("ip -n $S addr add %s dev lo\n", netset.OfAddrs(target))
		if target.Is4() {
			script += fmt.Sprintf("ip -n $R route add %s via 172.31.2.2\n", target)
		}
	}
	for _, a := range ends.sources {
		if a.Is4() {
			script += fmt.Sprintf("ip -n $C addr add %s/32 dev eth; ip -n $R route add %s/32 via 172.31.1.2\n", a, a)
		} else {
			script += fmt.Sprintf("ip -n $C addr add %s/128 dev eth nodad; ip -n $R -6 route add %s/128 via fdff:1::2\n", a, a)
		}
	}
	t.Cleanup(func() {
		for _, n := range []string{b.client, b.router, b.server} {
			_ = exec.Command("ip", "netns", "del", n).Run()
		}
	})
	if out, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b.serve(t)
	return b
}

// inside runs f on a thread in a namespace. The thread ends with it.
func inside(name string, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		fd, err := unix.Open("/run/netns/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			_ = unix.Close(fd)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// serve answers TCP and UDP for every address on every port of the test.
func (b bench) serve(t *testing.T) {
	t.Helper()
	err := inside(b.server, func() error {
		for _, port := range b.ends.ports {
			l, err := net.Listen("tcp", fmt.Sprintf("[::]:%d", port))
			if err != nil {
				return err
			}
			t.Cleanup(func() { _ = l.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					_ = c.Close()
				}
			}()
			for _, target := range b.ends.targets {
				u, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(target, port)))
				if err != nil {
					return err
				}
				t.Cleanup(func() { _ = u.Close() })
				go func() {
					for buf := make([]byte, 16); ; {
						n, from, err := u.ReadFromUDPAddrPort(buf)
						if err != nil {
							return
						}
						_, _ = u.WriteToUDPAddrPort(buf[:n], from)
					}
				}()
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// load puts rules into the router alone.
func (b bench) load(t *testing.T, conf []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rules.nft")
	if err := os.WriteFile(file, append([]byte("flush ruleset\n"), conf...), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ip", "netns", "exec", b.router, "nft", "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, conf)
	}
}

// passes sends real packets of a flow, and reports whether they come back.
func (b bench) passes(f flowset.Flow) bool {
	const patience = 250 * time.Millisecond
	to := netip.AddrPortFrom(f.Dst, f.Port)
	err := inside(b.client, func() error {
		if f.Class == flowset.UDP {
			c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(f.Src, 0)), net.UDPAddrFromAddrPort(to))
			if err != nil {
				return err
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(patience))
			if _, err := c.Write([]byte("flow")); err != nil {
				return err
			}
			_, err = c.Read(make([]byte, 16))
			return err
		}
		d := net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(f.Src, 0))}
		c, err := d.Dial("tcp", to.String())
		if err == nil {
			_ = c.Close()
		}
		return err
	})
	return err == nil
}

// flows are all flows between the bench's addresses, of TCP and UDP.
func (b bench) flows() []flowset.Flow {
	var out []flowset.Flow
	for _, src := range b.ends.sources {
		for _, dst := range b.ends.targets {
			for _, port := range b.ends.ports {
				if src.Is4() == dst.Is4() {
					out = append(out, flowset.Flow{Src: src, Dst: dst, Class: flowset.OtherTCP, Port: port}, flowset.Flow{Src: src, Dst: dst, Class: flowset.UDP, Port: port})
				}
			}
		}
	}
	return out
}

// open waits until every flow arrives without rules: the kernel takes seconds to
// be sure of an IPv6 address of a new link.
func (b bench) open(t *testing.T) {
	t.Helper()
	b.load(t, nil)
	for _, f := range b.flows() {
		for tries := 0; !b.passes(f); tries++ {
			if tries == 20 {
				t.Fatalf("without rules, %s does not arrive", f)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// judge sends every flow, and compares the kernel's answer with the sets'.
func (b bench) judge(t *testing.T, conf []byte) {
	t.Helper()
	rules, err := Read("rules.nft", conf)
	if err != nil {
		t.Fatal(err)
	}
	e := rules.Evaluate()
	b.load(t, conf)
	type answer struct {
		flow   flowset.Flow
		passed bool
	}
	answers := make(chan answer)
	all := b.flows()
	for _, f := range all {
		go func() { answers <- answer{f, b.passes(f)} }()
	}
	through := 0
	for range all {
		a := <-answers
		if a.passed {
			through++
		}
		if a.passed && !e.Maybe.Contains(a.flow) || !a.passed && e.Sure.Contains(a.flow) {
			t.Errorf("%s: the kernel lets it through: %v, as sets: %v", a.flow, a.passed, e.Sure.Contains(a.flow))
		}
	}
	if t.Failed() {
		t.Logf("%s", conf)
	}
	t.Logf("%d of %d flows went through", through, len(all))
}
