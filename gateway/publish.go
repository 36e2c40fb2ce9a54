// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/kernelpath"
	"github.com/sallyport/sallyport/program"
)

// canPublish returns every reason why this host cannot lead the ports of list on:
// no address of theirs outside, or an address of its own behind them, which would
// open this host in place of the cluster.
func (h hostFacts) canPublish(list []program.Publication) error {
	var errs []error
	for _, x := range list {
		a := x.To.Addr()
		if !slices.ContainsFunc(h.front, func(f netip.Addr) bool { return f.Is4() == a.Is4() }) {
			errs = append(errs, fmt.Errorf("gateway.publish: %s/%d leads to %s, but outside this host has no address of that family", x.Transport, x.Port, x.To))
		}
		if slices.Contains(h.own, a) {
			errs = append(errs, fmt.Errorf("gateway.publish: %s/%d leads to %s, which is this host itself", x.Transport, x.Port, x.To))
		}
	}
	return errors.Join(errs...)
}

// publishes says for people which ports lead where.
func (h hostFacts) publishes(list []program.Publication) string {
	if len(list) == 0 {
		return "none: nothing leads inwards"
	}
	var out []string
	for _, x := range list {
		out = append(out, fmt.Sprintf("%s/%d to %s for %s", x.Transport, x.Port, x.To, someOf(x.From.Texts())))
	}
	return fmt.Sprintf("on %v: %s", h.front, strings.Join(out, ", "))
}

// someOf writes the first few of a list of ranges.
func someOf(ranges []string) string {
	const few = 4
	switch n := len(ranges) - few; {
	case len(ranges) == 0:
		return "nobody"
	case n > 0:
		return fmt.Sprintf("%s and %d more ranges", strings.Join(ranges[:few], " "), n)
	}
	return strings.Join(ranges, " ")
}

// published reports whether a flow came in by a published port.
func (g *Gateway) published(t kernelpath.Running) bool {
	return t.To().IsValid() && slices.Contains(g.host.front, t.Dst.Addr())
}
