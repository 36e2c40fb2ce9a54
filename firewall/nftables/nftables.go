// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package nftables writes and reads rule sets of the Linux kernel's packet
// filter: files for nft -f, and what nft list ruleset prints (nft(8) of nftables
// 1.0.6, tried 2026-11-23 on Linux with veth pairs; wiki.nftables.org).
//
// What is read is the way of a new flow through the base chains of one hook:
// forward for what a router passes on, output for what the host itself sends.
// A flow is judged by its first packet, so "ct state established" matches none.
// The packets of a flow have addresses of one family, which is that of the
// source here: a test of the destination says nothing about the source.
//
// Names are not for nftables: it compares addresses. What dnsmasq or a daemon
// puts into sets while they are in use is in no file, so such a set is unknown.
package nftables

import (
	"bytes"
	"fmt"

	"github.com/sallyport/sallyport/ruleset"
)

// Dialect is the Dialect of the rule sets that Read returns.
const Dialect = "nftables"

// MaxSize is the longest file that is read, in bytes.
const MaxSize = 8 << 20

// Hook is the place in the kernel at which base chains see a packet.
type Hook string

// The hooks that outgoing flows pass.
const (
	Forward Hook = "forward" // what the host passes on for others
	Output  Hook = "output"  // what the host itself sends
)

// Read reads a file at the hook forward or, when no base chain is there and
// some are at output, at output. What it does not understand becomes unknown,
// with its line.
func Read(name string, data []byte) (*ruleset.RuleSet, error) {
	p, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	if !p.hooked(Forward) && p.hooked(Output) {
		return p.at(Output)
	}
	out, err := p.at(Forward)
	if err == nil && p.hooked(Output) {
		out.Notes = append(out.Notes, ruleset.Statement{
			Pos: ruleset.Position{File: name}, Text: "base chains at the hook output, for what the host itself sends, are not part of this",
		})
	}
	return out, err
}

// parse reads nft's language or its JSON.
func parse(name string, data []byte) (*parser, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%s: is longer than %d MiB", name, MaxSize>>20)
	}
	p := &parser{file: name, tables: make(map[string]*table)}
	if first := bytes.TrimLeft(data, " \t\r\n"); bytes.HasPrefix(first, []byte("{")) {
		return nil, fmt.Errorf("%s: is JSON; give the output of nft list ruleset without -j", name)
	}
	p.lex = &lexer{data: string(data), line: 1, defined: make(map[string][]token)}
	p.parseFile()
	return p, nil
}

// hooked reports whether a base chain of the file is at a hook.
func (p *parser) hooked(hook Hook) bool {
	for _, t := range p.order {
		for _, c := range t.order {
			if c.hook == string(hook) && !t.dormant {
				return true
			}
		}
	}
	return false
}
