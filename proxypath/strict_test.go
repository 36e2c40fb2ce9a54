// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxypath

import (
	"bufio"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/echprobe"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab/client"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/proxypath/proxytest"
)

// strictly starts a proxy to which the kernel has sent connections to 20.0.0.1:443,
// because a name that leads there has a strict rule.
func strictly(t *testing.T, limits Limits) *rig { return strictlyIn(t, limits, false) }

func strictlyIn(t *testing.T, limits Limits, audit bool) *rig {
	r := startIn(t, limits, audit)
	strict, cdn := allow("a", "a.example", flow.ProtoHTTPS, 443), allow("b", "b.example", flow.ProtoHTTPS, 443)
	strict.Strict = true
	gone, loop, plain := allow("gone", "gone.example", flow.ProtoHTTPS, 443), allow("loop", "loop.example", flow.ProtoHTTPS, 443), allow("plain", "a.example", flow.ProtoHTTP, 443)
	r.Set(func() {
		r.rules = decide.New(&program.Program{Rules: []program.Rule{strict, cdn, gone, loop, plain}})
		r.dst = netip.AddrPortFrom(addrA, 443)
	})
	return r
}

// early is what a client may say behind its hello before the server has answered.
const early = "\x14\x03\x03\x00\x01\x01\x17\x03\x03\x00\x0aearly data"

func TestAStrictRuleDialsWhatTheNameResolvesTo(t *testing.T) {
	for about, tt := range map[string]struct {
		name string
		to   netip.Addr
	}{
		"the client's address, where the name leads there":   {"a.example", addrA},
		"the name's own, where the client chose another":     {"a.example", addrA2},
		"any name with a rule, on an address that is shared": {"b.example", addrA},
	} {
		t.Run(about, func(t *testing.T) {
			r := strictly(t, Limits{})
			hello := proxytest.Hello(t, tt.name)
			r.Set(func() {
				if tt.to == addrA2 {
					r.names["a.example"] = []netip.Addr{addrA2}
				}
			})
			heard := make(chan string, 1)
			r.ServeRaw(tt.to, func(c net.Conn, br *bufio.Reader) {
				b := make([]byte, len(hello)+len(early))
				if _, err := io.ReadFull(br, b); err != nil {
					t.Error(err)
				}
				heard <- string(b)
				_, _ = c.Write([]byte("answer"))
			})
			c, br := r.Dial()
			for i := 0; i < len(hello); i += 100 { // in pieces, as it may come
				r.Send(c, string(hello[i:min(i+100, len(hello))]))
				time.Sleep(time.Millisecond)
			}
			r.Send(c, early)
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(br); err != nil || string(got) != "answer" {
				t.Errorf("the client got %q, %v", got, err)
			}
			if got := <-heard; got != string(hello)+early {
				t.Errorf("the server got %d bytes that are not those of the client", len(got))
			}
			e := r.wantOne(flow.RuleMatched)
			if e.Flow.Dst != tt.to || e.Flow.Proof != flow.ByResolvedSNI || e.Flow.App != flow.TLS || e.Flow.Name.String() != tt.name {
				t.Errorf("record %+v", e.Flow)
			}
			if end := r.WantClosed(1)[0]; end.Tuple.Dst.Addr() != tt.to || end.BytesOut != uint64(len(hello)+len(early)) || end.BytesIn != 6 {
				t.Errorf("end %+v", end)
			}
		})
	}
}

// hiding returns a hello with an ECH extension.
func hiding(t *testing.T, name string) string {
	t.Helper()
	hello, err := client.WithGREASE(proxytest.Hello(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(hello)
}

// The server that is dialled is asked, whatever address the client has chosen.
func TestAStrictRuleLetsECHToAServerWithoutIt(t *testing.T) {
	r := strictly(t, Limits{})
	hello := hiding(t, "a.example")
	r.Set(func() { r.ech, r.names["a.example"] = echprobe.Ignored, []netip.Addr{addrA2} })
	r.ServeRaw(addrA2, func(c net.Conn, br *bufio.Reader) {
		b := make([]byte, len(hello))
		if _, err := io.ReadFull(br, b); err != nil || string(b) != hello {
			t.Errorf("the server got %d bytes, %v", len(b), err)
		}
		_, _ = c.Write([]byte("answer"))
	})
	c, br := r.Dial()
	r.Send(c, hello)
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(br); err != nil || string(got) != "answer" {
		t.Errorf("the client got %q, %v", got, err)
	}
	if e := r.wantOne(flow.RuleMatched); e.Flow.Dst != addrA2 {
		t.Errorf("record %+v", e.Flow)
	}
	if want := []string{"10.240.0.4 20.0.0.2:443 a.example"}; !slices.Equal(r.asked, want) {
		t.Errorf("asked %q, want %q", r.asked, want)
	}
}

func TestAStrictRuleLetsNoECHToAServerThatKnowsIt(t *testing.T) {
	r := strictly(t, Limits{})
	got := make(chan int64, 1)
	r.ServeRaw(addrA, func(_ net.Conn, br *bufio.Reader) {
		n, _ := io.Copy(io.Discard, br)
		got <- n
	})
	c, _ := r.Dial()
	r.Send(c, hiding(t, "a.example"))
	r.WantReset(c)
	if e := r.wantOne(flow.EncryptedHello); e.Flow.Name.String() != "a.example" || e.Flow.Proof != flow.Unproved || e.Detail != "as the test says" {
		t.Errorf("record %+v, %q", e.Flow, e.Detail)
	}
	if n := <-got; n != 0 {
		t.Errorf("the server got %d bytes", n)
	}
}

// Rules that are exchanged while a server is looked for have the last word, though
// no sweep has seen the flow.
func TestRulesThatChangeOnTheWayHaveTheLastWord(t *testing.T) {
	for about, tt := range map[string]struct {
		start func(*testing.T, Limits) *rig
		send  string
	}{
		"a strict name": {strictly, string(proxytest.Hello(t, "a.example"))},
		"a request":     {start, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"},
	} {
		t.Run(strings.ReplaceAll(about, " ", "_"), func(t *testing.T) {
			r := tt.start(t, Limits{})
			r.later = decide.New(&program.Program{})
			got := make(chan int64, 1)
			r.ServeRaw(addrA, func(_ net.Conn, br *bufio.Reader) {
				n, _ := io.Copy(io.Discard, br)
				got <- n
			})
			c, br := r.Dial()
			r.Send(c, tt.send)
			_, _ = io.Copy(io.Discard, br)
			if e := r.wantOne(flow.NameNotAllowed); e.Detail != "the rules have changed" {
				t.Errorf("detail %q", e.Detail)
			}
			if n := <-got; n != 0 {
				t.Errorf("the server got %d bytes", n)
			}
		})
	}
}

// said is what a client sends, and why it is denied.
type said struct {
	say    string
	reason flow.Reason
}

// deniedHellos are whole ones that no rule of strictly lets pass.
func deniedHellos(t *testing.T) map[string]said {
	none := func(c *tls.Config) { c.ServerName = "" }
	return map[string]said{
		"a name without a rule":            {string(proxytest.Hello(t, "evil.example")), flow.NameNotAllowed},
		"no name":                          {string(proxytest.Hello(t, "", none)), flow.NoName},
		"a name that resolves to nobody":   {string(proxytest.Hello(t, "gone.example")), flow.UpstreamFailed},
		"a name that leads to the gateway": {string(proxytest.Hello(t, "loop.example")), flow.SpecialAddress},
		"ECH behind a name without a rule": {hiding(t, "evil.example"), flow.NameNotAllowed},
	}
}

func TestAStrictConnectionThatIsRefusedReachesNobody(t *testing.T) {
	tests := deniedHellos(t)
	maps.Copy(tests, map[string]said{
		"half a hello, and then the end":    {string(proxytest.Hello(t, "a.example")[:50]), flow.HelloTimeout},
		"a record that is no hello":         {"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", flow.NotTLS},
		"no TLS where only TLS is allowed":  {"SSH-2.0-x\r\n", flow.NotHTTP},
		"a request for a name without HTTP": {"GET / HTTP/1.1\r\nHost: b.example\r\n\r\n", flow.ProtocolMismatch},
	})
	for about, tt := range tests {
		t.Run(about, func(t *testing.T) {
			r := strictly(t, Limits{Hello: 200 * time.Millisecond, Dial: 200 * time.Millisecond})
			c, br := r.Dial()
			r.Send(c, tt.say)
			if tt.reason == flow.ProtocolMismatch {
				if res, _ := r.Read(br, "GET"); res.StatusCode != 403 {
					t.Errorf("status %d", res.StatusCode)
				}
			} else {
				r.WantReset(c)
			}
			r.wantOne(tt.reason)
			for _, to := range r.wentTo() {
				if to.Addr() != addrDead {
					t.Errorf("dialled %s", to)
				}
			}
		})
	}
}

// A change of the rules cuts what they allow no more.
func TestAStrictConnectionIsSwept(t *testing.T) {
	r := strictly(t, Limits{})
	hello := proxytest.Hello(t, "a.example")
	r.ServeRaw(addrA, func(c net.Conn, br *bufio.Reader) { _, _ = io.Copy(io.Discard, br) })
	c, _ := r.Dial()
	r.Send(c, string(hello))
	r.wantOne(flow.RuleMatched)
	r.Set(func() { r.rules = decide.New(&program.Program{}) })
	for deadline := time.Now().Add(5 * time.Second); r.proxy.Sweep() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing was cut")
		}
	}
	r.WantReset(c)
}
