// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
)

const greeting = "- {id: greeting, name: greets.example.net, ports: https, reason: test}\n"

// refusal is something that a gateway refuses.
type refusal struct {
	what string
	try  func(s *site) (passed bool)
	// recorded tells the record of the try, which has this reason, with and without
	// audit.
	recorded func(r lab.Record) bool
	reason   string
	// Of the connection, which there is only in audit mode, with the same reason.
	suggests string
}

// say says something to an address, and reports whether something came back.
func (s *site) say(r client.Raw) bool {
	s.t.Helper()
	h, err := s.Say(s.t.Context(), r)
	if err != nil {
		s.t.Fatal(err)
	}
	return len(h.Data) > 0
}

func to(dest string) func(lab.Record) bool {
	return func(r lab.Record) bool { return r.Dest == dest }
}

func refusals(s *site) []refusal {
	attacker := s.Plan.Attacker
	at := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(attacker, port) }
	reach := func(target client.Target) func(*site) bool {
		return func(s *site) bool {
			target.Timeout = 2 * time.Second
			_, got := s.Reach(s.t.Context(), target)
			return got.OK
		}
	}
	named := func(name, path string) func(lab.Record) bool {
		return func(r lab.Record) bool { return r.Name == name && r.Path == path }
	}
	const unknown, unknownHTTP = "www." + lab.AttackerZone, "plain." + lab.AttackerZone
	return []refusal{
		{what: "an address that no name leads to", reason: "unbound-address", recorded: to(at(9000).String()),
			try: reach(client.Target{Kind: client.TCP, Addr: attacker, Port: 9000})},
		{what: "a server that speaks first, on such an address", reason: "unbound-address", recorded: to(at(22).String()),
			try: func(s *site) bool { return s.say(client.Raw{To: at(22), First: true, Listen: time.Second}) }},
		{what: "a datagram that looks like QUIC", reason: "unbound-address", recorded: to(at(443).String()),
			try: func(s *site) bool {
				return s.say(client.Raw{UDP: true, To: at(443), Chunks: [][]byte{bytes.Repeat([]byte{0xc3}, 1200)}})
			}},
		{what: "another resolver", reason: "other-resolver", recorded: to(at(53).String()),
			try: func(s *site) bool {
				a, err := s.Ask(s.t.Context(), client.Question{Name: "mcr.microsoft.com", Server: at(53), Timeout: time.Second})
				return err == nil && a.Error == ""
			}},
		{what: "ping", reason: "ping-denied", recorded: to(attacker.String()),
			try: func(s *site) bool {
				h, err := s.Ping(s.t.Context(), client.Ping{Source: s.Plan.Sources[0], To: attacker, Data: []byte("audit")})
				return err == nil && len(h.Data) > 0 && h.Data[0] == 0 // an echo reply (RFC 792)
			}},
		{what: "an unknown name, with curl", reason: "name-not-allowed", recorded: named(unknown, "resolver"), suggests: "https/443",
			try: func(s *site) bool {
				return s.run("curl", "-sS", "--max-time", "5", "--cacert", s.CAFile(), "https://"+unknown+"/bytes/1000").Code == 0
			}},
		{what: "an unknown name over plain HTTP", reason: "name-not-allowed", recorded: named(unknownHTTP, "resolver"), suggests: "http/80",
			try: func(s *site) bool {
				return s.run("curl", "-sS", "--fail", "--max-time", "5", "http://"+unknownHTTP+"/bytes/1000").Code == 0
			}},
		{what: "another name at a shared address", reason: "name-not-allowed", recorded: named("evil.example", "hello"),
			try: func(s *site) bool {
				if _, err := s.Ask(s.t.Context(), client.Question{Name: s.Plan.OnShared[0]}); err != nil {
					s.t.Fatal(err)
				}
				return reach(client.Target{Kind: client.HTTPS, Name: "evil.example", Addr: s.Plan.Shared, Port: 443, TLS: client.TLS{Unverified: true}})(s)
			}},
		{what: "another host at an address for HTTP", reason: "name-not-allowed", recorded: named("evil.example", "proxy"),
			try: func(s *site) bool {
				a, err := s.Ask(s.t.Context(), client.Question{Name: "security.ubuntu.com"})
				if err != nil || len(a.Addrs) == 0 {
					s.t.Fatal(a, err)
				}
				return reach(client.Target{Kind: client.HTTP, Name: "evil.example", Addr: a.Addrs[0], Port: 80})(s)
			}},
		{what: "a server that speaks first, where a hello belongs", reason: "not-tls", recorded: to(netip.AddrPortFrom(s.Plan.Greeter, 443).String()),
			try: func(s *site) bool {
				if _, err := s.Ask(s.t.Context(), client.Question{Name: "greets.example.net"}); err != nil {
					s.t.Fatal(err)
				}
				return s.say(client.Raw{
					To: netip.AddrPortFrom(s.Plan.Greeter, 443), First: true, Listen: time.Second, Chunks: [][]byte{[]byte("SSH-2.0-client\r\n")},
				})
			}},
		{what: "a type of record", reason: "type-not-allowed", recorded: named("mcr.microsoft.com", "resolver"),
			try: func(s *site) bool {
				a, err := s.Ask(s.t.Context(), client.Question{Name: "mcr.microsoft.com", Type: "TXT"})
				if err != nil {
					s.t.Fatal(err)
				}
				return len(a.Records) > 0
			}},
	}
}

// tries tries everything, before a gateway in audit mode or one that enforces.
func (s *site) tries(list []refusal, audit bool) {
	s.t.Helper()
	for _, x := range list {
		begin := time.Now()
		if passed := x.try(s); passed != audit {
			s.t.Errorf("%s: passed %t, want %t", x.what, passed, audit)
		}
		since := func(want func(lab.Record) bool) func(lab.Record) bool {
			return func(r lab.Record) bool { return r.Time.After(begin) && r.Verdict == "deny" && want(r) }
		}
		r := s.awaitRecord(x.what, since(x.recorded))
		if r.Reason != x.reason || (r.Enforced != nil && !*r.Enforced) != audit {
			s.t.Errorf("%s, audit %t: record %+v, want %s", x.what, audit, r, x.reason)
		}
		if x.suggests != "" && audit {
			r := s.awaitRecord(x.what+", the connection", since(func(r lab.Record) bool { return r.Path == "kernel" && r.Name != "" }))
			if r.Reason != x.reason || !strings.Contains(r.Allow, x.suggests) || r.Enforced == nil {
				s.t.Errorf("%s: record of the connection %+v", x.what, r)
			}
		}
	}
}

// TestAuditRecordsWhatWouldBeDeniedAndLetsItPass tries what a gateway refuses
// before one that enforces, one that only watches, and one that enforces again.
func TestAuditRecordsWhatWouldBeDeniedAndLetsItPass(t *testing.T) {
	need(t, "curl")
	text := example(t, "seed.yaml") + greeting
	s := newSite(t, text, nil)
	if err := s.Internet.SetRecords(t.Context(), map[string][]string{
		"greets.example.net": {"A " + s.Plan.Greeter.String()}, "mcr.microsoft.com": {"A " + s.Plan.Addrs["mcr.microsoft.com"][0].String(), `TXT "of a registry"`},
	}); err != nil {
		t.Fatal(err)
	}
	list := refusals(s)
	s.start()
	s.tries(list, false)
	if err := s.gateway.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}

	enforcing := s.gateway
	s.gateway = s.Firewall(binary, "gateway", "--cluster", s.file, "--audit")
	s.start()
	s.awaitLog("audit: nothing is refused", 1)
	s.tries(list, true)
	begin := time.Now()
	s.reach("an allowed name", client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443}, true)
	if r := s.awaitRecord("the allowed name", func(r lab.Record) bool {
		return r.Name == "mcr.microsoft.com" && r.Path == "hello" && r.Time.After(begin)
	}); r.Verdict != "allow" || r.Enforced != nil {
		t.Errorf("record %+v", r)
	}

	// New rules cut nothing; a gateway that enforces does.
	const n = 4 << 20
	under := append(s.downloads(n, "mcr.microsoft.com"), s.watched(4*n, "slow."+lab.AttackerZone))
	s.write(strings.Replace(text, "id: greeting", "id: other", 1))
	s.awaitLog("new rules in force", 1)
	if !strings.Contains(mustRead(t, s.gateway.Log), "flowsCut=0") {
		t.Error("new rules have cut something in audit mode")
	}
	if err := s.gateway.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, target := range []client.Target{
		{Kind: client.HTTPS, Name: "mcr.microsoft.com", Addr: s.Plan.Shared, Port: 443, TLS: client.TLS{Unverified: true}},
		{Kind: client.HTTP, Name: "security.ubuntu.com", Addr: s.Plan.Addrs["security.ubuntu.com"][0], Port: 80},
		{Kind: client.TCP, Addr: s.Plan.Attacker, Port: 9000},
	} {
		s.reach(fmt.Sprintf("%s to %s while the gateway is gone", target.Kind, target.Addr), target, true)
	}
	s.gateway = enforcing
	s.start()
	intact(t, n, under[:1])
	if got := <-under[1].done; got.OK || !strings.Contains(got.Error, "reset") {
		t.Errorf("what only audit let through: %+v; want it cut", got)
	}
	s.awaitLog("flows of an earlier process cut", 1)
	if strings.Contains(mustRead(t, s.gateway.Log), "flows not cut") {
		t.Error("some flow could not be cut")
	}
	for _, x := range list {
		if x.try(s) {
			t.Errorf("behind audit, %s: passed", x.what)
		}
	}
}

// watched begins a slow download from a name without a rule.
func (s *site) watched(bytes int, name string) download {
	s.t.Helper()
	d, begin := download{name, make(chan client.Result, 1)}, time.Now()
	go func() {
		_, got := s.Reach(s.t.Context(), client.Target{
			Kind: client.HTTPS, Name: name, Port: 443, Path: fmt.Sprintf("/slow/%d", bytes), Timeout: 30 * time.Second})
		d.done <- got
	}()
	s.awaitRecord("the download from "+name, func(r lab.Record) bool {
		return r.Path == "kernel" && strings.HasSuffix(r.Name, lab.AttackerZone) && r.Time.After(begin)
	})
	time.Sleep(200 * time.Millisecond) // under way
	return d
}

// TestAuditLetsASourcePassThatIsNotTheClusters sends from an address that the
// description does not know, whose answers come back by this host's translation.
func TestAuditLetsASourcePassThatIsNotTheClusters(t *testing.T) {
	s := newSite(t, example(t, "seed.yaml"), nil)
	s.gateway = s.Firewall(binary, "gateway", "--cluster", s.file, "--audit")
	s.start()
	pod := netip.MustParseAddr("10.99.0.9")
	s.script(s.Node, "ip addr add "+pod.String()+"/32 dev lo")
	s.script(s.Gateway, "ip route add "+pod.String()+" via "+s.Plan.Sources[0].String())
	s.reach("from a source that is not known", client.Target{Kind: client.TCP, Addr: s.Plan.Attacker, Port: 9000, Source: pod}, true)
	r := s.awaitRecord("it", func(r lab.Record) bool { return strings.HasPrefix(r.Source, pod.String()) })
	if r.Reason != "source-not-allowed" || r.Enforced == nil || *r.Enforced {
		t.Errorf("record %+v", r)
	}
}

// TestAuditWithOneInterfaceIsNoOpenRelay lets the cluster pass, and nobody who
// shares its wire.
func TestAuditWithOneInterfaceIsNoOpenRelay(t *testing.T) {
	need(t, "curl", "ping")
	s := newSite(t, example(t, "seed.yaml"), one)
	s.gateway = s.Firewall(binary, "gateway", "--cluster", s.file, "--audit")
	s.start()
	s.reach("an allowed name", client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443}, true)
	s.reach("a name without a rule", client.Target{Kind: client.HTTPS, Name: "www." + lab.AttackerZone, Port: 443}, true)
	s.reach("an unbound address", client.Target{Kind: client.TCP, Addr: s.Plan.Attacker, Port: 9000}, true)

	gw := s.Plan.Gateway.String()
	s.script(s.Internet.Agent, "ip addr add 192.0.2.9/32 dev lo")
	s.script(s.Gateway, "ip route add 192.0.2.9 dev eth0")
	s.script(s.Internet.Agent, "ip route add 203.0.113.77 via "+gw+" dev gw0 onlink")
	for _, argv := range [][]string{
		{"curl", "-sS", "--interface", "192.0.2.9", "--max-time", "0.5", "http://203.0.113.77:8080/"},
		{"ping", "-c", "1", "-W", "1", "-I", "192.0.2.9", "203.0.113.77"},
	} {
		if _, err := s.Internet.Run(t.Context(), lab.Cmd{Argv: argv}); err != nil {
			t.Fatal(err)
		}
	}
	for _, dest := range []string{"203.0.113.77:8080", "203.0.113.77"} {
		r := s.awaitRecord("the stranger to "+dest, func(r lab.Record) bool { return strings.HasPrefix(r.Source, "192.0.2.9") && r.Dest == dest })
		if r.Reason != "source-not-allowed" || r.Enforced != nil {
			t.Errorf("record %+v", r)
		}
	}
}
