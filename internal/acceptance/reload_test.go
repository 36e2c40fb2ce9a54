// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
	"github.com/sallyport/sallyport/lab/internet"
)

// download is one that takes seconds, under way.
type download struct {
	name string
	done chan client.Result
}

// downloads begins a slow download from each of the names and waits until all
// are proved.
func (s *site) downloads(bytes int, names ...string) []download {
	s.t.Helper()
	var out []download
	for _, name := range names {
		d := download{name, make(chan client.Result, 1)}
		out = append(out, d)
		go func() {
			_, got := s.Reach(s.t.Context(), client.Target{
				Kind: client.HTTPS, Name: name, Port: 443, Path: fmt.Sprintf("/slow/%d", bytes), Timeout: 15 * time.Second})
			d.done <- got
		}()
		s.awaitRecord("the download from "+name, func(r lab.Record) bool { return r.Name == name && r.Verdict == "allow" && r.Path == "hello" })
	}
	time.Sleep(200 * time.Millisecond) // under way
	return out
}

// awaitLog waits until the gateway's log says something.
func (s *site) awaitLog(text string, times int) {
	s.t.Helper()
	for deadline := time.Now().Add(6 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		log := mustRead(s.t, s.gateway.Log)
		if strings.Count(log, text) >= times {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the log does not say %q %d times:\n%s", text, times, log)
		}
	}
}

// reach fails when what a target gets is not as wanted.
func (s *site) reach(what string, target client.Target, want bool) {
	s.t.Helper()
	target.Timeout = 2 * time.Second
	if _, got := s.Reach(s.t.Context(), target); got.OK != want {
		s.t.Errorf("%s: passed %t, want %t: %+v", what, got.OK, want, got)
	}
}

const twoOfTheOwners = `
- {id: kept, name: kept.example.net, ports: https, reason: test}
- {id: gone, name: gone.example.net, ports: https, reason: test}
- {id: gone-by-address, cidr: 20.62.0.1/32, ports: tcp/9000, reason: test}
`

// TestNewRulesTakeTheOldOnesPlace changes the description of a gateway that runs:
// what both allow goes on without a lost byte, what only the old one allowed is
// cut, and what only the new one allows is open.
func TestNewRulesTakeTheOldOnesPlace(t *testing.T) {
	with := example(t, "seed.yaml") + twoOfTheOwners
	// The lab's internet knows the new name, and the gateway not yet.
	s := newSite(t, with+"- {id: new, name: new.example.net, ports: https, reason: test}\n", nil)
	s.write(with)
	s.start()
	const n = 4 << 20
	under := s.downloads(n, "mcr.microsoft.com", "kept.example.net", "gone.example.net")
	byAddress := client.Target{Kind: client.TCP, Addr: netip.MustParseAddr("20.62.0.1"), Port: 9000}
	s.reach("by address before", byAddress, true)

	without := strings.NewReplacer("gone.example.net", "new.example.net", "20.62.0.1/32", "20.62.0.9/32").Replace(with)
	s.write(without)
	s.awaitLog("new rules in force", 1)
	s.reach("a name of the new rules", client.Target{Kind: client.HTTPS, Name: "new.example.net", Port: 443}, true)
	s.reach("a name of the old rules", client.Target{Kind: client.HTTPS, Name: "gone.example.net", Port: 443}, false)
	s.reach("an address of the old rules", byAddress, false)
	for _, d := range under {
		got := <-d.done
		if d.name == "gone.example.net" {
			if got.OK || !strings.Contains(got.Error, "reset") {
				t.Errorf("%s: %+v; want it cut, and the client told", d.name, got)
			}
			s.awaitRecord("the cut", func(r lab.Record) bool {
				return r.Name == d.name && r.Path == "sweep" && r.Verdict == "deny" && r.Reason == "name-not-allowed"
			})
			continue
		}
		if !got.OK || got.SHA256 != internet.Hash(n) {
			t.Errorf("%s: %+v", d.name, got)
		}
	}

	// A file that is none leaves everything as it is.
	s.write(without + "- {name: nonsense\n")
	s.awaitLog("new rules refused, the old ones stay in force", 1)
	s.reach("behind a bad file", client.Target{Kind: client.HTTPS, Name: "new.example.net", Port: 443}, true)

	s.write(with)
	s.awaitLog("new rules in force", 2)
	s.reach("back again", client.Target{Kind: client.HTTPS, Name: "gone.example.net", Port: 443}, true)
	s.reach("an address, back again", byAddress, true)

	// Asked to, it reads the same file again and changes nothing.
	pid := strings.TrimSpace(mustRead(t, filepath.Join(s.gateway.State, "lock")))
	if r, err := s.Gateway.Run(t.Context(), lab.Cmd{Argv: []string{"kill", "-HUP", pid}}); err != nil || r.Code != 0 {
		t.Fatalf("%v %s", err, r.Stderr)
	}
	s.awaitLog("rules unchanged", 1)
}

// TestARestartWithOtherRulesCutsWhatTheyDoNotAllow kills the gateway, and starts
// it with another description.
func TestARestartWithOtherRulesCutsWhatTheyDoNotAllow(t *testing.T) {
	with := example(t, "seed.yaml") + twoOfTheOwners
	s := withGateway(t, with)
	const n = 4 << 20
	under := s.downloads(n, "kept.example.net", "gone.example.net")
	if err := s.gateway.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.write(strings.Replace(with, "gone.example.net", "new.example.net", 1))
	s.start()
	for _, d := range under {
		if got := <-d.done; got.OK != (d.name == "kept.example.net") {
			t.Errorf("%s: %+v", d.name, got)
		}
	}
	s.awaitLog("flows of an earlier process cut", 1)
}

// TestTenThousandRulesAreExchangedWithinASecond changes one of many rules, while a
// download runs.
func TestTenThousandRulesAreExchangedWithinASecond(t *testing.T) {
	var b strings.Builder
	b.WriteString(example(t, "seed.yaml"))
	for i := range 9000 {
		fmt.Fprintf(&b, "- {name: n%d.customers.example.net, ports: https, reason: one of many}\n", i)
	}
	for i := range 1000 {
		fmt.Fprintf(&b, "- {cidr: 20.7.%d.%d/32, ports: tcp/%d, reason: one of many}\n", i/250, i%250, 9000+i)
	}
	const more = "- {cidr: 20.62.0.1/32, ports: tcp/9000, reason: one more}\n"
	// The lab's internet has two of them.
	s := newSite(t, example(t, "seed.yaml")+more+"- {cidr: 20.7.1.7/32, ports: tcp/9257, reason: one of many}\n", nil)
	s.write(b.String())
	s.start()
	const n = 2 << 20
	under := s.downloads(n, "mcr.microsoft.com")
	s.write(b.String() + more)
	s.awaitLog("new rules in force", 1)
	m := regexp.MustCompile(`msg="new rules in force".* took=(\S+)`).FindStringSubmatch(mustRead(t, s.gateway.Log))
	took, err := time.ParseDuration(m[1])
	within := 10 * time.Second // beside everything else that is tested at the same time
	if *slow {
		within = time.Second
	}
	if err != nil || took > within {
		t.Errorf("it took %s: %v", m[1], err)
	}
	t.Logf("10,000 rules exchanged in %s", took)
	s.reach("the rule that came", client.Target{Kind: client.TCP, Addr: netip.MustParseAddr("20.62.0.1"), Port: 9000}, true)
	s.reach("a rule that stayed", client.Target{Kind: client.TCP, Addr: netip.MustParseAddr("20.7.1.7"), Port: 9257}, true)
	intact(t, n, under)
}

// TestANameThatLeadsToTheGatewayItselfIsNoLoop makes an allowed name lead to each
// of the gateway's own addresses, as its owner or whoever has taken it over can.
func TestANameThatLeadsToTheGatewayItselfIsNoLoop(t *testing.T) {
	s := newSite(t, example(t, "seed.yaml")+"- {id: loop, name: '*.loop.example.net', ports: [http, https], reason: test}\n", nil)
	s.start()
	for i, own := range []netip.Addr{s.Plan.Gateway, s.Plan.Outside[0]} {
		name := fmt.Sprintf("own%d.loop.example.net", i)
		if err := s.Internet.SetRecords(t.Context(), map[string][]string{name: {"A " + own.String()}}); err != nil {
			t.Fatal(err)
		}
		a, err := s.Ask(t.Context(), client.Question{Name: name, Timeout: time.Second})
		if err != nil || len(a.Addrs) > 0 {
			t.Errorf("%s leads to %v: %v", name, a.Addrs, err)
		}
		s.awaitRecord("the refusal of "+name, func(r lab.Record) bool { return r.Name == name && r.Reason == "special-address" })
		// A client that knows the address by itself does not come further.
		for _, kind := range []string{client.HTTP, client.HTTPS} {
			port := map[string]uint16{client.HTTP: 80, client.HTTPS: 443}[kind]
			s.reach(kind+" to "+own.String(), client.Target{Kind: kind, Name: name, Addr: own, Port: port}, false)
		}
		// And the proxy, asked for the name over an address of another one, does not
		// dial itself.
		s.reach("through the proxy", client.Target{Kind: client.HTTP, Name: "security.ubuntu.com", Port: 80}, true)
	}
	if r := s.onHost("sh", "-c", "grep -c ' 01 ' /proc/net/tcp || true"); len(r) > 2 {
		t.Errorf("%s connections are open on the gateway's host", r)
	}
}
