// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/kernelpath"
)

func gatewayCommand() *cobra.Command {
	var (
		file, records, mask, level string
		off, noMasquerade          bool
		opt                        gateway.Options
	)
	c := &cobra.Command{
		Use:   "gateway",
		Short: "Be the firewall: let through what the rules allow, and prove each name",
		Long: `Be the firewall on this host, between the interface towards the cluster and the
one away from it. The resolver answers on the inside interface's addresses; flows
by name are held until their first bytes prove the name, and are then forwarded
by the kernel alone.

When the process ends the rules stay: closed for new flows by name, open for
those already proved. gateway --off takes everything away that is ours.

It needs CAP_NET_ADMIN (nftables, routing), CAP_NET_RAW (resets) and
CAP_NET_BIND_SERVICE (port 53); run it as root or give it these three.

Exit codes: 0 ended as asked, 1 failed while running, 2 bad input or host.`,
		Example: `  sallyport gateway --cluster cluster.yaml --inside eth1 --outside eth0
  sallyport gateway --off`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := newLogger(c.ErrOrStderr(), level)
			if err != nil {
				return err
			}
			if off {
				return gateway.Off(c.Context(), opt.StateDir, log)
			}
			if opt.Inside == "" || opt.Outside == "" {
				return errors.New("gateway needs --inside and --outside, the interfaces towards the cluster and away from it")
			}
			if err := sensible(opt); err != nil {
				return err
			}
			m, err := strconv.ParseUint(mask, 0, 32)
			if err != nil {
				return fmt.Errorf("--mark-mask %q is not a number such as %#x", mask, uint32(kernelpath.DefaultMask))
			}
			opt.MarkMask = uint32(m)
			described, p, err := load(c, file)
			if err != nil {
				return err
			}
			if line := staleLine(p); line != "" {
				fmt.Fprintln(c.ErrOrStderr(), line)
			}
			opt.Program, opt.APIServer, opt.Log, opt.Masquerade = p, described.APIServer.Addresses, log, !noMasquerade
			w, closeRecords, err := openRecords(records, c.OutOrStdout())
			if err != nil {
				return err
			}
			defer closeRecords()
			opt.Records = w
			started := false
			err = gateway.Run(c.Context(), opt, func() {
				started = true
				// For whoever waits for the gateway without reading its log.
				_ = os.WriteFile(filepath.Join(opt.StateDir, "ready"), []byte(time.Now().UTC().Format(time.RFC3339Nano)+"\n"), 0o600)
				log.Info("ready", "inside", opt.Inside, "outside", opt.Outside)
			})
			if err != nil && started {
				return exit{code: exitNo, err: err}
			}
			return err
		},
	}
	clusterFlag(c, &file)
	f := c.Flags()
	f.StringVar(&opt.Inside, "inside", "", "interface towards the cluster")
	f.StringVar(&opt.Outside, "outside", "", "interface away from the cluster")
	f.StringVar(&opt.StateDir, "state", "/run/sallyport", "directory for bindings and saved host settings")
	f.StringVar(&records, "records", "-", "file that decision records are appended to as JSON lines, - for standard output")
	f.StringVar(&mask, "mark-mask", fmt.Sprintf("%#x", uint32(kernelpath.DefaultMask)), "bits of packet and conntrack marks that are ours, four at least")
	f.Uint16Var(&opt.FirstQueue, "queue", gateway.DefaultFirstQueue, "first packet queue number")
	f.IntVar(&opt.Queues, "queues", 0, "number of packet queues (default: one for each processor)")
	f.Uint16Var(&opt.LogGroup, "log-group", gateway.DefaultLogGroup, "packet log group")
	f.Uint16Var(&opt.ProxyPort, "proxy-port", gateway.DefaultProxyPort, "port of the transparent HTTP proxy on this host")
	f.DurationVar(&opt.Grace, "grace", gateway.DefaultGrace, "how long a name stays bound to an address after its TTL")
	f.BoolVar(&noMasquerade, "no-masquerade", false, "do not hide the cluster behind the outside interface's address")
	f.BoolVar(&off, "off", false, "stop the gateway and remove everything that is ours from this host")
	f.StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return c
}

// sensible refuses numbers that a gateway cannot work with.
func sensible(opt gateway.Options) error {
	var errs []error
	if opt.Grace <= 0 || opt.Grace > maxGrace {
		errs = append(errs, fmt.Errorf("--grace %s is not between 0 and %s", opt.Grace, maxGrace))
	}
	if opt.Queues < 0 || opt.Queues > 64 || int(opt.FirstQueue)+opt.Queues > 1<<16 {
		errs = append(errs, fmt.Errorf("--queues %d from --queue %d on do not fit: at most 64, below 65536", opt.Queues, opt.FirstQueue))
	}
	if opt.ProxyPort == 0 || opt.LogGroup == 0 || opt.FirstQueue == 0 {
		errs = append(errs, errors.New("--proxy-port, --log-group and --queue must not be 0"))
	}
	return errors.Join(errs...)
}

// maxGrace bounds how long a name may stay bound to an address it has left.
const maxGrace = 7 * 24 * time.Hour

func newLogger(w io.Writer, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level %q is not one of debug, info, warn, error", level)
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l})), nil
}

func openRecords(name string, stdout io.Writer) (w io.Writer, closeFile func(), err error) {
	if name == "-" {
		return stdout, func() {}, nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open records: %w", err)
	}
	return f, func() { _ = f.Close() }, nil
}
