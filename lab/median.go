// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"math"
	"slices"
	"time"
)

// Median is the median of what was measured with an interval that holds the true
// median in at least 95 of 100 cases, whatever the distribution: its ends are
// order statistics (binomial sign test). With fewer than six samples there is no
// such interval, and it reaches from the lowest to the highest.
type Median struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	N      int     `json:"n"`
}

// MedianOf returns the median of samples and its interval.
func MedianOf(samples []float64) Median {
	if len(samples) == 0 {
		return Median{}
	}
	s := slices.Clone(samples)
	slices.Sort(s)
	n := len(s)
	median := s[n/2]
	if n%2 == 0 {
		median = (s[n/2-1] + s[n/2]) / 2
	}
	k, p := 0, math.Pow(0.5, float64(n))
	for tail := p + p*choose(n, 1); tail <= 0.025; tail += p * choose(n, k+1) {
		k++ // at most k of n lie on one side with a probability of at most 0.025
	}
	return Median{median, s[k], s[n-1-k], n}
}

func choose(n, k int) float64 {
	c := 1.0
	for i := range k {
		c = c * float64(n-i) / float64(i+1)
	}
	return c
}

// quantile returns the value below which a share q of the samples lies.
func quantile(samples []time.Duration, q float64) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	s := slices.Clone(samples)
	slices.Sort(s)
	return s[min(len(s)-1, int(q*float64(len(s))))]
}
