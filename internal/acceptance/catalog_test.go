// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/catalog/importer"
)

const sharedDocs = "../../../shared/data/docs"

// published returns the English editions that are at hand, with their file.
func published(t *testing.T) map[string]catalog.Edition {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(sharedDocs, "20*.md"))
	if len(names) == 0 {
		t.Skipf("no published document is at hand in %s", sharedDocs)
	}
	out := make(map[string]catalog.Edition)
	for _, name := range names {
		for _, e := range catalog.Default().Editions() {
			if strings.HasPrefix(filepath.Base(name), e.ID[:10]) && strings.Contains(name, e.Commit) {
				out[name] = e
			}
		}
		if _, ok := out[name]; !ok {
			t.Errorf("%s is no edition of the catalog", name)
		}
	}
	return out
}

// statedPairs returns the pairs that an edition prints. A row that names no
// cloud is the public one's in the documents' history.
func statedPairs(c *catalog.Catalog, e catalog.Edition) []string {
	var out []string
	for _, s := range c.StatedIn(e) {
		cloud := s.Cloud
		if cloud == "" || s.Feature == catalog.WorkloadIdentity || s.Feature == catalog.KeyVaultCSI {
			cloud = catalog.AzureCloud
		}
		out = append(out, fmt.Sprintf("%s %s %s %s/%d", s.Feature, cloud, s.Destination, s.Protocol, s.Port))
	}
	slices.Sort(out)
	return out
}

type imported struct {
	Rows []struct {
		Feature, Cloud, Destination, Protocol, Status string
		Port                                          uint16
		Line                                          int
	}
	Bullets  []struct{ Port uint16 }
	Unusable int
	Findings []struct{ Kind, Text string }
}

func importWith(t *testing.T, name string) imported {
	t.Helper()
	out, err := exec.Command(binary, "catalog", "import", name, "-o", "json").Output()
	if err != nil && len(out) == 0 {
		t.Fatalf("import %s: %v", name, err)
	}
	var doc imported
	if err := json.Unmarshal(out, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestImportReadsExactlyWhatEachEnglishEditionLists(t *testing.T) {
	for name, e := range published(t) {
		t.Run(e.ID, func(t *testing.T) {
			doc := importWith(t, name)
			var got []string
			for _, r := range doc.Rows {
				cloud := r.Cloud
				if cloud == "" || r.Feature == catalog.WorkloadIdentity || r.Feature == catalog.KeyVaultCSI {
					cloud = catalog.AzureCloud
				}
				got = append(got, fmt.Sprintf("%s %s %s %s/%d", r.Feature, cloud, r.Destination, r.Protocol, r.Port))
			}
			slices.Sort(got)
			want := statedPairs(catalog.Default(), e)
			hit := 0
			for _, w := range want {
				if slices.Contains(got, w) {
					hit++
				} else {
					t.Errorf("missing: %s", w)
				}
			}
			for _, g := range got {
				if !slices.Contains(want, g) {
					t.Errorf("not listed: %s", g)
				}
			}
			t.Logf("%s: recall %.2f, precision %.2f, %d pairs, %d ports in bullets, %d cells unusable", filepath.Base(name),
				float64(hit)/float64(len(want)), float64(hit)/float64(len(got)), len(got), len(doc.Bullets), doc.Unusable)
		})
	}
}

// TestAnImportedEditionAsksForTheSameAsTheCatalog goes the whole way: document,
// data format, overlay, diff.
func TestAnImportedEditionAsksForTheSameAsTheCatalog(t *testing.T) {
	for name, e := range published(t) {
		t.Run(e.ID, func(t *testing.T) {
			dir := t.TempDir()
			run := func(code int, args ...string) string {
				c := exec.Command(binary, args...)
				out, err := c.CombinedOutput()
				if c.ProcessState == nil || c.ProcessState.ExitCode() != code {
					t.Fatalf("sallyport %s: %v\n%s", strings.Join(args, " "), err, out)
				}
				return string(out)
			}
			run(0, "catalog", "import", name, "--published", e.ID[:10], "-w", dir)
			run(0, "catalog", "lint", dir)
			if strings.Contains(e.ID, ".") {
				return // the day has another edition, which holds at its end
			}
			for _, cluster := range []string{"seed.yaml", "azure-all.yaml", "azure-china.yaml", "azure-usgov.yaml"} {
				run(0, "catalog", "diff", e.ID, filepath.Join(dir, e.ID+".yaml"), "-c", filepath.Join("../../examples", cluster))
			}
		})
	}
}

func TestWhatLocalizedEditionsBecomeIsExactOrSaysWhatItIs(t *testing.T) {
	for _, row := range []struct {
		file string
		rows int
	}{
		{"seed-de-2020-03-10.md", 75},
		{"LuBu0505-mc-docs.zh-cn.zh-CN.2021-02-01.md", 38},
		{"Microsoft-azure-docs.cs-cz.cs-CZ.2020-03-09.md", 21},
	} {
		name := filepath.Join(sharedDocs, row.file)
		if _, err := os.Stat(name); err != nil {
			t.Skipf("no published document is at hand: %v", err)
		}
		doc := importWith(t, name)
		if len(doc.Rows) != row.rows || doc.Unusable != 0 {
			t.Errorf("%s: %d pairs, %d unusable, want %d and none", row.file, len(doc.Rows), doc.Unusable, row.rows)
		}
		repaired, findings := 0, 0
		for _, r := range doc.Rows {
			if r.Status != string(importer.Exact) {
				repaired++
			}
		}
		for _, f := range doc.Findings {
			if f.Kind != importer.FindingNote {
				findings++
			}
		}
		if repaired > 0 && findings == 0 {
			t.Errorf("%s: %d pairs were repaired and nothing says so", row.file, repaired)
		}
	}
}

// TestAHostileDocumentEndsSoonAndSmall is timed, and so only part of make accept.
func TestAHostileDocumentEndsSoonAndSmall(t *testing.T) {
	if !*slow {
		t.Skip("timed: run with -slow, as make accept TOPIC=catalog does")
	}
	for _, row := range []struct {
		name, begin, repeated string
		size                  int // bytes
	}{
		{"pipes_and_backticks_in_one_line", "", "|`", 50 << 20},
		{"pipes_and_backticks_in_lines", "", "| ` | `` |\n", 50 << 20},
		{"below_the_limit", "", "|`*.a|", 16 << 20},
		{"lines_below_the_limit", "", "|`*.a.b`|`HTTPS:443`|`\n", 16 << 20},
		{"JSON", `{"value":`, "[", 50 << 20},
		{"JSON_below_the_limit", `{"value":`, "[", 16 << 20},
	} {
		t.Run(row.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "x.md")
			// Written by a child: what this process has used would be counted as
			// the command's, until it is replaced by it.
			script := fmt.Sprintf("{ printf %%s '%s'; yes '%s' | tr -d '\\n' | tr '@' '\\n'; } | head -c %d > '%s'",
				row.begin, strings.ReplaceAll(row.repeated, "\n", "@"), row.size, file)
			if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			c := exec.Command(binary, "catalog", "import", file, "-o", "json")
			var stderr bytes.Buffer
			c.Stderr = &stderr
			begin := time.Now()
			_ = c.Run()
			took := time.Since(begin)
			used := c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss >> 10
			line, _, _ := strings.Cut(stderr.String(), "\n")
			t.Logf("%d MiB: %.2f s, %d MiB, exit %d: %.120s", row.size>>20, took.Seconds(), used, c.ProcessState.ExitCode(), line)
			if took > 2*time.Second || used > 300 {
				t.Errorf("it took %v and %d MiB, want below 2 s and 300 MiB", took, used)
			}
			if code := c.ProcessState.ExitCode(); code != 0 && code != 1 && code != 2 {
				t.Errorf("it ended with %d", code)
			}
		})
	}
}

func TestTheNewestEditionImportsInNoTime(t *testing.T) {
	if !*slow {
		t.Skip("timed: run with -slow, as make accept TOPIC=catalog does")
	}
	for name, e := range published(t) {
		if !catalog.Default().Current(e) {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var known []importer.Known
		for _, s := range catalog.Default().EverStated() {
			known = append(known, importer.Known{Feature: s.Feature, Cloud: s.Cloud, Destination: s.Destination, Protocol: s.Protocol, Port: s.Port})
		}
		best := time.Hour
		for range 10 {
			begin := time.Now()
			if _, err := importer.Markdown(data, known); err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(begin))
		}
		begin := time.Now()
		if err := exec.Command(binary, "catalog", "import", name).Run(); err != nil {
			t.Fatal(err)
		}
		process := time.Since(begin)
		t.Logf("%s, %d KB: %v to read, %v with the process", filepath.Base(name), len(data)>>10, best, process)
		if best > 50*time.Millisecond {
			t.Errorf("it took %v, want below 50 ms", best)
		}
	}
}
