// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/flow"
)

// shared is where the published editions lie; they are not in the repository.
const shared = "../../../shared/data"

// timeline is what each English edition holds, found independently of this
// package.
type timeline struct {
	Entries []entry `json:"entries"`
}

type entry struct {
	Feature     string `json:"feature"`
	Cloud       string `json:"cloud"`
	Destination string `json:"destination"`
	Protocol    string `json:"protocol"`
	Port        uint16 `json:"port"`
	Listed      []struct {
		From  string  `json:"from"`
		Until *string `json:"until"`
	} `json:"listed"`
}

// listedOn reports whether the edition of day holds e.
func (e entry) listedOn(day string) bool {
	for _, l := range e.Listed {
		if l.From <= day && (l.Until == nil || day < *l.Until) {
			return true
		}
	}
	return false
}

// known translates the timeline's words for features and clouds into ours.
func (e entry) known(t testing.TB) Known {
	t.Helper()
	features := map[string]string{
		"monitor": catalog.Monitoring, "policy": catalog.AzurePolicy, "kv-csi": catalog.KeyVaultCSI, "extensions": catalog.ClusterExtensions,
	}
	clouds := map[string]string{
		"AzurePublic": catalog.AzureCloud, "AzureChina": catalog.AzureChinaCloud, "AzureUSGov": catalog.AzureUSGovernment,
	}
	p, err := flow.ParseProtocol(e.Protocol)
	if err != nil || clouds[e.Cloud] == "" {
		t.Fatalf("timeline: %+v: %v", e, err)
	}
	feature := e.Feature
	if f := features[feature]; f != "" {
		feature = f
	}
	return Known{feature, clouds[e.Cloud], e.Destination, p, e.Port}
}

// readShared reads a file of the shared data; without it the test is skipped.
func readShared(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(shared, name))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is not here: the published editions are not part of the repository", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func readTimeline(t testing.TB) timeline {
	t.Helper()
	var tl timeline
	if err := json.Unmarshal(readShared(t, "catalog/timeline-2019-2026.json"), &tl); err != nil || len(tl.Entries) < 200 {
		t.Fatalf("timeline: %d entries, %v", len(tl.Entries), err)
	}
	return tl
}

func (tl timeline) known(t testing.TB) []Known {
	t.Helper()
	var out []Known
	for _, e := range tl.Entries {
		out = append(out, e.known(t))
	}
	return out
}

// key writes a row as the comparison sees it: a table without a cloud is the
// public cloud's.
func key(feature, cloud, destination string, p flow.Protocol, port uint16) string {
	return fmt.Sprintf("%s %s %s %s/%d", feature, cloudKey(cloud), destination, p, port)
}

func rowKeys(rows []Row) map[string]bool {
	out := make(map[string]bool)
	for _, r := range rows {
		out[key(r.Feature, r.Cloud, r.Destination, r.Protocol, r.Port)] = true
	}
	return out
}

func missing(from, in map[string]bool) []string {
	var out []string
	for k := range from {
		if !in[k] {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// firstOf20200309 undoes what the second edition of that day changed, for the
// first one; the timeline dates by the day alone.
func firstOf20200309(want map[string]bool) {
	for k := range want {
		public := strings.HasPrefix(k, "base AzureCloud ")
		switch {
		case strings.HasSuffix(k, "udp/1194"), !public && strings.Contains(k, " *.data.mcr.microsoft.com "), public && strings.Contains(k, " *.cdn.mscr.io "):
			delete(want, k)
		}
	}
}

func TestEnglishEditionsHoldWhatTheTimelineSays(t *testing.T) {
	tl := readTimeline(t)
	known := tl.known(t)
	files, _ := filepath.Glob(filepath.Join(shared, "docs", "20*.md"))
	if len(files) < 10 {
		t.Fatalf("found %d English editions", len(files))
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			e, err := Markdown(data, known)
			if err != nil {
				t.Fatal(err)
			}
			want := make(map[string]bool)
			for _, en := range tl.Entries {
				if en.listedOn(name[:10]) {
					k := en.known(t)
					want[key(k.Feature, k.Cloud, k.Destination, k.Protocol, k.Port)] = true
				}
			}
			if strings.Contains(name, "615e015d8") {
				firstOf20200309(want)
			}
			got := rowKeys(e.Rows)
			lost, wrong := missing(want, got), missing(got, want)
			t.Logf("recall %.2f precision %.2f, %d pairs, %d findings",
				float64(len(want)-len(lost))/float64(len(want)), float64(len(got)-len(wrong))/float64(len(got)), len(got), len(e.Findings))
			for _, k := range lost {
				t.Errorf("lost %s", k)
			}
			for _, k := range wrong {
				t.Errorf("wrong %s", k)
			}
			for _, f := range e.Findings {
				if f.Kind != FindingRepaired || f.Result != "AzureCloud.<Region>" {
					t.Errorf("finding %+v", f)
				}
			}
			if e.MSDate.IsZero() || e.Title == "" || e.Lines < 90 {
				t.Errorf("title %q, date %v, %d lines", e.Title, e.MSDate, e.Lines)
			}
			for _, r := range e.Rows {
				if r.Required != (r.Feature != catalog.Optional) {
					t.Errorf("%+v: required is by section", r)
				}
			}
		})
	}
}
