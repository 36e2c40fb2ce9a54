// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/ruleset"
)

// textCall computes the functions of texts, numbers and addresses that are not
// worth a function of their own. ok is false when it is none of them, or not all
// that it needs is known.
func textCall(name string, args []value, pos ruleset.Position) (out value, ok bool) {
	known := len(args) > 0
	for _, a := range args {
		known = known && a.known()
	}
	if !known {
		return value{}, false
	}
	str := func(s string) (value, bool) { return value{kind: text, text: s, pos: pos}, true }
	integer := func(i int) (n int, ok bool) {
		if i >= len(args) {
			return 0, false
		}
		n, err := strconv.Atoi(args[i].text)
		return n, err == nil
	}
	s := args[0].text
	switch name {
	case "substring", "substr": // (text, start, length); -1 is the rest in Terraform
		from, ok := integer(1)
		if !ok || from < 0 || from > len(s) {
			return value{}, false
		}
		n, ok := integer(2)
		if len(args) == 2 || ok && n < 0 {
			n, ok = len(s)-from, true
		}
		if !ok || n > len(s)-from && name == "substring" {
			return value{}, false
		}
		return str(s[from:min(len(s), from+n)])
	case "startswith", "endswith", "contains", "indexof", "trimprefix", "trimsuffix":
		if len(args) != 2 {
			return value{}, false
		}
		with := args[1].text
		switch name {
		case "startswith":
			return truth(strings.HasPrefix(s, with)), true
		case "endswith":
			return truth(strings.HasSuffix(s, with)), true
		case "contains":
			return truth(strings.Contains(s, with)), true
		case "trimprefix":
			return str(strings.TrimPrefix(s, with))
		case "trimsuffix":
			return str(strings.TrimSuffix(s, with))
		}
		return value{kind: number, text: strconv.Itoa(strings.Index(s, with)), pos: pos}, true
	case "take", "skip":
		n, ok := integer(1)
		if !ok {
			return value{}, false
		}
		n = min(max(n, 0), len(s))
		if name == "take" {
			return str(s[:n])
		}
		return str(s[n:])
	case "bool", "tobool":
		return value{kind: boolean, text: strings.ToLower(s), pos: pos}, s != ""
	case "cidrsubnet":
		bits, ok := integer(1)
		n, ok2 := integer(2)
		if p, err := netip.ParsePrefix(s); err == nil && ok && ok2 {
			if sub, ok := subnet(p.Masked(), bits, n); ok {
				return str(sub.String())
			}
		}
	case "cidrhost":
		n, ok := integer(1)
		if p, err := netip.ParsePrefix(s); err == nil && ok && n >= 0 {
			if host, ok := subnet(p.Masked(), p.Addr().BitLen()-p.Bits(), n); ok {
				return str(host.Addr().String())
			}
		}
	}
	return value{}, false
}

// subnet returns the n-th of the prefixes that p is made of, bits longer.
func subnet(p netip.Prefix, bits, n int) (netip.Prefix, bool) {
	long := p.Bits() + bits
	if bits < 0 || n < 0 || long > p.Addr().BitLen() || bits < 31 && n >= 1<<bits {
		return netip.Prefix{}, false
	}
	b := p.Addr().AsSlice()
	for i := long - 1; n > 0 && i >= 0; i, n = i-1, n>>1 {
		if n&1 == 1 {
			b[i/8] |= 0x80 >> (i % 8)
		}
	}
	a, ok := netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, long), ok
}

// formatList is format for each element of the lists among its arguments.
func (r *reader) formatList(e *expr, args []value) value {
	n := -1
	for _, a := range args {
		if a.kind == list && (n < 0 || len(a.items) < n) {
			n = len(a.items)
		}
	}
	if n < 0 {
		return unresolved(e.pos, "formatlist()", "formatlist() without a list that is known")
	}
	out := value{kind: list, pos: e.pos}
	for i := range n {
		one := slices.Clone(args)
		for j, a := range args {
			if a.kind == list {
				one[j] = a.items[i]
			}
		}
		v := r.format(e, one)
		for _, a := range one {
			if a.when != "" {
				v.when = a.when
			}
		}
		out.items = append(out.items, v)
	}
	r.work += n
	return out
}
