// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import "regexp"

// description matches a key that every cluster description has at its top.
var description = regexp.MustCompile(`(?m)^"?(cloud|location|network)"?[ \t]*:`)

// other matches what a description never has: another kind of YAML, or no YAML.
var other = regexp.MustCompile(`(?m)^(apiVersion[ \t]*:|[{\[])`)

// IsDescription reports whether a file looks like a cluster description, right
// or wrong.
func IsDescription(data []byte) bool {
	head := data[:min(len(data), MaxSize)]
	return description.Match(head) && !other.Match(head)
}
