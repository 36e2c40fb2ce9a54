// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
)

// ServiceTags is the weekly file of address ranges behind Azure's service tags
// ("Azure IP Ranges and Service Tags", microsoft.com/download, and the API
// serviceTags, version 2024-05-01).
type ServiceTags struct {
	Cloud        string // AzureCloud ...
	ChangeNumber int    // grows with each publication
	tags         map[string][]netip.Prefix
}

// maxServiceTags is the longest file that is read, in bytes; the public one had
// about 4 MiB in 2026.
const maxServiceTags = 64 << 20

// clouds as the file spells them.
var serviceTagClouds = map[string]string{
	"public": AzureCloud, "azurecloud": AzureCloud, "azurechina": AzureChinaCloud, "china": AzureChinaCloud,
	"azurechinacloud": AzureChinaCloud, "azuregovernment": AzureUSGovernment, "usgov": AzureUSGovernment,
	"azureusgovernment": AzureUSGovernment, "government": AzureUSGovernment,
}

// ReadServiceTags reads such a file and checks every prefix in it.
func ReadServiceTags(r io.Reader) (*ServiceTags, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxServiceTags+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxServiceTags {
		return nil, fmt.Errorf("is longer than %d MiB", maxServiceTags>>20)
	}
	var raw struct {
		ChangeNumber json.Number `json:"changeNumber"`
		Cloud        string      `json:"cloud"`
		Values       []struct {
			Name       string `json:"name"`
			Properties struct {
				AddressPrefixes []string `json:"addressPrefixes"`
			} `json:"properties"`
		} `json:"values"`
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // as some downloads begin
	if err := json.Unmarshal(data, &raw); err != nil {
		line := func(offset int64) int { return 1 + bytes.Count(data[:min(int(offset), len(data))], []byte("\n")) }
		var at *json.SyntaxError
		var kind *json.UnmarshalTypeError
		switch {
		case errors.As(err, &at):
			return nil, fmt.Errorf("line %d: %w", line(at.Offset), err)
		case errors.As(err, &kind):
			return nil, fmt.Errorf("line %d: %s is a %s: is this a service tags file?", line(kind.Offset), cmp.Or(kind.Field, "the document"), kind.Value)
		}
		return nil, err
	}
	t := &ServiceTags{Cloud: serviceTagClouds[strings.ToLower(raw.Cloud)], tags: make(map[string][]netip.Prefix)}
	if n, err := raw.ChangeNumber.Int64(); err == nil {
		t.ChangeNumber = int(n)
	}
	if t.Cloud == "" {
		return nil, fmt.Errorf("cloud %q is not Public, AzureChina or AzureGovernment: is this a service tags file?", raw.Cloud)
	}
	if len(raw.Values) == 0 {
		return nil, errors.New("holds no service tag: is this a service tags file?")
	}
	var errs []error
	for _, v := range raw.Values {
		var list []netip.Prefix
		for _, s := range v.Properties.AddressPrefixes {
			p, err := netip.ParsePrefix(s)
			switch {
			case err != nil || p != p.Masked():
				errs = append(errs, fmt.Errorf("%s: %q is not a prefix", v.Name, s))
			case p.Bits() == 0:
				errs = append(errs, fmt.Errorf("%s: %s is every address there is", v.Name, s))
			default:
				list = append(list, p)
			}
		}
		name := strings.ToLower(v.Name)
		if _, twice := t.tags[name]; twice {
			errs = append(errs, fmt.Errorf("%s stands there twice", v.Name))
		}
		t.tags[name] = list
	}
	if len(errs) > 10 {
		errs = append(errs[:10], fmt.Errorf("and %d more", len(errs)-10))
	}
	return t, errors.Join(errs...)
}

// Prefixes returns the ranges behind a destination at a location: a service
// tag, whose <Region> is filled with it, or the ranges of the region. ok is
// false when the file has no such tag.
func (t *ServiceTags) Prefixes(d Destination, location string) (prefixes []netip.Prefix, ok bool) {
	tag := d.In(location)
	switch d.Kind {
	case KindRegionCIDRs:
		tag = "AzureCloud." + location
	case KindServiceTag:
	default:
		return nil, false
	}
	prefixes, ok = t.tags[strings.ToLower(tag)]
	return slices.Clone(prefixes), ok && len(prefixes) > 0
}
