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
		cloud := q.CloudIn(seed)
		if cloud == "" {
			cloud = "-"
		}
		for _, p := range q.Ports {
			if _, listed := p.ListedIn(seed); listed {
				got = append(got, fmt.Sprintf("%d %s %s %s %s", q.Lines[seed.ID], q.Feature, cloud, q.Destination, p))
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

func TestEditionsAreFoundByIDAliasAndDay(t *testing.T) {
	c := Default()
	for name, want := range map[string]string{
		"": "2026-07-03", "newest": "2026-07-03", "seed": "2020-05-26", "2020-05-26": "2020-05-26",
		"2020-03-09": "2020-03-09.2", "2020-03-09.1": "2020-03-09.1",
	} {
		e, err := c.Edition(name)
		if err != nil || e.ID != want {
			t.Errorf("Edition(%q) = %q, %v; want %s", name, e.ID, err, want)
		}
		if c.Current(e) != (want == "2026-07-03") {
			t.Errorf("edition %s: current %v", e.ID, c.Current(e))
		}
	}
	_, err := c.Edition("2021-01-01")
	const want = `edition "2021-01-01" is not in the catalog; on that day 2020-11-17 held (--as-of 2021-01-01)`
	if err == nil || err.Error() != want {
		t.Errorf("Edition(2021-01-01) = %v, want %s", err, want)
	}
}

func TestADayHasTheEditionThatWasInForceAtItsEnd(t *testing.T) {
	for day, want := range map[string]string{
		"2019-05-07": "2019-05-07", "2020-03-09": "2020-03-09.2", "2020-05-25": "2020-04-28",
		"2020-05-26": "2020-05-26", "2020-05-31": "2020-05-26", "2026-11-22": "2026-07-03",
	} {
		e, err := Default().AsOf(Day(day))
		if err != nil || e.ID != want {
			t.Errorf("as of %s: %s, %v, want %s", day, e.ID, err, want)
		}
	}
	if _, err := Default().AsOf(Day("2019-05-06")); err == nil || !strings.Contains(err.Error(), "the first edition is 2019-05-07") {
		t.Errorf("before the first edition: %v", err)
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
			rows := c.Rows(seed, row.facts)
			if len(rows.Stated) != row.stated || len(rows.NotStated) != row.notStated {
				t.Errorf("%+v: %d rows stated and %d not, want %d and %d",
					row.facts, len(rows.Stated), len(rows.NotStated), row.stated, row.notStated)
			}
		})
	}
}

func TestTheNewestEditionFollowsTheConditions(t *testing.T) {
	c := Default()
	newest, _ := c.Edition(Newest)
	today := Facts{Cloud: AzureCloud, Tunnel: "konnectivity", Linux: true}
	with := func(change func(*Facts)) Facts {
		f := today
		change(&f)
		return f
	}
	for _, row := range []struct {
		name   string
		facts  Facts
		stated []string // among what is stated
		not    []string // not stated
	}{
		{"konnectivity_needs_packages_and_no_tunnel_port", today,
			[]string{"packages.aks.azure.com https/443", "mcr-0001.mcr-msedge.net https/443", "*.hcp.<location>.azmk8s.io https/443"},
			[]string{"APIServerPublicIP tcp/9000", "APIServerPublicIP udp/1194", "ntp.ubuntu.com udp/123", "CustomDNSIP udp/53"}},
		{"tunnel_front_needs_its_ports", with(func(f *Facts) { f.Tunnel = "tunnel-front" }),
			[]string{"APIServerPublicIP tcp/9000", "APIServerPublicIP udp/1194"}, []string{"APIServerPublicIP tcp/22"}},
		{"old_nodes_need_a_clock", with(func(f *Facts) { f.OldestNodes = Day("2021-02-28") }), []string{"ntp.ubuntu.com udp/123"}, nil},
		{"newer_nodes_need_none", with(func(f *Facts) { f.OldestNodes = Day("2021-03-01") }), nil, []string{"ntp.ubuntu.com udp/123"}},
		{"custom_DNS", with(func(f *Facts) { f.CustomDNS = true }), []string{"CustomDNSIP udp/53"}, nil},
		{"private_cluster", with(func(f *Facts) { f.Private, f.APIServerByAddress = true, true }), []string{"mcr.microsoft.com https/443"},
			[]string{"*.hcp.<location>.azmk8s.io https/443", "APIServerPublicIP tcp/443"}},
		{"API_server_by_address", with(func(f *Facts) { f.APIServerByAddress = true }), []string{"APIServerPublicIP tcp/443"}, nil},
		{"network_isolated_needs_none_of_the_base", with(func(f *Facts) { f.Isolated = true }), nil, []string{"mcr.microsoft.com https/443"}},
		{"China_states_no_exception", with(func(f *Facts) { f.Cloud = AzureChinaCloud }),
			[]string{"APIServerPublicIP tcp/22", "APIServerPublicIP tcp/9000", "*.data.mcr.azure.cn https/443", "ntp.ubuntu.com udp/123"},
			[]string{"packages.aks.azure.com https/443"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var got []string
			for _, r := range c.Rows(newest, row.facts).Stated {
				got = append(got, r.Destination.String()+" "+r.Port.String())
			}
			for _, want := range row.stated {
				if !slices.Contains(got, want) {
					t.Errorf("lacks %s: %v", want, got)
				}
			}
			for _, n := range row.not {
				if slices.Contains(got, n) {
					t.Errorf("states %s", n)
				}
			}
		})
	}
}

func TestSpansIncludeTheirFirstDayAndNotTheirLast(t *testing.T) {
	s, err := parseSpan("2020-03-09.2..2020-07-01")
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{
		"2020-03-08": false, "2020-03-09": false, "2020-03-09.1": false, "2020-03-09.2": true, "2020-06-30": true, "2020-07-01": false,
	} {
		if got := s.Contains(id); got != want {
			t.Errorf("%s in %s: %v, want %v", id, s, got, want)
		}
	}
}

// TestLintRefusesDamagedData changes one thing at a time in the built-in data.
func TestLintRefusesDamagedData(t *testing.T) {
	for _, row := range []struct{ name, file, old, new, want string }{
		{"unknown_key", "gpu.yaml", "purpose:", "porpoise:", "data/gpu.yaml:11: porpoise is not a key of a requirement"},
		{"bad_port", "gpu.yaml", "https/443", "https/70000", "data/gpu.yaml:9: gpu-nvidia-packages: port 70000 is outside 1 to 65535"},
		{"bad_protocol", "gpu.yaml", "https/443", "gopher/443", `protocol "gopher" is not one of https, http, tcp, udp`},
		{"bad_name", "gpu.yaml", "nvidia.github.io", "nvidia_github.io", "has a character other than"},
		{"unknown_placeholder", "base.yaml", "*.tun.<location>.azmk8s.io", "*.tun.<regio>.azmk8s.io", "unknown placeholder <regio>"},
		{"same_id_twice", "gpu.yaml", "gpu-nvidia-drivers", "gpu-nvidia-packages", "not unique: data/gpu.yaml:9 has it too"},
		{"unknown_cloud", "base.yaml", "cloud: AzureChinaCloud", "cloud: AzureChina", `cloud "AzureChina" is not known`},
		{"no_line", "gpu.yaml", "2020-05-26: 127", "2020-05-26: 0", "line 0 of edition"},
		{"probe_outside_the_wildcard", "azure-monitor.yaml", "probe: \"<location>.monitoring.azure.com\"", "probe: x.example.com", "is not a name under"},
		{"span_backwards", "gpu.yaml", "2019-09-16..2022-03-31", "2022-03-31..2019-09-16", "does not end with a later date"},
		{"advice_without_text", "statements.yaml", "text: Bind 9000, 22 and 1194 to the API server's addresses", "text: \"\"", "has no id or text"},
		{"unknown_coverage", "statements.yaml", "coveredBy: resolver", "coveredBy: magic", `covered by "magic"`},
		{"bad_condition", "base.yaml", "nodesBefore: 2021-03-01", "nodesBefore: March", `nodesBefore "March" is not a date`},
		{"not_YAML", "gpu.yaml", "requirements:", "requirements: [", "data/gpu.yaml:"},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := fstest.MapFS{}
			for _, name := range dataFiles {
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
