// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/catalog"
)

func catalogExportCommand() *cobra.Command {
	var feature string
	c := &cobra.Command{
		Use:   "export",
		Short: "Print an edition, or a feature with its history, as a data file",
		Long: `Print one edition of the catalog in the data format, or with --feature one feature
with its whole history. Either is a data file that --catalog DIR reads, to be
changed as you like. For tables and JSON use catalog list.`,
		Example: `  sallyport catalog export --edition seed > mine/2020-05-26.yaml
  sallyport catalog export --feature base > mine/base.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cat, err := openCatalog(c)
			if err != nil {
				return err
			}
			if feature == "" {
				e, err := editionOf(c, cat)
				if err != nil {
					return err
				}
				return cat.Snapshot(e).Write(c.OutOrStdout())
			}
			if c.Flags().Changed("edition") || c.Flags().Changed("as-of") {
				return errors.New("--feature prints every edition at once; leave out --edition and --as-of")
			}
			if _, err := selection(cat, feature, ""); err != nil {
				return err
			}
			return cat.WriteFeature(c.OutOrStdout(), feature)
		},
	}
	listFlags(c)
	c.Flags().StringVar(&feature, "feature", "", "this feature, with all its history")
	return c
}

// snapshotTable is an edition as a table.
func snapshotTable(s catalog.Snapshot) table {
	t := table{head: []string{"LINE", "DESTINATION", "PORT", "FEATURE", "CLOUD", "NEED", "READ"}}
	for _, r := range s.Rows {
		need := "required"
		if !r.Required {
			need = "optional"
		}
		read := r.Status
		if read == "" {
			read = "as printed"
		}
		for _, p := range r.Ports {
			t.add(fmt.Sprint(r.Line), r.Destination, p, r.Feature, orDash(r.Cloud), need, read)
		}
	}
	return t
}
