// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"
)

// table is rows under a head, to be written in one of several forms.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// text writes the table with aligned columns. On a terminal a row is cut to its
// width; in a pipe it is whole.
func (t *table) text(w io.Writer) {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{t.head}, t.rows...) {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	_ = tw.Flush()
	width, terminal := isTerminal(w)
	for line := range strings.Lines(b.String()) {
		line = strings.TrimRight(line, " \n")
		if terminal && utf8.RuneCountInString(line) > width {
			line = string([]rune(line)[:width-1]) + "…"
		}
		fmt.Fprintln(w, line)
	}
}

// csv writes the table as RFC 4180 has it.
func (t *table) csv(w io.Writer) error {
	out := csv.NewWriter(w)
	head := make([]string, len(t.head))
	for i, h := range t.head {
		head[i] = strings.ToLower(h)
	}
	if err := out.WriteAll(append([][]string{head}, t.rows...)); err != nil {
		return err
	}
	return out.Error()
}

// markdown writes the table as GitHub's Markdown has it.
func (t *table) markdown(w io.Writer) error {
	var b strings.Builder
	line := func(cells []string) {
		b.WriteString("|")
		for _, c := range cells {
			// A star or an angle bracket would be markup.
			c = strings.NewReplacer("|", `\|`, "*", `\*`, "<", `\<`).Replace(c)
			b.WriteString(" " + c + " |")
		}
		b.WriteString("\n")
	}
	line(t.head)
	b.WriteString(strings.Repeat("| --- ", len(t.head)) + "|\n")
	for _, row := range t.rows {
		line(row)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// write writes the table or the document in one of the machine forms.
func (t *table) write(c *cobra.Command, format string, doc any) error {
	out := c.OutOrStdout()
	switch format {
	case "json":
		return writeJSON(out, doc)
	case "yaml":
		return writeYAML(out, doc)
	case "csv":
		return t.csv(out)
	case "md":
		return t.markdown(out)
	case "table":
		t.text(out)
		return nil
	}
	return errUnknownOutput(format, "table, json, yaml, csv, md")
}

// writeDocument writes a document in one of the machine forms, or for people as
// text does.
func writeDocument(c *cobra.Command, format string, doc any, text func(io.Writer)) error {
	switch format {
	case "json":
		return writeJSON(c.OutOrStdout(), doc)
	case "yaml":
		return writeYAML(c.OutOrStdout(), doc)
	case "table":
		text(c.OutOrStdout())
		return nil
	}
	return errUnknownOutput(format, "table, json, yaml")
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// writeYAML writes what writeJSON would, with the same keys in the same order.
func writeYAML(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var node yaml.Node
	if err := yaml.Unmarshal(data, &node); err != nil { // JSON is YAML
		return err
	}
	block(&node)
	out, err := yaml.Marshal(&node)
	if err != nil {
		return err
	}
	_, err = w.Write(out)
	return err
}

// block gives a tree that was read from JSON the looks of YAML.
func block(n *yaml.Node) {
	n.Style = 0
	if len(n.Content) == 0 && n.Kind != yaml.ScalarNode {
		n.Style = yaml.FlowStyle
	}
	for _, c := range n.Content {
		block(c)
	}
}
