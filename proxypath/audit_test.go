// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxypath

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/proxypath/proxytest"
)

// upper answers with all that it was sent, in upper case.
func upper(c net.Conn, br *bufio.Reader) {
	b, _ := io.ReadAll(br)
	_, _ = c.Write(bytes.ToUpper(b))
}

// passes checks that all of what is said reaches the client's destination and
// nobody else, with one record of a denial.
func (r *rig) passes(say string, reason flow.Reason) {
	r.T.Helper()
	r.ServeRaw(addrA, upper)
	c, br := r.Dial()
	r.Send(c, say)
	if err := c.CloseWrite(); err != nil {
		r.T.Fatal(err)
	}
	if got, err := io.ReadAll(br); err != nil || string(got) != strings.ToUpper(say) {
		r.T.Errorf("the client got %q, %v", got, err)
	}
	if e := r.wantOne(reason); e.Refused {
		r.T.Errorf("record %+v says that it was refused", e)
	}
	if to := r.wentTo(); to[len(to)-1] != r.dst {
		r.T.Errorf("dialled %v, last of all not %s", to, r.dst)
	}
}

func TestAuditPassesWhatIsDeniedAsItCame(t *testing.T) {
	const head = "GET / HTTP/1.1\r\nHost: "
	for about, tt := range map[string]struct {
		say    string
		reason flow.Reason
	}{
		"a name without a rule":           {head + "evil.example\r\n\r\n", flow.NameNotAllowed},
		"and a body behind it":            {"POST / HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 4\r\n\r\nbody", flow.NameNotAllowed},
		"no HTTP":                         {"SSH-2.0-x\r\n", flow.NotHTTP},
		"two hosts":                       {head + "a.example\r\nHost: b.example\r\n\r\n", flow.AmbiguousHost},
		"half a head":                     {head, flow.MalformedRequest},
		"an upgrade":                      {head + "a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", flow.UpgradeRefused},
		"a name for another protocol":     {head + "tls.example\r\n\r\n", flow.ProtocolMismatch},
		"a name that leads to nobody":     {head + "gone.example\r\n\r\n", flow.UpstreamFailed},
		"a name that leads somewhere own": {head + "private.example\r\n\r\n", flow.PrivateAddress},
	} {
		t.Run(about, func(t *testing.T) {
			startIn(t, Limits{Dial: 200 * time.Millisecond}, true).passes(tt.say, tt.reason)
		})
	}
}

func TestAuditPassesAStrictConnectionThatIsDenied(t *testing.T) {
	tests := deniedHellos(t)
	tests["half a hello"] = said{string(proxytest.Hello(t, "a.example")[:50]), flow.MalformedHello}
	tests["ECH to a server that knows it"] = said{hiding(t, "a.example"), flow.EncryptedHello}
	for about, tt := range tests {
		t.Run(about, func(t *testing.T) {
			strictlyIn(t, Limits{Dial: 200 * time.Millisecond}, true).passes(tt.say, tt.reason)
		})
	}
}

// The first request goes to the name's own server, the second, which is denied, to
// where the client has connected.
func TestAuditPassesADeniedRequestBehindAnAllowedOne(t *testing.T) {
	r := startIn(t, Limits{}, true)
	r.Set(func() {
		r.names["a.example"] = []netip.Addr{addrA2}
	})
	r.ServeHTTP(addrA2, echo)
	r.ServeRaw(addrA, upper)
	c, br := r.Dial()
	r.Send(c, "GET /1 HTTP/1.1\r\nHost: a.example\r\n\r\n")
	if _, body := r.Read(br, "GET"); body != "a.example/1 " {
		t.Errorf("got %q", body)
	}
	const second = "GET /2 HTTP/1.1\r\nHost: evil.example\r\n\r\n"
	r.Send(c, second)
	_ = c.CloseWrite()
	if got, err := io.ReadAll(br); err != nil || string(got) != strings.ToUpper(second) {
		t.Errorf("got %q, %v", got, err)
	}
	if es := r.Recorded(2); es[0].Decision.Reason != flow.RuleMatched || es[1].Decision.Reason != flow.NameNotAllowed {
		t.Errorf("records %+v", es)
	}
}

func TestAuditPassesAConnectionTooMany(t *testing.T) {
	r := startIn(t, Limits{PerSource: 1}, true)
	r.ServeRaw(addrA, upper)
	r.Dial()
	time.Sleep(50 * time.Millisecond)
	c, br := r.Dial()
	r.Send(c, "anything")
	_ = c.CloseWrite()
	if got, err := io.ReadAll(br); err != nil || string(got) != "ANYTHING" {
		t.Errorf("got %q, %v", got, err)
	}
	r.wantOne(flow.Overload)
}

// What would be a loop is none in audit mode either.
func TestAuditRefusesAConnectionToTheGatewayItself(t *testing.T) {
	r := startIn(t, Limits{}, true)
	r.Set(func() { r.dst = netip.AddrPortFrom(addrOwn, 80) })
	if c, err := net.Dial("tcp", r.Addr); err == nil { // else the reset was faster
		r.WantReset(c)
		_ = c.Close()
	}
	if e := r.wantOne(flow.SpecialAddress); !e.Refused {
		t.Errorf("record %+v", e)
	}
	r.wantNoDial()
}
