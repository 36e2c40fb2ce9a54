// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/cluster"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/program"
)

// today returns the program of a cluster of the newest edition with the given
// lines added.
func today(t *testing.T, tags *catalog.ServiceTags, lines ...string) *program.Program {
	t.Helper()
	return compiled(t, tags, []string{
		"cloud: AzureCloud", "location: westeurope",
		"network: {plugin: kubenet, nodes: [10.240.0.0/16], pods: [10.244.0.0/16]}",
	}, lines)
}

// opens lists what a program lets through.
func opens(p *program.Program) []string {
	var out []string
	for _, pair := range p.Pairs() {
		out = append(out, pair.Rule.Destination()+" "+fmt.Sprintf("%s/%d", pair.Rule.Protocol, pair.Port.Lo))
	}
	slices.Sort(out)
	return out
}

func waits(p *program.Program) []string {
	var out []string
	for _, x := range p.Pending {
		if len(x.Rows) > 0 {
			out = append(out, x.Missing)
		}
	}
	return out
}

func TestTheNewestEditionIsTheDefault(t *testing.T) {
	p := today(t, nil)
	if p.Edition.ID != "2026-07-03" || !p.Edition.Current {
		t.Errorf("edition %+v, want the newest", p.Edition)
	}
	got := opens(p)
	for _, want := range []string{"packages.aks.azure.com https/443", "mcr-0001.mcr-msedge.net https/443"} {
		if !slices.Contains(got, want) {
			t.Errorf("lacks %s: %v", want, got)
		}
	}
	if len(got) != 9 {
		t.Errorf("%d pairs, want 9: %v", len(got), got)
	}
}

func TestADayGivesTheListOfThatDay(t *testing.T) {
	if p := today(t, nil, "asOf: 2020-05-31"); p.Edition.ID != "2020-05-26" || len(p.Rows) != 10 {
		t.Errorf("edition %s with %d rows, want 2020-05-26 with 10", p.Edition.ID, len(p.Rows))
	}
}

func TestTheTunnelGoesToTheNarrowestDestinationThatIsKnown(t *testing.T) {
	tags, err := catalog.ReadServiceTags(strings.NewReader(`{"changeNumber": 7, "cloud": "Public", "values": [
		{"name": "AzureCloud.westeurope", "properties": {"addressPrefixes": ["20.50.0.0/16", "2603:1020:200::/46"]}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name  string
		tags  *catalog.ServiceTags
		line  string
		opens string // "" when it waits
	}{
		{"address", tags, "apiServer: {name: a-1.hcp.westeurope.azmk8s.io, addresses: [20.1.2.3]}", "20.1.2.3 tcp/9000"},
		{"name", tags, "apiServer: {name: a-1.hcp.westeurope.azmk8s.io}", "a-1.hcp.westeurope.azmk8s.io tcp/9000"},
		{"ranges_of_the_region", tags, "optional: false", "20.50.0.0/16,2603:1020:200::/46 tcp/9000"},
		{"nothing", nil, "optional: false", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := today(t, row.tags, "tunnel: tunnel-front", row.line)
			got := opens(p)
			if row.opens == "" {
				if w := waits(p); len(w) != 1 || !strings.HasPrefix(w[0], "the API server's addresses") {
					t.Errorf("waits for %v", w)
				}
				return
			}
			found := slices.ContainsFunc(got, func(s string) bool { return strings.ReplaceAll(s, ", ", ",") == row.opens })
			if !found {
				t.Errorf("lacks %s: %v", row.opens, got)
			}
		})
	}
}

func TestServiceTagsOfAnotherCloudAreRefused(t *testing.T) {
	tags, err := catalog.ReadServiceTags(strings.NewReader(`{"changeNumber": 7, "cloud": "AzureChina", "values": [{"name": "x", "properties": {}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Parse("c.yaml", []byte("cloud: AzureCloud\nlocation: westeurope\nnetwork: {plugin: kubenet, nodes: [10.0.0.0/16]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Compile(c, catalog.Default(), tags)
	const want = "c.yaml: the service tags are those of AzureChinaCloud, the cluster is in AzureCloud"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAPrivateClusterStillResolvesItsAPIServer(t *testing.T) {
	p := today(t, nil, "apiServer: {name: a-1.privatelink.westeurope.azmk8s.io, addresses: [10.240.0.9], private: true}")
	got := opens(p)
	if !slices.Contains(got, "a-1.privatelink.westeurope.azmk8s.io https/443") || slices.Contains(got, "*.hcp.westeurope.azmk8s.io https/443") {
		t.Errorf("opens %v", got)
	}
	if !p.Resolve.AllowPrivate.Covers(netset.OfAddrs(netip.MustParseAddr("10.240.0.9"))) {
		t.Error("its private address is not allowed as an answer")
	}
}

func TestANetworkIsolatedClusterNeedsNothingOfTheBase(t *testing.T) {
	p := today(t, nil, "network: {plugin: kubenet, nodes: [10.240.0.0/16], outboundType: none}")
	if got := opens(p); len(got) != 0 {
		t.Errorf("opens %v", got)
	}
	if w := waits(p); len(w) != 1 || w[0] != "the API server's private name" {
		t.Errorf("waits for %v, want the API server's name alone", w)
	}
	if len(p.NotNeeded) == 0 {
		t.Error("does not say what is not needed")
	}
}

func TestEachCloudGetsItsOwnSignInHosts(t *testing.T) {
	for cloud, row := range map[string]struct{ location, want, not string }{
		"AzureCloud":        {"westeurope", "login.microsoftonline.com https/443", "login.chinacloudapi.cn https/443"},
		"AzureChinaCloud":   {"chinaeast2", "login.chinacloudapi.cn https/443", "login.microsoftonline.com https/443"},
		"AzureUSGovernment": {"usgovvirginia", "login.microsoftonline.us https/443", "login.microsoftonline.com https/443"},
	} {
		got := opens(today(t, nil, "cloud: "+cloud, "location: "+row.location, "addOns: [workload-identity, defender, cost-analysis]"))
		if !slices.Contains(got, row.want) || slices.Contains(got, row.not) {
			t.Errorf("%s: opens %v, want %s and not %s", cloud, got, row.want, row.not)
		}
	}
}

func TestAnAddOnTheListOnlyHintsAtIsOfferedWithThatNote(t *testing.T) {
	p := today(t, nil, "addOns: [istio]")
	found := slices.ContainsFunc(p.Advice, func(a program.Advice) bool { return a.ID == "istio-key-vault" && a.Citation.Line > 0 })
	if !found || len(opens(p)) != 9 {
		t.Errorf("advice %v, opens %v", p.Advice, opens(p))
	}
}

func TestCustomDNSServersAreAnsweredByTheResolver(t *testing.T) {
	p := today(t, nil, "dns: {servers: [10.0.0.53]}")
	i := slices.IndexFunc(p.Rows, func(r program.Row) bool { return r.Stated == "CustomDNSIP" })
	if i < 0 || p.Rows[i].Covered == "" {
		t.Errorf("rows %+v", p.Rows)
	}
}

func TestALocationThatNoRegionHasIsWarnedAbout(t *testing.T) {
	p := today(t, nil, "location: westeuropa")
	if !slices.ContainsFunc(p.Warnings, func(s program.Statement) bool { return s.ID == "location" }) {
		t.Errorf("warnings %+v", p.Warnings)
	}
}
