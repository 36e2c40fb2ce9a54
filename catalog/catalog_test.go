// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// pairsOfSeed reads the project's own copy of the facts.
func pairsOfSeed(t *testing.T) []string {
	t.Helper()
	f, err := os.Open("testdata/seed-pairs.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []string
	for s := bufio.NewScanner(f); s.Scan(); {
		if !strings.HasPrefix(s.Text(), "#") {
			out = append(out, s.Text())
		}
	}
	slices.Sort(out)
	return out
}

func TestTheCatalogHoldsExactlyThePairsOfTheSeedEdition(t *testing.T) {
	c := Default()
	seed, err := c.Edition("seed")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, q := range c.Requirements() {
		cloud := q.Cloud
		if cloud == "" {
			cloud = "-"
		}
		for _, p := range q.Ports {
			if _, listed := p.ListedOn(seed.Published); listed {
				got = append(got, fmt.Sprintf("%d %s %s %s %s", q.Line, q.Feature, cloud, q.Destination, p))
			}
		}
	}
	slices.Sort(got)
	want := pairsOfSeed(t)
	if len(want) != 75 {
		t.Fatalf("testdata/seed-pairs.txt holds %d pairs, want 75", len(want))
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("missing: %s", w)
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			t.Errorf("not in the edition: %s", g)
		}
	}
}

func TestEditionsAreFoundByIDAndAlias(t *testing.T) {
	c := Default()
	for _, name := range []string{"", "seed", "2020-05-26"} {
		e, err := c.Edition(name)
		if err != nil || e.ID != "2020-05-26" {
			t.Errorf("Edition(%q) = %q, %v; want 2020-05-26", name, e.ID, err)
		}
		if c.Current(e) {
			t.Errorf("edition %s is called current, but %s is known", e.ID, c.NewestKnown())
		}
	}
	_, err := c.Edition("2021-01-01")
	const want = `edition "2021-01-01" is not in the catalog; it holds 2020-05-26 (seed)`
	if err == nil || err.Error() != want {
		t.Errorf("Edition(2021-01-01) = %v, want %s", err, want)
	}
}

func TestRowsFollowTheConditions(t *testing.T) {
	c := Default()
	seed, _ := c.Edition("seed")
	tunnelFront := Facts{Cloud: AzureCloud, Tunnel: "tunnel-front", Linux: true}
	with := func(change func(*Facts)) Facts {
		f := tunnelFront
		f.AddOns = maps.Clone(f.AddOns)
		if f.AddOns == nil {
			f.AddOns = make(map[string]bool)
		}
		change(&f)
		return f
	}
	for _, row := range []struct {
		name              string
		facts             Facts
		stated, notStated int
	}{
		{"base_with_tunnel-front", tunnelFront, 16, 0},
		{"base_with_konnectivity_needs_no_tunnel_ports", with(func(f *Facts) { f.Tunnel = "konnectivity" }), 10, 0},
		{"base_without_Linux_nodes_needs_no_ntp", with(func(f *Facts) { f.Linux = false }), 15, 0},
		{"optional", with(func(f *Facts) { f.Optional = true }), 16 + 3, 0},
		{"gpu", with(func(f *Facts) { f.GPU = true }), 16 + 3, 0},
		{"monitoring", with(func(f *Facts) { f.AddOns["monitoring"] = true }), 16 + 5, 0},
		{"dev-spaces", with(func(f *Facts) { f.AddOns["dev-spaces"] = true }), 16 + 4, 0},
		{"azure-policy", with(func(f *Facts) { f.AddOns["azure-policy"] = true }), 16 + 4, 0},
		{"windows", with(func(f *Facts) { f.Windows = true }), 16 + 8, 0},
		{"China", with(func(f *Facts) { f.Cloud = AzureChinaCloud }), 16, 0},
		{"US_Government", with(func(f *Facts) { f.Cloud = AzureUSGovernment }), 16, 0},
		{"features_in_China_are_not_stated", with(func(f *Facts) { f.Cloud, f.GPU = AzureChinaCloud, true }), 16, 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			stated, notStated := c.Rows(seed, row.facts)
			if len(stated) != row.stated || len(notStated) != row.notStated {
				t.Errorf("%+v: %d rows stated and %d not, want %d and %d",
					row.facts, len(stated), len(notStated), row.stated, row.notStated)
			}
		})
	}
}

func TestEveryFactCarriesItsSource(t *testing.T) {
	seed, _ := Default().Edition("seed")
	for _, a := range seed.Advice {
		if a.Line == 0 {
			t.Errorf("advice %s has no line", a.ID)
		}
	}
	if seed.Document == "" || !strings.Contains(seed.Document, "CC BY 4.0") {
		t.Errorf("the document %q does not name its licence", seed.Document)
	}
	// Where the document is at hand, the line says what we cite it for.
	const document = "../../shared/data/docs/seed-de-2020-03-10.md"
	text, err := os.ReadFile(document)
	if err != nil {
		t.Skipf("the seed document is not at hand: %v", err)
	}
	lines := strings.Split(string(text), "\n")
	for _, q := range Default().Requirements() {
		line := strings.ReplaceAll(strings.ReplaceAll(lines[q.Line-1], `\`, ""), "<span></span>", "")
		if !strings.Contains(line, q.Destination.String()) {
			t.Errorf("%s: line %d does not hold %s:\n%s", q.ID, q.Line, q.Destination, line)
		}
		for _, p := range q.Ports {
			if !strings.Contains(line, fmt.Sprint(p.Port)) {
				t.Errorf("%s: line %d does not hold port %d", q.ID, q.Line, p.Port)
			}
		}
	}
}

func TestSpansIncludeTheirFirstDayAndNotTheirLast(t *testing.T) {
	s, err := parseSpan("2020-03-09..2020-07-01")
	if err != nil {
		t.Fatal(err)
	}
	for day, want := range map[string]bool{
		"2020-03-08": false, "2020-03-09": true, "2020-06-30": true, "2020-07-01": false,
	} {
		d, _ := time.Parse(time.DateOnly, day)
		if got := s.Contains(d); got != want {
			t.Errorf("%s in 2020-03-09..2020-07-01: %v, want %v", day, got, want)
		}
	}
}

// TestLintRefusesDamagedData changes one thing at a time in the built-in data.
func TestLintRefusesDamagedData(t *testing.T) {
	for _, row := range []struct{ name, file, old, new, want string }{
		{"unknown_key", "gpu.yaml", "purpose:", "porpoise:", "porpoise"},
		{"bad_port", "gpu.yaml", "https/443", "https/70000", "port 70000 is outside 1 to 65535"},
		{"bad_protocol", "gpu.yaml", "https/443", "gopher/443", `protocol "gopher" is not one of https, http, tcp, udp`},
		{"bad_name", "gpu.yaml", "nvidia.github.io", "nvidia_github.io", "has a character other than"},
		{"unknown_placeholder", "base.yaml", "*.tun.<location>.azmk8s.io", "*.tun.<region>.azmk8s.io", "unknown placeholder <region>"},
		{"same_id_twice", "gpu.yaml", "gpu-nvidia-drivers", "gpu-nvidia-packages", "not unique"},
		{"unknown_cloud", "base.yaml", "cloud: AzureChinaCloud", "cloud: AzureChina", `cloud "AzureChina" is not known`},
		{"no_line", "gpu.yaml", "line: 127", "line: 0", "has no purpose or no line"},
		{"probe_outside_the_wildcard", "monitoring.yaml", "probe: \"<location>.monitoring.azure.com\"", "probe: x.example.com", "is not a name under"},
		{"span_backwards", "gpu.yaml", "2019-09-16..2022-03-31", "2022-03-31..2019-09-16", "does not end with a later date"},
		{"advice_without_text", "editions.yaml", "text: Bind 9000, 22 and 1194 to the API server's addresses", "text: \"\"", "has no id, text or line"},
		{"unknown_coverage", "editions.yaml", "coveredBy: resolver", "coveredBy: magic", `covered by "magic"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := fstest.MapFS{}
			for _, name := range append([]string{"editions.yaml"}, featureFiles...) {
				data, err := os.ReadFile("data/" + name)
				if err != nil {
					t.Fatal(err)
				}
				text := string(data)
				if name == row.file {
					if !strings.Contains(text, row.old) {
						t.Fatalf("%s does not hold %q", name, row.old)
					}
					text = strings.ReplaceAll(text, row.old, row.new)
				}
				dir[name] = &fstest.MapFile{Data: []byte(text)}
			}
			_, err := Load(dir)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("with %q for %q: error %v, want one with %q", row.new, row.old, err, row.want)
			}
		})
	}
}
