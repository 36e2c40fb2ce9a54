// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"slices"
	"strings"
)

// BenchTarget is what is asked of the gateway's figure, of the whole of its
// interval.
type BenchTarget struct {
	AtLeast    float64 `json:"atLeast,omitempty"`   // 0: not asked
	OrAsPlain  bool    `json:"orAsPlain,omitempty"` // or within what plain forwarding reaches against itself
	OrAsRules  bool    `json:"orAsRules,omitempty"` // or AtLeast of plain forwarding behind as many rules
	AbovePeers bool    `json:"abovePeers,omitempty"`
	AtMost     float64 `json:"atMost"`
	HasMost    bool    `json:"hasMost,omitempty"` // AtMost is asked; it may be 0
}

// Answers, from the worst to the best.
const (
	answerNo           = "no"
	answerInconclusive = "inconclusive"
	answerYes          = "yes"
)

// judge says whether the gateway's figure of a row is as asked for: "yes" when
// the whole interval is, "no" when none of it is, else "inconclusive".
func (t BenchTarget) judge(r BenchRow) string {
	g, ok := r.Figure(wayGateway)
	if !ok {
		return answerInconclusive
	}
	var answers []string
	if t.AtLeast > 0 {
		least := t.AtLeast
		if t.OrAsPlain && r.Noise != nil {
			least = min(least, r.Noise.Low) // what plain forwarding reaches against itself
		}
		if rules, ok := r.Figure(wayRules); t.OrAsRules && ok {
			least = min(least, t.AtLeast*rules.Median.Median)
		}
		answers = append(answers, between(g.Low >= least, g.High < least))
	}
	if t.HasMost {
		answers = append(answers, between(g.High <= t.AtMost, g.Low > t.AtMost))
	}
	if t.AbovePeers {
		for _, f := range r.Figures {
			if f.isPeer() {
				answers = append(answers, between(g.Low > f.High, g.High < f.Low))
			}
		}
	}
	return worst(answers)
}

func between(yes, no bool) string {
	switch {
	case yes:
		return answerYes
	case no:
		return answerNo
	}
	return answerInconclusive
}

func worst(answers []string) string {
	for _, a := range []string{answerNo, answerInconclusive} {
		if slices.Contains(answers, a) {
			return a
		}
	}
	return answerYes
}

// isPeer reports whether a figure is one to be above.
func (f BenchFigure) isPeer() bool {
	return !slices.Contains([]string{wayGateway, wayPlain, wayRules}, f.Way)
}

// String says what is asked, such as "at least 0.7, above every peer".
func (t *BenchTarget) String() string {
	if t == nil {
		return ""
	}
	var parts []string
	if t.AtLeast > 0 {
		part := fmt.Sprintf("at least %v", t.AtLeast)
		if t.OrAsPlain {
			part += " or as plain"
		}
		if t.OrAsRules {
			part += ", alone or behind as many rules"
		}
		parts = append(parts, part)
	}
	if t.HasMost {
		parts = append(parts, fmt.Sprintf("at most %v", t.AtMost))
	}
	if t.AbovePeers {
		parts = append(parts, "above every peer")
	}
	return strings.Join(parts, ", ")
}
