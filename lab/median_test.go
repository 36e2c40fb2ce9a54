// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import "testing"

func TestAMedianHasTheIntervalOfTheSignTest(t *testing.T) {
	// Ranks from tables of the binomial sign test at 95 %.
	for n, rank := range map[int]int{5: 1, 6: 1, 9: 2, 12: 3, 15: 4, 20: 6, 25: 8} {
		var s []float64
		for i := range n {
			s = append(s, float64(n-i))
		}
		r := MedianOf(s)
		if r.Low != float64(rank) || r.High != float64(n+1-rank) || r.Median != float64(n+1)/2 {
			t.Errorf("n=%d: %v, want ranks %d and %d", n, r, rank, n+1-rank)
		}
	}
}
