// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package httphead

import (
	"bufio"
	"bytes"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
)

func TestReadProxyRequest(t *testing.T) {
	tests := map[string]struct {
		head   string
		reason flow.Reason
		place  string // host or address, and port
		port   uint16
	}{
		"a URI":                               {"GET http://A.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n", 0, "a.example", 0},
		"a URI with a port":                   {"GET http://a.example:8080/x HTTP/1.1\r\nHost: a.example:8080\r\n\r\n", 0, "a.example", 8080},
		"a URI with an address":               {"GET http://20.0.0.9/ HTTP/1.1\r\nHost: 20.0.0.9\r\n\r\n", 0, "20.0.0.9", 0},
		"a URI with an IPv6 address":          {"GET http://[2600::9]:81/ HTTP/1.1\r\nHost: [2600::9]:81\r\n\r\n", 0, "2600::9", 81},
		"a tunnel":                            {"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", 0, "a.example", 443},
		"a tunnel to an address":              {"CONNECT 20.0.0.9:443 HTTP/1.1\r\nHost: 20.0.0.9:443\r\n\r\n", 0, "20.0.0.9", 443},
		"a tunnel to an IPv6 address":         {"CONNECT [2600::9]:443 HTTP/1.1\r\nHost: [2600::9]:443\r\n\r\n", 0, "2600::9", 443},
		"a tunnel, Host without its port":     {"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", 0, "a.example", 443},
		"a tunnel of HTTP/1.0 without Host":   {"CONNECT a.example:443 HTTP/1.0\r\n\r\n", 0, "a.example", 443},
		"a tunnel of HTTP/1.0, another Host":  {"CONNECT a.example:443 HTTP/1.0\r\nHost: b.example\r\n\r\n", flow.AmbiguousHost, "", 0},
		"a tunnel without Host":               {"CONNECT a.example:443 HTTP/1.1\r\n\r\n", flow.AmbiguousHost, "", 0},
		"a tunnel to a name, Host an address": {"CONNECT a.example:443 HTTP/1.1\r\nHost: 20.0.0.9:443\r\n\r\n", flow.AmbiguousHost, "", 0},
		"a tunnel without a port":             {"CONNECT a.example HTTP/1.1\r\nHost: a.example\r\n\r\n", flow.MalformedRequest, "", 0},
		"a tunnel with a body":                {"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\n\r\nx", flow.MalformedRequest, "", 0},
		"connect in lower case":               {"connect a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", flow.MalformedRequest, "", 0},
		"a path":                              {"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", flow.MalformedRequest, "", 0},
		"a star":                              {"OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n", flow.MalformedRequest, "", 0},
		"a URI of HTTP/1.0 without Host":      {"GET http://a.example/ HTTP/1.0\r\n\r\n", flow.AmbiguousHost, "", 0},
		"an address in another spelling":      {"GET http://20.0.0.09/ HTTP/1.1\r\nHost: 20.0.0.09\r\n\r\n", flow.AddressAsName, "", 0},
		"an IPv6 address spelt out":           {"CONNECT [2600:0::9]:443 HTTP/1.1\r\nHost: a\r\n\r\n", flow.AddressAsName, "", 0},
		"an IPv6 address that does not end":   {"CONNECT [2600::9:443 HTTP/1.1\r\nHost: a\r\n\r\n", flow.AddressAsName, "", 0},
		"an address with an empty port":       {"CONNECT 20.0.0.9: HTTP/1.1\r\nHost: a\r\n\r\n", flow.MalformedRequest, "", 0},
		"brackets behind an address":          {"CONNECT 20.0.0.9]:443 HTTP/1.1\r\nHost: a\r\n\r\n", flow.InvalidName, "", 0},
	}
	for about, tt := range tests {
		t.Run(strings.NewReplacer(" ", "-", ",", "").Replace(about), func(t *testing.T) {
			r, n, more, reason := ReadProxyRequest([]byte(tt.head))
			if more || reason != tt.reason {
				t.Fatalf("%v, more=%t, want %v", reason, more, tt.reason)
			}
			if reason != flow.NotDecided {
				if n != 0 || !r.Host.IsZero() || r.Addr.IsValid() {
					t.Errorf("denied, and yet %d bytes to %v%v", n, r.Host, r.Addr)
				}
				return
			}
			if got := placeOf(r); got != tt.place || r.Port != tt.port || n != len(tt.head) {
				t.Errorf("%s port %d, %d bytes", got, r.Port, n)
			}
		})
	}
}

func placeOf(r Request) string {
	if r.Addr.IsValid() {
		return r.Addr.String()
	}
	return r.Host.String()
}

// FuzzReadProxyRequest states: nothing panics; an answer about a prefix is the
// answer about the whole; what is accepted, net/http accepts too, for the same
// host; and what a server is sent is shorter, and says the same to the reader
// that a transparent proxy uses.
func FuzzReadProxyRequest(f *testing.F) {
	for _, s := range []string{
		"GET http://a.example/x?y HTTP/1.1\r\nHost: a.example\r\nProxy-Connection: keep-alive\r\n\r\n",
		"POST http://a.example:8080 HTTP/1.1\r\nProxy-Authorization: Basic x\r\nHost: A.example.:8080\r\nContent-Length: 5\r\n\r\nhello",
		"OPTIONS http://a.example HTTP/1.1\r\nHost: a.example:80\r\n\r\n", "GET http://[2600::9]?x HTTP/1.0\r\nHost: [2600::9]\r\n\r\n",
		"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", "CONNECT 20.0.0.9:443 HTTP/1.0\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, n, more, reason := ReadProxyRequest(b)
		step := 1 + len(b)/64
		for k := 0; k < len(b); k += step {
			if _, n2, m2, r2 := ReadProxyRequest(b[:k]); !m2 && (more || n2 != n || r2 != reason) {
				t.Fatalf("%d of %d bytes: %v %d, whole: more=%t %v %d", k, len(b), r2, n2, more, reason, n)
			}
		}
		if more || reason != flow.NotDecided {
			if n != 0 || !r.Host.IsZero() || r.Addr.IsValid() {
				t.Fatalf("denied with %v, yet head of %d bytes to %v%v", reason, n, r.Host, r.Addr)
			}
			return
		}
		if r.Host.IsZero() != r.Addr.IsValid() || r.IsConnect() && (r.Port == 0 || r.Body.Kind != NoBody) {
			t.Fatalf("%q: host %v, address %v, port %d, body %v", b[:n], r.Host, r.Addr, r.Port, r.Body)
		}
		req, err := http.ReadRequest(bufio.NewReaderSize(bytes.NewReader(b), len(b)+1))
		if err != nil {
			t.Fatalf("accepted %q, net/http: %v", b[:n], err)
		}
		if host := req.URL.Hostname(); !r.Addr.IsValid() {
			if name, err := dnsname.Parse(host); err != nil || name != r.Host {
				t.Fatalf("host of %q is %q, net/http %q (%v)", b[:n], r.Host, host, err)
			}
		} else if addr, err := netip.ParseAddr(host); err != nil || addr != r.Addr {
			t.Fatalf("address of %q is %v, net/http %q (%v)", b[:n], r.Addr, host, err)
		}
		if r.IsConnect() {
			return
		}
		head := AppendOrigin(nil, b[:n], r)
		if len(head) >= n {
			t.Fatalf("%q is not shorter than %q", head, b[:n])
		}
		if r.Addr.IsValid() { // ReadRequest takes names alone
			if s, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head))); err != nil || s.URL.Host != "" || s.Method != req.Method {
				t.Fatalf("%q: %v", head, err)
			}
			return
		}
		s, m, more, reason := ReadRequest(head)
		if more || reason != flow.NotDecided || m != len(head) {
			t.Fatalf("%q: more=%t %v, ends at %d", head, more, reason, m)
		}
		if s.Host != r.Host || s.Port != r.Port || s.Body != r.Body || s.KeepAlive != r.KeepAlive || s.Upgrade != r.Upgrade || s.Expect100 != r.Expect100 ||
			s.Minor != r.Minor || string(s.Method) != req.Method || s.Target[0] != '/' && string(s.Target) != "*" {
			t.Fatalf("%q says %+v, %q said %+v", head, s, b[:n], r)
		}
	})
}
