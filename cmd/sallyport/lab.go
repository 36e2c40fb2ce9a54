// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/examples"
	"github.com/sallyport/sallyport/lab"
)

func labCommand() *cobra.Command {
	var file, format string
	var keep, single bool
	c := &cobra.Command{
		Use:   "lab",
		Short: "Show the main job: a node that boots behind the gateway, and ways out that fail",
		Long: `Build a cluster's surroundings in network namespaces: a node, a gateway and an
internet with every server the cluster needs, and an attacker's. Start the gateway,
boot the node, reach every required destination with the protocol it is for, and
try the ways out an attacker would: each must lead out with the gateway off, and
none with it on.

It touches nothing of this host, and needs no privilege where user namespaces are
allowed. Exit codes: 0 everything came out right, 1 something did not, 2 bad input.`,
		Example: `  sallyport lab
  sallyport lab --cluster cluster.yaml --keep
  sallyport lab -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if format != "table" && format != "json" {
				return fmt.Errorf("output %q is not one of table, json", format)
			}
			if done, code, err := lab.Enter(); done || err != nil {
				return entered(code, err)
			}
			dir, err := os.MkdirTemp("", "sallyport-lab-input-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			if file, err = labCluster(c, file, dir); err != nil {
				return err
			}
			described, p, err := load(c, file)
			if err != nil {
				return err
			}
			width, terminal := isTerminal(c.OutOrStdout())
			s, err := lab.Run(c.Context(), lab.RunOptions{
				Cluster: described, ClusterFile: file, Program: p, Out: c.OutOrStdout(),
				JSON: format == "json", Terminal: terminal, Width: width, Keep: keep, Single: single,
			})
			if err != nil {
				return exit{code: exitNo, err: err}
			}
			if !s.OK {
				return exit{code: exitNo}
			}
			return nil
		},
	}
	c.Flags().StringVarP(&file, "cluster", "c", "", "cluster description, - for standard input (default: the built-in example)")
	formatFlag(c, &format, "table or json")
	c.Flags().BoolVar(&single, "single-interface", false, "give the gateway one interface, which leads both ways")
	c.Flags().BoolVar(&keep, "keep", false, "leave everything running until interrupted")
	c.AddCommand(benchCommand(), soakCommand())
	return c
}

// labCluster returns a file with the description: the gateway is a process of
// its own and reads it again, so it must be one.
func labCluster(c *cobra.Command, file, dir string) (string, error) {
	var data []byte
	var err error
	name := filepath.Join(dir, examples.Default)
	switch file {
	case "":
		data, err = examples.Files.ReadFile(examples.Default)
	case "-":
		name = filepath.Join(dir, "stdin.yaml")
		data, err = readAll(c)
	default:
		return file, nil
	}
	if err == nil {
		err = os.WriteFile(name, data, 0o600)
	}
	return name, err
}
