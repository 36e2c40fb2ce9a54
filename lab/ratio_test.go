// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import "testing"

func TestMedianRatioHasTheIntervalOfTheSignTest(t *testing.T) {
	// Ranks from tables of the binomial sign test at 95 %.
	for n, rank := range map[int]int{5: 1, 6: 1, 9: 2, 12: 3, 15: 4, 20: 6, 25: 8} {
		var s []float64
		for i := range n {
			s = append(s, float64(n-i))
		}
		r := MedianRatio(s)
		if r.Low != float64(rank) || r.High != float64(n+1-rank) || r.Median != float64(n+1)/2 {
			t.Errorf("n=%d: %v, want ranks %d and %d", n, r, rank, n+1-rank)
		}
	}
}

func TestARatioIsInconclusiveWhenItsIntervalHoldsTheLimit(t *testing.T) {
	r := Ratio{Median: 0.95, Low: 0.88, High: 1.01, N: 15}
	for want, answer := range map[float64]string{0.85: "yes", 0.9: "inconclusive", 1.05: "no"} {
		if got := r.AtLeast(want); got != answer {
			t.Errorf("%v at least %v: %s, want %s", r, want, got, answer)
		}
	}
}
