// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/connect"
	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/service"
)

// forKernel are the flags of gateway that speak of what --connect does not
// touch.
var forKernel = []string{
	"inside", "outside", "state", "mark-mask", "queue", "queues", "log-group", "proxy-port", "grace", "no-masquerade", "off",
}

// explicitProxy is gateway --connect: the same decisions on a socket.
type explicitProxy struct {
	file    string
	as      string
	check   bool
	records recordsFile
	opt     connect.Options
}

// run runs the proxy, or says whether it would start.
func (x *explicitProxy) run(c *cobra.Command) error {
	if err := x.sensible(c); err != nil {
		return err
	}
	p, err := x.load(c)
	if err != nil {
		return err
	}
	if line := staleLine(p); line != "" {
		fmt.Fprintln(c.ErrOrStderr(), line)
	}
	x.opt.Program = p
	if x.check {
		return x.wouldStart(c)
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	x.opt.Watch, x.opt.Reload = inputs(c, x.file), hangup
	x.opt.Load = func() (*program.Program, error) {
		if x.file == "-" {
			return nil, errReadOnce
		}
		return x.load(c)
	}
	w, closeRecords, err := x.records.open(c.OutOrStdout())
	if err != nil {
		return err
	}
	defer closeRecords()
	x.opt.Records = w
	started := false
	err = connect.Run(c.Context(), x.opt, func(at netip.AddrPort) {
		started = true
		x.opt.Log.Info("ready", "connect", at, "loopback", x.as, "rules", len(p.Rules), "edition", p.Edition.ID)
	})
	if err != nil && started {
		return exit{code: exitNo, err: err}
	}
	return err
}

// sensible refuses what does not go with --connect.
func (x *explicitProxy) sensible(c *cobra.Command) error {
	var needless []string
	for _, name := range forKernel {
		if c.Flags().Changed(name) {
			needless = append(needless, "--"+name)
		}
	}
	var errs []error
	if len(needless) > 0 {
		errs = append(errs, fmt.Errorf("--connect touches neither kernel nor interfaces; leave out %s", strings.Join(needless, ", ")))
	}
	if c.Flags().Changed("audit") {
		errs = append(errs, errors.New("--audit does not go with --connect: a proxy that lets pass what it denies is open to everybody who reaches it"))
	}
	errs = append(errs, sensibleAddr("--connect", x.opt.Listen, "127.0.0.1:3128"), x.records.sensible())
	if x.opt.Metrics != "" {
		errs = append(errs, sensibleAddr("--metrics", x.opt.Metrics, "127.0.0.1:9180"))
	}
	return errors.Join(errs...)
}

// load reads the program as its clients on this host are to see it.
func (x *explicitProxy) load(c *cobra.Command) (*program.Program, error) {
	_, p, err := load(c, x.file)
	if err != nil {
		return nil, err
	}
	if p, err = connect.As(p, x.as); err != nil {
		return nil, fmt.Errorf("--as: %w", err)
	}
	return p, nil
}

// wouldStart answers --check.
func (x *explicitProxy) wouldStart(c *cobra.Command) error {
	p := x.opt.Program
	answers := []gateway.Answer{{What: "cluster description", Note: fmt.Sprintf("%d rules by edition %s", len(p.Rules), p.Edition.ID)}}
	for _, at := range []string{x.opt.Listen, x.opt.Metrics} {
		if at == "" {
			continue
		}
		answers = append(answers, gateway.Answer{What: at, Err: service.CanListen(c.Context(), at)})
	}
	answers = append(answers, x.records.answer(), gateway.Upstreams(c.Context(), p))
	return sayWhetherItWouldStart(c, answers)
}

// sayWhetherItWouldStart writes the answers, and ends with 2 when one is no.
func sayWhetherItWouldStart(c *cobra.Command, answers []gateway.Answer) error {
	text, ok := gateway.Text(answers)
	fmt.Fprint(c.OutOrStdout(), text)
	if !ok {
		return errors.New("a gateway would not start here: see the lines that begin with no")
	}
	return nil
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
