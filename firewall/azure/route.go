// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import "github.com/sallyport/sallyport/ruleset"

// route records a route: an object that says a type of next hop.
func (f *finder) route(v value) {
	prefix, _ := v.get("addressprefix")
	hop, _ := v.get("nexthoptype")
	to, given := v.get("nexthopaddress")
	rt := ruleset.Route{
		Pos: v.pos, Name: v.textOf("name"), Prefix: prefix.inText(), NextHop: hop.inText(),
		Resolved: prefix.known() && hop.known() && v.when == "",
	}
	if given && to.kind != null {
		rt.Address = to.inText()
	}
	if prefix.kind == null || prefix.kind == unknown && prefix.pos.Line == 0 {
		rt.Prefix = ""
	}
	f.routes = append(f.routes, rt)
}
