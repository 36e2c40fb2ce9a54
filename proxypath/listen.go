// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxypath

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listen opens the socket that nft's tproxy statement gives connections to: on
// every address, of both families where the host has both, and allowed to stand
// for addresses that are not this host's (IP_TRANSPARENT, for which the kernel
// wants CAP_NET_ADMIN). tproxy looks sockets up as the ordinary way in does
// (net/netfilter/nft_tproxy.c), so one dual-stack socket serves IPv4 too. Port 0
// picks a free one.
func Listen(ctx context.Context, port uint16) (net.Listener, error) {
	lc := net.ListenConfig{Control: transparent}
	l, err := lc.Listen(ctx, "tcp", ":"+strconv.Itoa(int(port)))
	if err != nil {
		return nil, fmt.Errorf("listen for the transparent proxy: %w", err)
	}
	return l, nil
}

// transparent sets the options before the socket is bound.
func transparent(network, _ string, c syscall.RawConn) error {
	var err error
	controlErr := c.Control(func(fd uintptr) {
		if err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TRANSPARENT, 1); err == nil && network != "tcp4" {
			err = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_TRANSPARENT, 1)
		}
	})
	if controlErr != nil {
		return controlErr
	}
	if err != nil {
		return fmt.Errorf("set IP_TRANSPARENT, which needs CAP_NET_ADMIN: %w", os.NewSyscallError("setsockopt", err))
	}
	return nil
}
