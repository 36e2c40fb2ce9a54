// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package connect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
)

// Loopback returns the addresses of clients on the proxy's own host.
func Loopback() netset.Set {
	return netset.Of(netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
}

// As returns a copy of p in which loopback clients belong to the group called
// name: every rule that holds for the whole group holds for them too. Their own
// address stays in records, and what would allow a flow is said for the group.
func As(p *program.Program, name string) (*program.Program, error) {
	i := slices.IndexFunc(p.Groups, func(g program.Group) bool { return g.Name == name })
	if i < 0 {
		var known []string
		for _, g := range p.Groups {
			known = append(known, g.Name)
		}
		return nil, fmt.Errorf("there is no group of sources %q; there is %s", name, strings.Join(known, ", "))
	}
	g := p.Groups[i]
	if !g.Visible {
		return nil, fmt.Errorf("no rule can be about the source %s: %s", name, g.Why)
	}
	if g.Set.IsEmpty() {
		return nil, fmt.Errorf("the cluster description gives no addresses to the source %s; write its prefixes under network.%s", name, name)
	}
	q := *p
	q.Groups, q.Rules = slices.Clone(p.Groups), slices.Clone(p.Rules)
	q.Groups[i].Set = g.Set.Union(Loopback())
	for k, r := range q.Rules {
		if r.Sources.Covers(g.Set) {
			q.Rules[k].Sources = r.Sources.Union(Loopback())
		}
	}
	return &q, nil
}
