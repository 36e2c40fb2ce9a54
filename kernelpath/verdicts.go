// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import "time"

// Verdicts on single packets. They are collected, and go to the kernel batch by
// batch.

// drop drops a packet, or in audit mode lets it on; what becomes of its flow is
// decided by another one.
func (h *hold) drop(id, mark uint32) {
	if h.audit {
		h.pass(id, mark, 0)
		return
	}
	h.verdicts = append(h.verdicts, verdict{id: id, code: verdictDrop})
}

// denied returns the mark of the packet that ends a flow that is denied, and in
// audit mode of one that goes on.
func (h *hold) denied() uint32 {
	if h.audit {
		return h.marks.Released()
	}
	return h.marks.Denied()
}

// pass lets a packet on with the given bits of ours in its mark.
func (h *hold) pass(id, mark, ours uint32) {
	h.verdicts = append(h.verdicts, verdict{id, verdictAccept, mark&^h.marks.Mask() | ours})
}

// again sends a packet through the table once more when its flow was released
// while it waited; it reports whether it was.
func (h *hold) again(key flowKey, id, mark uint32) bool {
	for _, released := range [...]map[flowKey]uint8{h.fresh, h.recent} {
		if n, ok := released[key]; ok && n < maxAgain {
			released[key] = n + 1
			h.verdicts = append(h.verdicts, verdict{id, verdictRepeat, mark &^ h.marks.Mask()})
			return true
		}
	}
	return false
}

// justReleased reports whether a flow was released while packets of it may have
// waited.
func (h *hold) justReleased(key flowKey) bool {
	_, fresh := h.fresh[key]
	_, recent := h.recent[key]
	return fresh || recent
}

// maxAgain is more packets than a client and a server send before they hear of each
// other. A client that clears what is known of its own released flow, with a SYN,
// could keep us busy with what it sends then.
const maxAgain = 100

// lateTime is more than a packet takes from the rule that queues it to us, also
// when a processor is kept from running meanwhile.
const lateTime = 500 * time.Millisecond

// endBatch is called when the verdicts of a batch have reached the kernel.
func (h *hold) endBatch() {
	h.stats.held.Store(int64(len(h.flows)))
	if h.now.Sub(h.turned) < lateTime {
		return
	}
	h.turned = h.now
	h.recent, h.fresh = h.fresh, h.recent
	clear(h.fresh)
}
