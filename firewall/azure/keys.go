// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import "strings"

// canonical gives the one spelling of a key by which this package knows it:
// lower case, without separators, and one name for what has several. ARM and
// Bicep write targetFqdns, Terraform destination_fqdns (policy) or target_fqdns
// (classic), az --target-fqdns; ipProtocols and protocols are the same to a
// network rule.
func canonical(key string) string {
	k := strings.Map(func(r rune) rune {
		switch r {
		case '_', '-', ' ':
			return -1
		}
		return r
	}, strings.ToLower(key))
	if same, ok := aliases[k]; ok {
		return same
	}
	return k
}

var aliases = map[string]string{
	"rule": "rules", "ruleset": "rules", "rulesets": "rules",
	"protocol": "protocols", "ipprotocols": "protocols", "ipprotocol": "protocols",
	"targetfqdns": "fqdns", "destinationfqdns": "fqdns", "targetfqdn": "fqdns", "destinationfqdn": "fqdns",
	"destinationfqdntags": "fqdntags", "fqdntag": "fqdntags",
	"targeturls": "urls", "destinationurls": "urls",
	"sourceaddress": "sourceaddresses", "sourceips": "sourceaddresses",
	"destinationaddress": "destinationaddresses", "destaddr": "destinationaddresses", "destaddresses": "destinationaddresses",
	"destinationport": "destinationports", "destports": "destinationports",
	"sourceipgroup": "sourceipgroups", "sourceipgroupskeys": "sourceipgroups", "sourceipgroupkeys": "sourceipgroups",
	"sourceipgroupids": "sourceipgroups", "sourceipgroupsids": "sourceipgroups",
	"destinationipgroup": "destinationipgroups", "destinationipgroupskeys": "destinationipgroups",
	"destinationipgroupkeys": "destinationipgroups", "destipg": "destinationipgroups", "destipgroups": "destinationipgroups",
	"destinationipgroupids": "destinationipgroups",
	"webcategory":           "webcategories",
	"enabletlsinsp":         "terminatetls", "enabletlsinspection": "terminatetls",
	"cidrs":            "ipaddresses",
	"protocoltype":     "type",
	"nexthopipaddress": "nexthopaddress", "nexthopinipaddress": "nexthopaddress", "nexthopinip": "nexthopaddress",
	"route": "routes",
}

// ruleKeys are the keys of a rule that the meaning of rules knows about.
var ruleKeys = map[string]bool{
	"name": true, "description": true, "ruletype": true, "protocols": true, "sourceaddresses": true,
	"sourceipgroups": true, "destinationaddresses": true, "destinationipgroups": true, "destinationports": true,
	"fqdns": true, "fqdntags": true, "urls": true, "webcategories": true, "terminatetls": true,
	"translatedaddress": true, "translatedport": true, "translatedfqdn": true,
	// What a rule adds to a request says nothing about whether it passes.
	"httpheaders": true, "httpheaderstoinsert": true,
	// What exports say about an object's life in Azure.
	"etag": true, "id": true, "type": true, "provisioningstate": true, "resourcegroup": true,
}
