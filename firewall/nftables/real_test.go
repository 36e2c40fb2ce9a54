// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nftables

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/internal/exampletest"
	"github.com/sallyport/sallyport/internal/vectors"
	"github.com/sallyport/sallyport/netset"
)

func TestTheKernelDecidesAsTheRulesThatWereRead(t *testing.T) {
	b := newBench(t, plain)
	b.open(t)
	r := rand.New(rand.NewPCG(9, 10))
	for range 8 {
		p := randomProgram(r)
		p.Rules[0].Sources = p.Rules[0].Sources.Union(netset.Of(netip.MustParsePrefix("10.1.0.0/16")))
		conf, _ := Write(p)
		b.judge(t, conf)
	}
	b.judge(t, []byte(handwritten))
}

// TestTheKernelAgreesWithTheTableOfFlows plays the flows that every outlet must
// agree about, as far as a filter by address sees them: a name in the first
// bytes is nothing to it, and the rules by name are declared as left out.
func TestTheKernelAgreesWithTheTableOfFlows(t *testing.T) {
	p := exampletest.Program(t, vectors.Example)
	conf, left := Write(p)
	p = p.Without(left...)
	var e ends
	for _, v := range vectors.All {
		addr, fixed := v.To.Address()
		if !fixed {
			addr = v.Flow().Dst
		}
		add(&e.targets, addr)
		add(&e.sources, v.Flow().Src)
		add(&e.ports, v.Port)
	}
	b := newBench(t, e)
	b.open(t)
	b.load(t, conf)
	through := 0
	for _, v := range vectors.All {
		f := v.Flow()
		f.Name, f.Proof, f.App = dnsname.Name{}, flow.Unproved, flow.Raw
		want := p.Eval(f, time.Now()).Verdict == flow.Allow
		class := flowset.OtherTCP
		if f.Transport == flow.UDP {
			class = flowset.UDP
		}
		got := b.passes(flowset.Flow{Src: f.Src, Dst: f.Dst, Class: class, Port: f.Port})
		if got != want {
			t.Errorf("%s: the kernel lets it through: %v, the judge: %v\n%s", v.Name, got, want, conf)
		}
		if got {
			through++
		}
	}
	if through < 4 {
		t.Errorf("only %d flows went through", through)
	}
}

func add[T comparable](list *[]T, x T) {
	if !slices.Contains(*list, x) {
		*list = append(*list, x)
	}
}

// handwritten is what an administrator might have: two tables, jumps, a map of
// verdicts, negated sets, ranges and an exception before the rule.
const handwritten = `
define web = { 80, 443 }
define lab = 10.2.0.0/16

table ip6 legacy {
	chain forward6 {
		type filter hook forward priority -5; policy accept;
		ip6 daddr 2600:1::/64 udp dport 9000-9010 counter drop
	}
}

table inet filter {
	set partners {
		type ipv4_addr
		flags interval
		elements = { 20.1.0.0/16, 21.0.0.0-21.255.255.255 }
	}
	map doors {
		type inet_service : verdict
		elements = { 8443 : jump partner, 9011 : drop }
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state vmap { established : accept, related : accept, invalid : drop }
		ip saddr $lab ip daddr 20.1.2.3 reject with icmp type admin-prohibited
		tcp dport vmap @doors
		tcp dport $web ip daddr != 20.0.0.0/24 accept
		meta nfproto ipv6 jump six
		ip saddr . udp dport { 192.168.0.9 . 443, 10.1.0.0/16 . 9004 } accept
		udp dport 80 goto partner
		ip saddr 10.0.0.0/8 udp dport 80 accept comment "never reached"
	}
	chain partner {
		ip daddr @partners accept
		return
	}
	chain six {
		meta l4proto != udp return
		th dport { 9000-9011, 443 } accept
	}
}
`
