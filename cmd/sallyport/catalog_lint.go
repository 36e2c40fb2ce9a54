// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/catalog"
)

func catalogLintCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "lint [DIR]",
		Short: "Check a directory of data files, or the built-in catalog",
		Long: `Check that a directory of data files can be laid over the built-in catalog, and say
of every fault in which file and line it is. Without DIR the built-in one is checked.

Exit codes: 0 sound, 2 faults.`,
		Example: `  sallyport catalog lint egress/`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cat, what := catalog.Default(), "the built-in catalog"
			if len(args) == 1 {
				var err error
				if cat, err = catalog.LoadOverlay(args[0]); err != nil {
					return err
				}
				what = args[0]
			}
			own := 0
			for _, q := range cat.Requirements() {
				if q.Source.Overlay {
					own++
				}
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is sound: %d editions, %d requirements", what, len(cat.Editions()), len(cat.Requirements()))
			if own > 0 {
				fmt.Fprintf(c.OutOrStdout(), ", %d of them from there", own)
			}
			fmt.Fprintln(c.OutOrStdout())
			return nil
		},
	}
}
