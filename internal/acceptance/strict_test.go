// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
	"github.com/sallyport/sallyport/lab/internet"
)

const oneStrict = `
- {id: careful, name: careful.example.net, ports: https, strict: true, reason: test}
- {id: kept, name: kept.example.net, ports: https, reason: test}
`

// TestAStrictNameIsDialledByTheGateway reaches a strict name with curl and with
// Go's client, is refused what has no rule, and goes on when the rule is
// strict no longer.
func TestAStrictNameIsDialledByTheGateway(t *testing.T) {
	text := example(t, "seed.yaml") + oneStrict
	s := withGateway(t, text)
	strict := client.Target{Kind: client.HTTPS, Name: "careful.example.net", Port: 443}
	s.reach("Go's client", strict, true)
	byProxy := s.awaitRecord("the proxy's", func(r lab.Record) bool { return r.Name == strict.Name && r.Path == "proxy" })
	if byProxy.Verdict != "allow" || byProxy.Proof != "sni+resolved" || byProxy.Rule != "careful" {
		t.Errorf("record %+v", byProxy)
	}
	if r := s.run("curl", "-sS", "--cacert", s.CAFile(), "https://careful.example.net/bytes/100000"); r.Code != 0 || len(r.Stdout) != 100_000 {
		t.Errorf("curl: code %d, %d bytes, %s", r.Code, len(r.Stdout), r.Stderr)
	}

	// GREASE, as browsers send it, comes through to a server that has no ECH.
	_, got := s.Reach(t.Context(), strict)
	hello, err := client.Hello(client.TLS{}, strict.Name)
	if err == nil {
		hello, err = client.WithGREASE(hello)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got.Remote.Addr() == s.Plan.Shared {
		t.Fatal("the strict name is at a server with ECH")
	}
	h, err := s.Say(t.Context(), client.Raw{To: got.Remote, Chunks: [][]byte{hello}})
	if err != nil || len(h.Data) < 6 || h.Data[0] != 22 || h.Data[5] != 2 { // a ServerHello
		t.Errorf("a hello with GREASE: %+v, %v", h, err)
	}
	evil := client.Target{Kind: client.HTTPS, Name: "evil.example", Addr: got.Remote.Addr(), Port: 443}
	s.reach("another name at its address", evil, false)
	s.awaitRecord("the refusal", func(r lab.Record) bool {
		return r.Name == "evil.example" && r.Path == "proxy" && r.Verdict == "deny" && r.Reason == "name-not-allowed"
	})
	_, got = s.Reach(t.Context(), client.Target{Kind: client.HTTPS, Name: "kept.example.net", Port: 443})
	elsewhere := strict
	elsewhere.Addr = got.Remote.Addr()
	s.reach("its name at another's address", elsewhere, false)

	const n = 4 << 20
	begin := time.Now()
	under := make(chan client.Result, 1)
	go func() {
		slow := strict
		slow.Path = "/slow/4194304"
		_, got := s.Reach(t.Context(), slow)
		under <- got
	}()
	s.awaitRecord("the download", func(r lab.Record) bool { return r.Name == strict.Name && r.Time.After(begin) })
	s.write(strings.Replace(text, "strict: true, ", "", 1))
	s.awaitLog("new rules in force", 1)
	if got := <-under; !got.OK || got.SHA256 != internet.Hash(n) {
		t.Errorf("a download over the change: %+v", got)
	}
	s.reach("without strict", strict, true)
	s.awaitRecord("the packet path's", func(r lab.Record) bool { return r.Name == strict.Name && r.Path == "hello" && r.Verdict == "allow" })
}
