// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/dnsname"
)

// rules are the repairs that were applied to a text.
type rules uint16

const (
	ruleSpace       rules = 1 << iota // spaces beside dots or in a placeholder taken out
	ruleCase                          // written in lower case
	rulePlaceholder                   // placeholder word translated back
	ruleSeparator                     // foreign punctuation or quotes read as separators
	ruleRemark                        // remark beside a port left out
	ruleAngle                         // angle brackets of AzureCloud.<Region> put back
	ruleThousands                     // thousands separator taken out of a port
	ruleCatalog                       // anything else; only the catalog decides
)

var ruleTexts = []string{
	"spaces beside a dot or in a placeholder taken out",
	"capital letters written small",
	"placeholder written as in the English page",
	"punctuation read as a separator",
	"remark beside the port left out",
	"angle brackets of the service tag put back",
	"thousands separator taken out of the port",
	"damaged; the only pair of the catalog that it can mean",
}

func (r rules) String() string {
	var parts []string
	for i, t := range ruleTexts {
		if r&(1<<i) != 0 {
			parts = append(parts, t)
		}
	}
	return strings.Join(parts, "; ")
}

// destination is one thing that a cell names.
type destination struct {
	kind  Kind
	name  string
	port  uint16 // that the cell itself gives, 0 for none
	rules rules
	code  bool   // stands in code, where translation changes nothing
	cloud string // from a remark behind the name
}

// topLevel holds the last labels that a name may have to be believed.
var topLevel = wordSet(`com net org io cn us gov mil edu info biz dev app cloud ms me co ai tv de fr it es nl se cz hu pl pt br ru
	tr jp kr tw hk sg in id ch at eu uk ca au be dk no fi ie nz za mx`)

// keywords are the destinations that are no names, in lower case.
var keywords = map[string]struct {
	name string
	kind Kind
}{
	"regioncidrs":       {"RegionCIDRs", KindRegionCIDRs},
	"apiserverpublicip": {"APIServerPublicIP", KindAPIServer},
	"apiserverip":       {"APIServerPublicIP", KindAPIServer}, // its spelling before 2020-09
	"customdnsip":       {"CustomDNSIP", KindCustomDNS},
	"azuremonitor":      {"AzureMonitor", KindServiceTag},
	"azuredevspaces":    {"AzureDevSpaces", KindServiceTag},
}

// spellings of the keywords that need no repair.
var spellings = map[string]bool{
	"RegionCIDRs": true, "APIServerPublicIP": true, "APIServerIP": true, "CustomDNSIP": true, "AzureMonitor": true, "AzureDevSpaces": true,
}

// cutPort takes ":443" from the end of s; ok is false when something else
// stands behind a colon.
func cutPort(s string) (rest string, port uint16, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, 0, true
	}
	n, err := strconv.ParseUint(s[i+1:], 10, 16)
	if err != nil || n == 0 || strings.Contains(s[:i], ":") {
		return s, 0, false
	}
	return s[:i], uint16(n), true
}

// canonical reads one token as a destination. It repairs case and placeholders
// and nothing else.
func canonical(s string) (d destination, ok bool) {
	s, d.port, ok = cutPort(s)
	if !ok || s == "" {
		return d, false
	}
	if s == "*" {
		d.kind, d.name = KindAny, "*"
		return d, true
	}
	if k, found := keywords[strings.ToLower(s)]; found {
		d.kind, d.name = k.kind, k.name
		if !spellings[s] {
			d.rules = ruleCase
		}
		return d, true
	}
	if rest, found := strings.CutPrefix(strings.ToLower(s), "azurecloud."); found {
		return d.regionTag(s, rest)
	}
	return d.readName(s)
}

// regionTag reads AzureCloud.<Region> in its damaged forms.
func (d destination) regionTag(s, rest string) (destination, bool) {
	d.kind, d.name = KindServiceTag, "AzureCloud.<Region>"
	switch inner, isPlaceholder := placeholder(rest); {
	case s == d.name:
	case isPlaceholder && (inner == "region" || inner == "location"):
		d.rules = ruleCase
		if inner == "location" {
			d.rules = rulePlaceholder
		}
	case isPlaceholder && inner != "" && !strings.Contains(inner, "."):
		d.rules = rulePlaceholder
	case rest == "region":
		d.rules = ruleAngle
	default:
		return d, false
	}
	return d, true
}

// placeholder returns what stands between the angle brackets that are all of s.
func placeholder(s string) (inner string, ok bool) {
	if len(s) < 2 || s[0] != '<' || s[len(s)-1] != '>' || strings.ContainsAny(s[1:len(s)-1], "<>") {
		return "", false
	}
	return s[1 : len(s)-1], true
}

// readName reads a name, a wildcard, or either with placeholders.
func (d destination) readName(s string) (destination, bool) {
	d.kind = KindName
	labels := splitLabels(s)
	if len(labels) < 2 {
		return d, false
	}
	for i, l := range labels {
		if open := strings.IndexByte(l, '<'); open >= 0 {
			if low := strings.ToLower(l[:open]); low != l[:open] {
				labels[i], d.rules = low+l[open:], d.rules|ruleCase
			}
			continue
		}
		if !isASCII(l) {
			return d, false
		}
		if low := strings.ToLower(l); low != l {
			labels[i], d.rules = low, d.rules|ruleCase
		}
	}
	again, known, ok := shape(labels)
	if !ok {
		return d, false
	}
	if again {
		d.rules |= rulePlaceholder
	}
	if known == shapeStrange {
		d.rules |= ruleCatalog
	}
	d.name = strings.Join(labels, ".")
	return d, validName(d.name)
}

// splitLabels splits at dots outside of placeholders.
func splitLabels(s string) []string {
	var out []string
	depth, begin := 0, 0
	for i := range len(s) {
		switch s[i] {
		case '<':
			depth++
		case '>':
			depth--
		case '.':
			if depth == 0 {
				out = append(out, s[begin:i])
				begin = i + 1
			}
		}
	}
	return append(out, s[begin:])
}

// What the shape of a name says of its placeholders.
const (
	shapePlain   = iota // it has none, or they are what the shape wants
	shapeStrange        // it has one in an unknown shape, in a word that is not English
)

// inCluster are the first labels of what runs once for every cluster.
var inCluster = map[string]bool{"hcp": true, "tun": true, "gk": true}

// shape writes the placeholders of labels as the English page does, where the
// labels around say which they are. again reports whether that changed a word.
func shape(labels []string) (again bool, known int, ok bool) {
	want := make([]string, len(labels))
	host := strings.Join(labels[1:], ".")
	switch {
	case len(labels) > 3 && (labels[0] == "*" || labels[0] == "") && inCluster[labels[1]]:
		want[2] = "<location>"
	case len(labels) > 3 && inCluster[labels[0]]: // its star is lost
		want[1] = "<location>"
	case len(labels) == 4 && strings.HasPrefix(labels[0], "azds-<") && labels[2] == "azds" && labels[3] == "io":
		want[0], want[1] = "azds-<guid>", "<location>"
	case strings.HasPrefix(host, "dp.kubernetesconfiguration."):
		want[0] = "<region>"
	case strings.HasPrefix(host, "handler.control.monitor."), strings.HasPrefix(host, "ingest.monitor."):
		want[0] = "<cluster-region-name>"
	}
	for i, l := range labels {
		open := strings.IndexByte(l, '<')
		if open < 0 {
			if strings.Contains(l, ">") {
				return false, 0, false
			}
			continue
		}
		inner, isPlaceholder := placeholder(l[open:])
		if !isPlaceholder || inner == "" {
			return false, 0, false
		}
		if want[i] == "" {
			if open > 0 && !strings.HasSuffix(l[:open], "-") || !isASCII(l) || strings.ContainsAny(inner, " .:*/\\") {
				return false, 0, false
			}
			known = shapeStrange
			continue
		}
		if open != strings.IndexByte(want[i], '<') {
			return false, 0, false
		}
		if l != want[i] {
			labels[i], again = want[i], true
		}
	}
	return again, known, true
}

// validName reports whether a canonical name is a valid pattern with a last
// label that is believed. A leading dot is kept as the source has it.
func validName(s string) bool {
	filled := s
	for {
		before, rest, ok := strings.Cut(filled, "<")
		if !ok {
			break
		}
		_, after, ok := strings.Cut(rest, ">")
		if !ok {
			return false
		}
		filled = before + "x" + after
	}
	filled = strings.TrimPrefix(filled, ".")
	if _, err := dnsname.ParsePattern(filled); err != nil || strings.HasSuffix(filled, ".") {
		return false
	}
	bare := strings.TrimPrefix(filled, "*.")
	labels := strings.Split(bare, ".")
	n := len(labels)
	if n < 2 || len(labels[n-2]) < 2 {
		return false
	}
	if labels[n-1] == "microsoft" && labels[n-2] == "cloud" && n > 2 {
		return true
	}
	if !topLevel[labels[n-1]] {
		return false
	}
	for _, l := range labels[:max(0, n-2)] { // "a.com.b.com" is two names
		if l == "com" || l == "net" || l == "org" || l == "io" {
			return false
		}
	}
	return n < 3 || labels[n-2] != "com" && labels[n-2] != "net" && labels[n-2] != "org" || len(labels[n-1]) == 2
}
