// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/cluster"
	"github.com/sallyport/sallyport/examples"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/program"
)

// describe returns a description of a cluster with the given lines added to a
// minimal one. A line that begins with a key of the minimal one replaces it.
func describe(t *testing.T, lines ...string) *program.Program {
	t.Helper()
	base := []string{
		"cloud: AzureCloud", "location: westeurope", "tunnel: tunnel-front", "edition: seed",
		"network: {plugin: kubenet, nodes: [10.240.0.0/16], pods: [10.244.0.0/16]}",
		"gateway: {privateAddress: 10.1.0.4, publicAddress: 20.1.2.3}",
	}
	return compiled(t, nil, base, lines)
}

// compiled returns the program of a description of base lines, of which lines
// replace those with the same key.
func compiled(t *testing.T, tags *catalog.ServiceTags, base, lines []string) *program.Program {
	t.Helper()
	for _, l := range lines {
		key, _, _ := strings.Cut(l, ":")
		base = slices.DeleteFunc(base, func(b string) bool { return strings.HasPrefix(b, key+":") })
		base = append(base, l)
	}
	c, err := cluster.Parse("cluster.yaml", []byte(strings.Join(base, "\n")+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile(c, catalog.Default(), tags)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// everything are the lines of a cluster with every feature of the seed edition.
var everything = []string{
	"nodes: {os: [linux, windows], gpu: true}", "addOns: [monitoring, azure-policy, dev-spaces]",
	"optional: true", "includeNotStated: true",
}

// expected returns the pairs of the project's own facts for a cloud and
// features, as "line stated port".
func expected(t *testing.T, cloud string, features ...string) []string {
	t.Helper()
	f, err := os.Open("../catalog/testdata/seed-pairs.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []string
	for s := bufio.NewScanner(f); s.Scan(); {
		w := strings.Fields(s.Text())
		if w[0] != "#" && len(w) == 5 && (w[2] == cloud || w[2] == "-") && slices.Contains(features, w[1]) {
			out = append(out, w[0]+" "+w[3]+" "+w[4])
		}
	}
	slices.Sort(out)
	return out
}

func rowsOf(rows []program.Row) []string {
	var out []string
	for _, r := range rows {
		out = append(out, fmt.Sprintf("%d %s %s", r.Citation.Line, r.Stated, r.Port))
	}
	slices.Sort(out)
	return out
}

func TestRequirementsAreExactlyThePairsOfTheSeedEdition(t *testing.T) {
	clouds := map[string]string{
		"AzureCloud": "westeurope", "AzureChinaCloud": "chinaeast2", "AzureUSGovernment": "usgovvirginia",
	}
	for cloud, location := range clouds {
		in := []string{"cloud: " + cloud, "location: " + location, "includeNotStated: true"}
		for _, row := range []struct {
			name  string
			lines []string
			extra []string // features beside the base
			count int      // beside the base's 16
		}{
			{"base", nil, nil, 0},
			{"optional", []string{"optional: true"}, []string{"optional"}, 3},
			{"gpu", []string{"nodes: {gpu: true}"}, []string{"gpu"}, 3},
			{"azure-monitor", []string{"addOns: [monitoring]"}, []string{"azure-monitor"}, 5},
			{"dev-spaces", []string{"addOns: [dev-spaces]"}, []string{"dev-spaces"}, 4},
			{"azure-policy", []string{"addOns: [azure-policy]"}, []string{"azure-policy"}, 4},
			{"windows", []string{"nodes: {os: [linux, windows]}"}, []string{"windows"}, 8},
			{"everything", everything, []string{"optional", "gpu", "azure-monitor", "dev-spaces", "azure-policy", "windows"}, 27},
		} {
			t.Run(cloud+"/"+row.name, func(t *testing.T) {
				p := describe(t, append(slices.Clone(in), row.lines...)...)
				got, want := rowsOf(p.Rows), expected(t, cloud, append([]string{"base"}, row.extra...)...)
				if !slices.Equal(got, want) {
					t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
				if len(got) != 16+row.count {
					t.Errorf("%d pairs, want %d", len(got), 16+row.count)
				}
			})
		}
	}
}

func TestAzureCloudWithEverythingHas42DifferentPairs(t *testing.T) {
	p := describe(t, everything...)
	different := make(map[string]bool)
	for _, r := range p.Rows {
		different[r.Stated+" "+r.Port] = true
	}
	if len(different) != 42 || len(p.Rows) != 43 {
		t.Errorf("%d different pairs in %d rows, want 42 in 43", len(different), len(p.Rows))
	}
}

func TestFeatureRowsOutsideThePublicCloudAreOffUnlessAskedFor(t *testing.T) {
	in := append(slices.Clone(everything), "cloud: AzureChinaCloud", "location: chinaeast2")
	asked := describe(t, in...)
	for _, r := range asked.Rows {
		if (r.Feature != "base") != r.NotStated {
			t.Errorf("%s: not stated %v", r.ID, r.NotStated)
		}
	}
	p := describe(t, append(in, "includeNotStated: false")...)
	if len(p.Rows) != 16 || len(p.NotStated) != 27 {
		t.Errorf("%d rows and %d left out, want 16 and 27", len(p.Rows), len(p.NotStated))
	}
	if !slices.ContainsFunc(p.Advice, func(a program.Advice) bool { return a.ID == "not-stated" }) {
		t.Error("nothing says that rows were left out")
	}
}

// destinations writes the rules as "destination protocol/ports".
func destinations(p *program.Program) []string {
	var out []string
	for _, r := range p.Rules {
		out = append(out, fmt.Sprintf("%s %s/%s", r.Destination(), r.Protocol, r.Ports))
	}
	return out
}

func TestWhatIsKnownOfTheAPIServerNarrowsTheRules(t *testing.T) {
	const name = "prod-1.hcp.westeurope.azmk8s.io"
	for _, row := range []struct {
		name string
		api  string
		want []string // among the rules
		not  []string // in no rule
		pend bool
	}{
		{
			"nothing_known_leaves_the_wildcard_and_the_tunnel_ports_pending", "{}",
			[]string{"*.hcp.westeurope.azmk8s.io https/443", "*.tun.westeurope.azmk8s.io https/443"},
			[]string{"tcp/22", "9000", "1194"}, true,
		},
		{
			"name_known", "{name: " + name + "}",
			[]string{name + " https/443", name + " tcp/22,9000", name + " udp/1194", "*.tun.westeurope.azmk8s.io https/443"},
			[]string{"*.hcp"}, false,
		},
		{
			"name_and_addresses_known", "{name: " + name + ", addresses: [20.50.1.2, 20.50.1.3]}",
			[]string{name + " https/443", "20.50.1.2/31 tcp/22,9000", "20.50.1.2/31 udp/1194", "*.tun.westeurope.azmk8s.io https/443"},
			[]string{"*.hcp", "azmk8s.io tcp", "azmk8s.io udp"}, false,
		},
		{
			"pods_talk_to_it_by_address", "{name: " + name + ", addresses: [20.50.1.2], byAddress: true}",
			[]string{name + " https/443", "20.50.1.2 tcp/22,443,9000"}, nil, false,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := describe(t, "apiServer: "+row.api)
			got := destinations(p)
			for _, w := range row.want {
				if !slices.Contains(got, w) {
					t.Errorf("no rule %q among:\n%s", w, strings.Join(got, "\n"))
				}
			}
			for _, n := range row.not {
				for _, g := range got {
					if strings.Contains(g, n) {
						t.Errorf("rule %q holds %q", g, n)
					}
				}
			}
			waits := slices.ContainsFunc(p.Pending, func(x program.Pending) bool { return x.Key == "apiServer.addresses" })
			if waits != row.pend {
				t.Errorf("pending for the API server: %v, want %v (%+v)", waits, row.pend, p.Pending)
			}
		})
	}
}

func TestNoRuleOpensABarePortToAnywhere(t *testing.T) {
	for _, lines := range [][]string{nil, everything, {"apiServer: {addresses: [20.50.1.2], byAddress: true}"}} {
		for _, r := range describe(t, lines...).Rules {
			if r.Ports.Contains(53) {
				t.Errorf("%s opens port 53", r.ID)
			}
			for _, prefix := range r.Prefixes.Prefixes() {
				if !prefix.IsSingleIP() {
					t.Errorf("%s opens %s to %s", r.ID, r.Ports, prefix)
				}
			}
		}
	}
}

func TestRulesMergeOnlyWhereTheUnionIsEqual(t *testing.T) {
	p := describe(t, "addOns: [monitoring, azure-policy]", "nodes: {os: [linux, windows]}")
	ruleFor := func(stated, port string) program.Rule {
		for _, row := range p.Rows {
			if row.Stated == stated && row.Port == port {
				r, _ := p.Rule(row.Rules[0])
				return r
			}
		}
		t.Fatalf("no row %s %s", stated, port)
		return program.Rule{}
	}
	for _, row := range []struct{ name, stated, other string }{
		{"the_same_name_of_two_add-ons", "dc.services.visualstudio.com", "dc.services.visualstudio.com"},
		{"a_name_under_a_wildcard", "login.microsoftonline.com", "*.microsoftonline.com"},
		{"a_Windows_name_under_a_base_wildcard", "winlayers.cdn.mscr.io", "*.cdn.mscr.io"},
	} {
		r, other := ruleFor(row.stated, "https/443"), ruleFor(row.other, "https/443")
		if r.ID != other.ID || len(r.Origins) != 2 || !r.Required {
			t.Errorf("%s: rules %s and %s with %d origins, want one with 2", row.name, r.ID, other.ID, len(r.Origins))
		}
	}
	if r := ruleFor("mcr.microsoft.com", "https/443"); r.Pattern.String() != "mcr.microsoft.com" {
		t.Errorf("mcr.microsoft.com became %s", r.Pattern)
	}
}

func TestTheOwnersRules(t *testing.T) {
	p := describe(t, `allow:
- {id: db, cidr: 20.60.7.0/28, ports: tcp/5432, sources: nodes, reason: partner, until: 2031-12-31}
- {id: git, name: github.com, ports: [https, tcp/22], reason: sources}`)
	got := destinations(p)
	for _, w := range []string{"20.60.7.0/28 tcp/5432", "github.com https/443", "github.com tcp/22"} {
		if !slices.Contains(got, w) {
			t.Errorf("no rule %q among:\n%s", w, strings.Join(got, "\n"))
		}
	}
	db, ok := p.Rule("db")
	if !ok || db.Until.Format("2006-01-02T15:04") != "2032-01-01T00:00" {
		t.Errorf("db ends %v, want 24:00 of 2031-12-31", db.Until)
	}
	if o := db.Origins[0]; o.Feature != program.FeatureOwner || o.Citation.Document != "cluster.yaml" || o.Citation.Line == 0 {
		t.Errorf("db comes from %+v", o)
	}
}

func TestWhatToPasteFollowsTheCluster(t *testing.T) {
	p := describe(t, "loadBalancers: [20.9.9.9]")
	var all strings.Builder
	for _, a := range p.Advice {
		all.WriteString(a.Paste + "\n")
	}
	for _, want := range []string{
		"--address-prefix 0.0.0.0/0 --next-hop-type VirtualAppliance --next-hop-ip-address 10.1.0.4",
		"--address-prefix 20.1.2.3/32 --next-hop-type Internet",
		"--dns-servers 10.1.0.4",
		"AzurePlatformDNS",
		"dnat to 20.9.9.9",
		"publish:",
	} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("nothing to paste says %q", want)
		}
	}
	// What is published is written out, and is one rule of the program's.
	p = describe(t, "loadBalancers: [20.9.9.9]", `gateway:
  privateAddress: 10.1.0.4
  publicAddress: 20.1.2.3
  publish:
  - {port: tcp/443, to: "20.9.9.9:8443", from: [198.51.100.0/24, 10.240.0.0/12, 168.0.0.0/6], reason: the shop}`)
	i := slices.IndexFunc(p.Advice, func(a program.Advice) bool { return a.ID == "dnat-tcp-443" })
	if i < 0 {
		t.Fatal("nothing to paste for the published port")
	}
	for _, want := range []string{"ip daddr OUTSIDE_ADDRESS tcp dport 443 counter dnat to 20.9.9.9:8443", "ip daddr 20.9.9.9 tcp dport 8443 ct status dnat counter masquerade", "198.51.100.0/24"} {
		if !strings.Contains(p.Advice[i].Paste, want) {
			t.Errorf("%q is not in\n%s", want, p.Advice[i].Paste)
		}
	}
	for line := range strings.Lines(p.Advice[i].Paste) {
		if !strings.HasPrefix(line, "#") {
			t.Errorf("beside a gateway that leads it in by itself there is %q to paste", line)
		}
	}
	for src, want := range map[string]flow.Decision{
		"198.51.100.7": {Verdict: flow.Allow, Reason: flow.Published, Rule: "publish-tcp-443"},
		"198.51.101.7": {Reason: flow.SourceNotAllowed, Rule: "publish-tcp-443"},
		"169.254.0.1":  {Reason: flow.SourceNotAllowed, Rule: "publish-tcp-443"}, // which no host out there has
		"10.240.0.4":   {Reason: flow.SourceNotAllowed, Rule: "publish-tcp-443"}, // the cluster's own, from outside
	} {
		f := flow.Flow{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr("10.1.0.4"), Port: 443, Transport: flow.TCP}
		if got := p.Inbound(f, netip.AddrPort{}); got != want {
			t.Errorf("from %s: %+v, want %+v", src, got, want)
		}
		if got := p.Inbound(f, netip.MustParseAddrPort("20.9.9.9:443")); got.Reason != flow.NotPublished {
			t.Errorf("from %s, led to where the port led before: %+v", src, got)
		}
	}
	p = describe(t, "gateway: {}")
	for _, key := range []string{"gateway.privateAddress", "gateway.publicAddress"} {
		if !slices.ContainsFunc(p.Pending, func(x program.Pending) bool { return x.Key == key }) {
			t.Errorf("%s is not pending", key)
		}
	}
}

func TestEveryExampleCompilesWithAnOriginForEveryRule(t *testing.T) {
	entries, err := examples.Files.ReadDir(".")
	if err != nil || len(entries) < 4 {
		t.Fatalf("%d examples, %v", len(entries), err)
	}
	for _, e := range entries {
		data, _ := examples.Files.ReadFile(e.Name())
		c, err := cluster.Parse(e.Name(), data)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		p, err := Compile(c, catalog.Default(), nil)
		if err != nil {
			t.Errorf("%s: %v", e.Name(), err)
			continue
		}
		ids := make(map[string]bool)
		for _, r := range p.Rules {
			if len(r.Origins) == 0 || r.Sources.IsEmpty() || r.Ports.IsEmpty() || r.ByName() == !r.Prefixes.IsEmpty() {
				t.Errorf("%s: rule %s is not whole: %+v", e.Name(), r.ID, r)
			}
			if ids[string(r.ID)] {
				t.Errorf("%s: two rules are called %s", e.Name(), r.ID)
			}
			ids[string(r.ID)] = true
		}
		for _, row := range p.Rows {
			if (len(row.Rules) == 0) == (row.Pending == "" && row.Covered == "") {
				t.Errorf("%s: row %s has rules %v and waits for %q", e.Name(), row.ID, row.Rules, row.Pending)
			}
		}
	}
}

func TestAnUnknownEditionIsRefused(t *testing.T) {
	c, err := cluster.Parse("cluster.yaml", []byte("cloud: AzureCloud\nlocation: westeurope\nedition: 2021-01-01\nnetwork: {plugin: kubenet, nodes: [10.240.0.0/16]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Compile(c, catalog.Default(), nil)
	const want = `cluster.yaml: edition "2021-01-01" is not in the catalog; on that day 2020-11-17 held (--as-of 2021-01-01)`
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
