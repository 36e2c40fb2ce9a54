// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMoreVerdictsThanTheSocketTakesAtOnce refuses as many flows at one tick as
// may be undecided, which is what becomes of a flood of hellos that never end: the
// kernel takes no message that is longer than the socket's buffer, and the gateway
// ended there. The kernel knows no packet of these, and answers nothing.
func TestMoreVerdictsThanTheSocketTakesAtOnce(t *testing.T) {
	sock, err := openNetlink(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer sock.close()
	// As small as the kernel makes one, so that the limit is near everywhere.
	if err := unix.SetsockoptInt(sock.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 32<<10); err != nil {
		t.Fatal(err)
	}
	q := &queue{num: 1, sock: sock, hold: newStage(t).h}
	for id := range uint32(undecidedRoom) {
		q.hold.verdicts = append(q.hold.verdicts, verdict{id: id})
	}
	if err := sendto(sock.fd, make([]byte, 1<<20)); !errors.Is(err, unix.EMSGSIZE) {
		t.Fatalf("this kernel takes 1 MiB at once: %v", err)
	}
	if err := q.flush(); err != nil {
		t.Error(err)
	}
	if len(q.hold.verdicts) != 0 {
		t.Errorf("%d verdicts are left", len(q.hold.verdicts))
	}
}
