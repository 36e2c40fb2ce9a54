// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
)

// published copies the ports that lead inwards. The cluster's own addresses are
// taken out of those that may use them, and those that no host has: a flow that is
// theirs and arrives outside is forged, or has lost its way.
func (b *builder) published() {
	nobody := b.cluster.Inside().Union(netset.Martian())
	for _, x := range b.cluster.Gateway.Publish {
		id := fmt.Sprintf("publish-%s-%d", x.Transport, x.Port)
		if x.To.Addr().Is6() {
			id += "-ipv6"
		}
		b.p.Published = append(b.p.Published, program.Publication{
			ID: flow.RuleID(id), Transport: x.Transport, Port: x.Port, To: x.To, From: x.From.Minus(nobody), Reason: x.Reason,
		})
	}
}

// inwards says how traffic for the cluster's load balancers comes in through the
// gateway. The two routes that belong to it are those of the route table: out to
// the gateway's private address, and around it to its public one.
func (b *builder) inwards(public string) {
	led := make(map[netip.Addr]bool)
	for i, x := range b.cluster.Gateway.Publish {
		led[x.To.Addr()] = true
		d := dnat{proto: x.Transport.String(), port: strconv.Itoa(int(x.Port)), to: x.To.String(), addr: x.To.Addr(),
			toPort: strconv.Itoa(int(x.To.Port())), from: x.From}
		b.pasted("dnat-"+strings.TrimPrefix(string(b.p.Published[i].ID), "publish-"),
			fmt.Sprintf("%s of the gateway leads to %s (%s). sallyport gateway does it by itself. Let clients reach %s instead of the load balancer",
				x, x.To, x.Reason, public),
			d.nft())
	}
	for _, lb := range b.cluster.LoadBalancers {
		if led[lb] {
			continue
		}
		d := dnat{proto: "tcp", port: "PORT", to: lb.String(), addr: lb, toPort: "PORT", from: netset.Family(lb)}
		b.pasted("dnat-"+lb.String(), fmt.Sprintf(
			"Bring traffic for the load balancer %s in through the gateway, or its replies are dropped: the reply would leave by the default route. Let clients reach %s instead of it",
			lb, public),
			fmt.Sprintf(`# sallyport gateway: in the description, for each service port of the load balancer:
#   gateway:
#     publish:
#     - {port: tcp/PORT, to: %q, from: [Internet], reason: why}
%s`, lb, d.nft()))
	}
}

func (b *builder) pasted(id, text, paste string) {
	b.p.Advice = append(b.p.Advice, program.Advice{Statement: program.Statement{ID: id, Text: text}, Kind: "paste", Paste: paste})
}

// dnat is one port that leads inwards, for a firewall that is told by hand.
type dnat struct {
	proto, port, to, toPort string // as nft writes them
	addr                    netip.Addr
	from                    netset.Set
}

// nft writes the rules for a host that is not Sallyport's, as comments, since
// beside a gateway that runs they would lead everything in twice. What is matched
// is the private address of the host's outside interface, since a virtual machine
// never sees its public one, and the source becomes the host's, so that the answer
// comes back.
func (d dnat) nft() string {
	ip := "ip"
	if d.addr.Is6() {
		ip = "ip6"
	}
	from := ""
	if all := netset.Family(d.addr); !d.from.Covers(all) {
		from = fmt.Sprintf("%s saddr { %s } ", ip, strings.Join(d.from.Intersect(all).Texts(), ", "))
	}
	return fmt.Sprintf(`# another Linux host in its place, whose outside interface has OUTSIDE_ADDRESS:
#   nft add table %[1]s ingress
#   nft add chain %[1]s ingress prerouting '{ type nat hook prerouting priority dstnat; }'
#   nft add chain %[1]s ingress postrouting '{ type nat hook postrouting priority srcnat; }'
#   nft add rule %[1]s ingress prerouting '%[2]s%[1]s daddr OUTSIDE_ADDRESS %[3]s dport %[4]s counter dnat to %[5]s'
#   nft add rule %[1]s ingress postrouting '%[1]s daddr %[6]s %[3]s dport %[7]s ct status dnat counter masquerade'`,
		ip, from, d.proto, d.port, d.to, d.addr, d.toPort)
}
