// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/ruleset"
)

// Flow is a line of a table of flows: the verdict that somebody expects for all
// flows of one kind.
type Flow struct {
	File string
	Line int
	To   string // name, wildcard, address or prefix
	At   string // address or prefix that a name leads to, "" for one that no rule names
	Port string // "https/443"
	From string // address or prefix, "" for the cluster's own
	Want string // "allow" or "deny"
	Why  string

	box flowset.Box // without Src when From is ""
}

// FlowResult is what became of a line.
type FlowResult struct {
	Flow    Flow
	From    string // as asked
	Got     string // "allow", "deny", "partly" or "unknown"
	OK      bool
	Unknown bool
	Rule    string // that allows, "" when none does
	Pos     ruleset.Position
	Witness string // a flow that has not the verdict that is wanted
}

// maxFlows is the longest table that is read, in bytes.
const maxFlows = 4 << 20

// ParseFlows reads a table of flows, YAML with a list called flows, and reports
// everything that is wrong in it.
func ParseFlows(name string, data []byte) ([]Flow, error) {
	if len(data) > maxFlows {
		return nil, fmt.Errorf("%s: is longer than %d MiB", name, maxFlows>>20)
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithV4Defaults())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var doc yaml.Node
	if err := loader.Load(&doc); err != nil {
		if err == io.EOF {
			err = errors.New("is empty; write for example flows: [{to: mcr.microsoft.com, port: https/443, want: allow}]")
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	root := &doc
	if root.Kind == yaml.DocumentNode && len(root.Content) > 0 {
		root = root.Content[0]
	}
	if root.Kind != yaml.MappingNode || len(root.Content) != 2 || root.Content[0].Value != "flows" || root.Content[1].Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("%s:%d: a table of flows is one list called flows", name, max(root.Line, 1))
	}
	var out []Flow
	var errs []error
	for _, item := range root.Content[1].Content {
		f, err := parseFlow(item)
		f.File, f.Line = name, item.Line
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", name, item.Line, err))
		}
		out = append(out, f)
	}
	if len(out) == 0 {
		errs = append(errs, fmt.Errorf("%s:%d: holds no flow", name, root.Line))
	}
	return out, errors.Join(errs...)
}

func parseFlow(item *yaml.Node) (f Flow, err error) {
	if item.Kind != yaml.MappingNode {
		return f, errors.New("a flow is written {to: NAME, port: https/443, want: allow}")
	}
	keys := map[string]*string{"to": &f.To, "address": &f.At, "port": &f.Port, "from": &f.From, "want": &f.Want, "why": &f.Why}
	var errs []error
	for i := 0; i+1 < len(item.Content); i += 2 {
		key, value := item.Content[i], item.Content[i+1]
		switch to := keys[key.Value]; {
		case to == nil:
			errs = append(errs, fmt.Errorf("%q is not one of to, address, port, from, want, why", key.Value))
		case *to != "":
			errs = append(errs, fmt.Errorf("%s stands there twice", key.Value))
		case value.Kind != yaml.ScalarNode:
			errs = append(errs, fmt.Errorf("%s is not a text", key.Value))
		default:
			*to = value.Value
		}
	}
	if f.Want != "allow" && f.Want != "deny" {
		errs = append(errs, fmt.Errorf("want %q is not allow or deny", f.Want))
	}
	f.box = flowset.Box{Names: nameset.All(), Nameless: true, Dst: netset.All()}
	if err := f.readPort(); err != nil {
		errs = append(errs, err)
	}
	if err := f.readTo(); err != nil {
		errs = append(errs, err)
	}
	if f.From != "" {
		p, err := netset.ParsePrefix(f.From)
		if err != nil {
			errs = append(errs, fmt.Errorf("from: %w", err))
		}
		f.box.Src = netset.Of(p)
	}
	return f, errors.Join(errs...)
}

func (f *Flow) readPort() error {
	proto, port, ok := strings.Cut(f.Port, "/")
	if !ok {
		return fmt.Errorf("port %q is not written like https/443", f.Port)
	}
	p, err := flow.ParseProtocol(proto)
	if err != nil {
		return err
	}
	f.box.Class = ruleset.ClassOf(p)
	f.box.Ports, err = portset.Parse(port)
	return err
}

// readTo reads a destination. A flow to a name is one that states it.
func (f *Flow) readTo() error {
	if f.To == "" {
		return errors.New("to is missing: write a name, a wildcard, an address or a prefix")
	}
	if p, err := netset.ParsePrefix(f.To); err == nil {
		f.box.Dst = netset.Of(p)
		return nil
	}
	pattern, err := dnsname.ParsePattern(f.To)
	if err != nil {
		return fmt.Errorf("to %q is neither a name, a wildcard, an address nor a prefix", f.To)
	}
	f.box.Names, f.box.Nameless = nameset.Of(ruleset.GlobOf(pattern)), false
	if f.At == "" {
		f.box.Dst = netset.Set{}
		return nil
	}
	p, err := netset.ParsePrefix(f.At)
	if err != nil {
		return fmt.Errorf("address: %w", err)
	}
	f.box.Dst = netset.Of(p)
	return nil
}

// elsewhere returns the addresses that no rule names one by one: those that a
// name leads to unless somebody says otherwise.
func elsewhere(e ruleset.Effect) netset.Set {
	out := netset.All()
	for _, b := range e.Maybe.Boxes() {
		if !coversInternet(b.Dst) {
			out = out.Minus(b.Dst)
		}
	}
	return out
}

// Test asks rules for the verdict of each flow. own is the addresses of flows
// that state no source.
func Test(rules *ruleset.RuleSet, flows []Flow, own netset.Set) ([]FlowResult, error) {
	effect := rules.Evaluate()
	var out []FlowResult
	free := elsewhere(effect)
	for _, f := range flows {
		if f.box.Dst.IsEmpty() {
			f.box.Dst = free
		}
		r := FlowResult{Flow: f, From: f.From}
		if f.From == "" {
			if own.IsEmpty() {
				return nil, fmt.Errorf("%s:%d: from is missing: without a cluster (-c) nobody knows its addresses", f.File, f.Line)
			}
			f.box.Src, r.From = own, own.String()
		}
		asked := flowset.Of(f.box)
		switch {
		case effect.Sure.Covers(asked):
			r.Got = "allow"
		case !effect.Maybe.Overlaps(asked):
			r.Got = "deny"
		case effect.Sure.Overlaps(asked) && !effect.Maybe.Covers(asked):
			r.Got = "partly"
		default:
			r.Got, r.Unknown = "unknown", true
		}
		r.OK = r.Got == f.Want
		wrong := asked.Minus(effect.Sure) // what is not surely allowed
		if f.Want == "deny" {
			wrong = asked.Intersect(effect.Maybe)
		}
		if !r.OK {
			r.Witness = witness(wrong)
		}
		r.Rule, r.Pos = allowing(rules, asked)
		out = append(out, r)
	}
	return out, nil
}

// allowing returns the first rule that lets some of the flows through.
func allowing(rules *ruleset.RuleSet, asked flowset.Set) (string, ruleset.Position) {
	for _, r := range rules.Rules {
		if r.Action != ruleset.Allow || r.Kind == ruleset.NAT || r.Dead != "" {
			continue
		}
		for _, t := range r.Terms {
			if t.Maybe.Overlaps(asked) {
				return r.String(), t.Pos
			}
		}
	}
	return "", ruleset.Position{}
}
