// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package connect

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/echprobe"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowlog"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/proxypath"
	"github.com/sallyport/sallyport/proxypath/proxytest"
	"github.com/sallyport/sallyport/resolver"
)

// The addresses of the tests' world.
var (
	addrA    = netip.MustParseAddr("20.0.0.1") // a.example and b.example, a shared CDN address
	addrA2   = netip.MustParseAddr("20.0.0.2") // a.example too
	addrDead = netip.MustParseAddr("20.0.0.3")
	addrRaw  = netip.MustParseAddr("20.0.0.9") // allowed by address
	addrRaw6 = netip.MustParseAddr("2600::9")  // allowed by address
	addrOwn  = netip.MustParseAddr("20.0.0.100")
	addrEnd  = netip.MustParseAddr("10.9.0.5") // a private endpoint that the cluster lists
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// aProgram allows the names and addresses of the tests' world to nodes.
func aProgram() *program.Program {
	nodes := netset.Of(netip.MustParsePrefix("10.240.0.0/24"))
	pods := netset.Of(netip.MustParsePrefix("10.244.0.0/24"))
	name := func(id, pattern string, proto flow.Protocol, ports ...uint16) program.Rule {
		return program.Rule{
			ID: flow.RuleID(id), Pattern: dnsname.MustParsePattern(pattern), Protocol: proto, Ports: portset.Of(ports...), Sources: nodes,
		}
	}
	addr := func(id string, prefix string, ports ...uint16) program.Rule {
		return program.Rule{
			ID: flow.RuleID(id), Prefixes: netset.Of(netip.MustParsePrefix(prefix)), Protocol: flow.ProtoTCP, Ports: portset.Of(ports...), Sources: nodes,
		}
	}
	old, podsOnly := name("old", "old.example", flow.ProtoHTTPS, 443), name("pods", "pods.example", flow.ProtoHTTPS, 443)
	old.Until = noon
	podsOnly.Sources = pods
	return &program.Program{
		Groups: []program.Group{
			{Name: "nodes", Set: nodes, Visible: true}, {Name: "pods", Set: pods, Visible: true},
			{Name: "hidden", Set: pods, Why: "behind the nodes"}, {Name: "nobody", Visible: true},
		},
		Rules: []program.Rule{
			name("a", "a.example", flow.ProtoHTTPS, 443, 8443), name("b", "b.example", flow.ProtoHTTPS, 443),
			name("sub", "*.sub.example", flow.ProtoHTTPS, 443),
			name("plain", "plain.example", flow.ProtoHTTP, 80, 8080), name("plain2", "plain2.example", flow.ProtoHTTP, 80),
			name("raw", "raw.example", flow.ProtoTCP, 22), name("both", "both.example", flow.ProtoTCP, 443),
			name("both2", "both.example", flow.ProtoHTTPS, 443),
			name("dead", "dead.example", flow.ProtoHTTPS, 443), name("loop", "loop.example", flow.ProtoHTTPS, 443),
			name("loophttp", "loop.example", flow.ProtoHTTP, 80),
			name("private", "private.example", flow.ProtoHTTPS, 443), name("endpoint", "endpoint.example", flow.ProtoHTTPS, 443),
			name("meta", "meta.example", flow.ProtoHTTPS, 443), name("local", "local.example", flow.ProtoHTTPS, 443),
			old, podsOnly,
			addr("net", "20.0.0.9/32", 443, 80), addr("net6", "2600::9/128", 443),
			addr("netOwn", "20.0.0.100/32", 443), addr("netLocal", "127.0.0.0/8", 443, 80), addr("netMeta", "169.254.169.254/32", 80, 443),
		},
		Resolve: program.Resolve{
			Upstreams:    []netip.AddrPort{netip.MustParseAddrPort("9.9.9.9:53")},
			AllowPrivate: netset.Of(netip.MustParsePrefix("10.9.0.0/24")), Own: netset.OfAddrs(addrOwn),
		},
	}
}

// rig is a proxy between real clients and servers that the test plays.
type rig struct {
	*proxytest.World
	proxy *proxypath.Proxy

	rules  *decide.Snapshot
	now    time.Time
	names  map[string][]string // what upstreams answer
	ech    echprobe.Answer     // of every server
	src    netip.Addr          // who clients are; themselves when not valid
	atDial func()              // called while a server is dialled; nil: nothing is
}

// start runs a proxy for which loopback clients are nodes; the test ends when it
// has ended.
func start(t *testing.T, limits proxypath.Limits) *rig {
	t.Helper()
	p, err := As(aProgram(), "nodes")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{
		World: proxytest.New(t), rules: decide.New(p), now: noon,
		names: map[string][]string{
			"a.example": {addrA.String(), addrA2.String()}, "b.example": {addrA.String()}, "x.sub.example": {addrA.String()},
			"plain.example": {addrA.String()}, "plain2.example": {addrA.String()}, "raw.example": {addrA.String()},
			"both.example": {addrA.String()}, "dead.example": {addrDead.String()}, "loop.example": {addrOwn.String()},
			"private.example": {"10.1.2.3"}, "endpoint.example": {addrEnd.String()}, "meta.example": {"169.254.169.254"},
			"local.example": {"127.0.0.1"},
		},
	}
	if limits.Linger == 0 {
		limits.Linger = 200 * time.Millisecond
	}
	now := func() time.Time { return get(r, &r.now) }
	lookup := resolver.New(resolver.Config{
		Rules: func() *decide.Snapshot { return get(r, &r.rules) }, Resolve: func() program.Resolve { return p.Resolve },
		Bind: func(dnsname.Name, []netip.Addr, time.Duration) error { return nil }, Record: r.Record, Now: now, Exchange: r.upstream,
	})
	limits.Hello = 500 * time.Millisecond
	r.proxy = New(proxypath.Config{
		Rules: func() *decide.Snapshot { return get(r, &r.rules) }, Lookup: lookup.Lookup, Record: r.Record,
		End: r.End,
		Own: func() netset.Set { return p.Resolve.Own }, Now: now, Dial: r.dialServer, Limits: limits,
		ECH: func(context.Context, netip.Addr, netip.AddrPort, dnsname.Name) (echprobe.Answer, string) {
			return get(r, &r.ech), "the test says so"
		},
	})
	r.Serve(func(ctx context.Context, l net.Listener) error { return r.proxy.Serve(ctx, elsewhere{l, r}) })
	return r
}

func get[T any](r *rig, v *T) T {
	r.Mu.Lock()
	defer r.Mu.Unlock()
	return *v
}

// upstream plays the DNS server that is asked.
func (r *rig) upstream(_ context.Context, _ netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetReply(q)
	name := strings.TrimSuffix(q.Question[0].Name, ".")
	for _, a := range get(r, &r.names)[name] {
		m.Answer = append(m.Answer, &dns.A{
			Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.ParseIP(a),
		})
	}
	return m, nil
}

// dialServer is DialServer for a test that watches it.
func (r *rig) dialServer(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	if f := get(r, &r.atDial); f != nil {
		f()
	}
	return r.DialServer(ctx, addr)
}

// elsewhere accepts connections as if clients were at the rig's src.
type elsewhere struct {
	net.Listener
	r *rig
}

type elsewhereConn struct {
	*net.TCPConn
	remote net.Addr
}

func (c elsewhereConn) RemoteAddr() net.Addr { return c.remote }

func (l elsewhere) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	src := get(l.r, &l.r.src)
	if err != nil || !src.IsValid() {
		return c, err
	}
	port := c.RemoteAddr().(*net.TCPAddr).AddrPort().Port()
	return elsewhereConn{c.(*net.TCPConn), net.TCPAddrFromAddrPort(netip.AddrPortFrom(src, port))}, nil
}

// serveRaw plays a server at addr: each connection is given to handle.
func (r *rig) serveRaw(addr netip.Addr, handle func(net.Conn)) {
	r.T.Helper()
	r.ServeRaw(addr, func(c net.Conn, _ *bufio.Reader) { handle(c) })
}

// collect plays a server at addr that says nothing and notes what it gets, with
// "reset" behind it when that is how it ends.
func (r *rig) collect(addr netip.Addr) (got func() string) {
	seen := make(chan string, 16)
	r.serveRaw(addr, func(c net.Conn) {
		b, err := io.ReadAll(c)
		if errors.Is(err, syscall.ECONNRESET) {
			b = append(b, "reset"...)
		}
		seen <- string(b)
	})
	return func() string {
		select {
		case s := <-seen:
			return s
		case <-time.After(5 * time.Second):
			return "the server's connection does not end"
		}
	}
}

// serve plays an HTTP server at addr, over TLS with the test's certificate when
// secure is set.
func (r *rig) serve(addr netip.Addr, secure bool, handler http.HandlerFunc) {
	r.T.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.T.Fatal(err)
	}
	srv := &http.Server{Handler: handler, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate()}}}
	go func() {
		if secure {
			_ = srv.ServeTLS(l, "", "")
		} else {
			_ = srv.Serve(l)
		}
	}()
	r.T.Cleanup(func() { _ = srv.Close() })
	r.Set(func() { r.Servers[addr] = l.Addr().String() })
}

// echo answers with the host, the target and the body it got.
func echo(w http.ResponseWriter, q *http.Request) {
	b, _ := io.ReadAll(q.Body)
	_, _ = io.WriteString(w, q.Host+" "+q.RequestURI+" "+string(b))
}

// certificate is for every name of the tests' world that is reached over TLS.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"a.example", "b.example", "x.sub.example", "endpoint.example", "both.example"}, IPAddresses: []net.IP{addrRaw.AsSlice()},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// authorities returns what trusts the certificate, and a file of it.
func (r *rig) authorities() (*x509.CertPool, string) {
	r.T.Helper()
	der := certificate().Certificate[0]
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		r.T.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	file := filepath.Join(r.T.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		r.T.Fatal(err)
	}
	return pool, file
}

// tunnel opens a tunnel to host:port and reads the 200.
func (r *rig) tunnel(to string) (*net.TCPConn, *bufio.Reader) {
	r.T.Helper()
	c, br := r.Dial()
	r.Send(c, "CONNECT "+to+" HTTP/1.1\r\nHost: "+to+"\r\n\r\n")
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			r.T.Fatalf("CONNECT %s: %v", to, err)
		}
		if strings.HasPrefix(line, "HTTP/") && !strings.HasPrefix(line, "HTTP/1.1 200 ") {
			r.T.Fatalf("CONNECT %s: %s", to, line)
		}
		if line == "\r\n" {
			return c, br
		}
	}
}

// wantOne checks that there is one record, with the given reason.
func (r *rig) wantOne(reason flow.Reason) flowlog.Event {
	r.T.Helper()
	e := r.Recorded(1)[0]
	if e.Decision.Reason != reason || allowed(e.Decision) != (reason == flow.RuleMatched || reason == flow.AddressMatched) {
		r.T.Errorf("record %+v %s, want %v", e.Decision, e.Detail, reason)
	}
	if e.Path != Path || e.SrcPort == 0 || !e.Flow.Src.IsValid() || e.At.IsZero() {
		r.T.Errorf("record lacks who and when: %+v", e)
	}
	if !allowed(e.Decision) && e.Flow.Proof == flow.ByConnect {
		r.T.Errorf("a denied flow seems proved: %+v", e)
	}
	return e
}
