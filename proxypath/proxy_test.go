// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxypath

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/proxypath/proxytest"
)

func TestAnAllowedRequestPasses(t *testing.T) {
	r := start(t, Limits{})
	r.ServeHTTP(addrA, echo)
	status, body := r.say("GET /x HTTP/1.1\r\nHost: A.Example.\r\nX-Case: KePt\r\n\r\n")
	if status != 200 || body != "A.Example./x " {
		t.Errorf("got %d %q", status, body)
	}
	e := r.wantOne(flow.RuleMatched)
	want := flow.Flow{Src: nodeAddr, Dst: addrA, Port: 80, Transport: flow.TCP, App: flow.HTTP, Name: e.Flow.Name, Proof: flow.ByHost}
	if e.Flow != want || e.Flow.Name.String() != "a.example" || e.Decision.Rule != "a" {
		t.Errorf("record %+v %+v", e.Flow, e.Decision)
	}
}

func TestBytesPassUnchanged(t *testing.T) {
	r := start(t, Limits{})
	const request = "POST http://a.example/%7e?q HTTP/1.1\r\nhOST:   a.example\r\nx-Odd:\tb\xfccher \r\nContent-Length: 3\r\n\r\nabc"
	const response = "HTTP/1.1 299 Odd Phrase\r\ncONTENT-lENGTH: 2\r\nX:  y \r\n\r\nok"
	got := make(chan string, 1)
	r.ServeRaw(addrA, func(c net.Conn, br *bufio.Reader) {
		b := make([]byte, len(request))
		_, _ = io.ReadFull(br, b)
		got <- string(b)
		_, _ = io.WriteString(c, response)
	})
	c, br := r.Dial()
	r.Send(c, request)
	b := make([]byte, len(response))
	_, _ = io.ReadFull(br, b)
	if g := <-got; g != request || string(b) != response {
		t.Errorf("server got %q\nclient got %q", g, b)
	}
}

// B12: a second request on the same connection is decided like the first.
func TestEveryRequestOfAConnectionIsDecided(t *testing.T) {
	r := start(t, Limits{})
	r.ServeHTTP(addrA, echo)
	c, br := r.Dial()
	for range 3 {
		r.Send(c, "GET /ok HTTP/1.1\r\nHost: a.example\r\n\r\n")
		if res, body := r.Read(br, "GET"); res.StatusCode != 200 || body != "a.example/ok " {
			t.Fatalf("got %d %q", res.StatusCode, body)
		}
	}
	r.Send(c, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
	res, body := r.Read(br, "GET")
	if res.StatusCode != 403 || res.Header.Get("X-Sallyport-Reason") != "name-not-allowed" || !res.Close ||
		body != "sallyport: denied: no rule knows this name (name-not-allowed): evil.example\n" {
		t.Errorf("got %+v %q", res, body)
	}
	if _, err := br.ReadByte(); err != io.EOF {
		t.Errorf("the connection goes on: %v", err)
	}
	es := r.Recorded(4)
	if es[2].Decision.Reason != flow.RuleMatched || es[3].Decision.Reason != flow.NameNotAllowed {
		t.Errorf("records %v %v", es[2].Decision, es[3].Decision)
	}
	if len(r.wentTo()) != 1 {
		t.Errorf("dialled %v, want one connection for three requests", r.wentTo())
	}
	r.Mu.Lock()
	defer r.Mu.Unlock()
	if len(r.Closed) != 3 || !r.Closed[0].Counted || r.Closed[1].BytesOut != 37 || r.Closed[1].BytesIn == 0 || r.Closed[1].Tuple.Dst.Addr() != addrA {
		t.Errorf("ends %+v", r.Closed)
	}
}

// B12: requests that were sent together are answered in order, and each is decided.
func TestPipelinedRequestsAreDecidedOneByOne(t *testing.T) {
	r := start(t, Limits{})
	r.ServeHTTP(addrA, echo)
	c, br := r.Dial()
	r.Send(c, "POST /1 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 42\r\n\r\nGET / HTTP/1.1\r\nHost: evil.example\r\n\r\n    "+
		"POST /2 HTTP/1.1\r\nHost: b.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"+
		"GET /3 HTTP/1.1\r\nHost: a.example\r\n\r\n"+
		"GET /4 HTTP/1.1\r\nHost: evil.example\r\n\r\n"+
		"GET /5 HTTP/1.1\r\nHost: a.example\r\n\r\n")
	for _, want := range []string{"a.example/1 GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n    ", "b.example/2 abc", "a.example/3 ", "sallyport: denied: no rule knows this name (name-not-allowed): evil.example\n"} {
		if _, body := r.Read(br, "GET"); body != want {
			t.Fatalf("got %q, want %q", body, want)
		}
	}
	if rest, err := io.ReadAll(br); err != nil || len(rest) > 0 {
		t.Errorf("behind the denial: %q %v", rest, err)
	}
	r.Recorded(4)
	if len(r.wentTo()) != 3 {
		t.Errorf("dialled %v, want one for each change of host", r.wentTo())
	}
}

func TestDenials(t *testing.T) {
	tests := map[string]struct {
		request string
		setup   func(*rig)
		status  int
		reason  flow.Reason
		name    string
	}{
		"a name without a rule":              {request: "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", status: 403, reason: flow.NameNotAllowed, name: "evil.example"},
		"the apex of a wildcard":             {request: "GET / HTTP/1.1\r\nHost: c.example\r\n\r\n", status: 403, reason: flow.NameNotAllowed, name: "c.example"},
		"a name for TLS only":                {request: "GET / HTTP/1.1\r\nHost: tls.example\r\n\r\n", status: 403, reason: flow.ProtocolMismatch, name: "tls.example"},
		"another source":                     {request: "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", setup: func(r *rig) { r.Set(func() { r.src = otherNode }) }, status: 403, reason: flow.SourceNotAllowed, name: "a.example"},
		"another port":                       {request: "GET / HTTP/1.1\r\nHost: b.example:8080\r\n\r\n", setup: func(r *rig) { r.Set(func() { r.dst = netip.AddrPortFrom(addrA, 8080) }) }, status: 403, reason: flow.PortNotAllowed, name: "b.example"},
		"a Host with another port (B13)":     {request: "GET / HTTP/1.1\r\nHost: a.example:8080\r\n\r\n", status: 400, reason: flow.AmbiguousHost, name: "a.example"},
		"a websocket":                        {request: "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", status: 403, reason: flow.UpgradeRefused, name: "a.example"},
		"h2c (B11)":                          {request: "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n", status: 403, reason: flow.UpgradeRefused, name: "a.example"},
		"two Hosts (B13)":                    {request: "GET / HTTP/1.1\r\nHost: a.example\r\nHost: evil.example\r\n\r\n", status: 400, reason: flow.AmbiguousHost, name: "a.example"},
		"no Host (B13)":                      {request: "GET / HTTP/1.1\r\n\r\n", status: 400, reason: flow.AmbiguousHost},
		"an absolute URI against Host":       {request: "GET http://evil.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", status: 400, reason: flow.AmbiguousHost, name: "a.example"},
		"user information in Host (B13)":     {request: "GET / HTTP/1.1\r\nHost: a.example:80@evil.example\r\n\r\n", status: 400, reason: flow.AmbiguousHost, name: "\"a.example:80@evil.example\""},
		"an address as Host":                 {request: "GET / HTTP/1.1\r\nHost: 20.0.0.1\r\n\r\n", status: 403, reason: flow.AddressAsName, name: "20.0.0.1"},
		"an IPv6 literal as Host":            {request: "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", status: 403, reason: flow.AddressAsName, name: "\"[::1]:80\""},
		"markup as Host":                     {request: "GET / HTTP/1.1\r\nHost: <b>\r\n\r\n", status: 400, reason: flow.InvalidName, name: "\"<b>\""},
		"TE with CL (B13)":                   {request: "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", status: 400, reason: flow.MalformedRequest, name: "a.example"},
		"two CL (B13)":                       {request: "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", status: 400, reason: flow.MalformedRequest, name: "a.example"},
		"TE that is almost chunked":          {request: "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", status: 400, reason: flow.MalformedRequest, name: "a.example"},
		"a bare line feed (B13)":             {request: "GET / HTTP/1.1\nHost: a.example\n\n", status: 400, reason: flow.MalformedRequest},
		"a bare line feed in the middle":     {request: "GET / HTTP/1.1\r\nX: y\nHost: a.example\r\n\r\n", status: 400, reason: flow.MalformedRequest},
		"a folded line (B13)":                {request: "GET / HTTP/1.1\r\nHost: a.example\r\nX: a\r\n b\r\n\r\n", status: 400, reason: flow.MalformedRequest, name: "a.example"},
		"a NUL (B13)":                        {request: "GET / HTTP/1.1\r\nHost: a.example\x00.evil.example\r\n\r\n", status: 400, reason: flow.MalformedRequest},
		"a head over 64 KiB":                 {request: "GET / HTTP/1.1\r\nHost: a.example\r\nX: " + strings.Repeat("y", 70<<10) + "\r\n\r\n", status: 400, reason: flow.MalformedRequest},
		"CONNECT (B15)":                      {request: "CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\n\r\n", status: 400, reason: flow.MalformedRequest},
		"HTTP/1.2":                           {request: "GET / HTTP/1.2\r\nHost: a.example\r\n\r\n", status: 400, reason: flow.MalformedRequest},
		"a name that leads to us (B34)":      {request: "GET / HTTP/1.1\r\nHost: loop.example\r\n\r\n", status: 403, reason: flow.SpecialAddress, name: "loop.example"},
		"a private address (B19)":            {request: "GET / HTTP/1.1\r\nHost: private.example\r\n\r\n", status: 403, reason: flow.PrivateAddress, name: "private.example"},
		"a name that cannot be resolved":     {request: "GET / HTTP/1.1\r\nHost: y.c.example\r\n\r\n", status: 502, reason: flow.UpstreamFailed, name: "y.c.example"},
		"a denied HEAD":                      {request: "HEAD / HTTP/1.1\r\nHost: evil.example\r\n\r\n", status: 403, reason: flow.NameNotAllowed, name: "evil.example"},
		"a denied upload (nothing of it)":    {request: "POST / HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000), status: 403, reason: flow.NameNotAllowed, name: "evil.example"},
		"a denied HTTP/1.0 request":          {request: "GET / HTTP/1.0\r\nHost: evil.example\r\n\r\n", status: 403, reason: flow.NameNotAllowed, name: "evil.example"},
		"a first chunk that is no chunk":     {request: "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", status: 400, reason: flow.MalformedRequest, name: "a.example"},
		"a space before the colon of Host":   {request: "GET / HTTP/1.1\r\nHost : a.example\r\n\r\n", status: 400, reason: flow.MalformedRequest},
		"an Expect that is not 100-continue": {request: "GET / HTTP/1.1\r\nHost: a.example\r\nExpect: 200\r\n\r\n", status: 400, reason: flow.MalformedRequest, name: "a.example"},
	}
	for about, tt := range tests {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			t.Parallel()
			r := start(t, Limits{})
			if tt.setup != nil {
				tt.setup(r)
			}
			got := make(chan string, 10)
			r.ServeRaw(addrA, func(_ net.Conn, br *bufio.Reader) {
				b, _ := io.ReadAll(br)
				got <- string(b)
			})
			c, br := r.Dial()
			go func() { _, _ = io.WriteString(c, tt.request) }()
			method, _, _ := strings.Cut(tt.request, " ")
			res, body := r.Read(br, method)
			if res.StatusCode != tt.status || res.Header.Get("X-Sallyport-Reason") != tt.reason.String() || !res.Close {
				t.Errorf("got %d %v, want %d %v", res.StatusCode, res.Header, tt.status, tt.reason)
			}
			if suffix := fmt.Sprintf("(%s): %s\n", tt.reason, tt.name); method != "HEAD" && tt.name != "" && !strings.HasSuffix(body, suffix) {
				t.Errorf("body %q does not end in %q", body, suffix)
			}
			if _, err := br.ReadByte(); err != io.EOF {
				t.Errorf("the connection ends with %v", err)
			}
			if about == "a first chunk that is no chunk" {
				r.Recorded(2) // allowed by its head, refused by its body
			} else {
				r.wantOne(tt.reason)
				r.wantNoDial()
			}
			select {
			case b := <-got:
				if b != "" {
					t.Errorf("the server got %q", b)
				}
			default:
			}
		})
	}
}

func TestWhatIsNotHTTPIsReset(t *testing.T) {
	for about, bytes := range map[string]string{
		"an SSH banner":  "SSH-2.0-OpenSSH_9.2p1\r\n",
		"HTTP/0.9":       "GET /\r\n",
		"HTTP/2":         "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"an empty line":  "\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"random noise":   "\x00\x01\x02\x03",
		"a SOCKS5 hello": "\x05\x01\x00",
	} {
		t.Run(strings.ReplaceAll(about, " ", "-"), func(t *testing.T) {
			r := start(t, Limits{})
			c, _ := r.Dial()
			r.Send(c, bytes)
			r.WantReset(c)
			if e := r.wantOne(flow.NotHTTP); e.Flow.App != flow.Raw || !e.Flow.Name.IsZero() {
				t.Errorf("record %+v", e.Flow)
			}
			r.wantNoDial()
		})
	}
}

func TestNoiseBehindAnAnswerDoesNotLoseTheAnswer(t *testing.T) {
	r := start(t, Limits{})
	r.ServeHTTP(addrA, echo)
	c, br := r.Dial()
	r.Send(c, "GET /1 HTTP/1.1\r\nHost: a.example\r\n\r\n\x16\x03\x01")
	if _, body := r.Read(br, "GET"); body != "a.example/1 " {
		t.Errorf("got %q", body)
	}
	if res, _ := r.Read(br, "GET"); res.StatusCode != 400 {
		t.Errorf("got %d", res.StatusCode)
	}
}

// B34: the gateway is no destination, and no name leads to it.
func TestAConnectionToTheGatewayItselfIsReset(t *testing.T) {
	r := start(t, Limits{})
	r.Set(func() { r.dst = netip.AddrPortFrom(addrOwn, 80) })
	if c, err := net.Dial("tcp", r.Addr); err == nil { // else the reset was faster
		r.WantReset(c)
		_ = c.Close()
	}
	r.wantOne(flow.SpecialAddress)
	r.wantNoDial()
}

func TestANameThatLeadsToUsAndElsewhereGoesElsewhere(t *testing.T) {
	r := start(t, Limits{})
	r.ServeHTTP(addrA, echo)
	r.Set(func() { r.names["loop.example"] = []netip.Addr{addrOwn, netip.AddrFrom16(addrA.As16())} })
	if status, _ := r.say("GET / HTTP/1.1\r\nHost: loop.example\r\n\r\n"); status != 200 {
		t.Errorf("got %d", status)
	}
	if len(r.wentTo()) != 1 || r.wentTo()[0].Addr() != addrA {
		t.Errorf("dialled %v", r.wentTo())
	}
}

func TestTheAddressTheClientChoseComesFirst(t *testing.T) {
	r := start(t, Limits{})
	r.ServeHTTP(addrA, echo)
	r.ServeHTTP(addrA2, echo)
	r.Set(func() { r.dst = netip.AddrPortFrom(addrA2, 80) })
	r.say("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
	if len(r.wentTo()) != 1 || r.wentTo()[0].Addr() != addrA2 {
		t.Errorf("dialled %v, want %v", r.wentTo(), addrA2)
	}
	if e := r.wantOne(flow.RuleMatched); e.Flow.Dst != addrA2 {
		t.Errorf("record says %v", e.Flow.Dst)
	}
}

// The client's address is not believed: what is dialled is what the name
// resolves to.
func TestAnAddressTheNameDoesNotLeadToIsNotDialled(t *testing.T) {
	r := start(t, Limits{})
	r.ServeHTTP(addrA, echo)
	r.Set(func() { r.dst = netip.MustParseAddrPort("66.6.6.6:80") })
	if status, _ := r.say("GET / HTTP/1.1\r\nHost: b.example\r\n\r\n"); status != 200 {
		t.Errorf("got %d", status)
	}
	if len(r.wentTo()) != 1 || r.wentTo()[0].Addr() != addrA {
		t.Errorf("dialled %v", r.wentTo())
	}
}

func TestTheNextAddressIsTriedWhenOneIsDead(t *testing.T) {
	r := start(t, Limits{})
	r.ServeHTTP(addrA, echo)
	r.Set(func() { r.dst = netip.AddrPortFrom(addrDead, 80) })
	if status, _ := r.say("GET / HTTP/1.1\r\nHost: x.c.example\r\n\r\n"); status != 200 || len(r.wentTo()) != 2 {
		t.Errorf("got %d after dialling %v", status, r.wentTo())
	}
	r.wantOne(flow.RuleMatched)
}

func TestAHostThatCannotBeReachedIs502(t *testing.T) {
	r := start(t, Limits{})
	status, body := r.say("GET / HTTP/1.1\r\nHost: gone.example\r\n\r\n")
	if status != 502 || body != "sallyport: failed: the name is allowed but could not be reached (upstream-failed): gone.example\n" {
		t.Errorf("got %d %q", status, body)
	}
	if e := r.wantOne(flow.UpstreamFailed); e.Decision.Rule != "gone" || e.Flow.Proof != flow.Unproved || e.Detail == "" {
		t.Errorf("record %+v", e)
	}
}

func TestARuleAboutTheAddressLetsBytesPassUnread(t *testing.T) {
	r := start(t, Limits{})
	r.Set(func() { r.dst = netip.AddrPortFrom(addrRaw, 80) })
	r.ServeRaw(addrRaw, func(c net.Conn, br *bufio.Reader) {
		_, _ = io.WriteString(c, "220 I speak first\r\n")
		b, _ := io.ReadAll(br)
		_, _ = c.Write(bytes.ToUpper(b))
	})
	c, br := r.Dial()
	r.Send(c, "\x16\x03hello")
	_ = c.CloseWrite()
	if b, err := io.ReadAll(br); err != nil || string(b) != "220 I speak first\r\n\x16\x03HELLO" {
		t.Errorf("got %q %v", b, err)
	}
	if e := r.wantOne(flow.AddressMatched); e.Flow.Proof != flow.ByAddress || e.Decision.Rule != "raw" {
		t.Errorf("record %+v", e)
	}
}

// A rule for tcp lets any protocol pass to its name, also where another name that
// leads to the same address has a rule for HTTP, which brings it to the proxy.
func TestARuleForTCPHoldsBesideARuleForHTTPAtTheSameAddress(t *testing.T) {
	any := func(r *rig) {
		r.Set(func() {
			r.rules = decide.New(&program.Program{Rules: []program.Rule{
				allow("http", "b.example", flow.ProtoHTTP, 80), allow("any", "a.example", flow.ProtoTCP, 80),
			}})
		})
	}
	t.Run("behind a request that names its host", func(t *testing.T) {
		r := start(t, Limits{})
		any(r)
		heard := make(chan string, 1)
		r.ServeRaw(addrA, func(c net.Conn, br *bufio.Reader) {
			_, _ = io.WriteString(c, "I speak as I like")
			b, _ := io.ReadAll(br)
			heard <- string(b)
		})
		c, br := r.Dial()
		const said = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nGET / HTTP/1.1\r\nHost: elsewhere\r\n\r\nor what it likes"
		r.Send(c, said)
		_ = c.CloseWrite()
		if b, err := io.ReadAll(br); err != nil || string(b) != "I speak as I like" {
			t.Errorf("got %q %v", b, err)
		}
		if got := <-heard; got != said {
			t.Errorf("the server has %q", got)
		}
		if e := r.wantOne(flow.RuleMatched); e.Flow.App != flow.Raw || e.Flow.Proof != flow.ByDNS || e.Decision.Rule != "any" || e.Flow.Dst != addrA {
			t.Errorf("record %+v", e)
		}
	})
	t.Run("behind a hello that does", func(t *testing.T) {
		r := start(t, Limits{})
		any(r)
		hello := string(proxytest.Hello(t, "a.example"))
		r.ServeRaw(addrA, func(c net.Conn, br *bufio.Reader) {
			_, _ = io.ReadFull(br, make([]byte, len(hello)))
			_, _ = io.WriteString(c, "answer")
		})
		c, br := r.Dial()
		r.Send(c, hello)
		if b, err := io.ReadAll(br); err != nil || string(b) != "answer" {
			t.Errorf("got %q %v", b, err)
		}
		if e := r.wantOne(flow.RuleMatched); e.Flow.App != flow.Raw || e.Decision.Rule != "any" {
			t.Errorf("record %+v", e)
		}
	})
	for about, tt := range map[string]struct {
		say    string
		reason flow.Reason
	}{
		"another name":           {"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", flow.NameNotAllowed},
		"the one with HTTP, TLS": {string(proxytest.Hello(t, "b.example")), flow.ProtocolMismatch},
		"no name at all":         {"SSH-2.0-x\r\n", flow.NotHTTP},
	} {
		t.Run(about, func(t *testing.T) {
			r := start(t, Limits{Linger: 50 * time.Millisecond})
			any(r)
			c, br := r.Dial()
			r.Send(c, tt.say)
			_, _ = io.ReadAll(br)
			r.wantOne(tt.reason)
			if to := r.wentTo(); len(to) > 0 {
				t.Errorf("dialled %v", to)
			}
		})
	}
}

func TestASweepCutsWhatTheRulesNoLongerAllow(t *testing.T) {
	r := start(t, Limits{})
	begun := make(chan bool, 2)
	r.ServeHTTP(addrA, func(w http.ResponseWriter, q *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		begun <- true
		<-q.Context().Done()
	})
	c, br := r.Dial()
	r.Send(c, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
	<-begun
	if n := r.proxy.Sweep(); n != 0 {
		t.Errorf("%d cut while the rules are the same", n)
	}
	r.Set(func() { r.rules = decide.New(&program.Program{}) })
	if n := r.proxy.Sweep(); n != 1 {
		t.Errorf("%d cut, want 1", n)
	}
	if _, err := io.ReadAll(br); err == nil {
		t.Error("the answer seems whole")
	}
	if es := r.Recorded(2); es[1].Decision.Reason != flow.NameNotAllowed || es[1].Decision.Verdict != flow.Deny {
		t.Errorf("record %+v", es[1])
	}
}

// Those who hold the most places with nothing to show for it make room for others.
func TestAFullProxyMakesRoom(t *testing.T) {
	r := start(t, Limits{Connections: 3})
	r.ServeHTTP(addrA, echo)
	dial := func(from string) (net.Conn, *bufio.Reader) {
		r.Set(func() { r.src = netip.MustParseAddr(from) })
		c, br := r.Dial()
		time.Sleep(20 * time.Millisecond) // the proxy takes them in this order
		return c, br
	}
	keeps, keepsBr := dial("10.240.0.88")
	_, oldest := dial("10.240.0.4")
	younger, _ := dial("10.240.0.4")
	r.Send(younger, "GET / HTTP/1.1\r\n") // and never more
	c, br := dial("10.240.0.77")
	r.WantReset(oldest)
	r.Send(c, "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
	if res, _ := r.Read(br, "GET"); res.StatusCode != 200 {
		t.Errorf("a newcomer got %d", res.StatusCode)
	}
	r.Send(keeps, "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
	if res, _ := r.Read(keepsBr, "GET"); res.StatusCode != 200 {
		t.Errorf("a source with one connection got %d", res.StatusCode)
	}
}

func TestAFullProxyMakesRoomAlsoWhereAllAreBusy(t *testing.T) {
	r := start(t, Limits{Connections: 3})
	r.ServeHTTP(addrA, echo)
	var hog []*bufio.Reader
	for range 3 {
		c, br := r.Dial()
		r.Send(c, "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100000\r\n\r\nx")
		hog = append(hog, br)
		time.Sleep(50 * time.Millisecond)
	}
	r.Recorded(3)
	r.Set(func() { r.src = netip.MustParseAddr("10.240.0.77") })
	c, br := r.Dial()
	r.Send(c, "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
	if res, _ := r.Read(br, "GET"); res.StatusCode != 200 {
		t.Errorf("a newcomer got %d", res.StatusCode)
	}
	r.WantReset(hog[0])
}

func TestTooManyConnectionsOfOneSource(t *testing.T) {
	r := start(t, Limits{PerSource: 2})
	r.ServeHTTP(addrA, echo)
	c1, br1 := r.Dial()
	r.Dial()
	time.Sleep(50 * time.Millisecond)
	if c3, err := net.Dial("tcp", r.Addr); err == nil { // else the reset was faster
		r.WantReset(c3)
		_ = c3.Close()
	}
	r.wantOne(flow.Overload)
	r.Send(c1, "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
	if res, _ := r.Read(br1, "GET"); res.StatusCode != 200 {
		t.Errorf("got %d", res.StatusCode)
	}
	time.Sleep(400 * time.Millisecond)
	if status, _ := r.say("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"); status != 200 {
		t.Errorf("after one has gone: %d", status)
	}
}

func TestBigBodiesBothWays(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 64 MiB")
	}
	for about, chunked := range map[string]bool{"sized": false, "chunked": true} {
		t.Run(about, func(t *testing.T) {
			r := start(t, Limits{})
			const size = 16 << 20
			body := bytes.Repeat([]byte("0123456789abcdef"), size/16)
			want := sha256.Sum256(body)
			r.ServeHTTP(addrA, func(w http.ResponseWriter, q *http.Request) {
				b, _ := io.ReadAll(q.Body)
				if !chunked {
					w.Header().Set("Content-Length", fmt.Sprint(len(b)))
				}
				_, _ = w.Write(b)
			})
			tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
				return net.Dial("tcp", r.Addr)
			}}
			defer tr.CloseIdleConnections()
			var in io.Reader = bytes.NewReader(body)
			if chunked {
				in = io.MultiReader(in) // hides the size
			}
			begin := time.Now()
			res, err := (&http.Client{Transport: tr}).Post("http://a.example/", "x/y", in)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			h := sha256.New()
			n, err := io.Copy(h, res.Body)
			if err != nil || n != size || [32]byte(h.Sum(nil)) != want {
				t.Errorf("%d bytes back, %v", n, err)
			}
			t.Logf("%d MiB there and back in %v", size>>20, time.Since(begin))
			r.wantOne(flow.RuleMatched)
		})
	}
}
