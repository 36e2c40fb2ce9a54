// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/kernelpath"
)

func gatewayCommand() *cobra.Command {
	var (
		file, mask, level        string
		records                  recordsFile
		explicit, as             string
		off, check, noMasquerade bool
		opt                      gateway.Options
	)
	c := &cobra.Command{
		Use:   "gateway",
		Short: "Be the firewall: let through what the rules allow, and prove each name",
		Long: `Be the firewall on this host, between the interface towards the cluster and the
one away from it; one interface may be both, and the cluster is told by its addresses
then. The resolver answers on the inside interface's addresses; flows by name are held
until their first bytes prove the name, and are then forwarded by the kernel alone.
Nothing comes in but by the ports that the description publishes.

A change of the description, or of a file it is read with, is put into force
within seconds, and on SIGHUP at once: in one transaction, with flows cut that
are allowed no more. A file that cannot be read changes nothing.

When the process ends the rules stay: closed for new flows by name, open for
those already proved. gateway --off takes everything away that is ours; a service
manager that would start it again has to be told first (systemctl disable --now).

It needs CAP_NET_ADMIN (nftables, routing), CAP_NET_RAW (resets) and
CAP_NET_BIND_SERVICE (port 53); run it as root or give it these three.

With --audit it refuses nothing: every flow is decided and recorded as always, and
what is denied passes all the same, with "enforced":false in its record.

With --connect it is a proxy instead, for clients that are told of it by
HTTPS_PROXY and HTTP_PROXY: the same decisions and records on a socket, without
privileges and without a change to this host. It takes changed files, too, and
ends with its connections.

Exit codes: 0 ended as asked, 1 failed while running, 2 bad input or host.`,
		Example: `  sallyport gateway --cluster cluster.yaml --inside eth1 --outside eth0
  sallyport gateway --cluster cluster.yaml --inside eth1 --outside eth0 --check
  sallyport gateway --cluster cluster.yaml --inside eth1 --outside eth0 --audit
  sallyport gateway --off
  sallyport gateway --cluster cluster.yaml --connect 127.0.0.1:3128`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := newLogger(c.ErrOrStderr(), level)
			if err != nil {
				return err
			}
			switch {
			case explicit != "":
				x := explicitProxy{file: file, as: as, check: check, records: records}
				x.opt.Listen, x.opt.Metrics, x.opt.Log = explicit, opt.Metrics, log
				return x.run(c)
			case c.Flags().Changed("as"):
				return errors.New("--as is for gateway --connect alone; a gateway sees who a client is")
			}
			if off {
				if check || opt.Audit {
					return errors.New("--off takes a gateway away, and goes neither with --check nor with --audit; to end audit mode, start it without --audit")
				}
				err := gateway.Off(c.Context(), opt.StateDir, log)
				if errors.Is(err, gateway.ErrStarted) {
					return exit{code: exitNo, err: err}
				}
				return err
			}
			if opt.Inside == "" || opt.Outside == "" {
				return errors.New("gateway needs --inside and --outside, the interfaces towards the cluster and away from it, or --connect for a proxy without privileges")
			}
			if err := errors.Join(sensible(opt), records.sensible()); err != nil {
				return err
			}
			m, err := strconv.ParseUint(mask, 0, 32)
			if err != nil {
				return fmt.Errorf("--mark-mask %q is not a number such as %#x", mask, uint32(kernelpath.DefaultMask))
			}
			opt.MarkMask = uint32(m)
			read := func() (gateway.Loaded, error) {
				described, p, err := load(c, file)
				if err != nil {
					return gateway.Loaded{}, err
				}
				return gateway.Loaded{
					Program: p, APIServer: described.APIServer.Addresses,
					NextHops: []netip.Addr{described.Gateway.PrivateAddress, described.Gateway.PrivateAddress6},
				}, nil
			}
			if opt.Loaded, err = read(); err != nil {
				return err
			}
			if line := staleLine(opt.Program); line != "" {
				fmt.Fprintln(c.ErrOrStderr(), line)
			}
			opt.Log, opt.Masquerade = log, !noMasquerade
			hangup := make(chan os.Signal, 1)
			signal.Notify(hangup, syscall.SIGHUP)
			defer signal.Stop(hangup)
			opt.Watch, opt.Reload, opt.Load = inputs(c, file), hangup, read
			if file == "-" {
				opt.Load = func() (gateway.Loaded, error) { return gateway.Loaded{}, errReadOnce }
			}
			if check {
				return sayWhetherItWouldStart(c, append(gateway.Check(c.Context(), opt), records.answer()))
			}
			w, closeRecords, err := records.open(c.OutOrStdout())
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
				_, _ = daemon.SdNotify(false, daemon.SdNotifyReady) // no service manager, nothing to say
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
	f.StringVar(&opt.Outside, "outside", "", "interface away from the cluster; on a host with one, the same")
	f.StringVar(&opt.StateDir, "state", "/run/sallyport", "directory for bindings and saved host settings")
	records.flags(f)
	f.StringVar(&mask, "mark-mask", fmt.Sprintf("%#x", uint32(kernelpath.DefaultMask)), "bits of packet and conntrack marks that are ours, four at least")
	f.Uint16Var(&opt.FirstQueue, "queue", gateway.DefaultFirstQueue, "first packet queue number")
	f.IntVar(&opt.Queues, "queues", 0, "number of packet queues (default: one for each processor)")
	f.Uint16Var(&opt.LogGroup, "log-group", gateway.DefaultLogGroup, "packet log group of the records; the next one is of the answers to SYNs")
	f.Uint16Var(&opt.ProxyPort, "proxy-port", gateway.DefaultProxyPort, "port of the transparent HTTP proxy on this host")
	f.DurationVar(&opt.Grace, "grace", gateway.DefaultGrace, "how long a name stays bound to an address after its TTL")
	f.StringVar(&opt.Metrics, "metrics", "", "`address:port` on which /metrics (Prometheus) and /healthz are served, such as 127.0.0.1:9180; none when it is not given")
	f.BoolVar(&noMasquerade, "no-masquerade", false, "do not hide the cluster behind the outside interface's address")
	f.StringVar(&explicit, "connect", "", "be a proxy on this `address:port` instead, such as 127.0.0.1:3128, without privileges")
	f.StringVar(&as, "as", "nodes", "with --connect: the `sources` that clients on this host's loopback belong to, nodes or pods")
	f.BoolVar(&opt.Audit, "audit", false, "refuse nothing: record what would be denied, and let it pass")
	f.BoolVar(&check, "check", false, "say whether a gateway would start here, and change nothing")
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
	if opt.LogGroup == 1<<16-1 {
		errs = append(errs, errors.New("--log-group 65535 has no next one; both are used"))
	}
	if opt.ProxyPort == 0 || opt.LogGroup == 0 || opt.FirstQueue == 0 {
		errs = append(errs, errors.New("--proxy-port, --log-group and --queue must not be 0"))
	}
	if opt.Metrics != "" {
		errs = append(errs, sensibleAddr("--metrics", opt.Metrics, "127.0.0.1:9180"))
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

// errReadOnce is why a hangup changes nothing where standard input was read.
var errReadOnce = errors.New("the description came from standard input, which cannot be read again")

// inputs are the files that a command reads its program from, and their folders;
// none when one of them was standard input.
func inputs(c *cobra.Command, file string) []string {
	if file == "-" {
		return nil
	}
	out := []string{file}
	if tags, _ := c.Flags().GetString("service-tags"); tags != "" {
		out = append(out, tags)
	}
	if dir, _ := c.Flags().GetString("catalog"); dir != "" {
		_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			out = append(out, path)
			return err
		})
	}
	return out
}
