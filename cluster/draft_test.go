// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Each draft made from testdata/az stands beside it as text, for people to read.
func TestDraftIsAsItsGolden(t *testing.T) {
	for _, file := range glob(t, "testdata/az/*.json") {
		d, err := FromAzure(read(t, file))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		golden := strings.TrimSuffix(file, ".json") + ".draft.yaml"
		if *update {
			if err := os.WriteFile(golden, d.YAML(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(string(read(t, golden)), string(d.YAML())); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", golden, diff)
		}
	}
}

// A draft is refused for what it says it lacks and for nothing else, and is
// accepted when that is filled in.
func TestDraftLacksWhatItSays(t *testing.T) {
	filled := map[string]InitFlags{
		"overlay":            {Nodes: []string{"10.20.0.0/24", "10.20.1.0/24"}},
		"private-pod-subnet": {Nodes: []string{"10.30.0.0/24"}, Pods: []string{"10.31.0.0/16"}, APIServerAddresses: []string{"10.30.0.4"}},
		"add-ons":            {Nodes: []string{"10.40.0.0/24"}},
		"list-kubenet":       {Nodes: []string{"10.224.0.0/16"}, LoadBalancers: []string{"20.140.1.2"}, Tunnel: "konnectivity", DNSServers: []string{"10.9.0.4"}},
	}
	for _, file := range glob(t, "testdata/az/*.json") {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			d, err := FromAzure(read(t, file))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := missing(t, d), required(d); len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("Parse misses %q, the draft lacks %q", got, want)
			}
			flags, ok := filled[name]
			if !ok {
				t.Fatal("no values to fill in")
			}
			d.Fill(flags)
			if want := required(d); len(want) > 0 {
				t.Errorf("still lacks %q", want)
			}
			c, err := Parse("cluster.yaml", d.YAML())
			if err != nil {
				t.Fatalf("%v\n%s", err, d.YAML())
			}
			if len(c.Network.Nodes) != len(flags.Nodes) || len(c.APIServer.Addresses) != len(flags.APIServerAddresses) {
				t.Errorf("what was filled in is not there: %+v", c)
			}
		})
	}
}

// missing returns the keys that Parse misses in d, sorted, and fails on any
// other problem.
func missing(t *testing.T, d *Draft) (keys []string) {
	t.Helper()
	_, err := Parse("cluster.yaml", d.YAML())
	problems, _ := err.(Errors)
	for _, p := range problems {
		if !strings.HasPrefix(p.Msg, "is missing") {
			t.Errorf("another problem: %v", p)
		}
		keys = append(keys, p.Key)
	}
	slices.Sort(keys)
	return keys
}

func required(d *Draft) (keys []string) {
	for _, l := range d.Lacks {
		if l.Required {
			keys = append(keys, l.Key)
		}
	}
	slices.Sort(keys)
	return keys
}

func TestFromAzure(t *testing.T) {
	d, err := FromAzure(read(t, "testdata/az/overlay.json"))
	if err != nil {
		t.Fatal(err)
	}
	d.Fill(InitFlags{Nodes: []string{"10.20.0.0/23"}})
	c, err := Parse("", d.YAML())
	if err != nil {
		t.Fatal(err)
	}
	if c.Cloud != AzureCloud || c.Location != "westeurope" || c.Network.Plugin != AzureCNI || c.Network.Mode != Overlay ||
		!c.Nodes.Linux || !c.Nodes.Windows || !c.Nodes.GPU || !slices.Equal(c.AddOns, []AddOn{AzurePolicy, KeyVaultCSI, Monitoring}) ||
		c.APIServer.Name.String() != "harbour-k3v9x2p7.hcp.westeurope.azmk8s.io" || c.APIServer.Private || c.PodsVisible() {
		t.Errorf("got %+v", c)
	}
}

// What az says is on stands in the draft, as an add-on or as a comment.
func TestAzureSwitches(t *testing.T) {
	const none = "cluster-extensions belongs there too when this prints any: az k8s-extension list -g RESOURCE_GROUP -c CLUSTER -t managedClusters -o table"
	for _, row := range []struct {
		text  string
		want  []string
		notes []string
	}{
		{`"addonProfiles": {"omsagent": {"enabled": true}, "OMSAgent": {"enabled": true}}`, []string{"monitoring"}, []string{none}},
		{`"addonProfiles": {"extensionManager": {"enabled": true}}`, []string{"cluster-extensions"}, nil},
		{`"addonProfiles": {"x\ny": {"enabled": true}}`, []string{},
			[]string{"x\ny is on: the published list has no rows for it, the core rows cover it", none}},
		{`"securityProfile": {"defender": {"securityMonitoring": {"enabled": true}}}`, []string{"defender"}, []string{none}},
		{`"securityProfile": {"defender": {"securityMonitoring": {"enabled": false}}}`, []string{}, []string{none}},
		{`"securityProfile": {"workloadIdentity": {"enabled": true}}`, []string{"workload-identity"}, []string{none}},
		{`"securityProfile": {"workloadIdentity": {"enabled": null}, "defender": null}`, []string{}, []string{none}},
		{`"metricsProfile": {"costAnalysis": {"enabled": true}}`, []string{"cost-analysis"}, []string{none}},
		{`"serviceMeshProfile": {"mode": "Istio"}`, []string{"istio"}, []string{none}},
		{`"serviceMeshProfile": {"mode": "Disabled"}`, []string{}, []string{none}},
		{`"serviceMeshProfile": {"mode": "Linkerd"}`, []string{},
			[]string{"serviceMeshProfile.Linkerd is on: the published list has no rows for it beside the core rows", none}},
		{`"ingressProfile": {"webAppRouting": {"enabled": true}}`, []string{"app-routing"}, []string{none}},
		{`"azureMonitorProfile": {"metrics": {"enabled": true}}`, []string{"monitoring"}, []string{none}},
		{`"azureMonitorProfile": {"containerInsights": {"enabled": true}, "metrics": null}`, []string{"monitoring"}, []string{none}},
		{`"azureMonitorProfile": {"appMonitoring": {"autoInstrumentation": {"enabled": true}}}`, []string{"monitoring"}, []string{none}},
		{`"azureMonitorProfile": {"metrics": {"enabled": false, "more": {"enabled": true}}}`, []string{}, []string{none}},
		{`"workloadAutoScalerProfile": {"keda": {"enabled": true}}`, []string{},
			[]string{"workloadAutoScalerProfile.keda is on: the published list has no rows for it beside the core rows", none}},
		{`"aiToolchainOperatorProfile": {"enabled": true}`, []string{},
			[]string{"aiToolchainOperatorProfile is on: the published list has no rows for it beside the core rows", none}},
	} {
		d, err := FromAzure([]byte(`{"networkProfile": {}, ` + row.text + `}`))
		if err != nil {
			t.Errorf("%s: %v", row.text, err)
			continue
		}
		if got := d.known["addOns"]; !slices.Equal(got, row.want) || !slices.Equal(d.notes["addOns"], row.notes) {
			t.Errorf("%s\n got %q with %q\nwant %q with %q", row.text, got, d.notes["addOns"], row.want, row.notes)
		}
		for _, p := range missing(t, d) {
			if !slices.Contains([]string{"cloud", "location", "network", "network.plugin", "network.nodes"}, p) {
				t.Errorf("%s: misses %s", row.text, p)
			}
		}
	}
}

func TestAzureImageDate(t *testing.T) {
	for _, row := range []struct{ pools, want string }{
		{`{"osType": "Linux", "nodeImageVersion": "AKSUbuntu-2204gen2containerd-202403.25.0"}`, "2024-03-25"},
		{`{"osType": "Linux", "nodeImageVersion": "AKSUbuntu-1604-2020.06.30"}`, "2020-06-30"},
		{`{"nodeImageVersion": "AKSUbuntu-1804gen2containerd-2023.01.20"}, {"nodeImageVersion": "AKSAzureLinux-V2gen2-202602.13.5"}`, "2023-01-20"},
		{`{"nodeImageVersion": "AKSUbuntu-1604-2020.06.30"}, {"osType": "Windows", "nodeImageVersion": "AKSWindows-2019-17763.1577.201111"}`, "2020-06-30"},
		{`{"nodeImageVersion": "AKSUbuntu-2204gen2containerd-202403.25.0"}, {"nodeImageVersion": null}`, ""},
		{`{"nodeImageVersion": "AKSUbuntu-2204gen2containerd-202413.25.0"}`, ""},
		{`{"nodeImageVersion": "AKSUbuntu-1604-2016.06.30"}`, ""},
		{`{"nodeImageVersion": "custom"}`, ""},
		{`{"osType": "Windows"}`, ""},
	} {
		d, err := FromAzure([]byte(`{"agentPoolProfiles": [` + row.pools + `]}`))
		if err != nil {
			t.Errorf("%s: %v", row.pools, err)
		} else if got := d.known1("nodes.imageDate"); got != row.want {
			t.Errorf("%s: image date %q, want %q", row.pools, got, row.want)
		}
	}
}

// What a draft lacks is no problem of it; what flags say wrongly is.
func TestDraftProblems(t *testing.T) {
	no := false
	for _, row := range []struct {
		flags InitFlags
		want  []string
	}{
		{InitFlags{}, nil},
		{InitFlags{Plugin: "azure"}, nil},
		{InitFlags{Mode: "overlay"}, nil},
		{InitFlags{Plugin: "kubenet", PodSNAT: &no}, nil},
		{InitFlags{Cloud: "AzureCloud", Location: "West Europe", Nodes: []string{"10.240.0.0/33"}}, []string{"location", "network.nodes"}},
		{InitFlags{AsOf: "2021-13-01", ImageDate: "soon", AddOns: []string{"omsagent", "keda"}}, []string{"asOf", "nodes.imageDate", "addOns"}},
		{InitFlags{AsOf: "2021-12-01", Edition: "seed"}, []string{"asOf"}},
		{InitFlags{DevSpacesName: "azds-1.westeurope.azds.io"}, []string{"devSpaces.name"}},
	} {
		d := FromFlags(row.flags)
		var got []string
		for _, p := range d.Problems("cluster.yaml") {
			got = append(got, p.Key)
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("%+v: problems with %q, want %q\n%v", row.flags, got, row.want, d.Problems("cluster.yaml"))
		}
	}
}

func TestDraftFromFlags(t *testing.T) {
	d := FromFlags(InitFlags{})
	want := []string{"cloud", "location", "network.nodes", "network.plugin"}
	if got := required(d); !slices.Equal(got, want) {
		t.Errorf("an empty draft lacks %q, want %q", got, want)
	}
	if got, want := missing(t, d), []string{"cloud", "location", "network"}; !slices.Equal(got, want) {
		t.Errorf("Parse misses %q, want %q", got, want)
	}
	yes, no := true, false
	d = FromFlags(InitFlags{
		Cloud: "public", Location: "northeurope", Edition: "2020-05-26", APIServerName: "a.hcp.northeurope.azmk8s.io",
		APIServerAddresses: []string{"20.1.2.3"}, Private: &no, ByAddress: &yes, Tunnel: "tunnel-front",
		Plugin: "azure", Mode: "overlay", Nodes: []string{"10.240.0.0/16", "fd00:1::/64"}, Pods: []string{"10.244.0.0/16"},
		Services: []string{"10.0.0.0/16"}, PodSNAT: &no, OutboundType: "none", OS: []string{"linux"}, GPU: &yes, ImageDate: "2020-11-18",
		AddOns: []string{"dev-spaces"}, DevSpacesName: "azds-1.northeurope.azds.io", DNSServers: []string{"10.9.0.4", "[fd00::1]:53"},
		AllowPrivate: []string{"10.250.2.0/24"}, LoadBalancers: []string{"20.1.2.4"}, GatewayPrivate: "10.250.0.4", GatewayPublic: "20.1.2.5",
	})
	if len(d.Lacks) > 0 {
		t.Errorf("everything was said, but it lacks %+v", d.Lacks)
	}
	if _, err := Parse("", d.YAML()); err != nil {
		t.Errorf("%v\n%s", err, d.YAML())
	}
	if c, err := Parse("", FromFlags(InitFlags{Cloud: "public", Location: "northeurope", Plugin: "kubenet", Nodes: []string{"10.240.0.0/16"},
		AsOf: "2021-05-01"}).YAML()); err != nil || c.AsOf.Format(time.DateOnly) != "2021-05-01" {
		t.Errorf("as of is lost: %+v, %v", c, err)
	}
	d = FromFlags(InitFlags{AddOns: []string{"dev-spaces"}})
	if !slices.ContainsFunc(d.Lacks, func(l Lack) bool { return l.Key == "devSpaces.name" }) {
		t.Error("the name of the Dev Spaces controller is not asked for")
	}
}

func TestDraftKeepsItsKeysWhateverTheValues(t *testing.T) {
	for _, evil := range []string{"x\noptional: true", "a: b", "#", "'", `"`, "null", "yes", "1e3", "\u2028", "- x", "{", "\x00", "\xff", "1.5", "0x10", "2020-01-01T00:00:00Z", "*a", "&a", "!!x"} {
		d := FromFlags(InitFlags{Cloud: evil, Location: evil, Plugin: evil, Nodes: []string{evil, evil}, APIServerName: evil, DNSServers: []string{evil}})
		_, err := Parse("", d.YAML())
		problems, _ := err.(Errors)
		if len(problems) == 0 {
			t.Errorf("%q was accepted", evil)
		}
		for _, p := range problems {
			if !d.has(p.Key) && !strings.HasPrefix(p.Msg, "is missing") {
				t.Errorf("%q: a problem with a key that was not written: %v\n%s", evil, p, d.YAML())
			}
		}
	}
}

func TestWrongAzureOutput(t *testing.T) {
	const give = "give what this prints: az aks show -g RESOURCE_GROUP -n CLUSTER -o json"
	const pool = `"networkProfile": {}, "agentPoolProfiles": [{"vnetSubnetId": `
	for _, row := range []struct{ text, want string }{
		{"", "az output is empty; is az logged in? " + give},
		{"{\n  \"name\": x\n}", `az output, line 2, column 11: invalid character 'x' looking for beginning of value; give what -o json prints`},
		{"{\n  \"name\": \"a\"", `az output, line 2, column 13: unexpected end of JSON input; give what -o json prints`},
		{"{\n  \"name\": 7\n}", `az output, line 2, column 11: name is number where string is expected; give what -o json prints`},
		{"Name    Location", `az output, line 1, column 1: invalid character 'N' looking for beginning of value; give what -o json prints`},
		{"[]", "az output has no cluster; give that of one: az aks show -g RESOURCE_GROUP -n CLUSTER -o json"},
		{`[{"name":"a"},{"name":"b"}]`, `az output has 2 clusters ("a", "b"); give that of one: az aks show -g RESOURCE_GROUP -n CLUSTER -o json`},
		{`{"name":"a","location":"westeurope"}`, "az output is not about an AKS cluster; " + give},
		{`{"type":"Microsoft.Compute/virtualMachines","networkProfile":{}}`, "az output is not about an AKS cluster; " + give},
		{`{"fqdn":"a\nb",` + pool + `"/x"}]}`, `az output holds "a\nb", which is no Azure name`},
		{`{"networkProfile":{},"securityProfile":{"workloadIdentity":{"enabled":"yes"}}}`,
			"az output: securityProfile.workloadIdentity.enabled is neither true nor false; give what -o json prints"},
		{`{"resourceGroup":"--help",` + pool + `"/x"}]}`, `az output holds "--help", which is no Azure name`},
		{`{` + pool + `"; rm -rf ~"}]}`, `az output holds "; rm -rf ~", which is no Azure resource id`},
		{`"` + strings.Repeat("x", MaxSize) + `"`, "az output is longer than 1 MiB; give that of one cluster: az aks show -g RESOURCE_GROUP -n CLUSTER -o json"},
	} {
		_, err := FromAzure([]byte(row.text))
		if err == nil || err.Error() != row.want {
			t.Errorf("%.60q\n got %v\nwant %s", row.text, err, row.want)
		}
	}
}

func TestCommandsQuoteWhatTheyName(t *testing.T) {
	for in, want := range map[string]string{
		"": "STAND_IN", "rg-1": "rg-1", "Quay (prod)": "'Quay (prod)'", "a;b": "'a;b'", "a'b": `'a'\''b'`, "$(x)": "'$(x)'", "größe": "'größe'",
	} {
		if got := word(in, "STAND_IN"); got != want {
			t.Errorf("word(%q) = %s, want %s", in, got, want)
		}
	}
}
