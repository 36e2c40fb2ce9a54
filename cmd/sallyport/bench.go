// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/lab"
)

func benchCommand() *cobra.Command {
	var format, page, from string
	var opt lab.BenchOptions
	c := &cobra.Command{
		Use:   "bench",
		Short: "Compare the gateway with plain kernel forwarding and with its peers, in one interleaved run",
		Long: `Measure what the gateway costs, on this machine, as a ratio to plain kernel
forwarding with masquerade, beside each peer that is installed: haproxy, nginx
with its stream module, squid with ssl-bump, sniproxy, unbound. Each round
measures plain, gateway, every peer and plain again; plain against plain shows how
much of a difference is noise. Every figure is a median with an interval that
holds the true median in 95 of 100 cases.

With 15 rounds it takes about 12 minutes. Exit codes: 0 everything is as asked
for, 1 something is not, 3 inconclusive.`,
		Example: `  sallyport lab bench
  sallyport lab bench --only bulk,conns-16 --pairs 3
  sallyport lab bench --write docs/performance.md
  sallyport lab bench -o json > bench.json
  sallyport lab bench --from bench.json --write docs/performance.md`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case format != "table" && format != "json":
				return errUnknownOutput(format, "table, json")
			case opt.Pairs < 1:
				return fmt.Errorf("--pairs %d measures nothing; 15 give an interval worth having", opt.Pairs)
			case page != "" && (opt.Short || len(opt.Only) > 0):
				return errors.New("--write is for a whole run: leave --only and --short out")
			}
			var r lab.BenchResult
			if from != "" {
				if err := readBench(from, &r); err != nil {
					return err
				}
			} else {
				if done, code, err := lab.Enter(); done || err != nil {
					return entered(code, err)
				}
				opt.Out = io.Discard
				_, terminal := isTerminal(c.ErrOrStderr())
				if terminal {
					opt.Out = &oneLine{w: c.ErrOrStderr()}
				}
				var err error
				r, err = lab.Bench(c.Context(), opt)
				if terminal {
					fmt.Fprintln(c.ErrOrStderr())
				}
				if err != nil {
					return exit{code: exitNo, err: err}
				}
			}
			if page != "" {
				if err := writeBenchPage(page, r); err != nil {
					return err
				}
			}
			if format == "json" {
				if err := writeJSON(c.OutOrStdout(), r); err != nil {
					return err
				}
			} else {
				benchText(c.OutOrStdout(), r)
			}
			answers := make(map[string]bool)
			for _, row := range r.Rows {
				answers[row.Answer] = true
			}
			return endWith(answers["no"], answers["inconclusive"])
		},
	}
	formatFlag(c, &format, "table or json")
	f := c.Flags()
	f.IntVar(&opt.Pairs, "pairs", 15, "interleaved rounds of each measurement")
	f.StringSliceVar(&opt.Only, "only", nil, "measure only `rows` with these IDs, or that begin so, such as bulk,conns-16")
	f.BoolVar(&opt.Short, "short", false, "measure next to nothing, to see that everything runs")
	f.StringVar(&page, "write", "", "write what was measured as a Markdown `page`, and its picture beside it as SVG")
	f.StringVar(&from, "from", "", "measure nothing: take the `file` that an earlier run wrote with -o json")
	return c
}

// readBench reads what an earlier run measured.
func readBench(file string, r *lab.BenchResult) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read an earlier run: %w; make one with: sallyport lab bench -o json > FILE", err)
	}
	if err := json.Unmarshal(data, r); err != nil {
		return fmt.Errorf("read an earlier run from %s: %w", file, err)
	}
	if r.Schema != lab.BenchSchema {
		return fmt.Errorf("%s has the schema %q and not %q: measure again", file, r.Schema, lab.BenchSchema)
	}
	return nil
}

// writeBenchPage writes the page and its picture.
func writeBenchPage(page string, r lab.BenchResult) error {
	picture := strings.TrimSuffix(page, filepath.Ext(page)) + ".svg"
	if err := os.WriteFile(picture, []byte(r.Picture()), 0o644); err != nil {
		return fmt.Errorf("write the picture: %w", err)
	}
	if err := os.WriteFile(page, []byte(r.Page(filepath.Base(picture))), 0o644); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
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
