// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/lab/load"
)

func figure(way string, low, median, high float64) BenchFigure {
	return BenchFigure{Way: way, Median: Median{Median: median, Low: low, High: high, N: 15}}
}

func TestAnAnswerIsAboutTheWholeInterval(t *testing.T) {
	noise := &Median{Median: 1, Low: 0.93, High: 1.1, N: 15}
	bulk := BenchTarget{AtLeast: 0.97, OrAsPlain: true, AbovePeers: true}
	withRules := bulk
	withRules.OrAsRules = true
	rows := []struct {
		name   string
		target BenchTarget
		noise  *Median
		have   []BenchFigure
		want   string
	}{
		{"above what is asked", BenchTarget{AtLeast: 0.7}, nil, []BenchFigure{figure(wayGateway, 0.71, 0.8, 0.9)}, "yes"},
		{"below it", BenchTarget{AtLeast: 0.7}, nil, []BenchFigure{figure(wayGateway, 0.5, 0.6, 0.69)}, "no"},
		{"across it", BenchTarget{AtLeast: 0.7}, nil, []BenchFigure{figure(wayGateway, 0.6, 0.7, 0.8)}, "inconclusive"},
		{"as low as plain against itself", bulk, noise, []BenchFigure{figure(wayGateway, 0.94, 0.98, 1)}, "yes"},
		{"lower than plain against itself", bulk, noise, []BenchFigure{figure(wayGateway, 0.92, 0.98, 1)}, "inconclusive"},
		{"a peer reaches into it", bulk, noise, []BenchFigure{figure(wayGateway, 0.98, 1, 1.1), figure("haproxy", 0.9, 0.95, 0.99)}, "inconclusive"},
		{"a peer is above it", bulk, noise, []BenchFigure{figure(wayGateway, 0.98, 1, 1.1), figure("haproxy", 1.2, 1.3, 1.4)}, "no"},
		{"every peer is below it", bulk, noise, []BenchFigure{figure(wayGateway, 0.98, 1, 1.1), figure("haproxy", 0.5, 0.6, 0.7)}, "yes"},
		{"plain forwarding with rules is no peer", bulk, noise, []BenchFigure{figure(wayGateway, 0.98, 1, 1.1), figure(wayRules, 0.9, 1, 1.2)}, "yes"},
		{"as plain forwarding with as many rules", withRules, noise, []BenchFigure{figure(wayGateway, 0.6, 0.7, 0.8), figure(wayRules, 0.4, 0.5, 0.9)}, "yes"},
		{"below plain forwarding with as many rules", withRules, noise, []BenchFigure{figure(wayGateway, 0.3, 0.4, 0.45), figure(wayRules, 0.4, 0.5, 0.6)}, "no"},
		{"none is asked and none is there", BenchTarget{HasMost: true}, nil, []BenchFigure{figure(wayGateway, 0, 0, 0)}, "yes"},
		{"none is asked and some are there", BenchTarget{HasMost: true}, nil, []BenchFigure{figure(wayGateway, 0, 0, 2)}, "inconclusive"},
		{"nothing was measured", BenchTarget{AtLeast: 0.7}, nil, nil, "inconclusive"},
	}
	for _, r := range rows {
		t.Run(strings.ReplaceAll(r.name, " ", "_"), func(t *testing.T) {
			if got := r.target.judge(BenchRow{Noise: r.noise, Figures: r.have}); got != r.want {
				t.Errorf("%v of %v: %s, want %s", r.target, r.have, got, r.want)
			}
		})
	}
}

// Each peer that is here reads the configuration that it would get.
func TestPeersTakeTheirConfiguration(t *testing.T) {
	for _, p := range peers() {
		t.Run(p.name, func(t *testing.T) {
			if p.check == nil {
				t.Skip("it has no way to look at a configuration without starting")
			}
			path, err := p.path()
			if err != nil {
				t.Skip(err)
			}
			s := peerSite{
				dir: t.TempDir(), threads: 2, inside: netip.MustParseAddr("127.0.0.1"), upstream: netip.MustParseAddr("127.0.0.1"),
				short: netip.MustParseAddr("20.40.3.1"), bulk: netip.MustParseAddr("20.40.3.2"),
			}
			if err := p.write(s); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(path, p.check(s)...).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			for name, text := range p.files(s) {
				if i := strings.IndexByte(text, '{'); strings.Contains(text, "{DIR}") || strings.Contains(text, "{NAME}") {
					t.Errorf("%s: something is not filled in: %s", name, text[i:])
				}
			}
		})
	}
}

// someResult has one row of each kind.
func someResult() BenchResult {
	r := BenchResult{
		Schema: BenchSchema, Day: "2026-11-23", Pairs: 15, Rules: 99, Host: BenchHost{Kernel: "6.18", CPUs: 2, Processor: "some"},
		Peers: []BenchPeer{{Name: "haproxy", Title: "HAProxy", Version: "2.6.12"}, {Name: "squid", Title: "Squid", Missing: "not installed"}},
		Rows: []BenchRow{
			{ID: "bulk-1", Name: "throughput", Unit: UnitRatio, Noise: &Median{1, 0.95, 1.05, 15}, Target: &BenchTarget{AtLeast: 0.97, OrAsPlain: true, AbovePeers: true},
				Figures: []BenchFigure{figure(wayGateway, 0.96, 1, 1.02), figure(wayRules, 0.9, 0.95, 1), figure("haproxy", 0.5, 0.6, 0.7)}},
			{ID: "conns-16", Name: "new connections", Unit: UnitRatio, Noise: &Median{1, 0.95, 1.05, 15}, Target: &BenchTarget{AtLeast: 0.7, AbovePeers: true},
				Figures: []BenchFigure{figure(wayGateway, 0.55, 0.6, 0.65), figure("haproxy", 0.5, 0.6, 0.7)}},
			{ID: "reload", Name: "reload", Unit: "ms", Target: &BenchTarget{AtMost: 1000, HasMost: true}, Figures: []BenchFigure{figure(wayGateway, 700, 770.4, 900)}},
		},
	}
	for i, row := range r.Rows {
		r.Rows[i].Answer = row.Target.judge(row)
	}
	return r
}

func TestAResultComesBackFromJSON(t *testing.T) {
	want := someResult()
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got BenchResult
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got.Page("x.svg") != want.Page("x.svg") || got.Picture() != want.Picture() {
		t.Error("it makes another page")
	}
}

func TestThePageSaysWhatWasMeasured(t *testing.T) {
	page := someResult().Page("x.svg")
	for _, want := range []string{
		"Squid is left out: not installed.",
		"Peers: HAProxy (2.6.12).",
		"|  | noise | gateway | rules | haproxy | asked | reached |\n",
		"| throughput | 1.00 [0.95, 1.05] | 1.00 [0.96, 1.02] | 0.95 [0.90, 1.00] | 0.60 [0.50, 0.70] | at least 0.97 or as plain, above every peer | yes |\n",
		"| reload | ms | 770 [700, 900] | at most 1000 | yes |\n",
		"- new connections: 0.60 [0.55, 0.65]; at least 0.7, above every peer is asked, not reached (not surely below it: haproxy)\n\n" + whyConns,
		"![Ratios to plain forwarding](x.svg)",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("it does not say %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, whyBulk) {
		t.Error("it explains a target that is reached")
	}
}

func TestThePictureIsXMLAndNamesEveryWay(t *testing.T) {
	picture := someResult().Picture()
	d := xml.NewDecoder(strings.NewReader(picture))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, picture)
		}
	}
	for _, want := range []string{"throughput", "new connections", "gateway", "HAProxy, splice forced", "0.60 [0.55, 0.65]"} {
		if !strings.Contains(picture, want) {
			t.Errorf("it does not show %q", want)
		}
	}
	if strings.Contains(picture, "reload") {
		t.Error("it shows what is no ratio")
	}
}

// Every row that can miss its target has a reason to give.
func TestEveryReasonBelongsToARow(t *testing.T) {
	ids := strings.Join(new(bencher).ids(), " ")
	for id := range missedBecause {
		if !strings.Contains(ids+" ", id+" ") {
			t.Errorf("%s is no row", id)
		}
	}
}

// The rig sees a lost packet where there is one.
func TestLostPacketsAreCounted(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip(err)
	}
	b := &bench{}
	t.Cleanup(b.close)
	if err := b.build(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := b.way(wayPlain)
	l := load.Load{Kind: load.Count, Clients: 2, Duration: 700 * time.Millisecond, Name: benchName, To: w.tls(atShort)}
	count := func() (r load.Result) {
		if err := b.node.Call(t.Context(), "load-run", l, &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := count(); r.Conns != 2 || r.Lost > 0 {
		t.Errorf("over a good way: %+v", r)
	}
	const lossy = "table ip lossy { chain f { type filter hook forward priority 0; numgen inc mod 50 0 drop; }; }"
	if r, err := w.router.Run(t.Context(), Cmd{Argv: []string{"nft", lossy}}); err != nil || r.Code != 0 {
		t.Fatalf("%v %s", err, r.Stderr)
	}
	if r := count(); r.Lost == 0 {
		t.Errorf("where every fiftieth packet is dropped: %+v", r)
	}
}
