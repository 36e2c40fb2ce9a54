// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cilium

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flowset"
)

// flowOf reads "https mcr.com:443" or "udp 20.1.2.3:53"; the address of a name is
// one of the Internet.
func flowOf(t *testing.T, text string) flowset.Flow {
	t.Helper()
	f := flowset.Flow{Src: netip.MustParseAddr("10.240.0.4"), Dst: netip.MustParseAddr("198.51.100.7")}
	kind, where, _ := strings.Cut(text, " ")
	f.Class = map[string]flowset.Class{"https": flowset.TLS, "http": flowset.HTTP, "tcp": flowset.OtherTCP, "udp": flowset.UDP, "icmp": flowset.ICMP, "ip": flowset.OtherIP}[kind]
	host, port, _ := strings.Cut(where, ":")
	for _, c := range port {
		f.Port = f.Port*10 + uint16(c-'0')
	}
	if a, err := netip.ParseAddr(host); err == nil {
		f.Dst = a
	} else {
		f.Name = dnsname.MustParse(host)
	}
	if f.Class == 0 {
		t.Fatalf("no kind of traffic is called %q", kind)
	}
	return f
}

// header begins a policy that is about all nodes.
const header = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: p}\nspec:\n  nodeSelector: {}\n"

func TestForeignPoliciesMeanWhatCiliumMakesOfThem(t *testing.T) {
	v18, v19 := Options{Version: Version{1, 18}}, Options{Version: Version{1, 19}}
	const to443 = "    toPorts: [{ports: [{port: '443', protocol: TCP}]}]\n"
	for name, row := range map[string]struct {
		o                Options
		egress           string
		yes, no, perhaps string // flows, separated by commas
	}{
		"star_is_one_label": {v19, "  egress:\n  - toFQDNs: [{matchPattern: '*.a.com'}]\n" + to443,
			"https x.a.com:443,tcp x.a.com:443", "https a.com:443,https y.x.a.com:443,https xa.com:443,https x.a.com:80,udp x.a.com:443", ""},
		"star_without_dot_takes_lookalikes": {v19, "  egress:\n  - toFQDNs: [{matchPattern: '*a.com'}]\n" + to443,
			"https a.com:443,https evila.com:443", "https x.a.com:443", ""},
		"two_stars_are_any_depth_from_1.19": {v19, "  egress:\n  - toFQDNs: [{matchPattern: '**.a.com'}]\n" + to443,
			"https x.a.com:443,https y.x.a.com:443", "https a.com:443,https xa.com:443", ""},
		"two_stars_are_one_label_before": {v18, "  egress:\n  - toFQDNs: [{matchPattern: '**.a.com'}]\n" + to443,
			"https x.a.com:443", "https a.com:443,https y.x.a.com:443", ""},
		"two_stars_of_a_version_not_known": {Options{}, "  egress:\n  - toFQDNs: [{matchPattern: '**.a.com'}]\n" + to443,
			"https x.a.com:443", "https a.com:443", "https y.x.a.com:443"},
		"two_stars_elsewhere_are_one_label": {v19, "  egress:\n  - toFQDNs: [{matchPattern: 'x.**.com'}]\n" + to443,
			"https x.a.com:443", "https x.a.b.com:443", ""},
		"star_alone_is_every_name":  {v18, "  egress:\n  - toFQDNs: [{matchPattern: '*'}]\n" + to443, "https a.com:443,https y.x.a.com:443", "https 20.1.2.3:443", ""},
		"a_name_is_itself":          {v19, "  egress:\n  - toFQDNs: [{matchName: A.com.}]\n" + to443, "https a.com:443", "https x.a.com:443", ""},
		"a_star_in_a_name_refuses":  {v19, "  egress:\n  - toFQDNs: [{matchName: '*.a.com'}]\n" + to443, "", "", "https x.a.com:443,https b.com:80"},
		"no_ports_are_all":          {v19, "  egress:\n  - toCIDR: [20.1.0.0/16]\n", "https 20.1.2.3:443,icmp 20.1.2.3,udp 20.1.2.3:9", "https 20.2.2.3:443", ""},
		"a_range_of_ports":          {v19, "  egress:\n  - toCIDR: [20.1.0.0/16]\n    toPorts: [{ports: [{port: '80', endPort: 90, protocol: TCP}]}]\n", "tcp 20.1.2.3:80,tcp 20.1.2.3:90", "tcp 20.1.2.3:91,udp 20.1.2.3:80", ""},
		"port_0_is_every_port":      {v19, "  egress:\n  - toCIDR: [20.1.0.0/16]\n    toPorts: [{ports: [{port: '0', protocol: TCP}]}]\n", "tcp 20.1.2.3:7", "udp 20.1.2.3:7,icmp 20.1.2.3", ""},
		"no_protocol_is_tcp_or_udp": {v19, "  egress:\n  - toCIDR: [20.1.0.0/16]\n    toPorts: [{ports: [{port: '53'}]}]\n", "tcp 20.1.2.3:53,udp 20.1.2.3:53", "icmp 20.1.2.3", ""},
		"a_named_port_is_unknown":   {v19, "  egress:\n  - toCIDR: [20.1.0.0/16]\n    toPorts: [{ports: [{port: web, protocol: TCP}]}]\n", "", "udp 20.1.2.3:80", "tcp 20.1.2.3:80"},
		"an_exception":              {v19, "  egress:\n  - toCIDRSet: [{cidr: 20.1.0.0/16, except: [20.1.2.0/24]}]\n", "tcp 20.1.3.3:1", "tcp 20.1.2.3:1", ""},
		"a_group_of_prefixes":       {v19, "  egress:\n  - toCIDRSet: [{cidrGroupRef: g}]\n", "", "", "tcp 20.1.3.3:1"},
		"ports_alone_lead_anywhere": {v19, "  egress:\n  - toPorts: [{ports: [{port: '443', protocol: TCP}]}]\n", "https a.com:443,tcp 10.0.0.1:443", "https a.com:80", ""},
		"nothing_leads_nowhere":     {v19, "  egress:\n  - {}\n", "", "https a.com:443,tcp 10.0.0.1:443", ""},
		"all":                       {v19, "  egress:\n  - toEntities: [all]\n", "https a.com:443,icmp 10.0.0.1", "", ""},
		"world_is_public_for_sure":  {v19, "  egress:\n  - toEntities: [world]\n", "https 20.1.2.3:443", "", "tcp 10.0.0.1:443"},
		"world_of_a_known_cluster": {Options{Cluster: set("10.240.0.0/16"), Version: Version{1, 19}}, "  egress:\n  - toEntities: [world]\n",
			"https 20.1.2.3:443,tcp 10.0.0.1:443", "tcp 10.240.0.9:443", ""},
		"cluster_is_unknown":            {v19, "  egress:\n  - toEntities: [cluster]\n", "", "", "tcp 10.0.0.1:443"},
		"an_entity_nobody_knows":        {v19, "  egress:\n  - toEntities: [moon]\n", "", "", "tcp 10.0.0.1:443"},
		"pods_are_unknown":              {v19, "  egress:\n  - toEndpoints: [{matchLabels: {app: x}}]\n", "", "", "tcp 10.0.0.1:443"},
		"a_deny_wins":                   {v19, "  egress:\n  - toEntities: [all]\n  egressDeny:\n  - toCIDR: [20.1.0.0/16]\n", "https 20.2.2.3:443", "https 20.1.2.3:443", ""},
		"an_unknown_deny_makes_unsure":  {v19, "  egress:\n  - toEntities: [all]\n  egressDeny:\n  - toEndpoints: [{}]\n", "", "", "https 20.1.2.3:443"},
		"server_names_narrow":           {v19, "  egress:\n  - toCIDR: [0.0.0.0/0]\n    toPorts: [{ports: [{port: '443', protocol: TCP}], serverNames: ['*.a.com']}]\n", "https x.a.com:443", "http x.a.com:443,https a.com:443,https 20.1.2.3:443,https y.x.a.com:443", ""},
		"http_rules_are_not_read":       {v19, "  egress:\n  - toFQDNs: [{matchName: a.com}]\n    toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET}]}}]\n", "", "http b.com:80", "http a.com:80"},
		"dns_rules_let_the_flow_pass":   {v19, "  egress:\n  - toCIDR: [20.1.2.3/32]\n    toPorts: [{ports: [{port: '53', protocol: ANY}], rules: {dns: [{matchPattern: '*'}]}}]\n", "udp 20.1.2.3:53,tcp 20.1.2.3:53", "udp 20.1.2.4:53", ""},
		"icmp_types_are_not_told_apart": {v19, "  egress:\n  - icmps: [{fields: [{type: 8, family: IPv4}]}]\n", "", "tcp 20.1.2.3:443", "icmp 20.1.2.3"},
		"two_kinds_of_destinations":     {v19, "  egress:\n  - toFQDNs: [{matchName: a.com}]\n    toCIDR: [20.1.0.0/16]\n", "", "", "https a.com:443,tcp 20.9.9.9:1"},
		"authentication_is_not_read":    {v19, "  egress:\n  - toCIDR: [20.1.0.0/16]\n    authentication: {mode: required}\n", "", "tcp 20.2.2.3:1", "tcp 20.1.2.3:1"},
		"no_default_deny":               {v19, "  enableDefaultDeny: {egress: false}\n  egress:\n  - toCIDR: [20.1.0.0/16]\n", "tcp 20.2.2.3:1,https b.com:443", "", ""},
		"ingress_restricts_no_egress":   {v19, "  ingress:\n  - {}\n", "tcp 20.2.2.3:1", "", ""},
		"two_selectors_refuse":          {v19, "  endpointSelector: {}\n  egress:\n  - toCIDR: [20.1.0.0/16]\n", "", "", "tcp 20.1.2.3:1,tcp 20.2.2.3:1"},
		"an_underscore_is_no_host":      {v19, "  egress:\n  - toFQDNs: [{matchName: a_b.com}]\n", "", "https b.com:443", ""},
	} {
		t.Run(name, func(t *testing.T) {
			rules, err := Read("x.yaml", []byte(header+row.egress), row.o)
			if err != nil {
				t.Fatal(err)
			}
			e := rules.Evaluate()
			check := func(list, want string) {
				for text := range strings.SplitSeq(list, ",") {
					if text == "" {
						continue
					}
					f, got := flowOf(t, text), "no"
					if e.Maybe.Contains(f) {
						got = "perhaps"
					}
					if e.Sure.Contains(f) {
						got = "yes"
					}
					if got != want {
						t.Errorf("%s: %s, want %s\n%s", text, got, want, row.egress)
					}
				}
			}
			check(row.yes, "yes")
			check(row.no, "no")
			check(row.perhaps, "perhaps")
			if row.perhaps != "" && unknowns(rules.Unknown, rules.Rules) == 0 {
				t.Error("nothing says what is unknown")
			}
		})
	}
}

func TestSelectorsAreAboutSomeOnly(t *testing.T) {
	some := strings.Replace(header, "nodeSelector: {}", "nodeSelector: {matchLabels: {a: b}}", 1) + "  egress:\n  - toCIDR: [20.1.0.0/16]\n"
	for name, row := range map[string]struct {
		text         string
		o            Options
		inside, rest string
	}{
		"all_nodes":              {header + "  egress:\n  - toCIDR: [20.1.0.0/16]\n", Options{}, "yes", "no"},
		"some_nodes":             {some, Options{}, "perhaps", "perhaps"},
		"some_nodes_whose_known": {some, Options{Subjects: set("10.240.0.0/24")}, "yes", "perhaps"},
		"pods_of_a_namespace": {strings.NewReplacer("Clusterwide", "", "nodeSelector", "endpointSelector").Replace(header) +
			"  egress:\n  - toCIDR: [20.1.0.0/16]\n", Options{}, "perhaps", "perhaps"},
		"nodes_in_a_namespace": {strings.Replace(header, "Clusterwide", "", 1) + "  egress:\n  - toCIDR: [20.1.0.0/16]\n", Options{}, "perhaps", "perhaps"},
	} {
		rules, err := Read("x.yaml", []byte(row.text), row.o)
		if err != nil {
			t.Fatal(err)
		}
		e := rules.Evaluate()
		for text, want := range map[string]string{"tcp 20.1.2.3:443": row.inside, "tcp 20.2.2.3:443": row.rest} {
			f, got := flowOf(t, text), "no"
			if e.Maybe.Contains(f) {
				got = "perhaps"
			}
			if e.Sure.Contains(f) {
				got = "yes"
			}
			if got != want {
				t.Errorf("%s: %s: %s, want %s", name, text, got, want)
			}
		}
	}
}
