// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package brief makes errors short enough for a record.
package brief

import "strings"

// most is how many bytes of an error a record has room for.
const most = 300

// Error is what an error says, in one line that is not too long. Of lines that are
// the same, as when somebody was asked twice, it has the first.
func Error(err error) string {
	var lines []string
	seen := make(map[string]bool)
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimRight(line, "\n"); !seen[line] {
			seen[line] = true
			lines = append(lines, line)
		}
	}
	text := strings.Join(lines, "; ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}
