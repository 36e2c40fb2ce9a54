// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
)

// A SYN may open another connection in an entry of conntrack that was released,
// so it takes the release with it: what the first one says then is judged anew,
// and is no hello.
func TestASYNTakesTheReleaseFromItsFlow(t *testing.T) {
	l, _ := guarded(t)
	if a, err := l.Ask(t.Context(), client.Question{Name: "mcr.microsoft.com"}); err != nil || len(a.Addrs) == 0 {
		t.Fatalf("got %+v, %v", a, err)
	}
	to := addrPort(l.Plan.Shared, 443)
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("another_SYN_is_%t", again), func(t *testing.T) {
			opening, later := client.NewNonce(), client.NewNonce()
			hello, err := client.Hello(client.TLS{ALPN: []string{opening}}, "mcr.microsoft.com")
			if err != nil {
				t.Fatal(err)
			}
			said := make(chan error, 1)
			go func() {
				_, err := l.Say(t.Context(), client.Raw{To: to, Chunks: [][]byte{hello, []byte(later)}, Delay: time.Second, Listen: time.Second})
				said <- err
			}()
			if _, ok := l.Internet.Arrived(t.Context(), []byte(opening), time.Second); !ok {
				t.Fatal("the lawful hello did not arrive")
			}
			var port uint16 // which masquerade has kept
			for _, e := range l.Internet.Since(time.Time{}) {
				if e.Local == to && strings.Contains(string(e.Data), opening) {
					port = e.Remote.Port()
				}
			}
			if again {
				time.Sleep(200 * time.Millisecond) // until the server's acknowledgement is through, and the flow released
				s := client.Segment{From: netip.AddrPortFrom(l.Plan.Sources[0], port), To: to, Seq: 1, Flags: client.SYN}
				if _, err := l.Forge(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
			if err := <-said; err != nil {
				t.Fatal(err)
			}
			if _, arrived := l.Internet.Arrived(t.Context(), []byte(later), 300*time.Millisecond); arrived == again {
				t.Errorf("what was said behind it arrived: %t", arrived)
			}
		})
	}
}

// The host forwards from some moment of the start on, and by then the table is
// there: what a client says all the while never leads out.
func TestNothingLeadsOutWhileTheGatewayStarts(t *testing.T) {
	opt := runOptions(t, "../examples/azure.yaml")
	l, err := lab.New(t.Context(), lab.Options{Cluster: opt.Cluster, Program: opt.Program})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	fw := l.Firewall(append(opt.Gateway, "--cluster", opt.ClusterFile)...)
	nonce := client.NewNonce()
	started := make(chan error, 1)
	go func() { started <- fw.Start(t.Context()) }()
	n := 0
	for over := false; !over; n++ {
		f := client.Flood{Source: l.Plan.Sources[0], To: []netip.AddrPort{addrPort(l.Plan.Attacker, 9000)}, UDP: true, Conns: 1, Chunks: [][]byte{[]byte(nonce)}}
		var got client.Flooded
		if err := l.Node.Call(t.Context(), "flood", f, &got); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-started:
			if over = true; err != nil {
				t.Fatal(err)
			}
		default:
		}
	}
	if at, ok := l.Internet.Arrived(t.Context(), []byte(nonce), 300*time.Millisecond); ok {
		t.Errorf("of %d datagrams one arrived at %s", n, at)
	}
	if n < 20 {
		t.Errorf("only %d datagrams were sent meanwhile", n)
	}
}

// Bits of packet and conntrack marks that are not ours belong to somebody else on
// the host, and are there behind us as they were before us.
func TestMarksOfOthersAreKept(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Fatal(err)
	}
	l, _ := guarded(t)
	nft := func(script string) string {
		t.Helper()
		r, err := l.Gateway.Run(t.Context(), lab.Cmd{Argv: []string{"nft", script}})
		if err != nil || r.Code != 0 {
			t.Fatalf("nft %s: %v, %s", script, err, r.Stderr)
		}
		return string(r.Stdout)
	}
	nft(`table inet other {
		counter n_seen {}
		counter n_packets {}
		counter n_flows {}
		chain before { type filter hook prerouting priority -199;
			ct state new ct mark set 0x00ab0000
			meta mark set 0x0fc0ffee
		}
		chain after { type filter hook postrouting priority 300;
			iifname inside oifname outside tcp dport 443 counter name n_seen
			iifname inside oifname outside tcp dport 443 meta mark and 0xf0ffffff != 0x00c0ffee counter name n_packets
			iifname inside oifname outside tcp dport 443 ct mark and 0xf0ffffff != 0x00ab0000 counter name n_flows
		}
	}`)
	for _, path := range []string{"", "/bytes/100000"} {
		_, got := l.Reach(t.Context(), client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443, Path: path})
		if !got.OK {
			t.Fatalf("got %+v", got)
		}
	}
	out := nft("list counters table inet other")
	packets := regexp.MustCompile(`counter (\w+) \{\s+packets (\d+)`)
	counts := make(map[string]string)
	for _, m := range packets.FindAllStringSubmatch(out, -1) {
		counts[m[1]] = m[2]
	}
	if counts["n_seen"] == "0" || counts["n_packets"] != "0" || counts["n_flows"] != "0" {
		t.Errorf("packets seen, and those without the packet's or the flow's mark of others: %v\n%s", counts, out)
	}
}
