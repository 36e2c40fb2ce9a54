// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
)

// B30: connections that stay open are what fills the kernel's connection table,
// since it drops closed ones when it needs room. A source gets an eighth of it,
// and others are served beside.
func TestASourceHasItsShareOfTheConnectionTable(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_max")
	if err != nil {
		t.Fatal(err)
	}
	most, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	l, fw := guarded(t)
	run := func(a *lab.Agent, script string) string {
		t.Helper()
		r, err := a.Run(t.Context(), lab.Cmd{Argv: []string{"nft", script}})
		if err != nil || r.Code != 0 {
			t.Fatalf("nft %s: %v, %s", script, err, r.Stderr)
		}
		return string(r.Stdout)
	}
	source := l.Plan.Sources[1]
	// The node's own TCP would close what it has not opened.
	run(l.Node, fmt.Sprintf("table inet quiet { chain c { type filter hook output priority 0; ip saddr %s tcp flags & rst == rst drop; }; }", source))
	a, err := l.Ask(t.Context(), client.Question{Name: "mcr.microsoft.com"})
	if err != nil || len(a.Addrs) == 0 {
		t.Fatalf("got %+v, %v", a, err)
	}
	const beyond = 5000
	began := time.Now()
	f := client.Flood{Source: source, SYNs: most/8 + beyond, To: []netip.AddrPort{addrPort(a.Addrs[0], 443)}}
	if f.SYNs > 64000 {
		t.Skipf("the connection table has %d entries: one server has too few ports to fill an eighth of it", most)
	}
	var got client.Flooded
	if err := l.Node.Call(t.Context(), "flood", f, &got); err != nil || got.Error != "" {
		t.Fatalf("%+v, %v", got, err)
	}
	counter := run(l.Gateway, "list counter inet sallyport too_many")
	m := regexp.MustCompile(`packets (\d+)`).FindStringSubmatch(counter)
	if m == nil {
		t.Fatalf("no number in %s", counter)
	}
	// Some SYNs may not have left.
	if n, _ := strconv.Atoi(m[1]); n < beyond/2 || n > beyond {
		t.Errorf("%d SYNs were dropped, want those beyond the share: %d", n, beyond)
	}
	if r, err := fw.Denied(t.Context(), began, flow.Overload); err != nil || !strings.HasPrefix(r.Source, source.String()) {
		t.Errorf("record %+v, %v", r, err)
	}
	if _, r := l.Reach(t.Context(), client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443}); !r.OK {
		t.Errorf("another source: %+v", r)
	}
}
