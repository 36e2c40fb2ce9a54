// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/spf13/cobra"

func labCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "lab",
		Short: "Show the main job in network namespaces",
	}
	c.AddCommand(benchCommand())
	return c
}
