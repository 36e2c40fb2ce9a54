// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package sheet writes and reads a request sheet: a plain list of what to open,
// for the team that owns the firewall. It can say everything that a program
// can, so nothing is left out.
package sheet

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/program"
	"github.com/sallyport/sallyport/ruleset"
)

// Dialect is the Dialect of the rule sets that Read returns.
const Dialect = "request-sheet"

// MaxSize is the longest sheet that is read, in bytes.
const MaxSize = 16 << 20

var head = []string{"id", "from", "to", "protocol", "ports", "need", "until", "why", "source"}

// rows returns the cells of each rule.
func rows(p *program.Program) [][]string {
	var out [][]string
	for _, r := range p.Rules {
		to := r.Pattern.String()
		if !r.ByName() {
			to = strings.Join(r.Prefixes.Texts(), " ")
		}
		need, until := "recommended", ""
		if r.Required {
			need = "required"
		} else if len(r.Origins) > 0 && r.Origins[0].Feature == program.FeatureOwner {
			need = "ours"
		}
		if !r.Until.IsZero() {
			// The rule ends at 24:00 of its last day.
			until = r.Until.Add(-time.Second).Format(time.DateOnly)
		}
		var why, source []string
		for _, o := range r.Origins {
			why = append(why, strings.Join(strings.Fields(o.Purpose), " "))
			c := o.Citation.Edition
			if c == "" {
				c = o.Citation.Document
			}
			if o.Citation.Line > 0 {
				c += fmt.Sprintf(":%d", o.Citation.Line)
			}
			source = append(source, c)
		}
		out = append(out, []string{string(r.ID), strings.Join(r.Sources.Texts(), " "), to, r.Protocol.String(), r.Ports.String(), need, until,
			strings.Join(why, "; "), strings.Join(source, " ")})
	}
	return out
}

// CSV writes the sheet as RFC 4180 has it.
func CSV(p *program.Program) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	// Writing to memory does not fail.
	_ = w.WriteAll(append([][]string{head}, rows(p)...))
	return b.Bytes()
}

// Markdown writes the sheet as a table, with what its columns mean.
func Markdown(p *program.Program) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Please open\n\nWhat the cluster in %s needs, by edition %s of the list. `*.x` is every name under x at any depth, and not x\n"+
		"itself. https is TLS whose server name is the destination, http is plain HTTP whose Host is; tcp and udp are anything.\n\n", p.Cluster.Location, p.Edition.ID)
	line := func(cells []string) {
		b.WriteString("|")
		for _, c := range cells {
			b.WriteString(" " + strings.NewReplacer("|", `\|`, "*", `\*`, "<", `\<`).Replace(c) + " |")
		}
		b.WriteString("\n")
	}
	line(head)
	b.WriteString(strings.Repeat("| --- ", len(head)) + "|\n")
	for _, r := range rows(p) {
		line(r)
	}
	return b.Bytes()
}

// Read reads a sheet that CSV wrote, or that somebody changed. Every fault is
// reported, each with its line.
func Read(name string, data []byte) (*ruleset.RuleSet, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%s: is longer than %d MiB", name, MaxSize>>20)
	}
	out := &ruleset.RuleSet{Dialect: Dialect, Files: []string{name}}
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = -1
	var errs []error
	for first := true; ; first = false {
		cells, err := r.Read()
		if err == io.EOF {
			break
		}
		line := 1
		if err == nil {
			line, _ = r.FieldPos(0)
		}
		fault := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("%s:%d: %w", name, line, fmt.Errorf(format, args...)))
		}
		if err != nil {
			fault("%w", err)
			break
		}
		if first {
			if strings.Join(cells, ",") != strings.Join(head, ",") {
				fault("the first line is not %s", strings.Join(head, ","))
				break
			}
			continue
		}
		if len(cells) < 5 {
			fault("has %d columns, want %d", len(cells), len(head))
			continue
		}
		rule, err := readRow(cells)
		if err != nil {
			fault("%w", err)
			continue
		}
		rule.Pos = ruleset.Position{File: name, Line: line}
		rule.Terms[0].Pos = rule.Pos
		out.Rules = append(out.Rules, rule)
	}
	return out, errors.Join(errs...)
}

func readRow(cells []string) (ruleset.Rule, error) {
	proto, err := flow.ParseProtocol(cells[3])
	if err != nil {
		return ruleset.Rule{}, err
	}
	b := flowset.Box{Class: ruleset.ClassOf(proto), Dst: netset.All()}
	if b.Src, err = prefixes(cells[1]); err != nil {
		return ruleset.Rule{}, err
	}
	if b.Ports, err = portset.Parse(cells[4]); err != nil {
		return ruleset.Rule{}, err
	}
	if dst, derr := prefixes(cells[2]); derr == nil {
		b.Names, b.Nameless, b.Dst = nameset.All(), true, dst
	} else {
		pattern, err := dnsname.ParsePattern(cells[2])
		if err != nil {
			return ruleset.Rule{}, err
		}
		b.Names = nameset.Of(ruleset.GlobOf(pattern))
	}
	set := flowset.Of(b)
	return ruleset.Rule{
		Name: cells[0], Kind: ruleset.Application, Action: ruleset.Allow,
		Terms: []ruleset.Term{{Text: cells[2], Sure: set, Maybe: set}},
	}, nil
}

func prefixes(s string) (netset.Set, error) {
	var out netset.Set
	words := strings.Fields(s)
	if len(words) == 0 {
		return out, errors.New("a list of addresses is empty")
	}
	for _, w := range words {
		p, err := netset.ParsePrefix(w)
		if err != nil {
			return out, err
		}
		out = out.Union(netset.Of(p))
	}
	return out, nil
}
