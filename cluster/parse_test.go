// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
)

// Each file in testdata/bad ends with the messages it must give, after "#! ".
func TestEveryMistakeIsNamedAtItsPlace(t *testing.T) {
	files := glob(t, "testdata/bad/*.yaml")
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, ".yaml"), func(t *testing.T) {
			data := read(t, file)
			text, _, _ := strings.Cut(string(data), "#! ")
			_, err := Parse(name, []byte(text))
			if err == nil {
				t.Fatal("was accepted")
			}
			var got strings.Builder
			for _, p := range err.(Errors) {
				got.WriteString("#! " + p.String() + "\n")
			}
			if *update {
				if err := os.WriteFile(file, []byte(text+got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(strings.TrimPrefix(string(data), text), got.String()); d != "" {
				t.Errorf("messages differ (-want +got):\n%s", d)
			}
		})
	}
}

func TestFullDescription(t *testing.T) {
	got, err := Load("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := &Cluster{
		File: "testdata/full.yaml", Provider: "aks", Cloud: AzureCloud, Location: "westeurope", Edition: "2020-05-26",
		APIServer: APIServer{
			Name:      dnsname.MustParse("shop-1a2b3c4d.5e6f7a8b.privatelink.westeurope.azmk8s.io"),
			Addresses: []netip.Addr{netip.MustParseAddr("10.250.0.4")},
			Private:   true, ByAddress: true,
		},
		Tunnel: TunnelFront,
		Network: Network{
			Plugin: AzureCNI, Mode: PodSubnet, OutboundType: "userDefinedRouting",
			Nodes:    prefixes("10.240.0.0/24", "fd00:240::/64"),
			Pods:     prefixes("10.241.0.0/16"),
			Services: prefixes("10.0.0.0/16"),
		},
		Nodes: Nodes{Linux: true, Windows: true, GPU: true, ImageDate: time.Date(2020, 11, 18, 0, 0, 0, 0, time.UTC)},
		AddOns: []AddOn{AppRouting, AzurePolicy, ClusterExtensions, CostAnalysis, Defender, DevSpaces, Istio, KeyVaultCSI,
			Monitoring, WorkloadIdentity},
		DevSpacesName: dnsname.MustParse("azds-1a2b3c.westeurope.azds.io"),
		DNS: DNS{
			Servers: addrPorts("10.250.1.4:53", "10.250.1.5:5353", "[fd00::53]:53"),
			PrivateZones: []PrivateZone{
				{Zone: dnsname.MustParse("corp.example"), Servers: addrPorts("10.250.1.6:53")},
				{Zone: dnsname.MustParse("privatelink.blob.core.windows.net")},
			},
		},
		AllowPrivate:  netset.Of(prefixes("10.250.2.0/24")...),
		LoadBalancers: []netip.Addr{netip.MustParseAddr("20.76.1.2")},
		Gateway: Gateway{
			PrivateAddress:  netip.MustParseAddr("10.250.0.10"),
			PrivateAddress6: netip.MustParseAddr("fd00:250::10"),
			PublicAddress:   netip.MustParseAddr("20.76.3.4"),
			Publish: []Publish{{
				Transport: flow.TCP, Port: 443, To: netip.MustParseAddrPort("20.76.1.2:443"), Reason: "the shop",
				From: netset.Of(prefixes("0.0.0.0/0", "::/0")...).Minus(netset.Private()),
			}, {
				Transport: flow.UDP, Port: 8125, To: netip.MustParseAddrPort("10.240.0.9:9125"), Reason: "counters of a partner",
				From: netset.Of(prefixes("198.51.100.0/24", "203.0.113.7/32")...),
			}},
		},
		Optional: true,
		Allow: []AllowRule{{
			ID: "supplier", Line: 44, Pattern: dnsname.MustParsePattern("*.example.com"),
			Ports:   []PortSpec{{flow.ProtoHTTPS, portset.Of(443, 8443)}, {flow.ProtoTCP, portset.Of(22)}},
			Sources: []Source{{Group: GroupPods}, {Prefix: netip.MustParsePrefix("10.240.0.4/32")}},
			Reason:  "orders are sent to the supplier",
			Until:   time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC),
		}, {
			ID: "allow-bee9c699", Line: 50, Prefixes: prefixes("20.50.0.0/16", "2603:1020::/32"),
			Ports:  []PortSpec{{flow.ProtoUDP, portset.OfRanges(portset.Range{Lo: 1000, Hi: 2000})}},
			Reason: "telemetry of the turbines",
		}},
	}
	if d := cmp.Diff(want, got, sameValues); d != "" {
		t.Errorf("Load differs (-want +got):\n%s", d)
	}
	if !got.PodsVisible() {
		t.Error("pods of a pod subnet are not visible")
	}
}

func TestDefaults(t *testing.T) {
	got, err := Load("testdata/small.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := &Cluster{
		File: "testdata/small.yaml", Provider: "aks", Cloud: AzureChinaCloud, Location: "chinaeast2",
		Tunnel:  Konnectivity,
		Network: Network{Plugin: Kubenet, Nodes: prefixes("10.240.0.0/16"), PodSNAT: true, OutboundType: "userDefinedRouting"},
		Nodes:   Nodes{Linux: true},
		DNS:     DNS{Servers: addrPorts("168.63.129.16:53")},
	}
	if d := cmp.Diff(want, got, sameValues); d != "" {
		t.Errorf("Load differs (-want +got):\n%s", d)
	}
}

func TestWhichListHolds(t *testing.T) {
	const head = "cloud: public\nlocation: westeurope\nnetwork: {plugin: kubenet, nodes: 10.240.0.0/16}\n"
	for _, row := range []struct {
		text, edition string
		asOf          time.Time
	}{
		{"", "", time.Time{}},
		{"edition: newest", "newest", time.Time{}},
		{"edition: seed", "seed", time.Time{}},
		{"edition: 2021-03-02", "2021-03-02", time.Time{}},
		{"edition: 2021-03-02.1", "2021-03-02.1", time.Time{}},
		{"asOf: 2021-03-02", "", time.Date(2021, 3, 2, 0, 0, 0, 0, time.UTC)},
		{"asOf: '2021-03-02'", "", time.Date(2021, 3, 2, 0, 0, 0, 0, time.UTC)},
	} {
		c, err := Parse("", []byte(head+row.text))
		if err != nil {
			t.Errorf("%q: %v", row.text, err)
		} else if c.Edition != row.edition || !c.AsOf.Equal(row.asOf) {
			t.Errorf("%q: edition %q as of %v, want %q and %v", row.text, c.Edition, c.AsOf, row.edition, row.asOf)
		}
	}
}

func TestNetworkIsolated(t *testing.T) {
	for _, row := range []struct {
		outboundType string
		want         bool
	}{
		{"userDefinedRouting", false}, {"loadBalancer", false}, {"managedNATGateway", false}, {"userAssignedNATGateway", false},
		{"none", true}, {"block", true},
	} {
		c, err := Parse("", []byte("cloud: public\nlocation: westeurope\nnetwork: {plugin: kubenet, nodes: 10.240.0.0/16, outboundType: "+row.outboundType+"}"))
		if err != nil {
			t.Errorf("%s: %v", row.outboundType, err)
		} else if c.NetworkIsolated() != row.want {
			t.Errorf("%s: network isolated is %v", row.outboundType, !row.want)
		}
	}
}

func TestCustomDNS(t *testing.T) {
	for _, row := range []struct {
		dns  string
		want bool
	}{
		{"", false},
		{"dns: {privateZones: [{zone: corp.example, servers: 10.9.0.4}]}", false},
		{"dns: {servers: 168.63.129.16}", false},
		{"dns: {servers: ['168.63.129.16:53']}", false},
		{"dns: {servers: 10.9.0.4}", true},
		{"dns: {servers: [168.63.129.16, 'fd00::53']}", true},
	} {
		c, err := Parse("", []byte("cloud: public\nlocation: westeurope\nnetwork: {plugin: kubenet, nodes: 10.240.0.0/16}\n"+row.dns))
		if err != nil {
			t.Errorf("%q: %v", row.dns, err)
		} else if c.CustomDNS() != row.want {
			t.Errorf("%q: custom DNS is %v", row.dns, !row.want)
		}
	}
}

func TestAddOnSpellings(t *testing.T) {
	for in, want := range map[string]AddOn{
		"monitoring": Monitoring, "Monitoring": Monitoring, "omsagent": Monitoring, "containerInsights": Monitoring,
		"azurepolicy": AzurePolicy, "azure-policy": AzurePolicy,
		"azureKeyvaultSecretsProvider": KeyVaultCSI, "azure-keyvault-secrets-provider": KeyVaultCSI,
		"extensionManager": ClusterExtensions, "webAppRouting": AppRouting, "web_application_routing": AppRouting,
		"keda": "", "": "",
	} {
		if got, ok := ParseAddOn(in); got != want || ok != (want != "") {
			t.Errorf("ParseAddOn(%q) = %q, %v, want %q", in, got, ok, want)
		}
	}
	seen := map[string]bool{}
	for _, w := range addOnWords() {
		if low := strings.ToLower(w); seen[low] {
			t.Errorf("%q is listed twice", w)
		} else {
			seen[low] = true
		}
	}
	for _, a := range AddOns() {
		if got, ok := ParseAddOn(string(a)); !ok || got != a {
			t.Errorf("%q is read as %q", a, got)
		}
	}
}

func TestPodsVisible(t *testing.T) {
	for _, row := range []struct {
		network string
		want    bool
	}{
		{"plugin: kubenet", false},
		{"plugin: none", false},
		{"plugin: none\n  podSNAT: false", true},
		{"plugin: azure\n  mode: overlay", false},
		{"plugin: azure\n  mode: overlay\n  podSNAT: false", true},
		{"plugin: azure\n  mode: pod-subnet", true},
		{"plugin: azure\n  mode: pod-subnet\n  podSNAT: true", false},
	} {
		c, err := Parse("", []byte("cloud: public\nlocation: westeurope\nnetwork:\n  nodes: 10.240.0.0/16\n  pods: 10.244.0.0/16\n  "+row.network+"\n"))
		if err != nil {
			t.Errorf("%q: %v", row.network, err)
		} else if c.PodsVisible() != row.want {
			t.Errorf("%q: PodsVisible is %v, want %v", row.network, c.PodsVisible(), row.want)
		}
	}
}

func TestCloudSpellings(t *testing.T) {
	for spelling, want := range map[string]Cloud{
		"AzureCloud": AzureCloud, "azurecloud": AzureCloud, "AzurePublicCloud": AzureCloud, "AzurePublic": AzureCloud, "Public": AzureCloud,
		"AzureChinaCloud": AzureChinaCloud, "AzureChina": AzureChinaCloud, "CHINA": AzureChinaCloud,
		"AzureUSGovernment": AzureUSGovernment, "AzureUSGovernmentCloud": AzureUSGovernment, "AzureUSGov": AzureUSGovernment,
		"usgovernment": AzureUSGovernment, "usgov": AzureUSGovernment,
		"": "", "AzureGermanCloud": "", "azure": "",
	} {
		if got, ok := ParseCloud(spelling); got != want || ok != (want != "") {
			t.Errorf("ParseCloud(%q) = %q, %v, want %q", spelling, got, ok, want)
		}
	}
}

func TestAPIServerNames(t *testing.T) {
	const head = "network: {plugin: kubenet, nodes: 10.240.0.0/16}\n"
	for _, row := range []struct{ name, text string }{
		{"a public name", "cloud: AzureCloud\nlocation: westeurope\napiServer: {name: a.hcp.westeurope.azmk8s.io}"},
		{"a private name", "cloud: AzureCloud\nlocation: westeurope\napiServer: {private: true, name: a.b.privatelink.westeurope.azmk8s.io}"},
		{"a subzone", "cloud: AzureCloud\nlocation: westeurope\napiServer: {private: true, name: a.team.privatelink.westeurope.azmk8s.io}"},
		{"a virtual network's name", "cloud: AzureCloud\nlocation: westeurope\napiServer: {private: true, name: a.private.westeurope.azmk8s.io}"},
		{"a declared zone", "cloud: AzureCloud\nlocation: westeurope\napiServer: {name: api.corp.example}\ndns: {privateZones: [{zone: corp.example}]}"},
		{"China", "cloud: AzureChinaCloud\nlocation: chinaeast2\napiServer: {name: a.hcp.chinaeast2.cx.prod.service.azk8s.cn}"},
		{"private in the US Government cloud", "cloud: AzureUSGovernment\nlocation: usdodeast\napiServer: {private: true, name: a.privatelink.usdodeast.cx.aks.containerservice.azure.us}"},
	} {
		if _, err := Parse("", []byte(head+row.text)); err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

func TestContentIDHoldsWhatIsAllowedAndNoMore(t *testing.T) {
	id := func(rule string) string {
		t.Helper()
		c, err := Parse("", []byte("cloud: public\nlocation: westeurope\nnetwork: {plugin: kubenet, nodes: 10.240.0.0/16}\nallow: [{"+rule+"}]"))
		if err != nil {
			t.Fatal(err)
		}
		return c.Allow[0].ID
	}
	first := id("name: a.example.com, ports: [https, tcp/22], sources: [nodes, 10.240.0.1], reason: r")
	if same := id("name: A.example.com., ports: [tcp/22, https/443], sources: [10.240.0.1, nodes, nodes], reason: s, until: 2030-01-01"); same != first {
		t.Errorf("the same rule in other words is %s, not %s", same, first)
	}
	if other := id("name: a.example.com, ports: [https, tcp/23], sources: [nodes, 10.240.0.1], reason: r"); other == first {
		t.Errorf("another port has the same id %s", other)
	}
}

func TestPastDateIsRead(t *testing.T) {
	c, err := Parse("", []byte("cloud: public\nlocation: westeurope\nnetwork: {plugin: kubenet, nodes: 10.240.0.0/16}\nallow: [{name: a.example, ports: https, reason: r, until: 2001-12-31}]"))
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2002, 1, 1, 0, 0, 0, 0, time.UTC); !c.Allow[0].Until.Equal(want) {
		t.Errorf("until is %v, want %v", c.Allow[0].Until, want)
	}
}

func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, []byte("#"+strings.Repeat("x", MaxSize)), 0o644); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "cluster.yaml")
	for _, row := range []struct {
		path, want string
		is         error
	}{
		{missing, missing + ": no such file; write one with: sallyport init", fs.ErrNotExist},
		{dir, dir + ": is a directory; name a file that can be read, or - for standard input", nil},
		{large, large + ": is longer than 1 MiB; leave out what does not belong here", nil},
	} {
		_, err := Load(row.path)
		var fe *FileError
		if err == nil || err.Error() != row.want || !errors.As(err, &fe) {
			t.Errorf("Load(%s)\n got %v\nwant %s", row.path, err, row.want)
		}
		if row.is != nil && !errors.Is(err, row.is) {
			t.Errorf("Load(%s): %v is not %v", row.path, err, row.is)
		}
	}
	secret := filepath.Join(dir, "secret.yaml")
	if got, want := unreadable(secret, &fs.PathError{Op: "open", Path: secret, Err: fs.ErrPermission}).Error(),
		secret+": may not be read by this user; change its mode or run as its owner"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// A small file that stands for millions of values, and ones that nest without
// end, are refused in bounded time.
func TestBombs(t *testing.T) {
	var billion strings.Builder
	billion.WriteString("a: &a0 [" + strings.Repeat("x,", 99) + "x]\n")
	for i := range 8 {
		fill := strings.Repeat("*a"+string(rune('0'+i))+",", 9)
		billion.WriteString("a" + string(rune('0'+i)) + ": &a" + string(rune('1'+i)) + " [" + fill + "]\n")
	}
	rules := "x: &r {name: a.example, ports: &p [" + strings.Repeat("tcp/1,", 2000) + "], reason: r}\nallow: [" + strings.Repeat("*r,", 2000) + "]\n"
	for name, text := range map[string]string{
		"aliases of aliases": billion.String(),
		"aliased rules":      rules,
		"nested lists":       strings.Repeat("[", 5000),
		"nested keys":        strings.Repeat("{a: ", 5000),
		"a list in itself":   "allow: &a [*a]\n",
	} {
		begin := time.Now()
		_, err := Parse("bomb.yaml", []byte(text))
		if err == nil {
			t.Errorf("%s: was accepted", name)
		}
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
	}
	_, err := Parse("bomb.yaml", []byte(rules))
	if want := "stands for more than 200000 values; write values out instead of repeating aliases"; !strings.Contains(err.Error(), want) {
		t.Errorf("got %.200v\nwant it to hold %q", err, want)
	}
}

func TestLargeFilesAreRefusedSoon(t *testing.T) {
	const head = "cloud: public\nlocation: westeurope\nnetwork: {plugin: kubenet, nodes: "
	for _, row := range []struct{ text, want string }{
		{head + "[" + strings.Repeat("10.240.0.0/24,", 50_000) + "]}", "c.yaml:3:28: network.nodes: has more than 4096 entries; join what can be joined"},
		{head + "10.240.0.0/16}\n" + strings.Repeat("x: 1\n", 100_000), "c.yaml:1003:1: has 99000 problems more than are listed here"},
	} {
		begin := time.Now()
		_, err := Parse("c.yaml", []byte(row.text))
		if lines := strings.Split(err.Error(), "\n"); lines[len(lines)-1] != row.want {
			t.Errorf("got %s\nwant %s", lines[len(lines)-1], row.want)
		}
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("took %v", d)
		}
	}
}

func TestAliasesAreFollowed(t *testing.T) {
	c, err := Parse("", []byte("cloud: public\nlocation: westeurope\nnetwork: {plugin: kubenet, nodes: &n [10.240.0.0/16]}\n"+
		"allow:\n  - {name: a.example, ports: &p [https, http], reason: &r because}\n  - {name: b.example, ports: *p, reason: *r, sources: *n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Allow) != 2 || len(c.Allow[1].Ports) != 2 || c.Allow[1].Reason != "because" {
		t.Errorf("got %+v", c.Allow)
	}
}

func TestMessagesStayInTheirLine(t *testing.T) {
	_, err := Parse("c.yaml", []byte("\"a\\e[2J\\nb\": 1\ncloud: \""+strings.Repeat("x", 5000)+"\"\n"))
	for _, line := range strings.Split(err.Error(), "\n") {
		if !strings.HasPrefix(line, "c.yaml:") || len(line) > 1000 || strings.Contains(line, "\x1b") {
			t.Errorf("line %q", line)
		}
	}
}

var sameValues = cmp.Options{
	cmp.Comparer(func(a, b dnsname.Name) bool { return a == b }),
	cmp.Comparer(func(a, b dnsname.Pattern) bool { return a == b }),
	cmp.Comparer(func(a, b netset.Set) bool { return a.Equal(b) }),
	cmp.Comparer(func(a, b portset.Set) bool { return a.Equal(b) }),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func addrPorts(list ...string) (out []netip.AddrPort) {
	for _, s := range list {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}

// glob returns the files a test is about; none is a failure.
func glob(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no files (%v)", pattern, err)
	}
	slices.Sort(files)
	return files
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
