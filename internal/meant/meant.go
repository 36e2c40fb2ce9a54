// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package meant guesses which of the words that there are somebody meant by one that
// is none.
package meant

import (
	"strings"

	"github.com/agext/levenshtein"
)

// Nearest returns the word of list that was most likely meant by s, or "": the same
// but for case and what people write between words, or the one that differs least,
// in a third of its letters and in three at most.
func Nearest(s string, list []string) string {
	best, at := "", min(len(s)/3+1, 3)+1
	for _, w := range list {
		if strings.EqualFold(Squeeze(s), Squeeze(w)) {
			return w
		}
		if len(s) > 64 {
			continue
		}
		if d := levenshtein.Distance(strings.ToLower(s), strings.ToLower(w), nil); d < at {
			best, at = w, d
		}
	}
	return best
}

// Squeeze drops what people write between words.
func Squeeze(s string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "", ".", "").Replace(s)
}
