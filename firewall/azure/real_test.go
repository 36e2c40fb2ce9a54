// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/ruleset"
)

// real reads files that people published, which stand beside the repository.
func real(t *testing.T, names ...string) *ruleset.RuleSet {
	t.Helper()
	dir := filepath.FromSlash("../../../shared/data/firewalls")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the published firewall files of ../shared/data/firewalls are not here")
	}
	for i := range names {
		names[i] = filepath.Join(dir, names[i])
	}
	s, err := Read(files(t, names...), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// collections lists the collections in the order of evaluation.
func collections(s *ruleset.RuleSet) []string {
	var out []string
	for _, r := range s.Rules {
		if c := string(r.Kind) + " " + r.Collection; len(out) == 0 || out[len(out)-1] != c {
			out = append(out, c)
		}
	}
	return out
}

// hasTerm fails unless a rule has a term on a line.
func hasTerm(t *testing.T, s *ruleset.RuleSet, rule, text string, line int) {
	t.Helper()
	for _, r := range s.Rules {
		for _, term := range r.Terms {
			if r.String() == rule && term.Text == text && term.Pos.Line == line {
				return
			}
		}
	}
	t.Errorf("rule %s has no term %q on line %d", rule, text, line)
}

// unknownParts counts the unknowns by part and the beginning of their reason.
func unknownParts(s *ruleset.RuleSet, why string) int {
	n := 0
	for _, r := range s.Rules {
		for _, u := range r.Unknown {
			if strings.Contains(u.Why, why) {
				n++
			}
		}
	}
	return n
}

func toName(class flowset.Class, name string, port uint16) flowset.Flow {
	return flowset.Flow{Src: netip.MustParseAddr("10.1.2.3"), Class: class, Port: port, Name: dnsname.MustParse(name), Dst: netip.MustParseAddr("203.0.113.1")}
}

func TestHubOf2020IsVoidedByItsNetworkRule(t *testing.T) {
	s := real(t, "aks-baseline-hub-2020-04.arm.json")
	want := []string{"network org-wide-allowed", "network AKS-Global-Requirements", "application AKS-Global-Requirements"}
	if diff := cmp.Diff(want, collections(s)); diff != "" || len(s.Rules) != 14 {
		t.Errorf("%d rules, -want +got:\n%s", len(s.Rules), diff)
	}
	hasTerm(t, s, "org-wide-allowed/HTTP-and-HTTPS", "*", 224)
	hasTerm(t, s, "AKS-Global-Requirements/microsoft-container-registry", "*.cdn.mscr.io", 314)
	hasTerm(t, s, "AKS-Global-Requirements/azure-policy", "*.gk.eastus2.azmk8s.io", 436)
	if n := unknownParts(s, "IP group ipg-aksnodepools: reference()"); n != 11 {
		t.Errorf("%d rules with an unknown source, want 11", n)
	}
	e := s.Evaluate()
	for _, f := range []flowset.Flow{toName(flowset.TLS, "any.example.com", 443), toName(flowset.HTTP, "any.example.com", 80), toName(flowset.UDP, "x.example.com", 53)} {
		if !e.Sure.Contains(f) {
			t.Errorf("%s is not certainly let through", f)
		}
	}
	if f := toName(flowset.OtherTCP, "x.example.com", 9000); e.Sure.Contains(f) || !e.Maybe.Contains(f) {
		t.Errorf("%s must be let through only maybe, since its source is not known", f)
	}
	if s.DNS.Proxy || !s.DNS.Known {
		t.Errorf("DNS proxy: got %+v", s.DNS)
	}
}

func TestHubOf2022LetsItsNamesThroughOnlyMaybe(t *testing.T) {
	s := real(t, "aks-baseline-hub-2022-01.arm.json")
	want := []string{"network org-wide-allowed", "network AKS-Global-Requirements", "application AKS-Global-Requirements", "application Flux-Requirements"}
	if diff := cmp.Diff(want, collections(s)); diff != "" || len(s.Rules) != 7 {
		t.Errorf("%d rules, -want +got:\n%s", len(s.Rules), diff)
	}
	hasTerm(t, s, "AKS-Global-Requirements/pod-to-api-server", "AzureCloud.eastus2", 686)
	hasTerm(t, s, "Flux-Requirements/flux-addon-runtime-requirements", "*.docker.com", 638)
	hasTerm(t, s, "AKS-Global-Requirements/service-requirements", "AzureKubernetesService", 574)
	if n := unknownParts(s, "FQDN tag AzureKubernetesService"); n != 1 {
		t.Errorf("%d FQDN tags, want 1", n)
	}
	e := s.Evaluate()
	if f := toName(flowset.TLS, "mcr.microsoft.com", 443); e.Sure.Contains(f) || !e.Maybe.Contains(f) {
		t.Errorf("%s must be let through only maybe", f)
	}
	if f := toName(flowset.TLS, "mcr.microsoft.com", 8443); e.Maybe.Contains(f) {
		t.Errorf("%s must not be let through", f)
	}
	if !s.DNS.Proxy || s.DNS.Pos.Line != 410 {
		t.Errorf("DNS proxy: got %+v", s.DNS)
	}
}

func TestMapsOfTheCloudAdoptionFrameworkAreRead(t *testing.T) {
	s := real(t, "caf-aks-app-2021-05.tfvars", "caf-aks-net-2021-05.tfvars", "caf-aks-routes-2021-05.tfvars")
	want := []string{"network aks", "application aks", "application packages"}
	if diff := cmp.Diff(want, collections(s)); diff != "" || len(s.Rules) != 10 {
		t.Errorf("%d rules, -want +got:\n%s", len(s.Rules), diff)
	}
	hasTerm(t, s, "aks/apiservertcp", "AzureCloud", 56)
	hasTerm(t, s, "packages/github", "*.githubusercontent.com", 106)
	if n := unknownParts(s, "IP group aks_ip_group1 is not in the files"); n != 10 {
		t.Errorf("%d unknown sources, want 10", n)
	}
	if len(s.Routes) != 1 || s.Routes[0].Prefix != "0.0.0.0/0" || s.Routes[0].NextHop != "VirtualAppliance" {
		t.Errorf("routes: got %+v", s.Routes)
	}
}

func TestWalkthroughsInMarkdownAreRead(t *testing.T) {
	for _, row := range []struct {
		file    string
		rules   int
		cloud   string
		line    int
		proxyAt int
		route   string
	}{
		{"walkthrough-az-cli-2020-06.md", 5, "AzureCloud.eastus", 381, 329, "${FWPUBLIC_IP}/32"},
		{"walkthrough-az-cli-2026-07.md", 7, "AzureCloud.${LOCATION}", 231, 138, "${FW_PUBLIC_IP}/32"},
	} {
		t.Run(row.file, func(t *testing.T) {
			s := real(t, row.file)
			want := []string{"nat exampleset", "network aksfwnr", "application aksfwar"}
			if diff := cmp.Diff(want, collections(s)); diff != "" || len(s.Rules) != row.rules {
				t.Errorf("%d rules, -want +got:\n%s", len(s.Rules), diff)
			}
			hasTerm(t, s, "aksfwnr/apiudp", row.cloud, row.line)
			if !s.DNS.Proxy || s.DNS.Pos.Line != row.proxyAt {
				t.Errorf("DNS proxy: got %+v", s.DNS)
			}
			if len(s.Routes) != 2 || s.Routes[1].Prefix != row.route || s.Routes[1].NextHop != "Internet" {
				t.Errorf("routes: got %+v", s.Routes)
			}
			if e := s.Evaluate(); !e.Sure.Contains(toName(flowset.UDP, "ntp.ubuntu.com", 123)) {
				t.Error("ntp.ubuntu.com is not certainly let through")
			}
			if slices.ContainsFunc(s.Rules, func(r ruleset.Rule) bool { return r.Action != ruleset.Allow }) {
				t.Error("a rule denies: the action stands on another command of its collection")
			}
		})
	}
}
