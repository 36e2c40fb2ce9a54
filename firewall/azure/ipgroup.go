// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"strings"

	"github.com/sallyport/sallyport/netset"
)

// ipGroup records an IP group under everything it is called by.
func (f *finder) ipGroup(v value, name string) {
	list, ok := v.get("ipaddresses")
	if !ok {
		if list, ok = v.get("cidr"); !ok {
			list = unresolved(v.pos, v.textOf("name"), "IP group "+v.textOf("name")+" lists no addresses")
		}
	}
	if v.when != "" && list.when == "" {
		list.when = v.when
	}
	for _, id := range append([]string{strings.ToLower(name)}, v.ids...) {
		f.groups[id] = list
	}
}

// ipGroups records a map of IP groups, key -> {name, cidrs}, which rules of the
// CAF modules refer to by key. An element without addresses is given them by
// other modules.
func (f *finder) ipGroups(v value) {
	for _, fl := range v.fields {
		if fl.val.kind == object {
			f.ipGroup(fl.val, reference("ipgroups", fl.key))
		}
	}
	for _, e := range v.items {
		if e.kind == object {
			f.ipGroup(e, reference("ipgroups", e.textOf("name")))
		}
	}
}

// group reads a reference to an IP group.
func (f *finder) group(v value) addresses {
	ref := refOf(v, "ipgroups")
	list, ok := f.groups[ref]
	if !ok {
		ref = strings.TrimSuffix(ref, ".id")
		list, ok = f.groups[ref]
	}
	if !ok {
		why := "IP group " + lastSegment(v.shown()) + " is not in the files"
		if v.why != "" && v.ref == "" {
			why = v.why
		}
		return addresses{maybe: netset.All(), why: why}
	}
	var out addresses
	for _, e := range list.entries() {
		a := f.address(e)
		out.sure, out.maybe = out.sure.Union(a.sure), out.maybe.Union(a.maybe)
		if a.why == "" {
			a.why = a.dead
		}
		if a.why != "" && out.why == "" {
			out.why = "IP group " + groupName(ref) + ": " + a.why
		}
	}
	if v.when != "" {
		out.sure, out.why = netset.Set{}, v.when
	}
	if out.maybe.IsEmpty() && out.why == "" {
		out.note = "IP group " + groupName(ref) + " is empty"
	}
	return out
}

// groupName is what a reference calls a group.
func groupName(ref string) string { return strings.TrimPrefix(lastSegment(ref), "bicep:") }
