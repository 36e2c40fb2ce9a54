// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
	"github.com/sallyport/sallyport/lab/internet"
)

// guarded returns a lab whose gateway runs, for the first example.
func guarded(t *testing.T) (*lab.Lab, *lab.Firewall) {
	t.Helper()
	opt := runOptions(t, "../examples/azure.yaml")
	l, err := lab.New(t.Context(), lab.Options{Cluster: opt.Cluster, Program: opt.Program})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	fw := l.Firewall(append(opt.Gateway, "--cluster", opt.ClusterFile)...)
	if err := fw.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l, fw
}

func TestHellosComeThroughHoweverTheyAreSent(t *testing.T) {
	l, _ := guarded(t)
	bytewise := func(n int) []int { return slices.Repeat([]int{1}, n) }
	for name, c := range map[string]client.Target{
		"whole":                     {},
		"two_segments":              {Split: []int{700}},
		"header_then_rest":          {Split: []int{5}, Delay: 50 * time.Millisecond},
		"byte_by_byte":              {Split: bytewise(8)},
		"60_segments_of_one_byte":   {Split: bytewise(60)},
		"60_to_a_private_endpoint":  {Name: "shop.privatelink.vaultcore.azure.net", Split: bytewise(60)},
		"one_byte_every_40_ms":      {Split: bytewise(30), Delay: 40 * time.Millisecond},
		"the_rest_a_second_later":   {Split: []int{100}, Delay: time.Second},
		"short":                     {TLS: client.TLS{Classical: true}},
		"resumed":                   {TLS: client.TLS{Resume: true}},
		"unusual_protocol":          {TLS: client.TLS{ALPN: []string{"sallyport-unusual/1"}}},
		"two_segments_and_protocol": {Split: []int{1000}, TLS: client.TLS{ALPN: []string{"konnectivity"}}},
	} {
		t.Run(name, func(t *testing.T) {
			c.Kind, c.Name, c.Port = client.HTTPS, cmp.Or(c.Name, "mcr.microsoft.com"), 443
			sent, got := l.Reach(t.Context(), c)
			if !got.OK {
				t.Fatalf("got %+v", got)
			}
			if got.Resumed != c.TLS.Resume {
				t.Errorf("the session was resumed: %t", got.Resumed)
			}
			if len(c.TLS.ALPN) > 0 && got.ALPN != c.TLS.ALPN[0] {
				t.Errorf("the server took protocol %q, want %q", got.ALPN, c.TLS.ALPN[0])
			}
			if _, ok := l.Internet.Await(t.Context(), sent.Nonce, time.Second); !ok {
				t.Errorf("no server has noted the nonce")
			}
		})
	}
}

// TestMultipathTCPIsNotOfferedToServers has a client that offers it, and a server
// that would take it.
func TestMultipathTCPIsNotOfferedToServers(t *testing.T) {
	l, fw := guarded(t)
	offer := client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443, Multipath: true}
	if _, got := l.Reach(t.Context(), offer); !got.OK || got.Multipath {
		t.Errorf("through the gateway: %+v", got)
	}
	// Offered twice, it is taken out once.
	begin := time.Now()
	capable := []byte{30, 4, 0x01, 0x01}
	syn := client.Segment{
		From: addrPort(l.Plan.Sources[0], 4321), To: addrPort(l.Plan.Shared, 443), Seq: 1, Flags: client.SYN,
		Options: append(capable, capable...),
	}
	if _, err := l.Forge(t.Context(), syn); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	all, err := fw.Decisions(begin)
	if err != nil || !slices.ContainsFunc(all, func(r lab.Record) bool {
		return r.Verdict == "deny" && r.Reason == "out-of-state" && strings.HasSuffix(r.Source, ":4321")
	}) {
		t.Errorf("no record of a SYN that offers it twice: %+v, %v", all, err)
	}
	if err := errors.Join(fw.Stop(t.Context()), fw.Off(t.Context()), l.Plain(t.Context(), true)); err != nil {
		t.Fatal(err)
	}
	if _, got := l.Reach(t.Context(), offer); !got.OK || !got.Multipath {
		t.Errorf("without a gateway: %+v", got)
	}
}

// An error about a connection that does not exist belongs to nothing, and is told.
func TestAnICMPErrorAboutNothingHasARecord(t *testing.T) {
	l, fw := guarded(t)
	begin := time.Now()
	p := client.Ping{Source: l.Plan.Sources[0], To: l.Plan.Shared, Data: []byte("payload"), Ports: [2]uint16{4322, 443}}
	if _, err := l.Ping(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	all, err := fw.Decisions(begin)
	if err != nil || !slices.ContainsFunc(all, func(r lab.Record) bool {
		return r.Verdict == "deny" && r.Reason == "out-of-state" && r.Protocol == "icmp" && r.Source == p.Source.String()
	}) {
		t.Errorf("records %+v, %v", all, err)
	}
}

// TestHellosComeThroughALossyNetwork loses one packet in eight near the servers,
// both ways: behind the gateway, which has acknowledged some hellos by then.
func TestHellosComeThroughALossyNetwork(t *testing.T) {
	l, _ := guarded(t)
	const lossy = "table inet lossy { " +
		"chain to { type filter hook prerouting priority -300; tcp dport 443 numgen random mod 8 0 drop; }; " +
		"chain from { type filter hook output priority -300; tcp sport 443 numgen random mod 8 0 drop; }; }"
	if _, got := l.Reach(t.Context(), client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443}); !got.OK {
		t.Fatalf("before: %+v", got)
	}
	if r, err := l.Internet.Run(t.Context(), lab.Cmd{Argv: []string{"nft", lossy}}); err != nil || r.Code != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	var wg sync.WaitGroup
	for i := range 24 {
		c := client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443, Timeout: time.Minute}
		if i%2 == 0 {
			c.Split = slices.Repeat([]int{1}, 20)
		}
		wg.Go(func() {
			if _, got := l.Reach(t.Context(), c); !got.OK {
				t.Errorf("hello in segments of %v: %+v", c.Split, got)
			}
		})
	}
	wg.Wait()
}

// A client without keys sends GREASE with every hello. What it sends comes through
// at once where the server has no keys either, and not where it has.
func TestAHelloWithGREASEComesThroughToAServerWithoutECH(t *testing.T) {
	l, fw := guarded(t)
	i := slices.IndexFunc(l.Plan.Reaches, func(r lab.Reach) bool {
		byAddress := strings.Contains(r.Name, ".hcp.") // the API server: nobody looks at its hellos
		return r.Target().Kind == client.HTTPS && r.Name != "" && r.Port == 443 && !byAddress &&
			!slices.Contains(l.Plan.Addrs[r.Name], l.Plan.Shared) && r.Source == l.Plan.Sources[0]
	})
	if i < 0 {
		t.Fatal("every name is on the shared address")
	}
	for _, row := range []struct {
		name string
		want string
	}{{l.Plan.Reaches[i].Name, "allow"}, {l.Plan.OnShared[0], "deny"}} {
		a, err := l.Ask(t.Context(), client.Question{Name: row.name})
		if err != nil || len(a.Addrs) == 0 {
			t.Fatalf("%s: got %+v, %v", row.name, a, err)
		}
		nonce, begin := client.NewNonce(), time.Now()
		hello, err := client.Hello(client.TLS{ALPN: []string{nonce}}, row.name)
		if err == nil {
			hello, err = client.WithGREASE(hello)
		}
		if err != nil {
			t.Fatal(err)
		}
		h, err := l.Say(t.Context(), client.Raw{To: addrPort(a.Addrs[0], 443), Chunks: [][]byte{hello[:900], hello[900:]}, Listen: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		const handshake, serverHello = 22, 2
		answered := len(h.Data) > 5 && h.Data[0] == handshake && h.Data[5] == serverHello
		if answered != (row.want == "allow") || h.Refused == answered {
			t.Errorf("%s: got %d bytes, %s", row.name, len(h.Data), h.Outcome())
		}
		if _, ok := l.Internet.Arrived(t.Context(), hello, 200*time.Millisecond); ok != answered {
			t.Errorf("%s: the hello arrived: %t", row.name, ok)
		}
		all, err := fw.Decisions(begin)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(all, func(r lab.Record) bool {
			return r.Name == row.name && r.Path == "hello" && r.Verdict == row.want && (answered || r.Reason == "encrypted-hello")
		}) {
			t.Errorf("%s: records %+v", row.name, all)
		}
	}
}

func TestAHelloArrivesUnchanged(t *testing.T) {
	l, _ := guarded(t)
	a, err := l.Ask(t.Context(), client.Question{Name: "mcr.microsoft.com"})
	if err != nil || len(a.Addrs) == 0 {
		t.Fatalf("got %+v, %v", a, err)
	}
	nonce := client.NewNonce()
	hello, err := client.Hello(client.TLS{ALPN: []string{nonce}}, "mcr.microsoft.com")
	if err != nil {
		t.Fatal(err)
	}
	to := l.Plan.Shared
	h, err := l.Say(t.Context(), client.Raw{To: addrPort(to, 443), Chunks: [][]byte{hello[:900], hello[900:]}, Listen: 200 * time.Millisecond})
	if err != nil || len(h.Data) == 0 {
		t.Fatalf("got %+v, %v", h, err)
	}
	if _, ok := l.Internet.Arrived(t.Context(), hello, time.Second); !ok {
		t.Error("the hello's bytes did not arrive as they were sent")
	}
}

func TestAKilledGatewayKeepsWhatIsProvedAndLetsNothingNewOut(t *testing.T) {
	l, fw := guarded(t)
	const n = 2 << 20
	download := make(chan client.Result, 1)
	go func() {
		_, got := l.Reach(t.Context(), client.Target{
			Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443, Path: fmt.Sprintf("/slow/%d", n), Timeout: 20 * time.Second,
		})
		download <- got
	}()
	time.Sleep(300 * time.Millisecond)
	if err := fw.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	during := client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Addr: l.Plan.Shared, Port: 443, Nonce: client.NewNonce(), Timeout: time.Second}
	during.TLS.ALPN = []string{during.Nonce}
	if _, got := l.Reach(t.Context(), during); got.OK {
		t.Error("a new flow got through without a gateway")
	}
	if at, ok := l.Internet.Arrived(t.Context(), []byte(during.Nonce), 200*time.Millisecond); ok {
		t.Errorf("payload of a new flow arrived at %s", at)
	}
	if got := <-download; !got.OK || got.SHA256 != internet.Hash(n) {
		t.Errorf("the download: %+v", got)
	}
	if err := fw.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The binding is still known: no new question is asked.
	_, got := l.Reach(t.Context(), client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Addr: l.Plan.Shared, Port: 443, Timeout: 3 * time.Second})
	if !got.OK {
		t.Errorf("after the restart: %+v", got)
	}
}

func TestAGatewayThatDoesNotStartSaysWhy(t *testing.T) {
	l, fw := guarded(t)
	second := l.Firewall("sh", "-c", "echo no such luck >&2; exit 3")
	second.State += "2"
	if err := second.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "no such luck") || !strings.Contains(err.Error(), "code 3") {
		t.Errorf("got %v", err)
	}
	if err := fw.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := fw.Off(t.Context()); err != nil {
		t.Fatal(err)
	}
}
