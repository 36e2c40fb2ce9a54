// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package vectors

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/decide"
	"github.com/sallyport/sallyport/internal/exampletest"
)

// TestTheJudgeAndItsTwinAgreeWithTheTable is the simulated half; the lab plays
// the same table with packets.
func TestTheJudgeAndItsTwinAgreeWithTheTable(t *testing.T) {
	p := exampletest.Program(t, Example)
	fast := decide.New(p)
	at := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for _, v := range All {
		t.Run(v.Name, func(t *testing.T) {
			f := v.Flow()
			d := p.Eval(f, at)
			if d.Verdict != v.Verdict || d.Reason != v.Reason {
				t.Errorf("Eval(%s): %s %s by %q, want %s %s", f, d.Verdict, d.Reason, d.Rule, v.Verdict, v.Reason)
			}
			if twin := fast.Decide(f, at); twin != d {
				t.Errorf("Decide(%s): %+v, but Eval says %+v", f, twin, d)
			}
		})
	}
}
