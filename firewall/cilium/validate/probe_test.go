// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package validate lets Cilium's own code judge what package cilium writes and
// reads. It is a module of its own, so that Cilium's dependencies stay out of
// Sallyport's.
package validate

import (
	"net/netip"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flowset"
)

// probe is a flow to a name.
func probe(name string) flowset.Flow {
	return flowset.Flow{
		Src: netip.MustParseAddr("10.240.0.4"), Dst: netip.MustParseAddr("198.51.100.7"),
		Class: flowset.TLS, Port: 443, Name: dnsname.MustParse(name),
	}
}
