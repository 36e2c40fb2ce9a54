// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/lab"
)

func soakCommand() *cobra.Command {
	var format string
	var opt lab.SoakOptions
	c := &cobra.Command{
		Use:   "soak",
		Short: "Keep the gateway under load while its rules change, and judge it",
		Long: `Send allowed and refused connections through a gateway for as long as asked,
change its rules again and again, and judge every decision it records once more
with the slow judge. A line for each change goes to standard error.

Exit codes: 0 nothing failed, nothing got out, no decision differs and the
process holds no more memory at the end than in the beginning, within 5 %;
1 otherwise.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if opt.For < 3*opt.Reload || opt.Rate < 1 || opt.Reload < time.Second {
				return errors.New("--for must be three times --reload at least, --reload a second, and --rate one a second")
			}
			if done, code, err := lab.Enter(); done || err != nil {
				return entered(code, err)
			}
			opt.Out = c.ErrOrStderr()
			r, err := lab.Soak(c.Context(), opt)
			if err != nil {
				return exit{code: exitNo, err: err}
			}
			if format == "json" {
				err = writeJSON(c.OutOrStdout(), r)
			} else {
				w := c.OutOrStdout()
				fmt.Fprintf(w, "%s: %d connections answered, %d failed, %d refused ones let out\n", r.For, r.Conns, r.Failed, r.LetOut)
				fmt.Fprintf(w, "%d decisions judged again, %d differ; rules changed %d times\n", r.Decisions, len(r.Differ), r.Reloads)
				fmt.Fprintf(w, "memory of the process: %.1f MiB behind the warm-up, %.1f MiB at the end\n", r.MemoryMiB[0], r.MemoryMiB[1])
				for _, line := range append(r.Log, r.Differ...) {
					fmt.Fprintln(w, line)
				}
			}
			if err == nil && (r.Failed > 0 || r.LetOut > 0 || len(r.Differ) > 0 || r.Decisions == 0 || !r.Flat(0.05)) {
				return exit{code: exitNo}
			}
			return err
		},
	}
	formatFlag(c, &format, "table or json")
	f := c.Flags()
	f.DurationVar(&opt.For, "for", 20*time.Minute, "how long")
	f.IntVar(&opt.Rate, "rate", 500, "allowed connections a second")
	f.DurationVar(&opt.Reload, "reload", 10*time.Second, "time between two changes of the rules")
	return c
}
