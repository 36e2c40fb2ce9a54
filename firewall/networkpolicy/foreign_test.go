// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package networkpolicy

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/portset"
)

// head begins a policy of the Admin tier about all pods.
const head = "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: p}\nspec:\n  tier: Admin\n  priority: 5\n  subject: {namespaces: {}}\n  egress:\n"

func TestForeignPoliciesMeanWhatTheAPISays(t *testing.T) {
	const deny = "  - {action: Deny, to: [{networks: [0.0.0.0/0, '::/0']}]}\n"
	baseline := "---\n" + strings.NewReplacer("Admin", "Baseline").Replace(head)
	for name, row := range map[string]struct{ text, want string }{
		"accepted":                   {head + "  - {action: Accept, to: [{networks: [20.1.0.0/16]}], protocols: [{tcp: {destinationPort: {number: 443}}}]}\n" + deny, "20.1.2.3 yes, 20.1.2.3:80 no, a.com no"},
		"star_is_any_depth":          {head + "  - {action: Accept, to: [{domainNames: ['*.a.com']}]}\n" + deny, "x.a.com yes, y.x.a.com yes, a.com no, xa.com no"},
		"names_cannot_be_denied":     {head + "  - {action: Deny, to: [{domainNames: [a.com]}]}\n", "a.com perhaps, b.com perhaps"},
		"first_match":                {head + "  - {action: Deny, to: [{networks: [20.1.2.0/24]}]}\n  - {action: Accept, to: [{networks: [20.1.0.0/16]}]}\n" + deny, "20.1.2.3 no, 20.1.3.3 yes"},
		"pass_skips_the_tier":        {head + "  - {action: Pass, to: [{networks: [20.1.2.0/24]}]}\n  - {action: Accept, to: [{networks: [20.1.0.0/16]}]}\n" + deny, "20.1.2.3 perhaps, 20.1.3.3 yes, a.com no"},
		"nothing_decided":            {head + "  - {action: Accept, to: [{networks: [20.1.0.0/16]}]}\n", "20.1.2.3 yes, 20.2.2.3 perhaps"},
		"baseline_is_never_sure":     {head + deny + baseline + "  - {action: Accept, to: [{networks: [20.1.0.0/16]}]}\n", "20.1.2.3 no"},
		"baseline_denies_perhaps":    {strings.Replace(head, "Admin", "Baseline", 1) + deny, "20.1.2.3 perhaps"},
		"order_is_by_priority":       {strings.Replace(head, "5", "9", 1) + deny + "---\n" + head + "  - {action: Accept, to: [{networks: [20.1.0.0/16]}]}\n", "20.1.2.3 yes, a.com no"},
		"same_priority":              {head + deny + "---\n" + head + "  - {action: Accept, to: [{networks: [20.1.0.0/16]}]}\n", "20.1.2.3 perhaps"},
		"range_includes_its_ends":    {head + "  - {action: Accept, to: [{networks: [20.1.0.0/16]}], protocols: [{tcp: {destinationPort: {range: {start: 443, end: 445}}}}]}\n" + deny, "20.1.2.3 yes, 20.1.2.3:445 yes, 20.1.2.3:446 no"},
		"pods_are_unknown":           {head + "  - {action: Accept, to: [{namespaces: {}}]}\n" + deny, "20.1.2.3 perhaps"},
		"named_ports_are_unknown":    {head + "  - {action: Accept, to: [{networks: [20.1.0.0/16]}], protocols: [{destinationNamedPort: web}]}\n" + deny, "20.1.2.3 perhaps"},
		"a_peer_of_tomorrow":         {head + "  - {action: Accept, to: [{moons: {}}]}\n" + deny, "20.1.2.3 perhaps"},
		"some_pods":                  {strings.Replace(head, "namespaces: {}", "namespaces: {matchLabels: {a: b}}", 1) + deny, "20.1.2.3 perhaps"},
		"no_subject_is_refused":      {strings.Replace(head, "{namespaces: {}}", "{}", 1) + deny, "20.1.2.3 perhaps"},
		"26_rules_are_refused":       {head + strings.Repeat(deny, 26), "20.1.2.3 perhaps"},
		"priority_1001_is_refused":   {strings.Replace(head, "5", "1001", 1) + deny, "20.1.2.3 perhaps"},
		"one_label_alone_is_refused": {head + "  - {action: Accept, to: [{domainNames: ['*.com']}]}\n" + deny, "a.com perhaps"},
	} {
		rules, err := Read("x.yaml", []byte(row.text), Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		e := rules.Evaluate()
		for part := range strings.SplitSeq(row.want, ", ") {
			host, want, _ := strings.Cut(part, " ")
			f := flowset.Flow{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("198.51.100.7"), Class: flowset.TLS, Port: 443}
			if h, port, ok := strings.Cut(host, ":"); ok {
				f.Port = portOf(port)
				host = h
			}
			if a, err := netip.ParseAddr(host); err == nil {
				f.Dst = a
			} else {
				f.Name = dnsname.MustParse(host)
			}
			got := "no"
			if e.Maybe.Contains(f) {
				got = "perhaps"
			}
			if e.Sure.Contains(f) {
				got = "yes"
			}
			if got != want {
				t.Errorf("%s: %s: %s, want %s", name, f, got, want)
			}
		}
	}
}

func portOf(s string) uint16 {
	p, _ := portset.Parse(s)
	w, _ := p.Witness()
	return w
}
