// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nftables

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
)

// AddressesOnly is the restriction that names cannot be said: nft resolves a
// host name once, when it loads the file, and has no wildcards (nft(8), "IPv4
// address type", nftables 1.0.6, read 2026-11-23).
const AddressesOnly = "nftables-addresses-only"

// Write translates the rules of p whose destinations are addresses into a file
// for nft -f, which replaces the table that an earlier one made, in one
// transaction. Rules by name are left out and named.
func Write(p *program.Program) (conf []byte, left []flow.RuleID) {
	var sets, chains, jumps strings.Builder
	n := 0
	for _, r := range p.Rules {
		if r.ByName() {
			left = append(left, r.ID)
			continue
		}
		n++
		id := fmt.Sprintf("r%d", n)
		title := fmt.Sprintf("\n\t# %s: %s\n", r.ID, oneLine(r.Origins))
		sets.WriteString(title)
		chains.WriteString(title)
		fmt.Fprintf(&chains, "\tchain %s {\n", id)
		for _, f := range []struct {
			key, digit, kind string
			all              netset.Set
		}{{"ip", "4", "ipv4_addr", allV4}, {"ip6", "6", "ipv6_addr", allV6}} {
			if from := r.Sources.Intersect(f.all); !from.IsEmpty() {
				writeSet(&sets, id+"_src"+f.digit, f.kind, from)
				fmt.Fprintf(&jumps, "\t\t%s saddr @%s_src%s jump %s\n", f.key, id, f.digit, id)
			}
			if to := r.Prefixes.Intersect(f.all); !to.IsEmpty() {
				writeSet(&sets, id+"_dst"+f.digit, f.kind, to)
				fmt.Fprintf(&chains, "\t\t%s daddr @%s_dst%s %s dport %s accept comment \"%s\"\n",
					f.key, id, f.digit, r.Protocol.Transport, portsText(r), comment(r.ID))
			}
		}
		chains.WriteString("\t}\n")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "#!/usr/sbin/nft -f\n# Written by sallyport from edition %s of the list: what this host may forward. nftables\n", oneLineOf(p.Edition.ID))
	b.WriteString("# compares addresses; rules by name are not here and need something that reads names.\n\n")
	b.WriteString("table inet sallyport\ndelete table inet sallyport\n\ntable inet sallyport {")
	b.WriteString(sets.String() + chains.String())
	b.WriteString("\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy drop;\n\t\tct state established,related accept\n")
	b.WriteString(jumps.String() + "\t}\n}\n")
	return []byte(b.String()), left
}

// writeSet writes a named set of prefixes. All addresses stand as two halves,
// since an interval set does not take a prefix of no bits everywhere.
func writeSet(b *strings.Builder, name, kind string, s netset.Set) {
	var texts []string
	for _, p := range s.Prefixes() {
		switch {
		case p.Bits() > 0 && p.IsSingleIP():
			texts = append(texts, p.Addr().String())
		case p.Bits() > 0:
			texts = append(texts, p.String())
		case p.Addr().Is4():
			texts = append(texts, "0.0.0.0/1", "128.0.0.0/1")
		default:
			texts = append(texts, "::/1", "8000::/1")
		}
	}
	fmt.Fprintf(b, "\tset %s {\n\t\ttype %s\n\t\tflags interval\n\t\telements = {\n", name, kind)
	for _, t := range texts {
		fmt.Fprintf(b, "\t\t\t%s,\n", t)
	}
	b.WriteString("\t\t}\n\t}\n")
}

// portsText writes the ports of a rule.
func portsText(r program.Rule) string {
	texts := r.Ports.Texts()
	if len(texts) == 1 {
		return texts[0]
	}
	return "{ " + strings.Join(texts, ", ") + " }"
}

// comment writes a rule's id as nft takes it: at most 128 characters, without
// quotes (nft(8), "comment", nftables 1.0.6).
func comment(id flow.RuleID) string {
	s := strings.Map(func(c rune) rune {
		if c == '"' || c == '\\' || c < ' ' || c > '~' {
			return '_'
		}
		return c
	}, string(id))
	return s[:min(len(s), 120)]
}

func oneLine(origins []program.Origin) string {
	if len(origins) == 0 {
		return ""
	}
	return oneLineOf(origins[0].Purpose)
}

func oneLineOf(s string) string { return strings.Join(strings.Fields(s), " ") }
