// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
	"github.com/sallyport/sallyport/lab/internet"
)

// What goes wrong around a gateway: each time it is closed for what is new, what
// is proved goes on, and service is back without help.

func (s *site) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.gateway.Signal(s.t.Context(), sig); err != nil {
		s.t.Fatal(err)
	}
}

// onHost runs a command on the gateway's host.
func (s *site) onHost(argv ...string) string {
	s.t.Helper()
	r, err := s.Gateway.Run(s.t.Context(), lab.Cmd{Argv: argv})
	if err != nil || r.Code != 0 {
		s.t.Fatalf("%v: %v %d %s", argv, err, r.Code, r.Stderr)
	}
	return strings.TrimSpace(string(r.Stdout))
}

// intact fails when one of the downloads is not whole.
func intact(t *testing.T, bytes int64, under []download) {
	t.Helper()
	for _, d := range under {
		if got := <-d.done; !got.OK || got.SHA256 != internet.Hash(bytes) {
			t.Errorf("the download from %s: %+v", d.name, got)
		}
	}
}

// back waits until a new flow by name passes again.
func (s *site) back(target client.Target, within time.Duration) {
	s.t.Helper()
	target.Timeout = time.Second
	for deadline := time.Now().Add(within); ; time.Sleep(50 * time.Millisecond) {
		if _, got := s.Reach(s.t.Context(), target); got.OK {
			return
		} else if time.Now().After(deadline) {
			s.t.Fatalf("service is not back after %s: %+v", within, got)
		}
	}
}

func TestAGatewayThatStandsStillIsClosedAndComesBack(t *testing.T) {
	s := withGateway(t, example(t, "seed.yaml"))
	a, err := s.Ask(t.Context(), client.Question{Name: "packages.microsoft.com"})
	if err != nil || len(a.Addrs) == 0 {
		t.Fatalf("%+v %v", a, err)
	}
	const n = 2 << 20
	under := s.downloads(n, "mcr.microsoft.com")
	s.signal(syscall.SIGSTOP)
	byName := client.Target{Kind: client.HTTPS, Name: "packages.microsoft.com", Addr: a.Addrs[0], Port: 443}
	target, got := s.Reach(t.Context(), client.Target{Kind: client.HTTPS, Name: byName.Name, Addr: byName.Addr, Port: 443, Timeout: time.Second})
	if got.OK {
		t.Error("a new flow by name passed")
	}
	s.reach("by address", client.Target{Kind: client.TCP, Addr: s.cluster.APIServer.Addresses[0], Port: 9000}, true)
	s.reach("the attacker", client.Target{Kind: client.TCP, Addr: s.Plan.Attacker, Port: 9000}, false)
	if at, ok := s.Internet.Arrived(t.Context(), []byte(target.Nonce), 0); ok {
		t.Errorf("payload arrived at %s", at)
	}
	intact(t, n, under)
	s.signal(syscall.SIGCONT)
	s.back(byName, 3*time.Second)
}

// TestAQueueThatIsFullLosesPacketsAndLetsNoneThrough stops the gateway and sends
// more first packets than its queue holds.
func TestAQueueThatIsFullLosesPacketsAndLetsNoneThrough(t *testing.T) {
	need(t, "bash")
	s := withMetrics(t)
	a, err := s.Ask(t.Context(), client.Question{Name: "ntp.ubuntu.com"})
	if err != nil || len(a.Addrs) == 0 {
		t.Fatalf("%+v %v", a, err)
	}
	s.signal(syscall.SIGSTOP)
	const each = 6000
	flood := fmt.Sprintf("for s in 1 2 3 4; do (exec 3<>/dev/udp/%s/123; for i in $(seq %d); do printf 'flood-%%d' $i >&3; done) & done; wait", a.Addrs[0], each)
	s.run("bash", "-c", flood+" 2>/dev/null; true")
	s.reach("the attacker", client.Target{Kind: client.TCP, Addr: s.Plan.Attacker, Port: 9000}, false)
	if at, ok := s.Internet.Arrived(t.Context(), []byte("flood-1"), 0); ok {
		t.Errorf("the flood arrived at %s before it was judged", at)
	}
	s.signal(syscall.SIGCONT)
	s.back(client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443}, 5*time.Second)
	_, body := s.get("/metrics")
	i := strings.Index(body, "\nsallyport_queue_dropped_total ")
	if i < 0 {
		t.Fatal(body)
	}
	line := strings.Fields(body[i+1:])
	if dropped, _ := strconv.ParseFloat(line[1], 64); dropped < 1 {
		t.Errorf("%s packets dropped of %d: the queue was never full", line[1], 4*each)
	}
}

// TestAFullConnectionTableIsClosed fills the kernel's connection table, which each
// network namespace has for itself, with connections that the kernel may not throw
// away: proved flows go on, nothing new leads out, and service is back when there
// is room again.
func TestAFullConnectionTableIsClosed(t *testing.T) {
	need(t, "conntrack")
	size, err := strconv.Atoi(strings.TrimSpace(mustRead(t, "/proc/sys/net/netfilter/nf_conntrack_max")))
	if err != nil {
		t.Fatal(err)
	}
	if size > 1<<20 {
		t.Skipf("the connection table has %d places, too many to fill in a test", size)
	}
	s := withGateway(t, example(t, "seed.yaml"))
	connections := func(first, behind int) string {
		var b strings.Builder
		for i := first; i < behind; i++ {
			src, port := i/60_000, 1+i%60_000
			fmt.Fprintf(&b, "-A -t 600 -u SEEN_REPLY,ASSURED -s 198.18.%d.1 -d 198.19.0.1 -r 198.19.0.1 -q 198.18.%d.1 -p tcp --sport %d --dport 443 --reply-port-src 443 --reply-port-dst %d --state ESTABLISHED\n",
				src, src, port, port)
		}
		file := filepath.Join(t.TempDir(), "connections")
		write(t, file, []byte(b.String()))
		return file
	}
	full, more := connections(0, size), connections(size, size+1000)
	a, err := s.Ask(t.Context(), client.Question{Name: "packages.microsoft.com"})
	if err != nil || len(a.Addrs) == 0 {
		t.Fatalf("%+v %v", a, err)
	}
	const n = 8 << 20
	under := s.downloads(n, "mcr.microsoft.com")
	if _, err := s.Gateway.Run(t.Context(), lab.Cmd{Argv: []string{"conntrack", "-R", full}}); err != nil { // it ends when there is no room
		t.Fatal(err)
	}
	// The gateway's own questions end, and whatever does makes room.
	filler, err := s.Gateway.Start(t.Context(), lab.Cmd{Argv: []string{"sh", "-c", "while :; do conntrack -R " + more + " 2>/dev/null; done"}})
	if err != nil {
		t.Fatal(err)
	}
	if have, err := strconv.Atoi(s.onHost("conntrack", "-C")); err != nil || have < size-100 {
		t.Errorf("%d entries of %d: the table is not full (%v)", have, size, err)
	}
	byName := client.Target{Kind: client.HTTPS, Name: "packages.microsoft.com", Addr: a.Addrs[0], Port: 443}
	s.reach("the attacker", client.Target{Kind: client.TCP, Addr: s.Plan.Attacker, Port: 9000}, false)
	s.reach("a new flow without a place", byName, false)
	intact(t, n, under)
	if err := filler.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.onHost("conntrack", "-D", "-d", "198.19.0.1")
	s.back(byName, 5*time.Second)
}

func TestAFullDiskCostsRecordsAndNothingElse(t *testing.T) {
	s := newSite(t, example(t, "seed.yaml"), nil)
	if err := os.MkdirAll(s.gateway.State, 0o755); err != nil {
		t.Fatal(err)
	}
	// The state directory is on a disk of its own, and full; records go where
	// nothing fits.
	s.onHost("mount", "-t", "tmpfs", "-o", "size=64k", "none", s.gateway.State)
	t.Cleanup(func() { _, _ = s.Gateway.Run(t.Context(), lab.Cmd{Argv: []string{"umount", "-l", s.gateway.State}}) })
	s.gateway.Records = "/dev/full"
	s.gateway = s.Firewall(binary, "gateway", "--cluster", s.file, "--records", "/dev/full")
	if r, err := s.Gateway.Run(t.Context(), lab.Cmd{Argv: append(s.argv(), "--check")}); err != nil || r.Code != 0 {
		t.Fatalf("%v %s%s", err, r.Stdout, r.Stderr)
	}
	proc, err := s.Gateway.Start(t.Context(), lab.Cmd{
		Argv: []string{binary, "gateway", "--cluster", s.file, "--inside", lab.InsideLink, "--outside", lab.OutsideLink,
			"--state", s.gateway.State, "--records", "/dev/full"}, Stdout: s.gateway.Log, Stderr: s.gateway.Log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proc.Kill(t.Context()) })
	s.awaitLog("msg=ready", 1)
	s.onHost("sh", "-c", "cat /dev/zero > "+filepath.Join(s.gateway.State, "filler")+" 2>/dev/null; true")
	if err := s.UseResolver(netip.AddrPortFrom(s.Plan.Gateway, 53)); err != nil {
		t.Fatal(err)
	}
	for _, target := range []client.Target{
		{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443}, {Kind: client.HTTP, Name: "security.ubuntu.com", Port: 80},
		{Kind: client.NTP, Name: "ntp.ubuntu.com", Port: 123},
	} {
		s.reach(target.Name, target, true)
	}
	s.reach("the attacker", client.Target{Kind: client.TCP, Addr: s.Plan.Attacker, Port: 9000}, false)
	s.awaitLog("not kept over a restart", 1)
}

func TestADeadUpstreamCostsWhatWasNeverAsked(t *testing.T) {
	s := withGateway(t, example(t, "seed.yaml"))
	known := client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443}
	s.reach("before", known, true)
	const n = 1 << 20
	under := s.downloads(n, "mcr.microsoft.com")
	for _, up := range s.program.Resolve.Upstreams {
		s.onHost("ip", "route", "add", "blackhole", up.Addr().String())
	}
	s.reach("a name whose address is known", known, true)
	s.reach("a name nobody asked for before", client.Target{Kind: client.HTTPS, Name: "packages.microsoft.com", Port: 443}, false)
	s.reach("by address", client.Target{Kind: client.TCP, Addr: s.cluster.APIServer.Addresses[0], Port: 9000}, true)
	intact(t, n, under)
	for _, up := range s.program.Resolve.Upstreams {
		s.onHost("ip", "route", "del", "blackhole", up.Addr().String())
	}
	s.back(client.Target{Kind: client.HTTPS, Name: "packages.microsoft.com", Port: 443}, 15*time.Second)
}

// TestTheClockJumps moves the gateway's wall clock by hours, forward and back.
func TestTheClockJumps(t *testing.T) {
	s, clock := withClock(t, example(t, "seed.yaml"))
	target := client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443}
	const n = 2 << 20
	under := s.downloads(n, "mcr.microsoft.com")
	for _, ahead := range []string{"5h", "-5h", "0s"} {
		write(t, clock, []byte(ahead))
		s.back(target, 3*time.Second)
		s.reach("the attacker at "+ahead, client.Target{Kind: client.TCP, Addr: s.Plan.Attacker, Port: 443}, false)
	}
	intact(t, n, under)
}
