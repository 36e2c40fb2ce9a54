// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package meant

import "testing"

func TestNearest(t *testing.T) {
	flags := []string{"cluster", "catalog", "as-of", "inside", "outside"}
	for s, want := range map[string]string{
		"clutser": "cluster", "AsOf": "as-of", "as_of": "as-of", "insid": "inside", "outsied": "outside", "catalogue": "catalog",
		"verbose": "", "x": "", "": "",
	} {
		if got := Nearest(s, flags); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}
