// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package panos writes and reads the security policy of Palo Alto Networks
// firewalls, as the set commands of PAN-OS's configuration mode (PAN-OS 10.2 and
// later; docs.paloaltonetworks.com, read 2026-11-23). It was not tried on a
// firewall: there is none to be had for tests.
//
// The first rule that matches decides, top down, and what none matches is denied
// between zones. A custom URL category is compared with the SNI of TLS and the
// Host of HTTP; where the client sends no SNI, the firewall looks at the name in
// the certificate, which the flows here do not have
// (knowledgebase.paloaltonetworks.com kA10g000000PObsCAG, 2026-11-23). A category
// says nothing about ports, so the service of a rule does.
package panos

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/ruleset"
)

// Dialect is the Dialect of the rule sets that Read returns.
const Dialect = "pan-os"

// MaxSize is the longest list of commands that is read, in bytes.
const MaxSize = 8 << 20

// maxRules is the number of security rules that are read. The largest firewalls
// hold 65,000.
const maxRules = 65000

// reader gathers objects and rules; a rule's settings may stand on many lines.
type reader struct {
	file       string
	addresses  map[string]object
	groups     map[string]object // of addresses
	services   map[string]*service
	bundles    map[string]object // groups of services
	categories map[string]*category
	rules      []*rule // in their order
	named      map[string]*rule
	unknown    []ruleset.Unknown // that may change anything
	allowRest  bool              // interzone-default allows
}

// object is a list of values with the line that names it.
type object struct {
	kind   string // of an address: ip-netmask, ip-range, fqdn ...
	values []string
}

// service is a service object.
type service struct {
	protocol, ports string
	odd             string // setting that is not read, "" when there is none
}

// category is a custom URL category.
type category struct {
	kind string // "URL List"
	list []string
}

// rule is one security rule as it is written.
type rule struct {
	name     string
	line     int
	rulebase string
	settings map[string][]string
}

// Read reads set commands. What it does not understand becomes unknown, with its
// line.
func Read(name string, data []byte) (*ruleset.RuleSet, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%s: is longer than %d MiB", name, MaxSize>>20)
	}
	r := &reader{
		file: name, addresses: make(map[string]object), groups: make(map[string]object), services: make(map[string]*service),
		bundles: make(map[string]object), categories: make(map[string]*category), named: make(map[string]*rule),
	}
	n := 0
	for text := range strings.Lines(string(data)) {
		n++
		w, whole := words(text)
		if len(w) == 0 || strings.HasPrefix(w[0], "#") {
			continue
		}
		if !whole {
			r.maybe(n, text, "a quote or bracket does not end on its line")
			continue
		}
		switch w[0] {
		case "set":
			r.set(n, text, scopeless(w[1:]))
		case "configure", "commit", "exit", "quit", "top":
		default:
			r.maybe(n, text, "only set is followed")
		}
		if len(r.rules) > maxRules {
			return nil, fmt.Errorf("%s:%d: has more than %d rules", name, n, maxRules)
		}
	}
	return r.ruleSet(), nil
}

// maybe notes something that may change everything.
func (r *reader) maybe(line int, text, why string) {
	if len(r.unknown) < 1000 {
		r.unknown = append(r.unknown, ruleset.Unknown{Pos: ruleset.Position{File: r.file, Line: line}, Part: "command", Text: strings.TrimSpace(text), Why: why})
	}
}

// words splits a command; texts in quotes are one word each. A list "[ a b ]"
// keeps its brackets. whole is false when a quote or a bracket does not end.
func words(s string) (out []string, whole bool) {
	open := 0
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimLeft(s, " \t\r\n") {
		if q := s[0]; q == '"' || q == '\'' {
			end := strings.IndexByte(s[1:], q)
			if end < 0 {
				return out, false
			}
			out, s = append(out, s[1:1+end]), s[end+2:]
			continue
		}
		end := strings.IndexAny(s, " \t\r\n")
		if end < 0 {
			end = len(s)
		}
		switch s[:end] {
		case "[":
			open++
		case "]":
			open--
		}
		out, s = append(out, s[:end]), s[end:]
	}
	return out, open == 0
}

// scopeless cuts off the place an object lives in. The words after it mean the
// same everywhere.
func scopeless(w []string) []string {
	switch {
	case len(w) > 1 && w[0] == "shared":
		return w[1:]
	case len(w) > 2 && (w[0] == "vsys" || w[0] == "device-group"):
		return w[2:]
	}
	return w
}

// values reads one value or a list in brackets from the front of w.
func values(w []string) (v, rest []string) {
	if len(w) == 0 || w[0] != "[" {
		return w[:min(1, len(w))], w[min(1, len(w)):]
	}
	for i, s := range w {
		if s == "]" {
			return w[1:i], w[i+1:]
		}
	}
	return w[1:], nil
}

// both returns rules that let flows through or not, who knows.
func both(u ruleset.Unknown) []ruleset.Rule {
	deny := ruleset.Rule{Pos: u.Pos, Name: u.Part, Kind: ruleset.Application, Unknown: []ruleset.Unknown{u}}
	deny.Terms = []ruleset.Term{{Pos: u.Pos, Text: u.Text, Maybe: flowset.All()}}
	allow := deny
	allow.Action = ruleset.Allow
	return []ruleset.Rule{deny, allow}
}
