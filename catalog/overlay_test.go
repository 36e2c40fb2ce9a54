// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// overlay writes files into a directory and lays it over the built-in catalog.
func overlay(t *testing.T, files map[string]string) (*Catalog, string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, err := LoadOverlay(dir)
	return c, dir, err
}

const ownRow = `feature: base
requirements:
- id: base-mcr-registry
  cloud: AzureCloud
  destination: mcrprod.azurecr.io
  purpose: seen blocked
  ports:
  - {port: https/443, listed: [2026-06-15..]}
- id: base-mcr
  cloud: AzureCloud
  destination: mcr.example.com
  purpose: a mirror of our own
  ports:
  - {port: https/443, listed: [2019-05-07..]}
remove: [base-acs-mirror]
`

func TestAnOverlayAddsReplacesAndRemovesWithItsProvenance(t *testing.T) {
	c, dir, err := overlay(t, map[string]string{"mine.yaml": ownRow})
	if err != nil {
		t.Fatal(err)
	}
	newest, _ := c.Edition(Newest)
	rows := c.Rows(newest, Facts{Cloud: AzureCloud, Tunnel: "konnectivity", Linux: true}).Stated
	find := func(id string) (Row, bool) {
		i := slices.IndexFunc(rows, func(r Row) bool { return r.Requirement.ID == id })
		if i < 0 {
			return Row{}, false
		}
		return rows[i], true
	}
	file := filepath.Join(dir, "mine.yaml")
	if r, ok := find("base-mcr-registry"); !ok || !r.Source.Overlay || r.Source.String() != file+":3" {
		t.Errorf("added: %+v", r.Source)
	}
	if r, ok := find("base-mcr"); !ok || r.Destination.String() != "mcr.example.com" || r.Source.String() != file+":9" {
		t.Errorf("replaced: %s %+v", r.Destination, r.Source)
	}
	if _, ok := find("base-acs-mirror"); ok {
		t.Error("removed: it is still there")
	}
	if r, ok := find("base-login"); !ok || r.Source.Overlay {
		t.Errorf("untouched: %+v", r.Source)
	}
	if q, _ := Default().Requirement("base-mcr"); q.Destination.String() != "mcr.microsoft.com" {
		t.Error("the built-in catalog was changed")
	}
}

func TestABrokenOverlayIsRefusedWithFileAndLineAndAllFaultsAtOnce(t *testing.T) {
	for _, row := range []struct {
		name, text string
		want       []string
	}{
		{"two_faults", "feature: base\nrequirements:\n- id: own-a\n  destination: bad_name.example.com\n  purpose: x\n  ports: [{port: https/443, listed: [2020-01-01..]}]\n" +
			"- id: own-b\n  destination: a.example.com\n  purpose: x\n  ports: [{port: https/99999, listed: [2020-01-01..]}]\n",
			[]string{"/x.yaml:3: own-a: ", "/x.yaml:7: own-b: port 99999 is outside 1 to 65535"}},
		{"unknown_key", "feature: base\nrequirements:\n- id: own-a\n  destinaton: a.example.com\n", []string{"/x.yaml:4: ", "destinaton"}},
		{"no_YAML", "feature: [\n", []string{"/x.yaml:"}},
		{"wrong_type", "feature: base\nrequirements: 7\n", []string{"/x.yaml:2: "}},
		{"pair_that_is_there", "feature: base\nrequirements:\n- id: own-a\n  cloud: AzureCloud\n  destination: mcr.microsoft.com\n  purpose: x\n  ports: [{port: https/443, listed: [2020-01-01..]}]\n",
			[]string{"/x.yaml:3: own-a states the pair base AzureCloud mcr.microsoft.com https/443, which base-mcr (data/base.yaml:"}},
		{"remove_of_nothing", "remove: [base-mrc]\n", []string{`/x.yaml:1: remove: no requirement is called "base-mrc"`}},
		{"rows_without_edition", "rows:\n- {feature: base, required: true, destination: a.example.com, ports: [https/443]}\n", []string{"rows need an edition"}},
		{"requirements_without_feature", "requirements:\n- {id: a, destination: a.example.com, purpose: x, ports: []}\n", []string{"requirements need a feature"}},
		{"edition_without_date", "edition: {id: newest}\nrows: []\n", []string{"is not the day of its publication"}},
		{"edition_with_holes", "edition: {id: 2026-09-01, unusable: 2}\nrows: []\n", []string{"has 2 unusable cells"}},
		{"never_listed", "feature: base\nrequirements:\n- id: own-a\n  destination: a.example.com\n  purpose: x\n  ports: [{port: https/443, listed: []}]\n", []string{"/x.yaml:3: own-a: https/443 was never listed"}},
		{"empty", "", []string{"/x.yaml:1: is empty"}},
		{"second_document", "feature: base\n---\nfeature: gpu\n", []string{"more than one document"}},
		{"edition_without_rows", "edition: {id: 2026-09-01}\nrows: []\n", []string{"edition 2026-09-01 has no row"}},
		{"tenth_edition_of_a_day", "edition: {id: 2026-09-01.10}\nrows: []\n", []string{"2026-09-01.10"}},
		{"removed_twice", "remove: [base-mcr, base-mcr]\n", []string{"base-mcr is removed at"}},
		{"own_and_removed", strings.Replace(ownRow, "remove: [base-acs-mirror]", "remove: [base-mcr]", 1), []string{"remove: base-mcr is your own"}},
		{"misspelt_feature", "feature: bsae\nrequirements: []\n", []string{`feature "bsae" is not built in; write one of base, `}},
		{"other_condition_for_a_built-in_feature", "feature: gpu\nwhen: {linux: true}\n", []string{"feature gpu is built in, and so is for whom it counts (GPU nodes)"}},
		{"other_need_for_a_built-in_feature", "feature: optional\nrequired: true\n", []string{"feature optional is built in, with required: false"}},
		{"condition_words", own("when: {addOn: monitorin, tunnel: wireguard, nodesBefore: 2021-13-01}"),
			[]string{`tunnel "wireguard" is not`, `nodesBefore "2021-13-01" is not a date`}},
		{"unknown_add-on", own("when: {addOn: monitorin}"), []string{`/x.yaml:3: own-a: addOn "monitorin" is not known; write one of azure-policy`}},
		{"exit_code", own("exitCodes: [300]"), []string{"/x.yaml:3: own-a: exit code 300 is none"}},
		{"replaced_by_nothing", own("replacedBy: bad_name.example.com"), []string{"/x.yaml:3: own-a: replacedBy: "}},
		{"listed_from_some_later_day", strings.Replace(own("note: x"), "2020-01-01..", "2030-01-01..", 1), []string{"is listed from 2030-01-01 on, after the newest edition"}},
		{"node-local_prefix", "nodeLocal: [{id: a, prefixes: [169.254.169.254], ports: [tcp/80], purpose: x, source: y}]\n", []string{`a: "169.254.169.254" is not a prefix`}},
		{"region_of_no_cloud", "regions: [{cloud: Mars, names: [a]}]\n", []string{`cloud "Mars" is not known`}},
		{"newest_known_is_no_day", "newestKnown: tomorrow\n", []string{`newestKnown "tomorrow" is not a date`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, _, err := overlay(t, map[string]string{"x.yaml": row.text})
			if err == nil {
				t.Fatal("it was accepted")
			}
			for _, want := range row.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
		})
	}
	if _, err := LoadOverlay(t.TempDir()); err == nil || !strings.Contains(err.Error(), "holds no *.yaml") {
		t.Errorf("an empty directory: %v", err)
	}
	if _, err := LoadOverlay("overlay_test.go"); err == nil || !strings.Contains(err.Error(), "takes a directory") {
		t.Errorf("a file: %v", err)
	}
}

// own is a data file with one requirement, and one line more for it.
func own(line string) string {
	return "feature: base\nrequirements:\n- id: own-a\n  destination: a.example.com\n  purpose: x\n  " + line +
		"\n  ports: [{port: https/443, listed: [2020-01-01..]}]\n"
}

func TestTwoFilesWithOneEditionAreRefused(t *testing.T) {
	const edition = "edition: {id: 2026-09-01}\nrows: [{feature: base, required: true, destination: a.example.com, ports: [https/443]}]\n"
	_, dir, err := overlay(t, map[string]string{"a.yaml": edition, "b.yaml": edition})
	if want := filepath.Join(dir, "b.yaml") + ":1: edition 2026-09-01 stands in " + filepath.Join(dir, "a.yaml"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	if _, _, err := overlay(t, map[string]string{"a.yaml": edition, "b.yml": edition}); err == nil || !strings.Contains(err.Error(), "b.yml: data files end in .yaml") {
		t.Errorf("b.yml: %v", err)
	}
}

func TestAnImportedEditionLeavesTheOwnersRowsAlone(t *testing.T) {
	newest, _ := Default().Edition(Newest)
	page := Default().Snapshot(newest)
	page.ID = "2026-09-01"
	var b bytes.Buffer
	if err := page.Write(&b); err != nil {
		t.Fatal(err)
	}
	c, _, err := overlay(t, map[string]string{"mine.yaml": ownRow, "2026-09-01.yaml": b.String()})
	if err != nil {
		t.Fatal(err)
	}
	e, _ := c.Edition(Newest)
	asked := make(map[string]bool)
	for _, r := range c.Rows(e, Facts{Cloud: AzureCloud, Tunnel: "konnectivity", Linux: true}).Stated {
		asked[r.Destination.String()] = true
	}
	for destination, want := range map[string]bool{
		"mcrprod.azurecr.io": true, "mcr.example.com": true, "management.azure.com": true,
		"mcr.microsoft.com": false, "acs-mirror.azureedge.net": false,
	} {
		if asked[destination] != want {
			t.Errorf("%s is asked for: %v, want %v", destination, !want, want)
		}
	}
}

// A page may bring a network rule in four forms that the catalog does not know.
func TestANewNetworkRuleInFourFormsIsOneRequirement(t *testing.T) {
	newest, _ := Default().Edition(Newest)
	page := Default().Snapshot(newest)
	page.ID = "2026-09-01"
	for _, d := range []string{"*", "AzureCloud.<Region>", "RegionCIDRs", "APIServerPublicIP"} {
		page.Rows = append(page.Rows, SnapshotRow{Feature: Base, Cloud: AzureCloud, Required: true, Destination: d, Ports: []string{"tcp/7443"}, Line: 900})
	}
	page.Rows = append(page.Rows, SnapshotRow{Feature: Base, Cloud: AzureCloud, Required: true, Destination: "*", Ports: []string{"tcp/7444"}, Line: 901})
	c, e, err := Default().WithSnapshot(page, "page.yaml", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, q := range c.Requirements()[len(Default().Requirements()):] {
		got = append(got, fmt.Sprint(q.Destination, " ", q.Also, " ", q.Ports[0], " ", q.Role, " ", q.CoveredBy))
	}
	want := []string{"APIServerPublicIP [RegionCIDRs AzureCloud.<Region> *] tcp/7443 tunnel ", "* [] tcp/7444  "}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := len(c.StatedIn(e)), len(Default().StatedIn(newest))+5; got != want {
		t.Errorf("%d pairs, want %d", got, want)
	}
}

func TestTwentyThousandRowsOfOnesOwnAreReadInASecond(t *testing.T) {
	var b strings.Builder
	b.WriteString("feature: base\nrequirements:\n")
	for i := range 20000 {
		fmt.Fprintf(&b, "- {id: own-%d, destination: a%d.example.com, purpose: x, ports: [{port: https/443, listed: [2020-01-01..]}]}\n", i, i)
	}
	begin := time.Now()
	c, err := Default().Overlay("x.yaml", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	newest, _ := c.Edition(Newest)
	c.Snapshot(newest)
	if took := time.Since(begin); took > 10*time.Second { // about 1 s; a quadratic reader took 6 s for the first step alone
		t.Errorf("took %v", took)
	} else {
		t.Logf("took %v", took)
	}
}

// statedText lists what an edition states.
func statedText(c *Catalog, e Edition) []string {
	var out []string
	for _, s := range c.StatedIn(e) {
		out = append(out, fmt.Sprint(s.Feature, " ", s.Cloud, " ", s.Destination, " ", s.Protocol, "/", s.Port))
	}
	slices.Sort(out)
	return out
}

func TestAnExportedEditionReadsBackAsTheSame(t *testing.T) {
	c := Default()
	for _, e := range c.Editions() {
		for _, id := range []string{e.ID, "2019-05-06", "2023-01-01", "2030-01-01"} {
			s := c.Snapshot(e)
			s.ID = id
			over, at, err := c.WithSnapshot(s, "edition.yaml", time.Time{})
			if err != nil {
				t.Fatalf("%s as %s: %v", e.ID, id, err)
			}
			got, want := statedText(over, at), statedText(c, e)
			// At another time a row may stand for a cloud that was not named yet.
			if id == e.ID && !slices.Equal(got, want) || len(got) != len(want) {
				t.Errorf("edition %s as %s reads back as %d pairs, want %d:\n%s\nwant\n%s", e.ID, id, len(got), len(want),
					strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			// The others are as they were.
			for _, o := range []string{"2019-06-06", "seed", "2022-04-28"} {
				other, _ := c.Edition(o)
				if other.ID != id && !slices.Equal(statedText(over, other), statedText(c, other)) {
					t.Errorf("edition %s as %s changes edition %s", e.ID, id, o)
				}
			}
		}
	}
}

func TestAnExportedFeatureReadsBackAsTheSame(t *testing.T) {
	c := Default()
	files := make(map[string]string)
	for _, f := range c.Features() {
		var b bytes.Buffer
		if err := c.WriteFeature(&b, f.Name); err != nil {
			t.Fatal(err)
		}
		files[f.Name+".yaml"] = b.String()
	}
	over, _, err := overlay(t, files)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range c.Editions() {
		if !slices.Equal(statedText(over, e), statedText(c, e)) {
			t.Errorf("edition %s differs", e.ID)
		}
		for name, s := range scopes {
			if d := Compare(c, e, over, e, s); !d.Same() {
				t.Errorf("edition %s for %s differs: %s", e.ID, name, d.shape())
			}
		}
	}
}

func TestANewerEditionBecomesTheNewest(t *testing.T) {
	c := Default()
	newest, _ := c.Edition(Newest)
	s := c.Snapshot(newest)
	s.ID = "2026-09-01"
	s.Rows = slices.DeleteFunc(s.Rows, func(r SnapshotRow) bool { return r.Destination == "acs-mirror.azureedge.net" && r.Cloud == AzureCloud })
	s.Rows = append(s.Rows, SnapshotRow{Feature: "confidential-containers", Required: true, Destination: "*.attest.azure.net", Ports: []string{"https/443"}, Line: 9},
		SnapshotRow{Feature: Base, Cloud: AzureCloud, Required: true, Destination: "new.aks.azure.com", Ports: []string{"https/443"}, Line: 8, Purpose: "something new"})
	over, e, err := c.WithSnapshot(s, "2026-09-01.yaml", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := over.Edition(""); got.ID != "2026-09-01" || !over.Current(got) {
		t.Errorf("the newest is %s", got.ID)
	}
	got := Compare(c, newest, over, e, Scope{}).shape()
	for _, want := range []string{"open +new.aks.azure.com https/443\n", "open +*.attest.azure.net https/443\n", "close -acs-mirror.azureedge.net https/443\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
	if strings.Count(got, "\n") != 3 {
		t.Errorf("want 3 changes:\n%s", got)
	}
	// A feature that only the new edition knows is an add-on of that name.
	rows := over.Rows(e, Facts{Cloud: AzureCloud, AddOns: map[string]bool{"confidential-containers": true}})
	if !slices.ContainsFunc(rows.Stated, func(r Row) bool { return r.Feature == "confidential-containers" && !r.Probe.IsZero() }) {
		t.Error("the new feature brings no row")
	}
}

func TestServiceTagsFillRegionsExactly(t *testing.T) {
	const file = `{"changeNumber": 42, "cloud": "Public", "values": [
	 {"name": "AzureCloud.westeurope", "id": "AzureCloud.westeurope", "properties": {"region": "westeurope", "addressPrefixes": ["13.69.0.0/17", "2603:1020:206::/48"]}},
	 {"name": "AzureMonitor", "properties": {"addressPrefixes": ["20.1.0.0/16"]}}]}`
	tags, err := ReadServiceTags(strings.NewReader("\ufeff" + file))
	if err != nil || tags.Cloud != AzureCloud || tags.ChangeNumber != 42 {
		t.Fatalf("%+v, %v", tags, err)
	}
	for dest, want := range map[string]string{
		"AzureCloud.<Region>": "[13.69.0.0/17 2603:1020:206::/48]", "RegionCIDRs": "[13.69.0.0/17 2603:1020:206::/48]",
		"AzureMonitor": "[20.1.0.0/16]", "AzureDevSpaces": "[]", "*": "[]", "APIServerPublicIP": "[]", "mcr.microsoft.com": "[]",
	} {
		d, err := ParseDestination(dest)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := tags.Prefixes(d, "westeurope")
		if fmt.Sprint(got) != want || ok != (want != "[]") {
			t.Errorf("%s: %v, %v, want %s", dest, got, ok, want)
		}
	}
	for text, want := range map[string]string{
		`{"cloud": "Mars", "values": []}`:   "is this a service tags file?",
		`{"cloud": "Public", "values": []}`: "holds no service tag",
		"{\n\"cloud\": \"Public\",\n!":      "line 3: ",
		"{\n\"cloud\": 7}":                  "line 2: cloud is a number",
		`{"cloud":"Public","values":[{"name":"A","properties":{"addressPrefixes":["0.0.0.0/0"]}}]}`:     "A: 0.0.0.0/0 is every address there is",
		`{"cloud":"Public","values":[{"name":"A","properties":{}},{"name":"a","properties":{}}]}`:       "a stands there twice",
		`{"cloud":"Public","values":[{"name":"A","properties":{"addressPrefixes":["1.2.3.4/8","x"]}}]}`: `A: "1.2.3.4/8" is not a prefix`,
	} {
		if _, err := ReadServiceTags(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestEveryRegionIsInOneCloud(t *testing.T) {
	seen := make(map[string]string)
	for _, r := range Default().Regions() {
		for _, n := range r.Names {
			if seen[n] != "" {
				t.Errorf("%s is in %s and %s", n, seen[n], r.Cloud)
			}
			seen[n] = r.Cloud
		}
	}
	for location, cloud := range map[string]string{"westeurope": AzureCloud, "chinanorth3": AzureChinaCloud, "usgovvirginia": AzureUSGovernment} {
		if seen[location] != cloud {
			t.Errorf("%s is in %q, want %s", location, seen[location], cloud)
		}
	}
}

func FuzzOverlay(f *testing.F) {
	f.Add([]byte(ownRow))
	f.Add([]byte("edition: {id: 2026-09-01}\nrows:\n- {feature: base, required: true, destination: '*:1', ports: [tcp/1]}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Default().Overlay("x.yaml", data)
		if (c == nil) == (err == nil) {
			t.Fatalf("catalog %v and error %v", c != nil, err)
		}
		if err == nil {
			for _, e := range c.Editions()[len(c.Editions())-1:] {
				c.StatedIn(e)
				c.Asks(e, scopes["konnectivity"])
			}
		}
	})
}

func FuzzServiceTags(f *testing.F) {
	f.Add([]byte(`{"changeNumber": 42, "cloud": "Public", "values": [{"name": "A", "properties": {"addressPrefixes": ["13.69.0.0/17"]}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		tags, err := ReadServiceTags(bytes.NewReader(data))
		if err == nil {
			tags.Prefixes(Destination{Kind: KindServiceTag, Tag: "A"}, "westeurope")
		}
	})
}
