// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// namer makes ids names that Azure takes: letters, digits, "_", "." and "-",
// beginning with a letter or digit and ending with one or "_", at most so many
// characters, and unique whatever the case (azurerm's validate package and
// learn.microsoft.com/azure/azure-resource-manager/management/
// resource-name-rules, 2026-11-23).
type namer struct {
	longest int
	used    map[string]bool // in lower case
}

// name returns the name for id.
func (n namer) name(id string) string {
	base := azureName(id, "rule", n.longest)
	unique := base
	for i := 2; n.used[strings.ToLower(unique)]; i++ {
		unique = withSuffix(base, fmt.Sprintf("-%d", i), n.longest)
	}
	n.used[strings.ToLower(unique)] = true
	return unique
}

// azureName makes s a name, or other when nothing of s may stand in one.
func azureName(s, other string, longest int) string {
	name := strings.Map(func(c rune) rune {
		if isNameChar(c) {
			return c
		}
		return '-'
	}, s)
	name = strings.TrimLeft(name, "-._")
	name = strings.TrimRight(name[:min(len(name), longest)], "-.")
	if len(name) < 2 { // a name has two characters at least
		return strings.TrimRight(other+"-"+name, "-")
	}
	return name
}

func isNameChar(c rune) bool {
	return c < unicode.MaxASCII && (isWord(byte(c)) || c == '.' || c == '-')
}

// withSuffix appends to a name and cuts the name where both would be too long.
func withSuffix(name, suffix string, longest int) string {
	return strings.TrimRight(name[:min(len(name), longest-len(suffix))], "-.") + suffix
}

// identifier makes a name one of Terraform: letters, digits and "_", not
// beginning with a digit.
func identifier(name string) string {
	id := strings.Map(func(c rune) rune {
		if c < unicode.MaxASCII && isWord(byte(c)) {
			return c
		}
		return '_'
	}, name)
	if id[0] >= '0' && id[0] <= '9' {
		return "_" + id
	}
	return id
}

// plain makes s one line without control characters, so that no comment and no
// quoted text ends early.
func plain(s string) string {
	s = strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' ' // also for what is no UTF-8
	}, strings.ToValidUTF8(s, " "))
	return strings.Join(strings.Fields(s), " ")
}

// short keeps a description short; Azure takes any, portals show little.
func short(s string) string {
	r := []rune(s)
	if len(r) > 200 {
		return string(r[:199]) + "…"
	}
	return s
}

var azureNameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,78}[A-Za-z0-9_]$|^[A-Za-z0-9]$`)

// ValidName reports whether Azure takes name for a policy or a group.
func ValidName(name string) bool { return azureNameForm.MatchString(name) }
