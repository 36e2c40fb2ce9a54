// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/firewall/azure"
	"github.com/sallyport/sallyport/firewall/cilium"
)

// Setting is something of a translation that its user may choose.
type Setting struct {
	Key     string
	Text    string
	Default string
}

// With returns the dialect with settings chosen, each "KEY=VALUE".
func (d Dialect) With(chosen []string) (Dialect, error) {
	if len(chosen) == 0 {
		return d, nil
	}
	values := make(map[string]string)
	var errs []error
	for _, c := range chosen {
		key, value, ok := strings.Cut(c, "=")
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("setting %q is not KEY=VALUE", c))
		case !slices.ContainsFunc(d.Settings, func(s Setting) bool { return s.Key == key }):
			errs = append(errs, fmt.Errorf("%s has no setting %q%s", d.Name, key, d.settingKeys()))
		default:
			values[key] = value
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Dialect{}, err
	}
	return d.with(values)
}

func (d Dialect) settingKeys() string {
	if len(d.Settings) == 0 {
		return "; it has none"
	}
	var keys []string
	for _, s := range d.Settings {
		keys = append(keys, s.Key)
	}
	return "; it has " + strings.Join(keys, ", ")
}

// azureSettings are those of Azure Firewall.
var azureSettings = []Setting{
	{"policy", "name of the firewall policy", azure.DefaultLayout.Policy},
	{"group", "name of the rule collection group; further ones have -2 behind it", azure.DefaultLayout.Group},
	{"priority", "priority of the first group, 100 to 65000", strconv.Itoa(azure.DefaultLayout.Priority)},
}

func azureLayout(values map[string]string) (azure.Layout, error) {
	l := azure.DefaultLayout
	var errs []error
	for key, value := range values {
		switch key {
		case "policy", "group":
			if !azure.ValidName(value) {
				errs = append(errs, fmt.Errorf("%s=%s: a name is 1 to 80 letters, digits, _ . and -, with a letter or digit first", key, value))
			}
			if key == "policy" {
				l.Policy = value
			} else {
				l.Group = value
			}
		case "priority":
			n, err := strconv.Atoi(value)
			if err != nil || n < 100 || n > 65000 {
				errs = append(errs, fmt.Errorf("priority=%s: is not a number from 100 to 65000", value))
			}
			l.Priority = n
		}
	}
	return l, errors.Join(errs...)
}

// ciliumSettings are those of Cilium.
var ciliumSettings = []Setting{{"version", "Cilium's version; before 1.19 no pattern stands for any depth", "1.19"}}

func ciliumVersion(values map[string]string) (cilium.Version, error) {
	text, ok := values["version"]
	if !ok {
		return cilium.Version{Major: 1, Minor: 19}, nil
	}
	var v cilium.Version
	major, minor, ok := strings.Cut(strings.TrimPrefix(text, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	var err, err2 error
	v.Major, err = strconv.Atoi(major)
	v.Minor, err2 = strconv.Atoi(minor)
	if !ok || err != nil || err2 != nil || v.Major != 1 {
		return v, fmt.Errorf("version=%s: is not a version such as 1.18", text)
	}
	return v, nil
}
