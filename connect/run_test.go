// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
)

// B34, with the real resolver and this host's real addresses: a name that leads
// to the proxy itself is never dialled, over CONNECT or plain HTTP.
func TestRunNeverDialsItsOwnHost(t *testing.T) {
	own, err := hostAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var answers []string
	for _, p := range own.Prefixes() {
		if p.Addr().Is4() {
			answers = append(answers, p.Addr().String())
		}
	}
	p, err := As(aProgram(), "nodes")
	if err != nil {
		t.Fatal(err)
	}
	p.Resolve.AllowPrivate = netset.Private() // not what keeps them apart here
	p.Resolve.Upstreams = []netip.AddrPort{answering(t, answers)}

	addr, _, records, end := run(t, Options{Program: p})
	for _, request := range []string{
		"CONNECT a.example:443 HTTP/1.0\r\n\r\n", "GET http://plain.example/ HTTP/1.1\r\nHost: plain.example\r\n\r\n",
		"CONNECT evil.example:443 HTTP/1.0\r\n\r\n",
	} {
		if got := answerTo(t, addr, request); !strings.HasPrefix(got, "HTTP/1.1 403 ") {
			t.Errorf("%q: %q", request, got)
		}
	}
	open, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	time.Sleep(20 * time.Millisecond)
	end()
	var reasons []string
	for line := range strings.Lines(records.String()) {
		var d struct{ Schema, Reason, Source, Path, WouldAllowYAML string }
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatal(err)
		}
		if d.Schema != flowlog.DecisionSchema || d.Path != Path || !strings.HasPrefix(d.Source, "127.0.0.1:") {
			t.Errorf("record %s", line)
		}
		reasons = append(reasons, d.Reason)
		if d.Reason == flow.NameNotAllowed.String() && d.WouldAllowYAML != "- {name: evil.example, ports: [https/443], sources: [nodes], reason: why}" {
			t.Errorf("it would be allowed by %s", d.WouldAllowYAML)
		}
	}
	if got := strings.Join(reasons, " "); got != "special-address special-address name-not-allowed" {
		t.Errorf("records of %s", got)
	}
}

// New rules are in force when they are asked for or written down, and a file that
// cannot be read changes nothing.
func TestRunTakesNewRules(t *testing.T) {
	with, err := As(aProgram(), "nodes")
	if err != nil {
		t.Fatal(err)
	}
	with.Resolve.Upstreams = []netip.AddrPort{answering(t, []string{"127.0.0.1"})}
	without := *with
	without.Rules = slices.DeleteFunc(slices.Clone(with.Rules), func(r program.Rule) bool { return r.ID == "a" })
	file := filepath.Join(t.TempDir(), "cluster.yaml")
	load := func() (*program.Program, error) {
		switch b, err := os.ReadFile(file); {
		case err != nil:
			return nil, err
		case string(b) == "with":
			return with, nil
		case string(b) == "without":
			return &without, nil
		}
		return nil, errors.New("cluster.yaml:1:1: what is this?")
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("with")
	hangup := make(chan os.Signal)
	addr, log, _, _ := run(t, Options{Program: with, Load: load, Reload: hangup, Watch: []string{file}})
	refused := func() string { // why
		t.Helper()
		return answerTo(t, addr, "CONNECT a.example:443 HTTP/1.0\r\n\r\n")
	}
	const allowed, denied = "(special-address)", "(name-not-allowed)" // it leads to this host, so that is how far it gets
	if got := refused(); !strings.Contains(got, allowed) {
		t.Errorf("at first: %s", got)
	}
	write("without")
	log.want(t, "new rules in force")
	if got := refused(); !strings.Contains(got, denied) {
		t.Errorf("behind a change: %s", got)
	}
	write("nonsense")
	log.want(t, "what is this?")
	if got := refused(); !strings.Contains(got, denied) || !strings.Contains(log.String(), "new rules refused, the old ones stay in force") {
		t.Errorf("behind nonsense: %s\n%s", got, log.String())
	}
	write("with")
	hangup <- syscall.SIGHUP
	for deadline := time.Now().Add(500 * time.Millisecond); !strings.Contains(refused(), allowed); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) { // before a change of the file would be noticed
			t.Fatalf("not at once:\n%s", log.String())
		}
	}
	hangup <- syscall.SIGHUP
	log.want(t, "rules unchanged")
}

// answering plays a DNS server that gives every name the same addresses.
func answering(t *testing.T, addrs []string) netip.AddrPort {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		for _, a := range addrs {
			if q.Question[0].Qtype == dns.TypeA {
				m.Answer = append(m.Answer, &dns.A{
					Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.ParseIP(a),
				})
			}
		}
		_ = w.WriteMsg(m)
	})}
	go func() { _ = srv.ActivateAndServe() }()
	t.Cleanup(func() { _ = srv.Shutdown() })
	return netip.MustParseAddrPort(pc.LocalAddr().String())
}

func TestRunSaysThatThePortIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = Run(t.Context(), Options{Program: aProgram(), Listen: l.Addr().String(), Records: io.Discard, Log: slog.New(slog.DiscardHandler)}, nil)
	if err == nil || !strings.Contains(err.Error(), "--connect: "+l.Addr().String()+"/tcp is taken: ") || !strings.Contains(err.Error(), "ss -lnp") {
		t.Errorf("got %v", err)
	}
}

// Loopback clients get what holds for the whole group, and no more.
func TestAsAGroupOfSources(t *testing.T) {
	local := netip.MustParseAddr("127.0.0.1")
	for group, want := range map[string]map[flow.RuleID]bool{
		"nodes": {"a": true, "net": true, "pods": false}, "pods": {"a": false, "net": false, "pods": true},
	} {
		before := aProgram()
		p, err := As(before, group)
		if err != nil {
			t.Fatal(err)
		}
		for id, allows := range want {
			if r, _ := p.Rule(id); r.Sources.Contains(local) != allows {
				t.Errorf("as %s: rule %s from loopback is %t", group, id, !allows)
			}
			if r, _ := before.Rule(id); r.Sources.Contains(local) {
				t.Errorf("as %s: the program that was given has changed", group)
			}
		}
		if g, _ := before.Group(group); g.Set.Contains(local) {
			t.Errorf("as %s: the group that was given has changed", group)
		}
	}
	part := aProgram()
	part.Rules[0].Sources = netset.OfAddrs(netip.MustParseAddr("10.240.0.4"))
	if p, _ := As(part, "nodes"); p.Rules[0].Sources.Contains(local) {
		t.Error("a rule about one node holds for loopback")
	}
	for group, want := range map[string]string{
		"node": `there is no group of sources "node"; there is nodes, pods`, "hidden": "behind the nodes", "nobody": "gives no addresses",
	} {
		if _, err := As(aProgram(), group); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("as %s: %v", group, err)
		}
	}
}

// run starts a proxy with opt, and returns where it listens, what it logs and
// writes, and how to end it.
func run(t *testing.T, opt Options) (at netip.AddrPort, log, records *notes, end func()) {
	t.Helper()
	log, records = new(notes), new(notes)
	opt.Listen, opt.Records, opt.Log = "127.0.0.1:0", records, slog.New(slog.NewTextHandler(log, nil))
	opt.Now = func() time.Time { return noon }
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan netip.AddrPort, 1), make(chan error, 1)
	go func() { ended <- Run(ctx, opt, func(a netip.AddrPort) { ready <- a }) }()
	end = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Run does not end")
		}
	})
	t.Cleanup(end)
	select {
	case at = <-ready:
	case err := <-ended:
		t.Fatalf("Run: %v", err)
	}
	return at, log, records, end
}

// notes is what several write at once.
type notes struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(p)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.String()
}

// want waits until something is noted.
func (n *notes) want(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(n.String(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nothing says %q:\n%s", text, n)
		}
	}
}

// answerTo returns all that is answered to a request behind which the proxy closes.
func answerTo(t *testing.T, at netip.AddrPort, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, request)
	b, _ := io.ReadAll(c)
	return string(b)
}

// through opens a tunnel to host:port.
func through(t *testing.T, at netip.AddrPort, to string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, "CONNECT "+to+" HTTP/1.1\r\nHost: "+to+"\r\n\r\n")
	const answer = "HTTP/1.1 200 Connection established\r\n\r\n"
	b := make([]byte, len(answer))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != answer {
		t.Fatalf("CONNECT %s: %q %v", to, b, err)
	}
	return c
}

// echoes reports whether what goes into c comes back.
func echoes(c net.Conn) bool {
	_, _ = io.WriteString(c, "hello")
	b := make([]byte, 5)
	_, err := io.ReadFull(c, b)
	return err == nil && string(b) == "hello"
}

// echoServer plays every server on the network.
func echoServer(t *testing.T) (dial func(context.Context, netip.AddrPort) (net.Conn, error)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	}
}

func TestTheEndSaysHowManyConnectionsItCuts(t *testing.T) {
	p, err := As(aProgram(), "nodes")
	if err != nil {
		t.Fatal(err)
	}
	p.Resolve.Upstreams = []netip.AddrPort{answering(t, []string{addrA.String()})}
	at, log, records, end := run(t, Options{Program: p, dial: echoServer(t)})
	one, other, done := through(t, at, "raw.example:22"), through(t, at, "raw.example:22"), through(t, at, "raw.example:22")
	if !echoes(one) || !echoes(other) || !echoes(done) {
		t.Fatal("a tunnel passes nothing")
	}
	_ = done.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(done); len(b) != 0 || err != nil {
		t.Fatalf("the tunnel that ends by itself: %q %v", b, err)
	}
	records.want(t, `"schema":"sallyport.close/1"`)
	time.Sleep(500 * time.Millisecond) // its connection is counted out
	end()
	log.want(t, `level=INFO msg="ended; what went through it is cut" connections=2`)
}

// Whoever reads that a name could not be resolved learns who was asked.
func TestTheRecordOfANameThatIsNotResolvedNamesTheServers(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := pc.LocalAddr().String() // by the time it is asked
	_ = pc.Close()
	p, err := As(aProgram(), "nodes")
	if err != nil {
		t.Fatal(err)
	}
	p.Resolve.Upstreams = []netip.AddrPort{netip.MustParseAddrPort(nobody)}
	at, log, records, end := run(t, Options{Program: p})
	log.want(t, "level=WARN msg=\"no name server answers")
	for _, request := range []string{
		"CONNECT a.example:443 HTTP/1.0\r\n\r\n", "GET http://plain.example/ HTTP/1.1\r\nHost: plain.example\r\nConnection: close\r\n\r\n",
	} {
		if got := answerTo(t, at, request); !strings.HasPrefix(got, "HTTP/1.1 502 ") {
			t.Errorf("%q: %q", request, got)
		}
	}
	end()
	n := 0
	for line := range strings.Lines(records.String()) {
		var d struct{ Reason, Detail string }
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatal(err)
		}
		if d.Reason != flow.UpstreamFailed.String() || !strings.Contains(d.Detail, nobody) || !strings.Contains(d.Detail, "refused") {
			t.Errorf("record %s", line)
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d records", n)
	}
}

func TestNewRulesCutWhatTheyDoNotAllowAndNothingElse(t *testing.T) {
	without := func(id flow.RuleID) *program.Program {
		p, err := As(aProgram(), "nodes")
		if err != nil {
			t.Fatal(err)
		}
		p.Rules = slices.DeleteFunc(p.Rules, func(r program.Rule) bool { return r.ID == id })
		return p
	}
	first, next := without(""), without("raw")
	upstream := answering(t, []string{addrA.String()})
	first.Resolve.Upstreams, next.Resolve.Upstreams = []netip.AddrPort{upstream}, []netip.AddrPort{upstream}
	var broken atomic.Bool
	asked := make(chan os.Signal)
	at, log, records, _ := run(t, Options{
		Program: first, dial: echoServer(t), Reload: asked,
		Load: func() (*program.Program, error) {
			if broken.Load() {
				return nil, errors.New("a line of the file is wrong")
			}
			return next, nil
		},
	})
	goes, stays := through(t, at, "raw.example:22"), through(t, at, "both.example:443")
	if !echoes(goes) || !echoes(stays) {
		t.Fatal("a tunnel passes nothing")
	}
	broken.Store(true)
	asked <- syscall.SIGHUP
	log.want(t, `level=ERROR msg="new rules refused, the old ones stay in force" err="a line of the file is wrong"`)
	if !echoes(goes) || !echoes(stays) {
		t.Error("a file that cannot be read cut a tunnel")
	}
	broken.Store(false)
	asked <- syscall.SIGHUP
	log.want(t, "level=INFO msg=\"new rules in force\"")
	log.want(t, "connectionsCut=1")
	if _, err := goes.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the tunnel that is allowed no more: %v", err)
	}
	if !echoes(stays) {
		t.Error("the tunnel that is still allowed was cut")
	}
	records.want(t, `"cut while under way: the rules have changed"`)
	if got := answerTo(t, at, "CONNECT raw.example:22 HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 403 ") {
		t.Errorf("by the new rules: %q", got)
	}
}
