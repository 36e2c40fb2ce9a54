// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/lab"
)

func benchCommand() *cobra.Command {
	var format string
	var opt lab.BenchOptions
	c := &cobra.Command{
		Use:   "bench",
		Short: "Compare the gateway with plain kernel forwarding, in one interleaved run",
		Long: `Measure what the gateway costs, on this machine, as a ratio to plain kernel
forwarding with masquerade. Each round measures plain, gateway and plain again;
plain against plain shows how much of a difference is noise. Every figure is a
median with an interval that holds the true median in 95 of 100 cases.

Exit codes: 0 every ratio is as asked for, 1 one is not, 3 inconclusive.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if opt.Pairs < 1 {
				return fmt.Errorf("--pairs %d measures nothing; 15 give an interval worth having", opt.Pairs)
			}
			if done, code, err := lab.Enter(); done || err != nil {
				return entered(code, err)
			}
			opt.Out = io.Discard
			if _, terminal := isTerminal(c.ErrOrStderr()); terminal {
				opt.Out = &oneLine{w: c.ErrOrStderr()}
			}
			r, err := lab.Bench(c.Context(), opt)
			if err != nil {
				return exit{code: exitNo, err: err}
			}
			if format == "json" {
				err = writeJSON(c.OutOrStdout(), r)
			} else {
				benchText(c.OutOrStdout(), r)
			}
			if err != nil {
				return err
			}
			answers := make(map[string]bool)
			for _, row := range r.Rows {
				answers[row.Answer] = true
			}
			return endWith(answers["no"], answers["inconclusive"])
		},
	}
	formatFlag(c, &format, "table or json")
	c.Flags().IntVar(&opt.Pairs, "pairs", 15, "interleaved rounds of each measurement")
	c.Flags().StringSliceVar(&opt.Only, "only", nil, "measure only `rows` with these IDs, or that begin so, such as bulk,conns-16")
	c.Flags().BoolVar(&opt.Short, "short", false, "measure next to nothing, to see that everything runs")
	return c
}

func benchText(w io.Writer, r lab.BenchResult) {
	fmt.Fprintf(w, "median [95 %% interval] of %d interleaved rounds; ratios are to plain forwarding with masquerade\n", r.Pairs)
	fmt.Fprintf(w, "Linux %s, %d processors\n", r.Host.Kernel, r.Host.CPUs)
	for _, p := range r.Peers {
		if p.Missing != "" {
			fmt.Fprintf(w, "%s is left out: %s\n", p.Title, p.Missing)
		}
	}
	fmt.Fprintln(w)
	t := table{head: r.Head()}
	for _, row := range r.Rows {
		t.add(r.Cells(row)...)
	}
	t.text(w)
}

// entered turns the end of the process inside into an exit.
func entered(code int, err error) error {
	if err != nil || code == 0 {
		return err
	}
	return exit{code: code}
}

// oneLine shows the latest line that is written to it, in place.
type oneLine struct{ w io.Writer }

func (o *oneLine) Write(b []byte) (int, error) {
	line := b
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
	}
	fmt.Fprintf(o.w, "\r\x1b[K%s", line)
	return len(b), nil
}
