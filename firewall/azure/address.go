// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"net/netip"
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/netset"
)

// addresses is what one entry of a list of addresses stands for.
type addresses struct {
	sure, maybe netset.Set
	why         string // why it is not certain
	dead        string // why it can never match
	note        string
	tag         string // a service tag whose ranges are not at hand
}

func exactly(s netset.Set) addresses { return addresses{sure: s, maybe: s} }

// tagForm is how service tags are spelt: Storage, AzureCloud.westeurope,
// AzureFrontDoor.Frontend.
var tagForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*([.-][A-Za-z0-9]+)?$`)

// address reads an entry of a list of addresses: "*", an address, a prefix, a
// range with a hyphen, or a service tag.
func (f *finder) address(v value) addresses {
	anything := netset.All()
	if !v.isScalar() || v.why != "" {
		return addresses{maybe: anything, why: v.reason()}
	}
	a := f.addressText(strings.TrimSpace(v.text))
	if v.when != "" && a.dead == "" {
		a.sure = netset.Set{}
		if a.why == "" {
			a.why = v.when
		}
	}
	return a
}

func (f *finder) addressText(s string) addresses {
	if s == "*" || strings.EqualFold(s, "any") {
		return exactly(netset.All())
	}
	if p, err := netset.ParsePrefix(s); err == nil {
		return exactly(netset.Of(p))
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		a := exactly(netset.Of(p.Masked()))
		a.note = s + " has bits behind its mask: read as " + p.Masked().String()
		return a
	}
	if lo, hi, ok := strings.Cut(s, "-"); ok {
		from, err := netip.ParseAddr(strings.TrimSpace(lo))
		to, err2 := netip.ParseAddr(strings.TrimSpace(hi))
		if err == nil && err2 == nil {
			if from.Is4() != to.Is4() || to.Less(from) || from.Zone() != "" || to.Zone() != "" {
				return addresses{dead: clip(s) + " is an empty range"}
			}
			return exactly(netset.Between(from, to))
		}
	}
	if !tagForm.MatchString(s) {
		return addresses{dead: clip(s) + " is neither an address, a range nor a service tag"}
	}
	if f.r.opt.Tags == nil {
		return addresses{maybe: netset.All(), tag: s, why: "service tag " + clip(s) + ": its ranges are not in the file"}
	}
	prefixes, ok := f.r.opt.Tags.Prefixes(catalog.Destination{Kind: catalog.KindServiceTag, Tag: s}, "")
	if !ok {
		return addresses{maybe: netset.All(), tag: s, why: "service tag " + clip(s) + " is not in the file of service tags"}
	}
	return exactly(netset.Of(prefixes...))
}
