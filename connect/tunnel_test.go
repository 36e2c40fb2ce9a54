// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package connect

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/echprobe"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab/client"
	"github.com/sallyport/sallyport/proxypath"
	"github.com/sallyport/sallyport/proxypath/proxytest"
)

// dashed makes a sentence the name of a test.
func dashed(s string) string { return strings.NewReplacer(" ", "-", ",", "", ":", "").Replace(s) }

// Requests that get no tunnel: each is told why, recorded once, and nobody is
// dialled for it.
func TestRefusedTunnels(t *testing.T) {
	const a = "a.example:443"
	tests := map[string]struct {
		target string
		fields string // "Host: target" when ""
		status int
		reason flow.Reason
	}{
		"a name that no rule knows":                          {"evil.example:443", "", 403, flow.NameNotAllowed},
		"a name above an allowed wildcard":                   {"sub.example:443", "", 403, flow.NameNotAllowed},
		"B14 port 22 of a name that is allowed on 443":       {"a.example:22", "", 403, flow.PortNotAllowed},
		"B14 an address":                                     {"20.0.0.1:443", "", 403, flow.AddressNotAllowed},
		"B14 another port of an allowed address":             {"20.0.0.9:22", "", 403, flow.PortNotAllowed},
		"B14 an IPv6 address":                                {"[2600::1]:443", "", 403, flow.AddressNotAllowed},
		"a name that is allowed over plain HTTP":             {"plain.example:80", "", 403, flow.ProtocolMismatch},
		"a name that another source may reach":               {"pods.example:443", "", 403, flow.SourceNotAllowed},
		"a name whose rule has ended":                        {"old.example:443", "", 403, flow.RuleExpired},
		"B34 the proxy's own address though a rule holds it": {"20.0.0.100:443", "", 403, flow.SpecialAddress},
		"B34 a loopback address though a rule holds it":      {"127.0.0.1:443", "", 403, flow.SpecialAddress},
		"the metadata service though a rule holds it":        {"169.254.169.254:80", "", 403, flow.SpecialAddress},
		"B34 a name that leads to the proxy itself":          {"loop.example:443", "", 403, flow.SpecialAddress},
		"B34 a name that leads to loopback":                  {"local.example:443", "", 403, flow.SpecialAddress},
		"a name that leads to the metadata service":          {"meta.example:443", "", 403, flow.SpecialAddress},
		"a name that leads to a private address":             {"private.example:443", "", 403, flow.PrivateAddress},
		"a name that leads nowhere":                          {"y.sub.example:443", "", 502, flow.UpstreamFailed},
		"B35 an underscore":                                  {"a_b.example:443", "", 400, flow.InvalidName},
		"B35 a letter that looks like another":               {"\u0430.example:443", "", 400, flow.InvalidName},
		"B35 an escaped zero byte":                           {"a.example%00:443", "", 400, flow.InvalidName},
		"B35 254 characters":                                 {strings.Repeat("a.", 123) + "examples:443", "", 400, flow.InvalidName},
		"B13 a user in the target":                           {"x@a.example:443", "", 400, flow.AmbiguousHost},
		"B13 a list in the target":                           {"a.example,b.example:443", "", 400, flow.AmbiguousHost},
		"B13 a path in the target":                           {"a.example:443/x", "", 400, flow.AmbiguousHost},
		"B13 a URI as target":                                {"https://a.example:443", "", 400, flow.AmbiguousHost},
		"B13 no port":                                        {"a.example", "", 400, flow.MalformedRequest},
		"B13 port 0":                                         {"a.example:0", "", 400, flow.MalformedRequest},
		"B13 a port with a leading zero":                     {"a.example:0443", "", 400, flow.MalformedRequest},
		"B13 a port too large":                               {"a.example:65979", "", 400, flow.MalformedRequest},
		"B13 an address in another spelling":                 {"020.0.0.9:443", "", 403, flow.AddressAsName},
		"B13 an address as one number":                       {"335544329:443", "", 403, flow.AddressAsName},
		"B13 an IPv4 address inside IPv6":                    {"[::ffff:20.0.0.9]:443", "", 403, flow.AddressAsName},
		"B13 an IPv4 address in brackets":                    {"[20.0.0.9]:443", "", 403, flow.AddressAsName},
		"B13 an IPv6 address without brackets":               {"2600::9:443", "", 403, flow.AddressAsName},
		"B13 an IPv6 address with a zone":                    {"[fe80::1%25lo]:443", "", 403, flow.AddressAsName},
		"B13 another Host":                                   {a, "Host: b.example:443\r\n", 400, flow.AmbiguousHost},
		"B13 another port in Host":                           {a, "Host: a.example:444\r\n", 400, flow.AmbiguousHost},
		"B13 two Hosts":                                      {a, "Host: a.example:443\r\nHost: a.example:443\r\n", 400, flow.AmbiguousHost},
		"B13 no Host in HTTP/1.1":                            {a, "Accept: */*\r\n", 400, flow.AmbiguousHost},
		"B13 a body":                                         {a, "Host: a.example:443\r\nContent-Length: 5\r\n", 400, flow.MalformedRequest},
		"B13 a chunked body":                                 {a, "Host: a.example:443\r\nTransfer-Encoding: chunked\r\n", 400, flow.MalformedRequest},
		"B13 a folded field":                                 {a, "Host: a.example:443\r\n x: y\r\n", 400, flow.MalformedRequest},
	}
	for about, tt := range tests {
		t.Run(dashed(about), func(t *testing.T) {
			t.Parallel()
			r := start(t, proxypath.Limits{})
			c, br := r.Dial()
			fields := tt.fields
			if fields == "" {
				fields = "Host: " + tt.target + "\r\n"
			}
			r.Send(c, "CONNECT "+tt.target+" HTTP/1.1\r\n"+fields+"\r\n")
			res, body := r.Read(br, "GET")
			if res.StatusCode != tt.status || res.Header.Get("X-Sallyport-Reason") != tt.reason.String() || !res.Close {
				t.Errorf("got %d %v", res.StatusCode, res.Header)
			}
			if strings.Count(body, "\n") != 1 || !strings.Contains(body, tt.reason.Text()) {
				t.Errorf("told %q", body)
			}
			if rest, err := io.ReadAll(br); err != nil || len(rest) > 0 {
				t.Errorf("behind the answer: %q %v", rest, err)
			}
			if e := r.wantOne(tt.reason); e.Flow.Proof != flow.Unproved && e.Flow.Proof != flow.ByHost && e.Flow.Proof != flow.ByAddress {
				t.Errorf("record %+v", e)
			}
			if d := get(r, &r.Dialled); len(d) > 0 {
				t.Errorf("dialled %v", d)
			}
		})
	}
}

func TestAServerThatCannotBeReachedIsToldAsSuch(t *testing.T) {
	for _, target := range []string{"dead.example:443", "20.0.0.9:443"} {
		r := start(t, proxypath.Limits{})
		c, br := r.Dial()
		r.Send(c, "CONNECT "+target+" HTTP/1.1\r\nHost: "+target+"\r\n\r\n")
		if res, _ := r.Read(br, "GET"); res.StatusCode != 502 {
			t.Errorf("%s: %d", target, res.StatusCode)
		}
		r.wantOne(flow.UpstreamFailed)
	}
}

// What is wrong inside a tunnel that was answered: both sides are reset, neither
// has seen a byte of the other, and there is one record.
func TestDeniedInside(t *testing.T) {
	h := func(name string) string { return string(proxytest.Hello(t, name)) }
	records := func(n int) string { // one byte of the hello in each record
		var b bytes.Buffer
		for _, c := range proxytest.Hello(t, "a.example")[5:][:n] {
			b.Write([]byte{22, 3, 1, 0, 1, c})
		}
		return b.String()
	}
	noName := proxytest.Hello(t, "a.example", func(c *tls.Config) { c.ServerName = "20.0.0.9" }) // crypto/tls leaves addresses out
	asAddress := bytes.Replace(proxytest.Hello(t, "aa.example"), []byte("aa.example"), []byte("20.0.0.100"), 1)
	invalid := bytes.Replace(proxytest.Hello(t, "a.example"), []byte("a.example"), []byte("a_example"), 1)
	ech := bytes.Replace(proxytest.Hello(t, "a.example"), []byte{0, 23, 0, 0}, []byte{0xfe, 0x08, 0, 0}, 1) // extended_master_secret becomes a draft's ECH
	grease, err := client.WithGREASE(proxytest.Hello(t, "a.example"))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		sent   string
		ends   bool // the client says that it has sent all
		reason flow.Reason
		name   string // in the record
	}{
		"B14 another allowed name":           {h("b.example"), false, flow.NameAddressMismatch, "b.example"},
		"B14 a name that no rule knows":      {h("evil.example"), false, flow.NameNotAllowed, "evil.example"},
		"B14 a name allowed to pods alone":   {h("pods.example"), false, flow.SourceNotAllowed, "pods.example"},
		"B15 a nested CONNECT":               {"CONNECT evil.example:443 HTTP/1.1\r\n\r\n", false, flow.NotTLS, "a.example"},
		"B11 plain HTTP":                     {"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", false, flow.NotTLS, "a.example"},
		"B11 the preface of HTTP/2":          {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false, flow.NotTLS, "a.example"},
		"SSH":                                {"SSH-2.0-x\r\n", false, flow.NotTLS, "a.example"},
		"an SSL 2.0 hello":                   {"\x80\x2e\x01\x03\x01", false, flow.NotTLS, "a.example"},
		"B04 no name":                        {string(noName), false, flow.NoName, "a.example"},
		"B04 an address as name":             {string(asAddress), false, flow.AddressAsName, "20.0.0.100"},
		"B35 a name that is none":            {string(invalid), false, flow.InvalidName, "a_example"},
		"B05 a hidden name":                  {string(ech), false, flow.EncryptedHello, "a.example"},
		"B05 ECH to a server that knows it":  {string(grease), false, flow.EncryptedHello, "a.example"},
		"half a hello that stops":            {h("a.example")[:100], false, flow.HelloTimeout, "a.example"},
		"half a hello that ends":             {h("a.example")[:100], true, flow.MalformedHello, "a.example"},
		"nothing":                            {"", false, flow.HelloTimeout, "a.example"},
		"nothing and the end":                {"", true, flow.NotTLS, "a.example"},
		"B07 an empty record":                {"\x16\x03\x01\x00\x00" + h("a.example"), false, flow.MalformedHello, "a.example"},
		"B07 a hello over seventeen records": {records(17), false, flow.HelloTooLong, "a.example"},
		"B06 a hello of more than 16 KiB":    {"\x16\x03\x01\x20\x00\x01\x00\x40\x01", false, flow.HelloTooLong, "a.example"},
	}
	for about, tt := range tests {
		t.Run(dashed(about), func(t *testing.T) {
			t.Parallel()
			r := start(t, proxypath.Limits{})
			got := r.collect(addrA)
			c, br := r.tunnel("a.example:443")
			r.Send(c, tt.sent)
			if tt.ends {
				_ = c.CloseWrite()
			}
			r.WantReset(br)
			e := r.wantOne(tt.reason)
			seen := e.Flow.Name.String() + string(e.NameBytes[:e.NameLen])
			if seen != tt.name || e.Flow.Dst != addrA || e.Flow.Port != 443 {
				t.Errorf("record of %s, %+v", seen, e.Flow)
			}
			if b := got(); b != "reset" {
				t.Errorf("the server got %q, want a reset alone", b)
			}
			if n := len(get(r, &r.Closed)); n > 0 {
				t.Errorf("%d close records of a flow that never was", n)
			}
		})
	}
}

func TestECHInATunnelToAServerWithoutIt(t *testing.T) {
	r := start(t, proxypath.Limits{})
	r.Set(func() { r.ech = echprobe.Ignored })
	got := r.collect(addrA)
	hello, err := client.WithGREASE(proxytest.Hello(t, "a.example"))
	if err != nil {
		t.Fatal(err)
	}
	c, _ := r.tunnel("a.example:443")
	r.Send(c, string(hello))
	_ = c.CloseWrite()
	if b := got(); b != string(hello) {
		t.Errorf("the server got %d bytes", len(b))
	}
	r.wantOne(flow.RuleMatched)
}

// A server that speaks first waits for the verdict as its client does.
func TestAServerThatSpeaksFirstIsNotHeardBeforeTheVerdict(t *testing.T) {
	r := start(t, proxypath.Limits{})
	r.serveRaw(addrA, func(c net.Conn) {
		_, _ = io.WriteString(c, "SSH-2.0-server\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	_, br := r.tunnel("a.example:443")
	r.WantReset(br)
	r.wantOne(flow.HelloTimeout)
}

// B15: what comes before our answer was not asked for.
func TestBytesBehindCONNECTBeforeItsAnswerAreRefused(t *testing.T) {
	for about, tt := range map[string]struct {
		target string
		later  bool // the bytes come while the server is being reached
	}{
		"in the same segment":           {"a.example:443", false},
		"while the server is dialled":   {"a.example:443", true},
		"to a rule that reads nothing":  {"raw.example:22", false},
		"to an address, while dialling": {"20.0.0.9:443", true},
	} {
		t.Run(dashed(about), func(t *testing.T) {
			t.Parallel()
			r := start(t, proxypath.Limits{})
			got := r.collect(addrA)
			gotRaw := r.collect(addrRaw)
			request := "CONNECT " + tt.target + " HTTP/1.1\r\nHost: " + tt.target + "\r\n\r\n"
			c, br := r.Dial()
			early := string(proxytest.Hello(t, "a.example"))
			if !tt.later {
				r.Send(c, request+early)
			} else {
				r.Set(func() {
					r.atDial = func() {
						_, _ = io.WriteString(c, early)
						time.Sleep(50 * time.Millisecond)
					}
				})
				r.Send(c, request)
			}
			if res, _ := r.Read(br, "GET"); res.StatusCode != 400 {
				t.Errorf("got %d", res.StatusCode)
			}
			e := r.wantOne(flow.MalformedRequest)
			if !strings.Contains(e.Detail, "before its answer") {
				t.Errorf("detail %q", e.Detail)
			}
			if !tt.later {
				if d := get(r, &r.Dialled); len(d) > 0 {
					t.Errorf("dialled %v", d)
				}
				return
			}
			if tt.target == "20.0.0.9:443" {
				got = gotRaw
			}
			if b := got(); b != "" {
				t.Errorf("the server got %q", b)
			}
		})
	}
}

// A rule about the address that a name leads to does not spare the name.
func TestANameOnAnAddressThatARuleHoldsIsStillProved(t *testing.T) {
	for sni, want := range map[string]flow.Reason{
		"a.example": flow.RuleMatched, "b.example": flow.NameAddressMismatch, "evil.example": flow.NameNotAllowed,
	} {
		r := start(t, proxypath.Limits{})
		r.Set(func() { r.names["a.example"] = []string{addrRaw.String()} })
		r.serveRaw(addrRaw, func(c net.Conn) { _, _ = io.Copy(c, c) })
		c, _ := r.tunnel("a.example:443")
		r.Send(c, string(proxytest.Hello(t, sni)))
		if e := r.wantOne(want); e.Flow.Name.String() != sni || allowed(e.Decision) != (e.Flow.Proof == flow.ByConnect) {
			t.Errorf("%s: record %+v", sni, e.Flow)
		}
	}
}

// Lawful hellos pass in whatever pieces they come.
func TestHellosInPiecesPass(t *testing.T) {
	whole := proxytest.Hello(t, "a.example")
	split := func(at int) []byte { // into two records
		body := whole[5:]
		record := func(b []byte) []byte { return append([]byte{22, 3, 1, byte(len(b) >> 8), byte(len(b))}, b...) }
		return append(record(body[:at]), record(body[at:])...)
	}
	for about, tt := range map[string]struct {
		sent  []byte
		piece int
	}{
		"B06 in segments of one byte":              {whole, 1},
		"B06 in segments of a hundred bytes":       {whole, 100},
		"B07 over two records":                     {split(60), len(whole) + 5},
		"B07 over two records, one byte each time": {split(3), 1},
		"in upper case":                            {bytes.Replace(whole, []byte("a.example"), []byte("A.eXample"), 1), len(whole)},
		"with bytes behind it":                     {append(bytes.Clone(whole), "more"...), len(whole) + 4},
	} {
		t.Run(dashed(about), func(t *testing.T) {
			t.Parallel()
			r := start(t, proxypath.Limits{})
			r.serveRaw(addrA, func(c net.Conn) { _, _ = io.Copy(c, c) })
			c, br := r.tunnel("a.example:443")
			_ = c.SetNoDelay(true)
			for b := tt.sent; len(b) > 0; {
				n := min(tt.piece, len(b))
				r.Send(c, string(b[:n]))
				b = b[n:]
				if tt.piece == 1 && len(b)%8 == 0 {
					time.Sleep(time.Millisecond / 4) // so that most of them are segments of their own
				}
			}
			back := make([]byte, len(tt.sent))
			if _, err := io.ReadFull(br, back); err != nil || !bytes.Equal(back, tt.sent) {
				t.Fatalf("not what was sent comes back: %v", err)
			}
			if e := r.wantOne(flow.RuleMatched); e.Flow.Proof != flow.ByConnect {
				t.Errorf("proof %v", e.Flow.Proof)
			}
		})
	}
}

// Forms of a request that real clients send.
func TestFormsOfCONNECT(t *testing.T) {
	for about, request := range map[string]string{
		"as curl sends it":                        "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nUser-Agent: curl/8\r\nProxy-Connection: Keep-Alive\r\n\r\n",
		"as Java sends it":                        "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\nProxy-Connection: keep-alive\r\n\r\n",
		"as Python before 3.12 and socat send it": "CONNECT a.example:443 HTTP/1.0\r\n\r\n",
		"in upper case with a final dot":          "CONNECT A.Example.:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
		"with an empty body":                      "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(dashed(about), func(t *testing.T) {
			t.Parallel()
			r := start(t, proxypath.Limits{})
			r.serveRaw(addrA, func(c net.Conn) { _, _ = io.Copy(c, c) })
			c, br := r.Dial()
			r.Send(c, request)
			want := "HTTP/1.1 200 Connection established\r\n\r\n"
			head := make([]byte, len(want))
			if _, err := io.ReadFull(br, head); err != nil || string(head) != want {
				t.Fatalf("%q %v", head, err)
			}
			sent := proxytest.Hello(t, "a.example")
			r.Send(c, string(sent))
			back := make([]byte, len(sent))
			if _, err := io.ReadFull(br, back); err != nil || !bytes.Equal(back, sent) {
				t.Errorf("%v", err)
			}
		})
	}
}

// Rules about raw TCP and about addresses let any bytes through, also those of a
// server that speaks first, and say in the record how little is proved.
func TestTunnelsThatAreNotLookedInto(t *testing.T) {
	for target, want := range map[string]struct {
		dst    netip.Addr
		proof  flow.Proof
		reason flow.Reason
	}{
		"raw.example:22":   {addrA, flow.ByDNS, flow.RuleMatched},
		"both.example:443": {addrA, flow.ByDNS, flow.RuleMatched},
		"20.0.0.9:443":     {addrRaw, flow.ByAddress, flow.AddressMatched},
		"[2600::9]:443":    {addrRaw6, flow.ByAddress, flow.AddressMatched},
	} {
		t.Run(dashed(target), func(t *testing.T) {
			t.Parallel()
			r := start(t, proxypath.Limits{})
			r.serveRaw(want.dst, func(c net.Conn) {
				_, _ = io.WriteString(c, "SSH-2.0-server\r\n")
				_, _ = io.Copy(c, c)
			})
			c, br := r.tunnel(target)
			if line, _ := br.ReadString('\n'); line != "SSH-2.0-server\r\n" {
				t.Fatalf("got %q", line)
			}
			r.Send(c, "CONNECT x HTTP/1.1\r\n")
			_ = c.CloseWrite()
			if b, err := io.ReadAll(br); err != nil || string(b) != "CONNECT x HTTP/1.1\r\n" {
				t.Errorf("%q %v", b, err)
			}
			e := r.wantOne(want.reason)
			if e.Flow.Proof != want.proof || e.Flow.App != flow.Raw || e.Flow.Dst != want.dst {
				t.Errorf("record %+v", e)
			}
			if cl := r.WantClosed(1)[0]; cl.BytesOut != 20 || cl.BytesIn != 36 {
				t.Errorf("close record %+v", cl)
			}
		})
	}
}

// What one side ends, the other hears, and the way back stays open.
func TestHalfClosesAreCarriedOver(t *testing.T) {
	for _, first := range []string{"client", "server"} {
		t.Run(first, func(t *testing.T) {
			r := start(t, proxypath.Limits{})
			got := make(chan string, 1)
			r.serveRaw(addrA, func(c net.Conn) {
				if first == "server" {
					_, _ = io.WriteString(c, "bye")
					_ = c.(*net.TCPConn).CloseWrite()
				}
				b, _ := io.ReadAll(c)
				got <- string(b)
				if first == "client" {
					_, _ = io.WriteString(c, "bye")
				}
			})
			c, br := r.tunnel("a.example:443")
			sent := string(proxytest.Hello(t, "a.example"))
			r.Send(c, sent)
			if first == "server" {
				if b, err := io.ReadAll(br); err != nil || string(b) != "bye" {
					t.Errorf("%q %v", b, err)
				}
			}
			const later = "\x17\x03\x03\x00\x05later" // which may come before the server's answer
			r.Send(c, later)
			_ = c.CloseWrite()
			if b := <-got; b != sent+later {
				t.Errorf("the server got %d bytes, want %d", len(b), len(sent)+len(later))
			}
			if first == "client" {
				if b, err := io.ReadAll(br); err != nil || string(b) != "bye" {
					t.Errorf("%q %v", b, err)
				}
			}
			if cl := r.WantClosed(1)[0]; cl.BytesOut != uint64(len(sent)+len(later)) || cl.BytesIn != 3 {
				t.Errorf("close record %+v", cl)
			}
		})
	}
}

func TestMuchPassesBothWaysAtOnce(t *testing.T) {
	r := start(t, proxypath.Limits{})
	r.serveRaw(addrA, func(c net.Conn) { _, _ = io.Copy(c, c) })
	c, br := r.tunnel("raw.example:22")
	const size = 64 << 20
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	chunk := bytes.Repeat([]byte("sallyport"), 1<<13)
	sum, back := sha256.New(), sha256.New()
	done := make(chan error, 1)
	go func() {
		n, err := io.Copy(back, br)
		if err == nil && n != size/int64(len(chunk))*int64(len(chunk)) {
			err = io.ErrUnexpectedEOF
		}
		done <- err
	}()
	for range size / len(chunk) {
		sum.Write(chunk)
		if _, err := c.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	_ = c.CloseWrite()
	if err := <-done; err != nil || !bytes.Equal(sum.Sum(nil), back.Sum(nil)) {
		t.Errorf("not what was sent comes back: %v", err)
	}
	n := uint64(size / len(chunk) * len(chunk))
	if cl := r.WantClosed(1)[0]; cl.BytesOut != n || cl.BytesIn != n {
		t.Errorf("close record %+v", cl)
	}
}

func TestAnIdleTunnelIsCut(t *testing.T) {
	r := start(t, proxypath.Limits{Stall: time.Second})
	r.serveRaw(addrA, func(c net.Conn) { _, _ = io.Copy(c, c) })
	c, br := r.tunnel("raw.example:22")
	for range 10 { // longer than the limit in all
		time.Sleep(150 * time.Millisecond)
		r.Send(c, "x")
		if _, err := br.ReadByte(); err != nil {
			t.Fatalf("cut while something moves: %v", err)
		}
	}
	begin := time.Now()
	r.WantReset(br)
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("cut after %v", took)
	}
	if cl := r.WantClosed(1)[0]; cl.BytesOut != 10 || cl.BytesIn != 10 {
		t.Errorf("close record %+v", cl)
	}
}

func TestTooManyConnectionsAreRefused(t *testing.T) {
	r := start(t, proxypath.Limits{PerSource: 2})
	r.serveRaw(addrA, func(c net.Conn) { _, _ = io.Copy(c, c) })
	first, _ := r.tunnel("raw.example:22")
	r.tunnel("raw.example:22")
	r.Recorded(2)                                      // which are written behind the answer
	if c, err := net.Dial("tcp", r.Addr); err == nil { // else the reset was here before the dial was over
		r.WantReset(c)
		_ = c.Close()
	}
	if e := r.Recorded(3)[2]; e.Decision.Reason != flow.Overload {
		t.Errorf("record %+v", e)
	}
	r.Set(func() { r.src = netip.MustParseAddr("10.240.0.7") })
	r.tunnel("raw.example:22") // another source has its own room
	r.Set(func() { r.src = netip.Addr{} })
	_ = first.Close()
	r.WantClosed(1)
	for range 100 { // its place is free a moment after its close record
		if c, err := net.Dial("tcp", r.Addr); err == nil {
			_, _ = io.WriteString(c, "CONNECT raw.example:22 HTTP/1.0\r\n\r\n")
			line, err := bufio.NewReader(c).ReadString('\n')
			_ = c.Close()
			if err == nil && strings.Contains(line, " 200 ") {
				return
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("a place that was left is not given again")
}

// A client elsewhere is judged by its own address.
func TestTheSourceIsJudged(t *testing.T) {
	for src, want := range map[string]flow.Reason{
		"10.240.0.9": flow.RuleMatched, "10.244.0.9": flow.SourceNotAllowed, "192.168.1.1": flow.SourceNotAllowed,
	} {
		r := start(t, proxypath.Limits{})
		r.serveRaw(addrA, func(c net.Conn) { _, _ = io.Copy(c, c) })
		r.Set(func() { r.src = netip.MustParseAddr(src) })
		c, br := r.Dial()
		r.Send(c, "CONNECT raw.example:22 HTTP/1.0\r\n\r\n")
		if line, _ := br.ReadString('\n'); strings.Contains(line, " 200 ") != (want == flow.RuleMatched) {
			t.Errorf("%s: %q", src, line)
		}
		if e := r.wantOne(want); e.Flow.Src.String() != src {
			t.Errorf("%s: record %+v", src, e)
		}
	}
}

// The end of a rule cuts the tunnels that it allowed, with a record.
func TestSweepCutsWhatIsNoLongerAllowed(t *testing.T) {
	r := start(t, proxypath.Limits{})
	r.Set(func() { r.now = noon.Add(-time.Hour); r.names["old.example"] = []string{addrA.String()} })
	r.serveRaw(addrA, func(c net.Conn) { _, _ = io.Copy(c, c) })
	open := func(name string) io.Reader {
		c, br := r.tunnel(name + ":443")
		sent := proxytest.Hello(t, name)
		r.Send(c, string(sent))
		if _, err := io.ReadFull(br, sent); err != nil {
			t.Fatal(err)
		}
		return br
	}
	old, kept := open("old.example"), open("a.example")
	if n := r.proxy.Sweep(); n != 0 {
		t.Errorf("%d cut before the end", n)
	}
	r.Set(func() { r.now = noon })
	if n := r.proxy.Sweep(); n != 1 {
		t.Errorf("%d cut", n)
	}
	r.WantReset(old)
	if e := r.Recorded(3)[2]; e.Decision.Reason != flow.RuleExpired {
		t.Errorf("record %+v", e)
	}
	r.WantClosed(1)
	r.Stop()
	r.WantReset(kept)
}

func TestServeEndsWithTunnelsInEveryState(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("serve", func(t *testing.T) {
		r := start(t, proxypath.Limits{})
		r.serveRaw(addrA, func(c net.Conn) { _, _ = io.Copy(c, c) })
		_, open := r.tunnel("raw.example:22")
		_, held := r.tunnel("a.example:443")
		idle, half := r.half("CONN"), r.half("CONNECT a.example:443 HTTP/1.1\r\nHo")
		r.Recorded(1)
		begin := time.Now()
		r.Stop()
		for _, br := range []io.Reader{open, held, idle, half} {
			r.WantReset(br)
		}
		if err := <-r.Ended; err != nil || time.Since(begin) > time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		r.Ended <- nil
		for _, e := range r.Recorded(len(get(r, &r.Events))) {
			if e.Flow.Name.String() == "a.example" && allowed(e.Decision) {
				t.Errorf("a tunnel without a hello was let through: %+v", e)
			}
		}
	})
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

// half sends the beginning of a request.
func (r *rig) half(s string) io.Reader {
	c, br := r.Dial()
	r.Send(c, s)
	return br
}

// What was decided by rules that are gone does not begin, though no sweep saw it.
func TestRulesThatChangeWhileAServerIsDialledHaveTheLastWord(t *testing.T) {
	r := start(t, proxypath.Limits{})
	got := r.collect(addrA)
	r.Set(func() {
		r.atDial = func() {
			p := aProgram()
			p.Rules = nil
			r.Set(func() { r.rules = decide.New(p) })
		}
	})
	_, br := r.tunnel("raw.example:22")
	r.WantReset(br)
	if b := got(); b != "reset" {
		t.Errorf("the server got %q", b)
	}
	if e := r.wantOne(flow.NameNotAllowed); e.Detail != "the rules have changed" {
		t.Errorf("detail %q", e.Detail)
	}
}
