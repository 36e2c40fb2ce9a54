// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package squid writes and reads the access rules of Squid, as an explicit
// forward proxy: squid.conf's acl and http_access (Squid 5.7, tried 2026-11-22;
// wiki.squid-cache.org/SquidFaq/SquidAcl).
//
// A request is either CONNECT, which stands for HTTPS to the named host, or
// plain HTTP. What matches is the host of the request line, which the client
// states; Squid does not look at the hello inside a tunnel unless it is told to
// peek, and this dialect does not tell it.
package squid

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/ruleset"
)

// Dialect is the Dialect of the rule sets that Read returns.
const Dialect = "squid"

// MaxSize is the longest configuration that is read, in bytes.
const MaxSize = 16 << 20

// reader gathers what acls mean.
type reader struct {
	file  string
	acls  map[string]acl
	rules *ruleset.RuleSet
}

// acl is what one acl matches. Values of one acl are alternatives.
type acl struct {
	sure, maybe flowset.Set
	unknown     []ruleset.Unknown
}

// proxied is everything that can be asked of a forward proxy.
func proxied() flowset.Box {
	b := flowset.Everything()
	b.Class = flowset.TLS | flowset.HTTP
	return b
}

// builtin are the acls that Squid defines itself (src/cf.data.pre, Squid 5.7).
func builtin() map[string]acl {
	exact := func(b flowset.Box) acl { return acl{sure: flowset.Of(b), maybe: flowset.Of(b)} }
	local, connect := proxied(), proxied()
	local.Src = netset.Of(netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128"))
	connect.Class = flowset.TLS
	manager := acl{maybe: flowset.Of(proxied())}
	return map[string]acl{"all": exact(proxied()), "localhost": exact(local), "CONNECT": exact(connect), "manager": manager, "to_localhost": manager, "to_linklocal": manager}
}

// Read reads a squid.conf. What it does not understand becomes unknown, with
// its line.
func Read(name string, data []byte) (*ruleset.RuleSet, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%s: is longer than %d MiB", name, MaxSize>>20)
	}
	r := reader{file: name, acls: builtin(), rules: &ruleset.RuleSet{Dialect: Dialect, Files: []string{name}}}
	n, rulesSeen := 0, 0
	var last ruleset.Action
	for len(data) > 0 {
		n++
		at := n
		line, rest, _ := bytes.Cut(data, []byte("\n"))
		data = rest
		text := strings.TrimRight(string(line), " \t\r")
		for strings.HasSuffix(text, "\\") && len(data) > 0 {
			n++
			line, rest, _ = bytes.Cut(data, []byte("\n"))
			data = rest
			text = strings.TrimSuffix(text, "\\") + " " + strings.TrimSpace(string(line))
		}
		words := strings.Fields(text)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		switch words[0] {
		case "acl":
			r.acl(at, words[1:])
		case "http_access":
			if a, ok := r.access(at, words[1:]); ok {
				rulesSeen++
				last = a
			}
		case "include":
			r.rules.Unknown = append(r.rules.Unknown, ruleset.Unknown{
				Pos: ruleset.Position{File: name, Line: at}, Part: "include", Text: text, Why: "other files are not read"})
		}
	}
	// Without a match the opposite of the last line holds; without any line,
	// nothing is allowed (cf.data.pre, http_access).
	if rulesSeen > 0 && last == ruleset.Deny {
		r.rules.Default = ruleset.Allow
	}
	if r.rules.Default == ruleset.Allow {
		// Of what can be asked of a proxy at all.
		r.rules.Rules = append(r.rules.Rules, ruleset.Rule{
			Pos: ruleset.Position{File: name, Line: n}, Name: "default", Kind: ruleset.Application, Action: ruleset.Allow,
			Terms: []ruleset.Term{{Text: "all", Sure: flowset.Of(proxied()), Maybe: flowset.Of(proxied())}},
		})
		r.rules.Default = ruleset.Deny
	}
	return r.rules, nil
}

// acl reads "name type [flags] values...".
func (r *reader) acl(line int, words []string) {
	pos := ruleset.Position{File: r.file, Line: line}
	if len(words) < 2 {
		r.rules.Unknown = append(r.rules.Unknown, ruleset.Unknown{Pos: pos, Part: "acl", Text: strings.Join(words, " "), Why: "has no type"})
		return
	}
	name, kind, values := words[0], words[1], words[2:]
	for len(values) > 0 && strings.HasPrefix(values[0], "-") && values[0] != "-" {
		values = values[1:]
	}
	a := r.acls[name]
	for _, v := range values {
		if strings.HasPrefix(v, "#") {
			break
		}
		box, why := value(kind, v)
		if why != "" {
			a.unknown = append(a.unknown, ruleset.Unknown{Pos: pos, Part: "acl " + name, Text: kind + " " + v, Why: why})
			a.maybe = flowset.Of(proxied())
			continue
		}
		a.sure, a.maybe = a.sure.Union(flowset.Of(box)), a.maybe.Union(flowset.Of(box))
	}
	r.acls[name] = a
}

// value returns the flows that one value of an acl matches, or why it is not
// known.
func value(kind, v string) (b flowset.Box, why string) {
	b = proxied()
	switch kind {
	case "src", "dst":
		set, err := addresses(v)
		if err != nil {
			return b, err.Error()
		}
		if kind == "src" {
			b.Src = set
		} else {
			// Squid resolves the name of a request to match dst; a request by
			// address has none.
			b.Dst = set
		}
	case "dstdomain":
		// ".x" is x and every name under it; "x" is x alone; a star is no
		// wildcard, although squid -k parse takes it (tried).
		if strings.Contains(v, "*") {
			b.Names, b.Nameless = nameset.Set{}, false
			return b, ""
		}
		text, dotted := strings.CutPrefix(v, ".")
		g, err := nameset.Parse(text)
		if err != nil {
			return b, err.Error()
		}
		b.Names, b.Nameless = nameset.Of(g), false
		if dotted {
			under, _ := nameset.Parse("**." + text)
			b.Names = nameset.Of(g, under)
		}
	case "port":
		set, err := portset.Parse(v)
		if err != nil {
			return b, err.Error()
		}
		b.Ports = set
	case "method":
		switch strings.ToUpper(v) {
		case "CONNECT":
			b.Class = flowset.TLS
		default:
			return b, "only CONNECT is told apart"
		}
	default:
		return b, "the acl type " + kind + " is not read"
	}
	return b, ""
}

// addresses reads an address, a prefix, a range, or all.
func addresses(v string) (netset.Set, error) {
	switch v {
	case "all", "0.0.0.0/0", "::/0":
		return netset.All(), nil
	}
	if a, err := netip.ParseAddr(v); err == nil {
		return netset.OfAddrs(a), nil
	}
	p, err := netset.ParsePrefix(v)
	if err != nil {
		return netset.Set{}, fmt.Errorf("%q is no address or prefix", v)
	}
	return netset.Of(p), nil
}

// access reads "allow|deny [!]acl...": all of them must match.
func (r *reader) access(line int, words []string) (ruleset.Action, bool) {
	pos := ruleset.Position{File: r.file, Line: line}
	if len(words) == 0 || words[0] != "allow" && words[0] != "deny" {
		r.rules.Unknown = append(r.rules.Unknown, ruleset.Unknown{Pos: pos, Part: "http_access", Text: strings.Join(words, " "), Why: "is neither allow nor deny"})
		return ruleset.Deny, false
	}
	rule := ruleset.Rule{Pos: pos, Name: fmt.Sprintf("http_access line %d", line), Kind: ruleset.Application}
	if words[0] == "allow" {
		rule.Action = ruleset.Allow
	}
	sure, maybe := flowset.Of(proxied()), flowset.Of(proxied())
	for _, w := range words[1:] {
		if strings.HasPrefix(w, "#") {
			break
		}
		name, not := strings.CutPrefix(w, "!")
		a, ok := r.acls[name]
		if !ok {
			a = acl{maybe: flowset.Of(proxied()), unknown: []ruleset.Unknown{{Pos: pos, Part: "http_access", Text: w, Why: "no acl is called " + name}}}
		}
		rule.Unknown = append(rule.Unknown, a.unknown...)
		if not {
			sure, maybe = sure.Minus(a.maybe), maybe.Minus(a.sure)
		} else {
			sure, maybe = sure.Intersect(a.sure), maybe.Intersect(a.maybe)
		}
	}
	if maybe.IsEmpty() {
		rule.Dead = "its acls exclude each other"
	}
	rule.Terms = []ruleset.Term{{Pos: pos, Text: strings.Join(words[1:], " "), Sure: sure, Maybe: maybe}}
	r.rules.Rules = append(r.rules.Rules, rule)
	return rule.Action, true
}
