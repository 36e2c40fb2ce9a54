// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package panos

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flowset"
)

const web = `set service web protocol tcp port 80,443
set profiles custom-url-category ok type "URL List"
set profiles custom-url-category ok list [ *.a.com/ b.org/ ^.c.net/ www.*.d.com/ ]
`

// one is one rule that allows.
func one(settings string) string {
	return web + "set rulebase security rules r from any to any source any destination any application any service any action allow\n" +
		"set rulebase security rules r " + settings + "\n"
}

// named is a rule about a category alone.
func named(list string) string {
	return "set profiles custom-url-category c type \"URL List\"\nset profiles custom-url-category c list " + list + "\n" +
		"set rulebase security rules r from any to any source any destination any application ssl service any category c action allow\n"
}

// foreign is configurations as others write them, asked about TLS to names and
// TCP to addresses: "+" let through, "-" not, "?" who knows.
var foreign = []struct{ name, conf, flows string }{
	{"nothing", "", "-a.com:443"},
	{"any", one("log-end yes"), "+20.0.0.1:1 +a.com:443"},
	{"first_match_decides", "set rulebase security rules a source any destination 20.0.0.0/24 application any service any action deny\n" + one("tag x"), "-20.0.0.1:443 +20.0.1.1:443"},
	{"asterisk_is_one_label_or_more", named("[ *.a.com/ ]"), "+x.a.com:443 +y.x.a.com:443 -a.com:443 -xa.com:443 -x.a.com.evil.com:443"},
	{"caret_is_exactly_one", named("^.c.net/"), "+x.c.net:443 -y.x.c.net:443 -c.net:443"},
	{"asterisk_in_the_middle", named("www.*.d.com/"), "+www.x.d.com:443 +www.y.x.d.com:443 -www.d.com:443"},
	{"no_final_slash_may_go_on", named("b.org"), "?b.org:443 ?b.org.evil.com:443 -x.b.org:443"},
	{"path_is_not_seen_in_tls", named("b.org/path"), "?b.org:443 -c.net:443"},
	{"wildcard_beside_letters", named("*x.b.org/"), "?b.org:443"},
	{"ten_carets", named(strings.Repeat("^.", 10) + "com/"), "?b.org:443"},
	{"unknown_category", one("category gambling"), "?a.com:443 -20.0.0.1:443"},
	{"service_bounds_the_port", strings.ReplaceAll(one("description x"), "service any", "service web"), "+20.0.0.1:443 -20.0.0.1:8443"},
	{"services_elsewhere_are_unknown", strings.ReplaceAll(one("tag x"), "service any", "service application-default"), "?20.0.0.1:443"},
	{"zones_are_unknown", one("from trust"), "?20.0.0.1:443"},
	{"users_are_unknown", one("source-user [ corp\\ann ]"), "?20.0.0.1:443"},
	{"profiles_are_unknown", one("profile-setting group default"), "?20.0.0.1:443"},
	{"schedule_is_unknown", one("schedule night"), "?20.0.0.1:443"},
	{"unknown_deny_is_no_pass", "set rulebase security rules a from dmz source any destination any application any service any action deny\n" + one("tag x"), "?20.0.0.1:443"},
	{"disabled", one("disabled yes"), "-20.0.0.1:443"},
	{"group_and_negation", "set address h1 ip-netmask 20.0.0.1\nset address-group g static [ h1 20.0.1.0/24 ]\n" +
		"set rulebase security rules r source any destination g negate-destination yes application any service any action allow\n", "-20.0.0.1:1 -20.0.1.7:1 +20.0.2.1:1"},
	{"group_in_itself", "set address-group g static [ g ]\n" + "set rulebase security rules r source any destination g application any service any action allow\n", "?20.0.0.1:1"},
	{"fqdn_objects_are_unknown", "set address h fqdn b.org\nset rulebase security rules r source any destination h application any service any action allow\n", "?20.0.0.1:1"},
	{"all_of_ipv6_holds_ipv4", "set rulebase security rules r source any destination ::/0 application any service any action allow\n", "+20.0.0.1:1 +2600::1:1"},
	{"all_of_ipv4_holds_no_ipv6", "set rulebase security rules r source any destination 0.0.0.0/0 application any service any action allow\n", "+20.0.0.1:1 -2600::1:1"},
	{"half_a_rule", "set rulebase security rules r action allow\n", "?20.0.0.1:1"},
	{"panorama", "set device-group dg pre-rulebase security rules r source any destination 20.0.0.1 application any service any action allow\n" +
		"set device-group dg post-rulebase security rules z source any destination any application any service any action deny\n", "+20.0.0.1:1 -20.0.0.2:1"},
	{"rest_allowed", "set rulebase default-security-rules rules interzone-default action allow\n", "+20.0.0.1:1"},
	{"move_is_not_followed", one("tag x") + "move rulebase security rules r bottom\n", "?20.0.0.1:1"},
	{"override_is_not_followed", named("b.org/") + "set rulebase application-override rules o application ssl\n", "?b.org:443 ?c.net:443"},
	{"open_bracket", one("source [ 10.0.0.0/8"), "?20.0.0.1:1"},
	{"other_settings_say_nothing", "set deviceconfig system hostname fw\nset network interface ethernet ethernet1/1\n" + one("log-setting x"), "+20.0.0.1:1"},
}

func TestForeignConfigurationsMeanWhatTheFirewallMakesOfThem(t *testing.T) {
	for _, row := range foreign {
		rules, err := Read("x", []byte(row.conf))
		if err != nil {
			t.Fatal(row.name, err)
		}
		e := rules.Evaluate()
		for _, w := range strings.Fields(row.flows) {
			f := flowOf(w[1:])
			got := "-"
			if e.Sure.Contains(f) {
				got = "+"
			} else if e.Maybe.Contains(f) {
				got = "?"
			}
			if got != w[:1] {
				t.Errorf("%s: %s: %s, want %s\n%s", row.name, f, got, w[:1], row.conf)
			}
			unknown := 0
			for _, r := range rules.Rules {
				for _, u := range r.Unknown {
					if u.Pos.Line > 0 && u.Why != "" {
						unknown++
					}
				}
			}
			if w[:1] == "?" && unknown == 0 {
				t.Errorf("%s: nothing says what is unknown, and in which line", row.name)
			}
		}
	}
}

// flowOf reads "b.org:443" as TLS and "20.0.0.1:80" as other TCP.
func flowOf(s string) flowset.Flow {
	i := strings.LastIndexByte(s, ':')
	port, _ := strconv.ParseUint(s[i+1:], 10, 16)
	f := flowset.Flow{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("20.1.2.3"), Class: flowset.TLS, Port: uint16(port)}
	if a, err := netip.ParseAddr(s[:i]); err == nil {
		f.Dst, f.Class = a, flowset.OtherTCP
		return f
	}
	f.Name = dnsname.MustParse(s[:i])
	return f
}

func TestAFileThatIsTooLongIsRefused(t *testing.T) {
	if _, err := Read("x", make([]byte, MaxSize+1)); err == nil {
		t.Error("was read")
	}
}
