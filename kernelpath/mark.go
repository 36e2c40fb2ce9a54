// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"fmt"
	"math/bits"
)

// Marks is where Sallyport keeps what it knows of a flow in packet and
// conntrack marks: four bits of its own inside a mask, one for each class. All
// other bits belong to somebody else and are kept.
type Marks struct{ mask uint32 }

// DefaultMask is the mask when none is given. kube-proxy uses bits 14 and 15,
// Cilium the low 16 and Calico, by default, the high 16 from the top down; none
// of them runs on a gateway of its own.
const DefaultMask = 0x0f000000

// NewMarks returns the marks inside mask, which must have at least four bits.
func NewMarks(mask uint32) (Marks, error) {
	if bits.OnesCount32(mask) < 4 {
		return Marks{}, fmt.Errorf("mark mask %#x has %d bits set, four are needed, as in %#x",
			mask, bits.OnesCount32(mask), uint32(DefaultMask))
	}
	return Marks{mask}, nil
}

// Mask returns every bit that is ours.
func (m Marks) Mask() uint32 {
	return m.Released() | m.Pending() | m.Denied() | m.Proxied()
}

// Released marks a flow that is forwarded without another look.
func (m Marks) Released() uint32 { return m.bit(0) }

// Pending marks a flow whose hello is verified and on its way: it is released
// when the server has answered it.
func (m Marks) Pending() uint32 { return m.bit(1) }

// Denied marks a packet that is to be refused, and a TCP connection whose release
// was revoked: its next packet ends it at both ends.
func (m Marks) Denied() uint32 { return m.bit(2) }

// Proxied marks a packet that is for the transparent proxy on this host.
func (m Marks) Proxied() uint32 { return m.bit(3) }

// Unmarked marks a packet behind whose verdict nothing is known of its flow any
// more. Such packets are forwarded, and those for the proxy are not.
func (m Marks) Unmarked() uint32 { return m.Proxied() }

// bit returns the i-th lowest bit of the mask.
func (m Marks) bit(i int) uint32 {
	rest := m.mask
	for ; i > 0; i-- {
		rest &= rest - 1
	}
	return rest & -rest
}
