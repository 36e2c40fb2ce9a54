// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package connect

import (
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/proxypath"
	"github.com/sallyport/sallyport/proxypath/proxytest"
)

// Requests that go nowhere: told, recorded once, nobody dialled.
func TestRefusedRequests(t *testing.T) {
	get := func(target, host string) string { return "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n" }
	tests := map[string]struct {
		request string
		status  int
		reason  flow.Reason
	}{
		"a name that no rule knows":                     {get("http://evil.example/", "evil.example"), 403, flow.NameNotAllowed},
		"another port":                                  {get("http://plain.example:81/", "plain.example:81"), 403, flow.PortNotAllowed},
		"plain HTTP to a name that is allowed over TLS": {get("http://a.example:443/", "a.example:443"), 403, flow.ProtocolMismatch},
		"an address":                                    {get("http://20.0.0.1/", "20.0.0.1"), 403, flow.AddressNotAllowed},
		"B34 loopback though a rule holds it":           {get("http://127.0.0.1/", "127.0.0.1"), 403, flow.SpecialAddress},
		"the metadata service though a rule holds it":   {get("http://169.254.169.254/", "169.254.169.254"), 403, flow.SpecialAddress},
		"B34 a name that leads to the proxy itself":     {get("http://loop.example/", "loop.example"), 403, flow.SpecialAddress},
		"a request for a server":                        {get("/", "plain.example"), 400, flow.MalformedRequest},
		"B13 an absolute URI against Host":              {get("http://plain.example/", "plain2.example"), 400, flow.AmbiguousHost},
		"B13 an absolute URI against Host in its port":  {get("http://plain.example:8080/", "plain.example"), 400, flow.AmbiguousHost},
		"B13 two Hosts":                                 {"GET http://plain.example/ HTTP/1.1\r\nHost: plain.example\r\nHost: plain.example\r\n\r\n", 400, flow.AmbiguousHost},
		"B13 a user in the URI":                         {get("http://x@plain.example/", "plain.example"), 400, flow.AmbiguousHost},
		"B13 a chunked body with a length":              {"POST http://plain.example/ HTTP/1.1\r\nHost: plain.example\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, flow.MalformedRequest},
		"a URI of https":                                {get("https://a.example/", "a.example"), 400, flow.MalformedRequest},
		"a URI of ftp":                                  {get("ftp://plain.example/", "plain.example"), 400, flow.MalformedRequest},
		"a target as of CONNECT":                        {get("plain.example:80", "plain.example"), 400, flow.MalformedRequest},
		"B11 an upgrade":                                {"GET http://plain.example/ HTTP/1.1\r\nHost: plain.example\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", 403, flow.UpgradeRefused},
		"B11 an upgrade to h2c by address":              {"GET http://20.0.0.9/ HTTP/1.1\r\nHost: 20.0.0.9\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", 403, flow.UpgradeRefused},
	}
	for about, tt := range tests {
		t.Run(dashed(about), func(t *testing.T) {
			t.Parallel()
			r := start(t, proxypath.Limits{})
			c, br := r.Dial()
			r.Send(c, tt.request)
			res, body := r.Read(br, "GET")
			if res.StatusCode != tt.status || res.Header.Get("X-Sallyport-Reason") != tt.reason.String() || !strings.Contains(body, tt.reason.Text()) {
				t.Errorf("got %d %v %q", res.StatusCode, res.Header, body)
			}
			r.wantOne(tt.reason)
			if len(r.Dialled) > 0 {
				t.Errorf("dialled %v", r.Dialled)
			}
		})
	}
}

// What reaches a server is the request as it came, in origin form and without
// what was for the proxy.
func TestTheServerReadsOriginForm(t *testing.T) {
	tests := map[string]struct{ sent, want string }{
		"a path and a query": {
			"GET http://plain.example/a%20b?c=d HTTP/1.1\r\nHost: plain.example\r\nX:  y \r\n\r\n",
			"GET /a%20b?c=d HTTP/1.1\r\nHost: plain.example\r\nX:  y \r\n\r\n",
		},
		"no path":             {"GET http://plain.example HTTP/1.1\r\nHost: plain.example\r\n\r\n", "GET / HTTP/1.1\r\nHost: plain.example\r\n\r\n"},
		"a query alone":       {"GET http://plain.example?x HTTP/1.1\r\nHost: plain.example\r\n\r\n", "GET /?x HTTP/1.1\r\nHost: plain.example\r\n\r\n"},
		"OPTIONS of a server": {"OPTIONS http://plain.example HTTP/1.1\r\nHost: plain.example\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: plain.example\r\n\r\n"},
		"OPTIONS of a path":   {"OPTIONS http://plain.example/ HTTP/1.1\r\nHost: plain.example\r\n\r\n", "OPTIONS / HTTP/1.1\r\nHost: plain.example\r\n\r\n"},
		"another spelling":    {"GET HTTP://Plain.Example:80/ HTTP/1.1\r\nhost: plain.example\r\n\r\n", "GET / HTTP/1.1\r\nhost: plain.example\r\n\r\n"},
		"an address":          {"GET http://20.0.0.9/ HTTP/1.1\r\nHost: 20.0.0.9\r\n\r\n", "GET / HTTP/1.1\r\nHost: 20.0.0.9\r\n\r\n"},
		"what is for the proxy": {
			"POST http://plain.example:8080/x HTTP/1.1\r\nProxy-Authorization: Basic c2VjcmV0\r\nHost: plain.example:8080\r\nPROXY-CONNECTION: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
			"POST /x HTTP/1.1\r\nHost: plain.example:8080\r\nContent-Length: 2\r\n\r\nhi",
		},
	}
	for about, tt := range tests {
		t.Run(dashed(about), func(t *testing.T) {
			t.Parallel()
			r := start(t, proxypath.Limits{})
			got := make(chan string, 1)
			play := func(c net.Conn) {
				b := make([]byte, len(tt.want))
				_, _ = io.ReadFull(c, b)
				got <- string(b)
				_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
				_, _ = io.Copy(io.Discard, c)
			}
			r.serveRaw(addrA, play)
			r.serveRaw(addrRaw, play)
			c, br := r.Dial()
			for i := range len(tt.sent) { // one byte each time
				r.Send(c, tt.sent[i:i+1])
			}
			if b := <-got; b != tt.want {
				t.Errorf("the server got\n%q, want\n%q", b, tt.want)
			}
			if res, _ := r.Read(br, "GET"); res.StatusCode != 204 {
				t.Errorf("got %d", res.StatusCode)
			}
			r.Recorded(1)
		})
	}
}

// B12: every request on a kept connection is decided, and goes where it says.
func TestEveryRequestIsDecided(t *testing.T) {
	r := start(t, proxypath.Limits{})
	r.serve(addrA, false, echo)
	c, br := r.Dial()
	for _, tt := range []struct{ host, body string }{
		{"plain.example", ""}, {"plain.example", "5\r\nhello\r\n0\r\n\r\n"}, {"plain2.example", ""}, {"plain.example:8080", ""}, {"plain.example", ""},
	} {
		request, fields, want := "GET", "", ""
		if tt.body != "" {
			request, fields, want = "POST", "Transfer-Encoding: chunked\r\n", "hello"
		}
		r.Send(c, request+" http://"+tt.host+"/x HTTP/1.1\r\nHost: "+tt.host+"\r\n"+fields+"\r\n"+tt.body)
		if res, body := r.Read(br, request); res.StatusCode != 200 || body != tt.host+" /x "+want {
			t.Fatalf("%s: %d %q", tt.host, res.StatusCode, body)
		}
	}
	// Pipelined: the second is refused, and what follows it is not looked at.
	r.Send(c, "GET http://plain.example/ HTTP/1.1\r\nHost: plain.example\r\n\r\nGET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\nGET http://plain.example/ HTTP/1.1\r\nHost: plain.example\r\n\r\n")
	if res, _ := r.Read(br, "GET"); res.StatusCode != 200 {
		t.Errorf("got %d", res.StatusCode)
	}
	if res, _ := r.Read(br, "GET"); res.StatusCode != 403 {
		t.Errorf("got %d", res.StatusCode)
	}
	if rest, err := io.ReadAll(br); err != nil || len(rest) > 0 {
		t.Errorf("behind the refusal: %q %v", rest, err)
	}
	events := r.Recorded(7)
	if events[6].Decision.Reason != flow.NameNotAllowed {
		t.Errorf("record %+v", events[6])
	}
	var ports []uint16
	for _, d := range r.Dialled {
		ports = append(ports, d.Port())
	}
	if !slices.Equal(ports, []uint16{80, 80, 8080, 80}) { // one connection is kept: that of the last request
		t.Errorf("dialled ports %v", ports)
	}
	r.WantClosed(6)
}

func TestExpectContinueThroughTheProxy(t *testing.T) {
	r := start(t, proxypath.Limits{})
	r.serve(addrA, false, echo)
	c, br := r.Dial()
	r.Send(c, "POST http://plain.example/x HTTP/1.1\r\nHost: plain.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	if line, _ := br.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q", line)
	}
	_, _ = br.ReadString('\n')
	r.Send(c, "hello")
	if _, body := r.Read(br, "POST"); body != "plain.example /x hello" {
		t.Errorf("got %q", body)
	}
}

// A tunnel may follow requests on the same connection; nothing of the server
// before is left.
func TestATunnelMayFollowARequest(t *testing.T) {
	r := start(t, proxypath.Limits{})
	r.serve(addrA, false, echo)
	r.serveRaw(addrRaw, func(c net.Conn) { _, _ = io.Copy(c, c) })
	c, br := r.Dial()
	r.Send(c, "GET http://plain.example/ HTTP/1.1\r\nHost: plain.example\r\n\r\n")
	r.Read(br, "GET")
	r.Send(c, "CONNECT 20.0.0.9:443 HTTP/1.1\r\nHost: 20.0.0.9:443\r\n\r\n")
	if res, err := http.ReadResponse(br, &http.Request{Method: "CONNECT"}); err != nil || res.StatusCode != 200 {
		t.Fatalf("%v %v", res, err)
	}
	r.Send(c, "ping")
	b := make([]byte, 4)
	if _, err := io.ReadFull(br, b); err != nil || string(b) != "ping" {
		t.Errorf("%q %v", b, err)
	}
	_ = c.Close()
	if cl := r.WantClosed(2)[1]; cl.BytesOut != 4 || cl.BytesIn != 4 {
		t.Errorf("close record %+v", cl)
	}
}

// TLS to the proxy itself, SOCKS and what is no request get no answer that could
// be taken for one.
func TestWhatIsNoRequestIsReset(t *testing.T) {
	for about, sent := range map[string]string{
		"TLS": string(proxytest.Hello(t, "a.example")), "SOCKS 5": "\x05\x01\x00", "SOCKS 4": "\x04\x01\x01\xbb\x14\x00\x00\x01\x00",
		"HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "SSH": "SSH-2.0-x\r\nmore and more and more and more and more",
	} {
		t.Run(dashed(about), func(t *testing.T) {
			r := start(t, proxypath.Limits{})
			c, br := r.Dial()
			r.Send(c, sent)
			r.WantReset(br)
			r.wantOne(flow.NotHTTP)
		})
	}
}
