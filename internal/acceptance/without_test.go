// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/examples"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab"
)

// TestAMissingRuleFailsExactlyItsOwnRows takes away one rule at a time, ten of
// them, and reaches everything: the lab's rows depend on the rule they name and
// on no other.
func TestAMissingRuleFailsExactlyItsOwnRows(t *testing.T) {
	s := newSite(t, example(t, "seed-all.yaml"), nil)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var ids []flow.RuleID
	for i, r := range s.program.Rules {
		if i%(len(s.program.Rules)/10) == 0 && len(ids) < 10 {
			ids = append(ids, r.ID)
		}
	}
	if len(ids) != 10 {
		t.Fatalf("%d rules chosen, want 10", len(ids))
	}
	for _, id := range ids {
		t.Run(strings.ReplaceAll(string(id), "/", "_"), func(t *testing.T) {
			s := *s
			s.t = t
			s.gateway = s.Firewall(self, standInArg, "--cluster", s.file, "--without", string(id))
			s.start()
			defer func() {
				if r, err := s.Gateway.Run(t.Context(), lab.Cmd{Argv: s.argv("--off")}); err != nil || r.Code != 0 {
					t.Errorf("gateway --off: %v %s", err, r.Stderr)
				}
			}()
			var failed, want []string
			for _, row := range s.ReachAll(t.Context()) {
				if !row.OK {
					failed = append(failed, row.ID)
				}
				if row.Rule == id {
					want = append(want, row.ID)
				}
			}
			slices.Sort(failed)
			slices.Sort(want)
			if len(want) == 0 || !slices.Equal(failed, want) {
				t.Errorf("without %s these failed:\n%s\nwant:\n%s", id, strings.Join(failed, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// TestMakeRunForEveryExample is what make run does, for each description.
func TestMakeRunForEveryExample(t *testing.T) {
	for _, name := range []string{"azure.yaml", "azure-all.yaml", "seed.yaml", "seed-all.yaml", "azure-china.yaml", "azure-usgov.yaml", "azure-new.yaml"} {
		t.Run(name, func(t *testing.T) {
			text := example(t, name)
			c, p := compiled(t, text)
			file := filepath.Join(t.TempDir(), name)
			write(t, file, []byte(text))
			var out strings.Builder
			opt := lab.RunOptions{Cluster: c, ClusterFile: file, Program: p, Gateway: []string{binary, "gateway"}, Out: &out}
			if name != examples.Default && !*slow {
				opt.Ways = lab.Ways[:3] // they do not depend on the cluster
			}
			begun := time.Now()
			sum, err := lab.Run(t.Context(), opt)
			if err != nil || !sum.OK {
				t.Fatalf("%v\n%s", err, out.String())
			}
			if took := time.Since(begun); took > 3*time.Minute {
				t.Errorf("it took %s", took)
			}
			reached := 0
			for _, r := range sum.Rows {
				if r.Section == lab.SectionReach {
					reached++
				}
			}
			if reached != len(p.Pairs()) {
				t.Errorf("%d reached, but the program has %d pairs", reached, len(p.Pairs()))
			}
		})
	}
}
