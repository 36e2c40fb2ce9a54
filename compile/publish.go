// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/program"
)

// published copies the ports that lead inwards. The cluster's own addresses are
// taken out of those that may use them: a flow that is theirs and arrives outside
// is forged, or has lost its way.
func (b *builder) published() {
	own := b.cluster.Inside()
	for _, x := range b.cluster.Gateway.Publish {
		id := fmt.Sprintf("publish-%s-%d", x.Transport, x.Port)
		if x.To.Addr().Is6() {
			id += "-ipv6"
		}
		b.p.Published = append(b.p.Published, program.Publication{
			ID: flow.RuleID(id), Transport: x.Transport, Port: x.Port, To: x.To, From: x.From.Minus(own), Reason: x.Reason,
		})
	}
}
