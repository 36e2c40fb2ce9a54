// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"bufio"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// listing is a line of the project's own copy of the history.
type listing struct {
	pair  string // feature destination port cloud
	spans []Span
}

func timeline(t *testing.T) []listing {
	t.Helper()
	f, err := os.Open("testdata/timeline.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []listing
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		w := strings.Fields(s.Text())
		l := listing{pair: strings.Join([]string{w[0], w[2], w[3], w[1]}, " ")}
		for _, text := range w[4:] {
			span, err := parseSpan(text)
			if err != nil {
				t.Fatal(err)
			}
			l.spans = append(l.spans, span)
		}
		out = append(out, l)
	}
	if len(out) != 211 {
		t.Fatalf("testdata/timeline.txt holds %d lines, want 211", len(out))
	}
	return out
}

// inTimeline spells a stated pair as the timeline does: it gives rows that name
// no cloud, or several in one cell, to the public one.
func inTimeline(s Stated) string {
	cloud := map[string]string{"": "AzurePublic", AzureCloud: "AzurePublic", AzureChinaCloud: "AzureChina", AzureUSGovernment: "AzureUSGov"}[s.Cloud]
	if s.Feature == WorkloadIdentity || s.Feature == KeyVaultCSI {
		cloud = "AzurePublic"
	}
	return fmt.Sprintf("%s %s %s/%d %s", s.Feature, s.Destination, s.Protocol, s.Port, cloud)
}

func TestEveryEditionStatesExactlyWhatWasPublished(t *testing.T) {
	c := Default()
	if n := len(c.Editions()); n != 109 {
		t.Fatalf("%d editions, want 109", n)
	}
	facts := timeline(t)
	for _, e := range c.Editions() {
		var want, got []string
		for _, l := range facts {
			if _, ok := spanAt(l.spans, e.ID); ok {
				want = append(want, l.pair)
			}
		}
		for _, s := range c.StatedIn(e) {
			got = append(got, inTimeline(s))
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("edition %s: %d pairs, want %d", e.ID, len(got), len(want))
			for _, w := range want {
				if !slices.Contains(got, w) {
					t.Errorf("  missing: %s", w)
				}
			}
			for _, g := range got {
				if !slices.Contains(want, g) {
					t.Errorf("  not published: %s", g)
				}
			}
		}
	}
}

// scopes are the readers for whom diffs must hold.
var scopes = map[string]Scope{
	"everyone":     {},
	"konnectivity": {Facts: &Facts{Cloud: AzureCloud, Tunnel: "konnectivity", Linux: true}, Location: "westeurope"},
	"all_add-ons_in_China": {NotStated: true, Location: "chinanorth3", Facts: &Facts{
		Cloud: AzureChinaCloud, Tunnel: "tunnel-front", Linux: true, Windows: true, GPU: true, Optional: true, APIServerByAddress: true,
		AddOns: map[string]bool{"monitoring": true, "azure-policy": true, "dev-spaces": true, "defender": true, "workload-identity": true,
			"keyvault-csi": true, "cost-analysis": true, "cluster-extensions": true},
	}},
}

// shape writes a diff so that two can be compared: effects with their pairs.
func (d Diff) shape() string {
	var b strings.Builder
	for _, c := range d.Changes {
		fmt.Fprint(&b, c.Effect)
		for _, a := range c.Opened {
			fmt.Fprint(&b, " +", a.Pair)
		}
		for _, a := range c.Closed {
			fmt.Fprint(&b, " -", a.Pair)
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

func TestDiffsComposeForEveryPairOfEditions(t *testing.T) {
	c := Default()
	for name, scope := range scopes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			editions := c.Editions()
			asks := make([]map[Pair][]Row, len(editions))
			for i, e := range editions {
				asks[i] = c.Asks(e, scope)
			}
			diffs := make(map[[2]int]Diff)
			for i, a := range editions {
				for j, b := range editions {
					diffs[[2]int{i, j}] = diffOf(a, b, asks[i], asks[j])
				}
			}
			then := func(i, j, k int) {
				d, err := diffs[[2]int{i, j}].Then(diffs[[2]int{j, k}])
				if err != nil {
					t.Fatal(err)
				}
				if got, want := d.shape(), diffs[[2]int{i, k}].shape(); got != want {
					t.Fatalf("%s to %s to %s gives\n%s\nat once it is\n%s", editions[i].ID, editions[j].ID, editions[k].ID, got, want)
				}
			}
			// Every pair, both ways, through the edition before its end, and random
			// triples, there and back too.
			for i := range editions {
				for k := 1; k < len(editions); k++ {
					then(i, k-1, k)
				}
			}
			r := rand.New(rand.NewPCG(1, 2))
			for range 3000 {
				i, j := r.IntN(len(editions)), r.IntN(len(editions))
				then(i, j, r.IntN(len(editions)))
				then(i, j, i)
			}
		})
	}
	a, b := c.Editions()[0], c.Editions()[1]
	if _, err := c.Diff(a, b, Scope{}).Then(c.Diff(a, b, Scope{})); err == nil {
		t.Error("diffs that do not meet were joined")
	}
}

// The day that a change carries is the one on which a reader of every edition
// would have made it.
func TestADiffDatesEveryChange(t *testing.T) {
	c := Default()
	facts := func(change func(*Facts)) *Facts {
		f := Facts{Cloud: AzureCloud, Tunnel: "konnectivity", Linux: true}
		change(&f)
		return &f
	}
	public := facts(func(*Facts) {})
	byAddress := facts(func(f *Facts) { f.APIServerByAddress = true })
	private := facts(func(f *Facts) { f.Private = true })
	isolated := facts(func(f *Facts) { f.Isolated = true })
	for _, row := range []struct {
		name, from, to string
		facts          *Facts
		change, since  string
		only           string
	}{
		{"comes", "seed", "newest", public, "+packages.aks.azure.com https/443", "2025-02-11", ""},
		{"goes", "seed", "newest", public, "-*.cdn.mscr.io https/443", "2020-11-09", ""},
		{"comes_back", "2020-03-09.1", "seed", public, "+*.cdn.mscr.io https/443", "2020-03-09.2", ""},
		{"was_gone_for_a_day", "2019-09-16", "newest", public, "-*.cdn.mscr.io https/443", "2020-11-09", ""},
		{"only_for_old_nodes", "seed", "newest", public, "-ntp.ubuntu.com udp/123", "2022-04-28", "node images before 2021-03-01"},
		{"stood_in_a_bullet", "2019-06-06", "seed", byAddress, "+APIServerPublicIP tcp/443", "2019-09-16", ""},
		{"from_the_bullet_to_the_table", "2019-06-06", "newest", byAddress, "+APIServerPublicIP tcp/443", "2019-09-16", ""},
		{"looking_back_opens_what_went", "newest", "seed", public, "+*.cdn.mscr.io https/443", "2020-11-09", ""},
		{"looking_back_closes_what_came", "newest", "seed", public, "-packages.aks.azure.com https/443", "2025-02-11", ""},
		{"private_keeps_its_own_name", "seed", "newest", private, "+the API server's private name https/443", "2022-04-28", ""},
		{"private_narrows", "seed", "newest", private, "-*.hcp.westeurope.azmk8s.io https/443", "2022-04-28", "no private API server"},
		{"isolated_opened_it_then", "seed", "newest", isolated, "-mcr.microsoft.com https/443", "2024-12-08", "no network isolation"},
	} {
		t.Run(row.name, func(t *testing.T) {
			from, err := c.Edition(row.from)
			if err != nil {
				t.Fatal(err)
			}
			to, _ := c.Edition(row.to)
			d := c.Diff(from, to, Scope{Facts: row.facts, Location: "westeurope"})
			side := d.Opened()
			if row.change[0] == '-' {
				side = d.Closed()
			}
			i := slices.IndexFunc(side, func(a Asked) bool { return a.Pair.String() == row.change[1:] })
			if i < 0 {
				t.Fatalf("lacks %s:\n%s", row.change, d.shape())
			}
			if got := d.Since(side[i]); got != row.since {
				t.Errorf("since %s, want %s", got, row.since)
			}
			if only := d.Only(side[i]).String(); row.change[0] == '-' && only != row.only {
				t.Errorf("only for %q, want %q", only, row.only)
			}
		})
	}
}

func TestRowsThatOthersCoverAreNothingToOpen(t *testing.T) {
	c := Default()
	from, _ := c.Edition("2020-01-21")
	to, _ := c.Edition(Newest)
	f := &Facts{Cloud: AzureCloud, Tunnel: "konnectivity", Linux: true, CustomDNS: true, AddOns: map[string]bool{"monitoring": true}}
	for _, a := range c.Diff(from, to, Scope{Facts: f, Location: "westeurope"}).Opened() {
		for _, r := range a.Rows {
			if r.CoveredBy != "" {
				t.Errorf("%s is covered by %s", a.Pair, r.CoveredBy)
			}
		}
	}
}

func TestAnEditionIsFoundByItsIDBeforeADayOrAnAlias(t *testing.T) {
	c := Default()
	for name, want := range map[string]string{
		"2020-03-09.1": "2020-03-09.1", "2020-03-09": "2020-03-09.2", "seed": "2020-05-26", "2020-05-26": "2020-05-26", "": "2026-07-03",
	} {
		if e, err := c.Edition(name); err != nil || e.ID != want {
			t.Errorf("%q is %s, %v; want %s", name, e.ID, err, want)
		}
	}
	if _, err := c.Edition("2018-01-01"); err == nil || !strings.Contains(err.Error(), "the first edition is 2019-05-07") {
		t.Errorf("2018-01-01: %v", err)
	}
}

func TestADiffLeadsFromWhatOneEditionAsksToWhatTheOtherDoes(t *testing.T) {
	c := Default()
	for name, scope := range scopes {
		for _, a := range []string{"2019-05-07", "seed", "2020-07-01"} {
			for _, b := range []string{"2019-09-16", "2022-04-28", "newest"} {
				from, _ := c.Edition(a)
				to, _ := c.Edition(b)
				have := slices.Collect(maps.Keys(c.Asks(from, scope)))
				d := c.Diff(from, to, scope)
				for _, x := range d.Closed() {
					have = slices.DeleteFunc(have, func(p Pair) bool { return p == x.Pair })
				}
				for _, x := range d.Opened() {
					have = append(have, x.Pair)
				}
				want := c.Asks(to, scope)
				if len(have) != len(want) {
					t.Errorf("%s: %s to %s: %d pairs, want %d", name, a, b, len(have), len(want))
				}
				for _, p := range have {
					if want[p] == nil {
						t.Errorf("%s: %s to %s leaves %s", name, a, b, p)
					}
				}
			}
		}
	}
}

func TestSinceTheSeedAKonnectivityClusterOpensPackagesAndClosesTheTunnel(t *testing.T) {
	c := Default()
	seed, _ := c.Edition("seed")
	newest, _ := c.Edition(Newest)
	got := c.Diff(seed, newest, scopes["konnectivity"]).shape()
	for _, want := range []string{
		"open +packages.aks.azure.com https/443\n", "open +mcr-0001.mcr-msedge.net https/443\n",
		"close -*.cdn.mscr.io https/443\n", "close -*.hcp.westeurope.azmk8s.io tcp/22\n", "close -*.hcp.westeurope.azmk8s.io tcp/9000\n",
		"close -*.hcp.westeurope.azmk8s.io udp/1194\n", "close -*.tun.westeurope.azmk8s.io https/443\n",
		"close -*.tun.westeurope.azmk8s.io tcp/22\n", "close -ntp.ubuntu.com udp/123\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
	if lines := strings.Count(got, "\n"); lines != 11 {
		t.Errorf("%d changes, want 11:\n%s", lines, got)
	}
}

func TestAWideNameThatMadeWayForNarrowerOnesIsNarrowed(t *testing.T) {
	c := Default()
	from, _ := c.Edition("2019-05-31")
	to, _ := c.Edition("2019-06-06")
	const want = "narrow +*.hcp.<location>.azmk8s.io tcp/9000 +*.tun.<location>.azmk8s.io tcp/9000 -*.azmk8s.io tcp/9000\n"
	if got := c.Diff(from, to, Scope{}).shape(); !strings.Contains(got, want) {
		t.Errorf("lacks %q:\n%s", want, got)
	}
	const back = "widen +*.azmk8s.io tcp/9000 -*.hcp.<location>.azmk8s.io tcp/9000 -*.tun.<location>.azmk8s.io tcp/9000\n"
	if got := c.Diff(to, from, Scope{}).shape(); !strings.Contains(got, back) {
		t.Errorf("lacks %q:\n%s", back, got)
	}
}

// documents finds the text of the editions that are at hand, by edition.
func documents(t *testing.T) map[string][]string {
	t.Helper()
	const dir = "../../shared/data/docs"
	names, _ := filepath.Glob(filepath.Join(dir, "20*.md"))
	if len(names) == 0 {
		t.Skipf("the documents are not at hand: %s holds no edition", dir)
	}
	out := make(map[string][]string)
	read := func(id, name string) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer(`\`, "", "<span></span>", "", "APIServerIP", apiServerPublicIP).Replace(string(data))
		out[id] = strings.Split(text, "\n")
	}
	for _, name := range names {
		base := filepath.Base(name)
		for _, e := range Default().Editions() {
			if e.ID[:10] == base[:10] && strings.Contains(base, e.Commit) {
				read(e.ID, name)
			}
		}
	}
	read("2020-05-26", filepath.Join(dir, "seed-de-2020-03-10.md"))
	return out
}

func TestEveryRowIsCitedByLineWhereTheTextIsAtHandAndByEditionElsewhere(t *testing.T) {
	c := Default()
	docs := documents(t)
	byLine, byEdition := 0, 0
	for _, e := range c.Editions() {
		doc, atHand := docs[e.ID]
		if e.Document == "" || e.Commit == "" || !strings.Contains(e.Document, "CC BY 4.0") {
			t.Errorf("edition %s: document %q, commit %q", e.ID, e.Document, e.Commit)
		}
		for _, s := range c.StatedIn(e) {
			q, _ := c.Requirement(s.Requirement)
			if !atHand {
				byEdition++
				continue
			}
			line := q.Lines[e.ID]
			if line < 1 || line > len(doc) {
				t.Errorf("edition %s: %s: line %d of %d", e.ID, q.ID, line, len(doc))
				continue
			}
			text := doc[line-1]
			// One English cell lost the brackets around Region.
			if !strings.Contains(strings.ReplaceAll(text, "AzureCloud.Region:", "AzureCloud.<Region>:"), s.Destination) ||
				!strings.Contains(text, fmt.Sprint(s.Port)) {
				t.Errorf("edition %s: %s: line %d does not hold %s and %d:\n%s", e.ID, q.ID, line, s.Destination, s.Port, text)
				continue
			}
			byLine++
		}
	}
	t.Logf("%d pairs of %d editions cited by line, %d of %d by edition", byLine, len(docs), byEdition, len(c.Editions())-len(docs))
	if len(docs) < 12 || byLine < 1000 || byEdition < 8000 {
		t.Errorf("too few citations were looked at")
	}
}

func TestEveryStatementIsCitedAtALineThatIsThere(t *testing.T) {
	docs := documents(t)
	n := 0
	for _, e := range Default().Editions() {
		doc, atHand := docs[e.ID]
		if !atHand {
			continue
		}
		for _, a := range e.Advice {
			if a.Line > len(doc) || a.Line > 0 && strings.TrimSpace(doc[a.Line-1]) == "" {
				t.Errorf("edition %s: advice %s: line %d is not there or empty", e.ID, a.ID, a.Line)
			}
			n++
		}
		for _, r := range e.NetworkRules {
			if r.Line == 0 || r.Line > len(doc) {
				t.Errorf("edition %s: %s has no line", e.ID, r.ID)
				continue
			}
			for _, p := range r.Ports {
				if !strings.Contains(doc[r.Line-1], fmt.Sprint(p.Port)) {
					t.Errorf("edition %s: %s: line %d does not hold port %d: %s", e.ID, r.ID, r.Line, p.Port, doc[r.Line-1])
				}
			}
			n++
		}
	}
	if n < 50 {
		t.Errorf("only %d statements were looked at", n)
	}
}
