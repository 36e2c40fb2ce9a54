// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/firewall"
)

const renderSchema = "sallyport.render/1"

func renderCommand() *cobra.Command {
	var file, dir, format string
	var list bool
	var accept, settings []string
	c := &cobra.Command{
		Use:   "render TARGET",
		Short: "Write the rules in the language of a firewall you have, and prove the translation",
		Long: `Write what the cluster needs in the language of another firewall. What was written is
read back and compared with the rules as sets of flows: they are equal, or each gap
is named with its rule, the reason and a flow that shows it. A translation that lets
through more than the rules do is refused, unless the restrictions that are the cause
are accepted by their ids; the file says so at its top.

Files go to standard output, or with -d into a directory; the comparison goes to
standard error.

Exit codes: 0 equal (or wider as accepted), 1 narrower in named gaps, 2 bad input or wider.`,
		Example: `  sallyport render --list
  sallyport render squid --cluster prod.yaml > squid.conf
  sallyport render sheet -d request/`,
		Args: func(_ *cobra.Command, args []string) error {
			if !list && len(args) != 1 {
				return errors.New("render needs a target; sallyport render --list shows them")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if list {
				return writeDialects(c, format)
			}
			d, ok := firewall.Find(args[0])
			if !ok {
				return fmt.Errorf("target %q is not known; sallyport render --list shows those there are", args[0])
			}
			d, err := d.With(settings)
			if err != nil {
				return err
			}
			_, p, err := load(c, file)
			if err != nil {
				return err
			}
			t, err := firewall.Translate(d, p)
			if err != nil {
				return err
			}
			if g, ok := t.Accepted(accept); !ok {
				return notAccepted(t, g)
			}
			t.Files[0].Data = append(acceptedHeader(t), t.Files[0].Data...)
			for _, f := range t.Files {
				if dir == "" {
					if _, err := c.OutOrStdout().Write(f.Data); err != nil {
						return err
					}
					break // the first is the one that decides
				}
				if err := os.MkdirAll(dir, 0o755); err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o644); err != nil {
					return err
				}
			}
			for _, g := range t.Gaps {
				kind := "gap"
				if g.Wider {
					kind = "wider, accepted"
				}
				rule := string(g.Rule)
				if rule == "" {
					rule = "every rule"
				}
				fmt.Fprintf(c.ErrOrStderr(), "%s: %s: %s, for example %s (%s)\n", kind, rule, g.Text, g.Witness, g.Restriction)
			}
			if t.Equal() {
				fmt.Fprintf(c.ErrOrStderr(), "read back and compared: equal, %d rules\n", len(p.Rules))
				return nil
			}
			wider := 0
			for _, g := range t.Gaps {
				if g.Wider {
					wider++
				}
			}
			fmt.Fprintf(c.ErrOrStderr(), "read back and compared: narrower by %d of %d rules, wider by %s\n", len(t.Gaps)-wider, len(p.Rules), orNone(wider))
			if len(t.Gaps) == wider {
				return nil
			}
			return exit{code: exitNo}
		},
	}
	clusterFlag(c, &file)
	c.Flags().StringVarP(&dir, "directory", "d", "", "write every file of the translation into this directory")
	c.Flags().StringSliceVar(&accept, "accept-wider", nil, "restrictions for which the translation may let through more, by id")
	c.Flags().StringArrayVar(&settings, "with", nil, "setting of the target, KEY=VALUE, such as priority=300; --list -o json shows them")
	c.Flags().BoolVar(&list, "list", false, "list the targets and what each cannot say")
	formatFlag(c, &format, "of --list: table, json, yaml, csv or md")
	return c
}

// notAccepted says what is wider, and what to type to have it all the same.
func notAccepted(t firewall.Translation, first firewall.Gap) error {
	var ids []string
	for _, g := range t.Gaps {
		if g.Wider && g.Restriction == "" {
			return fmt.Errorf("nothing is written: the translation would be wider: %s %s", g.Witness, g.Text)
		}
		if g.Wider && !slices.Contains(ids, g.Restriction) {
			ids = append(ids, g.Restriction)
		}
	}
	return fmt.Errorf("nothing is written: the translation would be wider, for example %s: %s\nto have it all the same, add --accept-wider %s",
		first.Witness, first.Text, strings.Join(ids, ","))
}

// acceptedHeader is the comment that records what was accepted.
func acceptedHeader(t firewall.Translation) []byte {
	var b strings.Builder
	said := make(map[string]bool)
	for _, g := range t.Gaps {
		if g.Wider && !said[g.Restriction] {
			said[g.Restriction] = true
			fmt.Fprintf(&b, "# Accepted as wider than the rules: %s: %s\n", g.Restriction, g.Text)
		}
	}
	return []byte(b.String())
}

func orNone(n int) string {
	if n == 0 {
		return "none"
	}
	return fmt.Sprintf("%d, as accepted", n)
}

// writeDialects prints the support matrix.
func writeDialects(c *cobra.Command, format string) error {
	type restrictionJSON struct {
		ID     string `json:"id"`
		Text   string `json:"text"`
		Source string `json:"source"`
	}
	type settingJSON struct {
		Key     string `json:"key"`
		Text    string `json:"text"`
		Default string `json:"default"`
	}
	type dialectJSON struct {
		Name         string            `json:"name"`
		Title        string            `json:"title"`
		Scope        string            `json:"scope"`
		Matches      string            `json:"matches"`
		Restrictions []restrictionJSON `json:"restrictions"`
		Settings     []settingJSON     `json:"settings"` // what --with takes
	}
	doc := struct {
		Schema   string        `json:"schema"`
		Dialects []dialectJSON `json:"dialects"`
	}{Schema: renderSchema}
	t := table{head: []string{"TARGET", "WHAT IT IS", "SEES", "A NAME IS", "CANNOT SAY"}}
	for _, d := range firewall.Dialects {
		x := dialectJSON{d.Name, d.Title, d.Scope, d.Matches, []restrictionJSON{}, []settingJSON{}}
		for _, s := range d.Settings {
			x.Settings = append(x.Settings, settingJSON(s))
		}
		var cannot []string
		for _, r := range d.Restrictions {
			x.Restrictions = append(x.Restrictions, restrictionJSON(r))
			cannot = append(cannot, r.Text)
		}
		doc.Dialects = append(doc.Dialects, x)
		t.add(d.Name, d.Title, d.Scope, d.Matches, orDash(strings.Join(cannot, "; ")))
	}
	return t.write(c, format, doc)
}
