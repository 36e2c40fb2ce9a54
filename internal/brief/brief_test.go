// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package brief

import (
	"errors"
	"strings"
	"testing"
)

func TestErrorsAreOneShortLine(t *testing.T) {
	down, refused := errors.New("upstream 10.0.0.1:53: down"), errors.New("upstream 10.0.0.2:53: answers REFUSED")
	for want, err := range map[string]error{
		"upstream 10.0.0.1:53: down":                                        down,
		"upstream 10.0.0.1:53: down; upstream 10.0.0.2:53: answers REFUSED": errors.Join(down, refused, down, refused),
		strings.Repeat("ä", most/2) + "...":                                 errors.New(strings.Repeat("ä", most)),
		"x" + strings.Repeat("ä", most/2-1) + "...":                         errors.New("x" + strings.Repeat("ä", most)), // not half a letter
	} {
		if got := Error(err); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
