// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/cluster"
)

func catalogCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "catalog",
		Short: "The published list of what clusters must reach: its history, and what changed",
		Long: `The catalog holds every published edition of the AKS egress list since 2019, row
by row, each with when it was listed, for whom, and where that stands.

--catalog DIR lays a directory of your own data files over it, wherever a verb
reads the list. A requirement with the id of a built-in one takes its place.`,
		Example: `  sallyport catalog list --feature base
  sallyport catalog diff seed newest -c cluster.yaml
  sallyport catalog import outbound-rules.md > 2026-09-01.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(catalogListCommand(), catalogShowCommand(), catalogDiffCommand(), catalogLintCommand(),
		catalogImportCommand(), catalogExportCommand())
	return c
}

// listFlags adds the flags that say which list is read: whose catalog, and
// which edition of it.
func listFlags(c *cobra.Command) {
	c.Flags().String("catalog", "", "directory of data files to lay over the built-in catalog")
	c.Flags().String("edition", "", "edition of the list, instead of the description's: a date, seed or newest")
	c.Flags().String("as-of", "", "the list as it was published on that day, YYYY-MM-DD")
	c.MarkFlagsMutuallyExclusive("edition", "as-of")
}

// openCatalog returns the catalog that --catalog asks for.
func openCatalog(c *cobra.Command) (*catalog.Catalog, error) {
	dir, _ := c.Flags().GetString("catalog")
	if dir == "" {
		return catalog.Default(), nil
	}
	return catalog.LoadOverlay(dir)
}

// chooseEdition puts --edition or --as-of in the place of what the description
// says.
func chooseEdition(c *cobra.Command, described *cluster.Cluster) error {
	edition, err := editionFlag(c)
	if err != nil {
		return err
	}
	day, err := asOf(c)
	if err != nil {
		return err
	}
	if edition != "" || !day.IsZero() {
		described.Edition, described.AsOf = edition, day
	}
	return nil
}

// asOf returns the day of --as-of, the zero time when it is not given.
func asOf(c *cobra.Command) (time.Time, error) {
	text, _ := c.Flags().GetString("as-of")
	if text == "" && !c.Flags().Changed("as-of") {
		return time.Time{}, nil
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("--as-of %q is not a date such as 2020-05-26", text)
	}
	return day, nil
}

// editionOf returns the edition that --edition or --as-of name, the newest when
// neither is given.
func editionOf(c *cobra.Command, cat *catalog.Catalog) (catalog.Edition, error) {
	day, err := asOf(c)
	if err != nil {
		return catalog.Edition{}, err
	}
	if !day.IsZero() {
		return cat.AsOf(day)
	}
	name, err := editionFlag(c)
	if err != nil {
		return catalog.Edition{}, err
	}
	return cat.Edition(name)
}

// editionFlag returns --edition, "" when it is not given.
func editionFlag(c *cobra.Command) (string, error) {
	name, _ := c.Flags().GetString("edition")
	if name == "" && c.Flags().Changed("edition") {
		return "", errors.New("--edition is empty: write a date, seed or newest")
	}
	return name, nil
}

// openServiceTags reads the file of --service-tags, nil when there is none.
func openServiceTags(c *cobra.Command) (*catalog.ServiceTags, error) {
	name, _ := c.Flags().GetString("service-tags")
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	tags, err := catalog.ReadServiceTags(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return tags, nil
}

// errUnknownOutput says which outputs a verb has.
func errUnknownOutput(format, choices string) error {
	return errors.New("output \"" + format + "\" is not one of " + choices)
}
