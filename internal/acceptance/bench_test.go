// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"encoding/json"
	"os/exec"
	"testing"

	"github.com/sallyport/sallyport/lab"
)

// TestTheBenchRuns measures next to nothing of everything: that the rig stands,
// and every peer that is installed in it.
func TestTheBenchRuns(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), binary, "lab", "bench", "--pairs", "1", "--short", "-o", "json")
	out, err := cmd.Output() // its exit code is about the figures
	var r lab.BenchResult
	if err2 := json.Unmarshal(out, &r); err2 != nil {
		t.Fatalf("%v: %v\n%s", err, err2, out)
	}
	if r.Schema != lab.BenchSchema {
		t.Errorf("schema %q", r.Schema)
	}
	for _, p := range r.Peers {
		if p.Missing != "" {
			t.Logf("%s is left out: %s", p.Name, p.Missing)
		}
	}
	rows := make(map[string]lab.BenchRow)
	for _, row := range r.Rows {
		rows[row.ID] = row
		if _, ok := row.Figure("gateway"); !ok {
			t.Errorf("%s has no figure of the gateway", row.ID)
		}
	}
	for _, id := range []string{"bulk-8", "cut-8", "http-1", "conns-64", "first-p50", "idle-10k", "idle-100k", "decide-1m", "lived-kill", "lost-kill", "reload", "lost-reload"} {
		if _, ok := rows[id]; !ok {
			t.Errorf("there is no row %s", id)
		}
	}
	// What a loaded machine does not change.
	if lived, _ := rows["lived-kill"].Figure("gateway"); lived.Low != 8 {
		t.Errorf("of 8 proved flows %v live over kill -9 and restart", lived.Low)
	}
}
