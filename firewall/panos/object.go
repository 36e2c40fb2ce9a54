// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package panos

import (
	"net/netip"
	"strings"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
)

var (
	allV4    = netset.Of(netip.MustParsePrefix("0.0.0.0/0"))
	v4Inside = netip.MustParsePrefix("::/96") // where rules see IPv4 addresses among those of IPv6
)

// maxNested is how deep groups may stand in groups.
const maxNested = 10

// addressSet returns the addresses that names and literals of a rule mean, and
// why some of them are not known.
func (r *reader) addressSet(list []string, depth int) (netset.Set, []string) {
	var out netset.Set
	var why []string
	var prefixes []netip.Prefix
	for _, name := range list {
		if name == "any" {
			return netset.All(), nil
		}
		if g, ok := r.groups[name]; ok {
			if g.kind != "" || depth >= maxNested {
				why = append(why, "the members of group "+name+" are not known")
				continue
			}
			set, inner := r.addressSet(g.values, depth+1)
			out, why = out.Union(set), append(why, inner...)
			continue
		}
		o, isObject := r.addresses[name]
		if !isObject {
			o = object{kind: "ip-netmask", values: []string{name}}
		}
		switch {
		case o.kind == "ip-netmask" && len(o.values) == 1:
			p, ok := prefix(o.values[0])
			if !ok {
				why = append(why, name+" is neither an address nor an object of this file")
				continue
			}
			prefixes = append(prefixes, p...)
		default:
			why = append(why, "the address "+name+" is a "+o.kind+", which is not followed")
		}
		if len(why) > 20 {
			break
		}
	}
	return out.Union(netset.Of(prefixes...)), why
}

// prefix reads an address or a prefix. In rules, IPv4 addresses are among those
// of IPv6, as if 96 bits of zero stood before them, so that ::/0 is any address
// (docs.paloaltonetworks.com/pan-os/10-1/pan-os-admin/policy, 2026-11-23).
func prefix(s string) ([]netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return nil, false
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	out := []netip.Prefix{p}
	switch {
	case p.Addr().Is4In6():
		return nil, false
	case p.Addr().Is4() || !p.Overlaps(v4Inside):
	case p.Bits() <= 96:
		out = append(out, netip.MustParsePrefix("0.0.0.0/0"))
	default:
		b := p.Addr().As16()
		out = append(out, netip.PrefixFrom(netip.AddrFrom4([4]byte(b[12:])), p.Bits()-96))
	}
	return out, true
}

// serviceBoxes returns classes and ports that services mean.
func (r *reader) serviceBoxes(list []string, depth int) (out []flowset.Box, why []string) {
	for _, name := range list {
		b := flowset.Everything()
		s, g := r.services[name], r.bundles[name]
		switch {
		case name == "any":
			return []flowset.Box{b}, nil
		case len(g.values) > 0 && depth < maxNested && len(out) < 1000:
			inner, w := r.serviceBoxes(g.values, depth+1)
			out, why = append(out, inner...), append(why, w...)
		case s == nil:
			why = append(why, "the ports of "+name+" are not known")
		default:
			ports, err := portset.Parse(strings.ReplaceAll(s.ports, " ", ""))
			b.Ports, b.Class = ports, map[string]flowset.Class{"tcp": flowset.TCP, "udp": flowset.UDP}[s.protocol]
			if err != nil || b.Class == 0 || s.odd != "" {
				why = append(why, "the service "+name+" says "+s.odd+", which is not read")
				continue
			}
			out = append(out, b)
		}
	}
	return out, why
}

// names returns the names that the URL lists of a rule match, those they may
// match at most, and why the two differ.
func (r *reader) names(list []string) (sure, maybe nameset.Set, why []string) {
	var sures, maybes []nameset.Glob
	for _, name := range list {
		c := r.categories[name]
		if c == nil || c.kind != "" && c.kind != "URL List" {
			why = append(why, "what is in the category "+name+" is not known")
			maybes = append(maybes, nameset.Everything())
			continue
		}
		for _, entry := range c.list {
			s, m, w := entryGlobs(entry)
			sures, maybes = append(sures, s...), append(append(maybes, s...), m...)
			if w != "" && len(why) < 20 {
				why = append(why, entry+" "+w)
			}
		}
	}
	return nameset.Of(sures...), nameset.Of(maybes...), why
}

// entryGlobs reads one entry of a URL list. An asterisk stands for one or more
// labels, a caret for exactly one, and each must be alone in its label. Without
// the final slash, an entry may go on to the right, unless the firewall appends
// the slash, which it does by default from 10.2
// (docs.paloaltonetworks.com/advanced-url-filtering, "Guidelines for URL Category
// Exceptions", 2026-11-23).
func entryGlobs(entry string) (sure, more []nameset.Glob, why string) {
	host, path, slash := strings.Cut(strings.ToLower(entry), "/")
	labels := strings.Split(host, ".")
	carets := 0
	for i, l := range labels {
		switch {
		case l == "*" && i > 0 && labels[i-1] == "**":
			return nil, []nameset.Glob{nameset.Everything()}, "has asterisks side by side"
		case l == "*":
			labels[i] = "**"
		case l == "^":
			labels[i] = "*"
			carets++
		case strings.ContainsAny(l, "*^"):
			return nil, []nameset.Glob{nameset.Everything()}, "has a wildcard beside other characters"
		}
	}
	g, err := nameset.Parse(strings.Join(labels, "."))
	if err != nil || carets > maxCarets || len(entry) > maxEntry || strings.Count(host, "*") > 3 {
		return nil, []nameset.Glob{nameset.Everything()}, "is not an entry that is read"
	}
	switch {
	case slash && path == "":
		return []nameset.Glob{g}, nil, ""
	case slash:
		return nil, []nameset.Glob{g}, "has a path, which is seen in HTTP alone"
	case host == "*":
		return []nameset.Glob{g}, nil, ""
	}
	if tail, err := nameset.Parse(strings.Join(labels, ".") + ".**"); err == nil {
		more = []nameset.Glob{tail}
	}
	return []nameset.Glob{g}, more, "has no final slash, and matches longer names where the firewall appends none"
}

// entry writes a pattern as a URL list has it, always with the final slash.
func entry(p dnsname.Pattern) string { return p.String() + "/" }
