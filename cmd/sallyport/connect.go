// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/connect"
)

// forKernel are the flags of gateway that speak of what --connect does not
// touch.
var forKernel = []string{
	"inside", "outside", "state", "mark-mask", "queue", "queues", "log-group", "proxy-port", "grace", "no-masquerade", "metrics", "check", "off", "audit",
}

// runConnect is gateway --connect: the same decisions on a socket.
func runConnect(c *cobra.Command, file, addr, as string, records recordsFile, log *slog.Logger) error {
	var needless []string
	for _, name := range forKernel {
		if c.Flags().Changed(name) {
			needless = append(needless, "--"+name)
		}
	}
	if len(needless) > 0 {
		return fmt.Errorf("--connect touches neither kernel nor interfaces; leave out %s", strings.Join(needless, ", "))
	}
	if err := errors.Join(sensibleAddr("--connect", addr, "127.0.0.1:3128"), records.sensible()); err != nil {
		return err
	}
	_, p, err := load(c, file)
	if err != nil {
		return err
	}
	if p, err = connect.As(p, as); err != nil {
		return fmt.Errorf("--as: %w", err)
	}
	if line := staleLine(p); line != "" {
		fmt.Fprintln(c.ErrOrStderr(), line)
	}
	w, closeRecords, err := records.open(c.OutOrStdout())
	if err != nil {
		return err
	}
	defer closeRecords()
	started := false
	err = connect.Run(c.Context(), connect.Options{Program: p, Listen: addr, Records: w, Log: log}, func(at netip.AddrPort) {
		started = true
		log.Info("ready", "connect", at, "loopback", as, "rules", len(p.Rules), "edition", p.Edition.ID)
	})
	if err != nil && started {
		return exit{code: exitNo, err: err}
	}
	return err
}

// sensibleAddr refuses what is not address:port behind a flag. A name could lead
// to more than one address.
func sensibleAddr(flag, addr, example string) error {
	if _, err := netip.ParseAddrPort(addr); err == nil {
		return nil
	}
	if host, port, err := net.SplitHostPort(addr); err == nil && host == "" && port != "" {
		return errors.New(flag + " " + addr + " listens on every address of this host; if that is meant, write 0.0.0.0" + addr)
	}
	return fmt.Errorf("%s %q is not an address and a port, such as %s", flag, addr, example)
}
