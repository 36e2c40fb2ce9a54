// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/internal/meant"
	"github.com/sallyport/sallyport/netset"
)

// validator turns a raw description into a checked one. Each method reads one
// part, in an order in which later parts may use earlier ones; a part that was
// refused is left zero and is not complained about twice.
type validator struct {
	*findings
	raw  *rawCluster
	c    *Cluster
	more []AddOn // add-ons that somebody else knows
}

// nowhere holds addresses that neither a subnet nor a server can have, or that
// no route leads through a gateway to: this network, loopback, link-local with
// the metadata service, Azure's platform address, multicast and broadcast.
var nowhere = netset.Martian().Union(netset.OfAddrs(platformResolver.Addr()))

// word reads a value from a vocabulary, or the fallback when none is given.
func (v *validator) word(t text, key, words, fallback string) string {
	if !t.given() {
		return fallback
	}
	list := vocabulary(words)
	if t.s == "" || slices.Contains(list, t.s) {
		return t.s
	}
	v.add(t.place, key, didYouMean(t.s, list), "%q is not known", t.s)
	return ""
}

func (v *validator) basics() {
	raw, c := v.raw, v.c
	c.Provider = v.word(raw.Provider, "provider", "provider", "aks")
	c.Tunnel = Tunnel(v.word(raw.Tunnel, "tunnel", "tunnel", string(Konnectivity)))
	c.Optional, c.IncludeNotStated = raw.Optional.v, raw.IncludeNotStated.v
	v.cloud()
	v.location()
	v.edition()
	v.asOf()
	v.nodes()
	v.addOns()
}

func (v *validator) cloud() {
	t := v.raw.Cloud
	if !t.given() || t.s == "" {
		return
	}
	cloud, ok := ParseCloud(t.s)
	if !ok {
		hint := "write AzureCloud, AzureChinaCloud or AzureUSGovernment, as az cloud show prints"
		if w := meant.Nearest(t.s, cloudSpellings()); w != "" {
			near, _ := ParseCloud(w)
			hint = "did you mean " + string(near) + "?"
		}
		v.add(t.place, "cloud", hint, "%q is not a cloud", t.s)
	}
	v.c.Cloud = cloud
}

var locationShape = regexp.MustCompile(`^[a-z0-9]+$`)

func (v *validator) location() {
	t := v.raw.Location
	if !t.given() || t.s == "" {
		return
	}
	if !locationShape.MatchString(t.s) {
		squeezed := strings.ToLower(strings.Join(strings.Fields(meant.Squeeze(t.s)), ""))
		hint := "write it as az account list-locations prints it, such as westeurope"
		if locationShape.MatchString(squeezed) {
			hint = "write " + squeezed
		}
		what := "is not lower-case letters and digits"
		if strings.ContainsAny(t.s, " \t") {
			what = "has a space"
		}
		v.add(t.place, "location", hint, "%q %s", t.s, what)
		return
	}
	v.c.Location = t.s
	if v.c.Cloud == "" {
		return
	}
	switch home := cloudOfLocation(t.s); {
	case home == v.c.Cloud:
	case home != AzureCloud:
		v.add(t.place, "location", "correct one of them", "%q belongs to %s, but cloud is %s", t.s, home, v.c.Cloud)
	default:
		v.add(t.place, "location", "correct one of them", "%q is not in %s, whose locations begin with %s",
			t.s, v.c.Cloud, strings.Join(factsOf(v.c.Cloud).prefixes, " or "))
	}
}

var editionShape = regexp.MustCompile(`^([0-9]{4}-[0-9]{2}-[0-9]{2})[-.a-z0-9]{0,16}$`)

func (v *validator) edition() {
	t := v.raw.Edition
	if !t.given() || t.s == "" {
		return
	}
	if t.s != "seed" && t.s != "newest" {
		const hint = "write newest, seed, or a date such as 2020-05-26"
		m := editionShape.FindStringSubmatch(t.s)
		if m == nil {
			v.add(t.place, "edition", hint, "%q is not an edition", t.s)
			return
		}
		if _, err := time.Parse(time.DateOnly, m[1]); err != nil {
			v.add(t.place, "edition", hint, "%q is not a date", t.s)
			return
		}
	}
	v.c.Edition = t.s
}

func (v *validator) asOf() {
	t, edition := v.raw.AsOf, v.raw.Edition
	v.c.AsOf, _ = v.day(t, "asOf")
	if t.given() && edition.given() {
		v.add(t.place, "asOf", "remove one of them", "stands beside edition at %d:%d, and each says which list holds",
			edition.Line, edition.Col)
	}
}

// day reads a date and returns its 00:00 UTC.
func (v *validator) day(t text, key string) (time.Time, bool) {
	if !t.given() || t.s == "" {
		return time.Time{}, false
	}
	day, err := time.Parse(time.DateOnly, t.s)
	if err != nil || !day.After(time.Time{}) { // years that RFC 3339 can write; the zero time says that nothing is
		v.add(t.place, key, "write a day as YYYY-MM-DD", "%q is not a date", t.s)
		return time.Time{}, false
	}
	return day, true
}

func (v *validator) nodes() {
	os := v.raw.Nodes.OS
	n := Nodes{Linux: !os.given(), GPU: v.raw.Nodes.GPU.v}
	bad := false
	for _, t := range os.items {
		switch v.word(t, "nodes.os", "os", "") {
		case "linux":
			n.Linux = true
		case "windows":
			n.Windows = true
		default:
			bad = true
		}
	}
	if n.Windows && !n.Linux && !bad {
		v.add(os.place, "nodes.os", "write [linux, windows]", "has no linux, but every AKS cluster has a Linux system pool")
	}
	n.ImageDate = v.imageDate()
	v.c.Nodes = n
}

// firstImage is before every date a node image in use can have: AKS was a
// preview until June 2018.
var firstImage = time.Date(2018, 1, 1, 0, 0, 0, 0, time.UTC)

func (v *validator) imageDate() time.Time {
	t := v.raw.Nodes.ImageDate
	day, ok := v.day(t, "nodes.imageDate")
	if ok && day.Before(firstImage) {
		v.add(t.place, "nodes.imageDate", "az aks show tells it as nodeImageVersion", "%q is before %s, earlier than any node image in use",
			t.s, firstImage.Format(time.DateOnly))
		return time.Time{}
	}
	return day
}

func (v *validator) addOns() {
	for _, t := range v.raw.AddOns.items {
		a, ok := ParseAddOn(t.s)
		if !ok && slices.Contains(v.more, AddOn(t.s)) {
			a, ok = AddOn(t.s), true
		}
		if !ok {
			v.add(t.place, "addOns", addOnHint(t.s), "%q is not known", t.s)
			continue
		}
		v.c.AddOns = append(v.c.AddOns, a)
	}
	slices.Sort(v.c.AddOns)
	v.c.AddOns = slices.Compact(v.c.AddOns)

	t := v.raw.DevSpaces.Name
	n, ok := v.name(t, "devSpaces.name")
	if !ok {
		return
	}
	if v.c.Location != "" {
		label, rest, _ := strings.Cut(n.String(), ".")
		if !strings.HasPrefix(label, "azds-") || label == "azds-" || rest != v.c.Location+".azds.io" {
			v.add(t.place, "devSpaces.name", "copy dataplaneFqdn from the controller's settings",
				"%q does not match azds-*.%s.azds.io", t.s, v.c.Location)
			return
		}
	}
	if !v.c.HasAddOn(DevSpaces) {
		v.add(t.place, "devSpaces.name", "add dev-spaces to addOns, or remove it", "is given, but addOns lacks dev-spaces")
		return
	}
	v.c.DevSpacesName = n
}

// name reads a host name.
func (v *validator) name(t text, key string) (dnsname.Name, bool) {
	if !t.given() || t.s == "" {
		return dnsname.Name{}, false
	}
	n, err := dnsname.Parse(t.s)
	if err != nil {
		v.add(t.place, key, nameHint(t.s, err), "%v", err)
		return dnsname.Name{}, false
	}
	return n, true
}

// nameHint says what to do about a name that is none.
func nameHint(s string, err error) string {
	switch {
	case strings.Contains(s, "://") || strings.Contains(s, "/"):
		return "write the host name alone"
	case dnsname.IsAddress(err):
		return "write a name, not an address"
	case strings.Contains(s, "*"):
		return "a star stands for nothing here"
	case strings.Contains(s, ":"):
		return "write the host name without a port"
	case strings.ContainsAny(s, " \t"):
		return "write one host name, without spaces"
	}
	return ""
}

// addr reads an address, plain IPv4 or IPv6.
func (v *validator) addr(t text, key string) (netip.Addr, bool) {
	if !t.given() || t.s == "" {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(t.s)
	if err != nil {
		hint := "write one such as 10.0.0.4"
		if strings.Contains(t.s, "/") {
			hint = "write it without a mask"
		}
		v.add(t.place, key, hint, "%q is not an address", t.s)
		return netip.Addr{}, false
	}
	if a.Zone() != "" || a.Is4In6() {
		v.add(t.place, key, "write it without zone or mapping", "address %q is not plain IPv4 or IPv6", t.s)
		return netip.Addr{}, false
	}
	return a, true
}
