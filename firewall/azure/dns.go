// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"strings"

	"github.com/sallyport/sallyport/ruleset"
)

// dnsFacts is what files say about the DNS proxy, in their order.
type dnsFacts struct {
	said    []ruleset.DNS
	silent  []ruleset.Position // resources that could say it and do not: it is off
	unknown []ruleset.Position
}

// say records a setting of the DNS proxy; when is why what sets it may not be
// there.
func (d *dnsFacts) say(v value, when string) {
	if when != "" {
		v.when = when
	}
	if !v.known() || !strings.EqualFold(v.text, "true") && !strings.EqualFold(v.text, "false") {
		d.unknown = append(d.unknown, v.pos)
		return
	}
	d.said = append(d.said, ruleset.DNS{Proxy: strings.EqualFold(v.text, "true"), Known: true, Pos: v.pos})
}

// policyDNS reads dnsSettings.enableProxy of a policy, or the block dns of
// Terraform. A policy without it has no proxy, unless it inherits one.
func (f *finder) policyDNS(v value) {
	for _, name := range []string{"dnssettings", "dns", "firewallpolicydns"} {
		settings, ok := v.get(name)
		if !ok || settings.kind == null {
			continue
		}
		for _, e := range settings.entries() {
			for _, key := range []string{"enableproxy", "proxyenabled", "enablednsproxy"} {
				if p, ok := e.get(key); ok {
					f.dns.say(p, v.when)
					return
				}
			}
			if e.kind != object {
				f.dns.unknown = append(f.dns.unknown, e.pos)
				return
			}
		}
	}
	if p, ok := v.get("enablednsproxy"); ok {
		f.dns.say(p, v.when)
		return
	}
	if b, ok := v.get("basepolicy"); ok && b.kind != null {
		return
	}
	if b, ok := v.get("basepolicyid"); ok && b.kind != null {
		return
	}
	f.dns.silent = append(f.dns.silent, v.pos)
}

// firewallDNS reads Network.DNS.EnableProxy of a classic firewall,
// dns_proxy_enabled of Terraform, --enable-dns-proxy of az. A firewall with a
// policy leaves it to that.
func (f *finder) firewallDNS(v value) {
	if extra, ok := v.get("additionalproperties"); ok {
		if p, ok := lookup(extra, "Network.DNS.EnableProxy"); ok {
			f.dns.say(p, v.when)
			return
		}
	}
	if p, ok := lookup(v, "Network.DNS.EnableProxy"); ok { // as az flattens it
		f.dns.say(p, v.when)
		return
	}
	for _, key := range []string{"dnsproxyenabled", "enablednsproxy"} {
		if p, ok := v.get(key); ok && p.kind != null {
			f.dns.say(p, v.when)
			return
		}
	}
	for _, key := range []string{"firewallpolicy", "firewallpolicyid"} {
		if p, ok := v.get(key); ok && p.kind != null {
			return
		}
	}
	f.dns.silent = append(f.dns.silent, v.pos)
}

// settle makes one answer of what was said. A proxy that is not switched on is
// off (learn.microsoft.com/azure/firewall/dns-settings).
func (d *dnsFacts) settle(r *reader) ruleset.DNS {
	var on, off *ruleset.DNS
	for i := range d.said {
		if d.said[i].Proxy && on == nil {
			on = &d.said[i]
		}
		if !d.said[i].Proxy && off == nil {
			off = &d.said[i]
		}
	}
	switch {
	case len(d.unknown) > 0:
		return ruleset.DNS{Pos: d.unknown[0]}
	case on != nil && off != nil:
		r.notes = append(r.notes, ruleset.Statement{Pos: off.Pos, Text: "the DNS proxy is on in one place and off in another"})
		return ruleset.DNS{Pos: off.Pos}
	case on != nil:
		return *on
	case off != nil:
		return *off
	case len(d.silent) > 0:
		return ruleset.DNS{Known: true, Pos: d.silent[0]}
	}
	return ruleset.DNS{}
}
