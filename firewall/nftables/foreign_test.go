// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nftables

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/ruleset"
)

// in puts rules into a chain at the hook forward.
func in(policy, rules string) string {
	return "table inet f {\n chain w { tcp dport 443 accept; return; }\n set s { type ipv4_addr; flags interval; elements = { 20.0.0.1,\n 20.0.1.0/24 } }\n" +
		" set dyn { type ipv4_addr; flags dynamic,timeout; }\n set empty { type ipv4_addr; }\n" +
		" chain fw {\n  type filter hook forward priority 0; policy " + policy + ";\n  " + rules + "\n }\n}\n"
}

// foreign is rule sets as others write them, asked about flows "tcp 20.0.0.1 443",
// each after "+" for let through, "-" for not, "?" for who knows.
var foreign = []struct{ name, conf, flows string }{
	{"no_chain_filters_nothing", "table inet f { }\n", "+tcp 20.0.0.1 443"},
	{"policy_drop", in("drop", ""), "-tcp 20.0.0.1 443"},
	{"established_is_no_new_flow", in("drop", "ct state established,related accept"), "-tcp 20.0.0.1 443"},
	{"first_match_decides", in("drop", "ip daddr 20.0.0.1 drop\n tcp dport 443 accept"), "-tcp 20.0.0.1 443 +tcp 20.0.0.2 443 -tcp 20.0.0.2 80"},
	{"set_in_braces", in("drop", "ip daddr { 20.0.0.1, 20.0.0.8-20.0.0.11 } tcp dport { http, 443, 8000-8010 } counter packets 3 bytes 99 accept"),
		"+tcp 20.0.0.1 80 +tcp 20.0.0.11 8010 -tcp 20.0.0.12 443 -udp 20.0.0.1 443"},
	{"named_set", in("drop", "ip daddr @s accept"), "+tcp 20.0.0.1 1 +udp 20.0.1.9 1 -tcp 20.0.2.1 1"},
	{"not_in_set", in("drop", "ip daddr != @s accept"), "-tcp 20.0.0.1 1 +tcp 20.0.2.1 1 -tcp 2600::1 1"},
	{"dynamic_set_is_unknown", in("drop", "ip daddr @dyn accept"), "?tcp 20.0.0.1 443 -tcp 2600::1 443"},
	{"empty_set_is_unknown", in("drop", "ip daddr @empty accept"), "?tcp 20.0.0.1 443"},
	{"jump_comes_back", in("drop", "jump w\n udp dport 53 accept"), "+tcp 20.0.0.1 443 +udp 20.0.0.1 53"},
	{"goto_does_not", in("drop", "goto w\n udp dport 53 accept"), "+tcp 20.0.0.1 443 -udp 20.0.0.1 53"},
	{"return_ends_in_the_policy", in("accept", "ip daddr 20.0.0.1 return\n drop"), "+tcp 20.0.0.1 443 -tcp 20.0.0.2 443"},
	{"interface_is_unknown", in("drop", `iifname "eth0" oifname != "eth1" tcp dport 443 accept`), "?tcp 20.0.0.1 443 -tcp 20.0.0.1 80"},
	{"unknown_deny_is_no_pass", in("accept", "iifname eth0 drop"), "?tcp 20.0.0.1 443"},
	{"limit_is_unknown", in("drop", "tcp dport 443 limit rate 10/second burst 5 packets accept"), "?tcp 20.0.0.1 443 -udp 20.0.0.1 443"},
	{"log_and_comment_do_nothing", in("drop", `tcp dport 443 log prefix "drop: " level info counter accept comment "drop"`), "+tcp 20.0.0.1 443"},
	{"reject_denies", in("accept", "tcp dport 25 reject with tcp reset\n udp dport 25 reject"), "-tcp 20.0.0.1 25 -udp 20.0.0.1 25 +tcp 20.0.0.1 443"},
	{"verdict_map", in("drop", "ct state vmap { established : accept, invalid : drop }\n tcp dport vmap { 80 : accept, 443 : jump w, 22 : drop }"),
		"+tcp 20.0.0.1 80 +tcp 20.0.0.1 443 -tcp 20.0.0.1 22 -tcp 20.0.0.1 9"},
	{"joined_keys", in("drop", "ip daddr . tcp dport { 20.0.0.1 . 443, 20.0.1.0/24 . 80 } accept"), "+tcp 20.0.0.1 443 -tcp 20.0.0.1 80 +tcp 20.0.1.3 80"},
	{"protocols", in("drop", "meta l4proto udp accept\n ip protocol icmp accept\n meta l4proto { tcp, sctp } th dport 9 accept"),
		"+udp 20.0.0.1 1 +tcp 20.0.0.1 9 +icmp 20.0.0.1 0 -icmp 2600::1 0 -tcp 20.0.0.1 443"},
	{"table_ip_sees_no_ipv6", "table ip f { chain c { type filter hook forward priority 0; policy drop; } }", "-tcp 20.0.0.1 443 +tcp 2600::1 443"},
	{"two_chains_must_both_accept", in("drop", "tcp dport { 80, 443 } accept") + "table ip g { chain c { type filter hook forward priority 5; tcp dport 80 drop; } }",
		"+tcp 20.0.0.1 443 -tcp 20.0.0.1 80 +tcp 2600::1 80"},
	{"raw_table_drops_too", in("accept", "") + "table inet r { chain c { type filter hook prerouting priority raw; ip daddr 20.0.0.1 drop; } }", "-tcp 20.0.0.1 443 +tcp 20.0.0.2 443"},
	{"input_is_not_on_the_way", in("accept", "") + "table inet r { chain c { type filter hook input priority 0; policy drop; } }", "+tcp 20.0.0.1 443"},
	{"dnat_hides_where_it_goes", in("drop", "ip daddr 20.0.0.1 accept") + "table ip n { chain c { type nat hook prerouting priority dstnat; tcp dport 80 dnat to 20.0.0.1; } }",
		"+tcp 20.0.0.1 443 ?tcp 20.0.0.2 80 ?tcp 20.0.0.1 80 -tcp 20.0.0.2 443"},
	{"redirect_after_a_mark", in("drop", "ip daddr 20.0.0.1 accept") + "table ip n { chain c { type nat hook prerouting priority dstnat; meta mark set 1 tcp dport 80 redirect to :8080; } }",
		"?tcp 20.0.0.2 80 ?tcp 20.0.0.1 80"},
	{"mark_alone_changes_nothing", in("drop", "meta mark set 1 tcp dport 80 accept\n meta mark set 0x2 accept"), "+tcp 20.0.0.2 443"},
	{"ports_of_more_than_tcp", in("drop", "th dport 53 accept"), "+tcp 20.0.0.1 53 +udp 20.0.0.1 53 ?sctp 20.0.0.1 53 -tcp 20.0.0.1 80"},
	{"masquerade_does_not", in("drop", "ip daddr 20.0.0.1 accept") + "table ip n { chain c { type nat hook postrouting priority srcnat; oifname eth0 masquerade; } }", "+tcp 20.0.0.1 443 -tcp 20.0.0.2 443"},
	{"variables", "define nets = { 20.0.0.1, 20.0.1.0/24 }\ndefine web = 443\n" + in("drop", "ip daddr $nets tcp dport { $web, 80 } accept"), "+tcp 20.0.1.1 443 +tcp 20.0.0.1 80 -tcp 20.0.2.1 443"},
	{"undefined_variable", in("drop", "ip daddr $nets accept"), "?tcp 20.0.0.1 443 -tcp 2600::1 443"},
	{"include_may_change_all", "include \"/etc/nftables.d/*.nft\"\n" + in("drop", "ip daddr 20.0.0.1 accept"), "?tcp 20.0.0.1 443 ?tcp 20.0.0.2 443"},
	{"host_name_is_resolved_once", in("drop", "ip daddr mcr.microsoft.com accept"), "?tcp 20.0.0.1 443 -tcp 2600::1 443"},
	{"source_port_is_unknown", in("drop", "tcp sport 1024-65535 tcp dport 443 accept\n udp sport 0-65535 udp dport 53 accept"), "?tcp 20.0.0.1 443 +udp 20.0.0.1 53"},
	{"not_understood_may_be_anything", in("drop", "frobnicate 3\n tcp dport 443 accept"), "?tcp 20.0.0.1 443 ?tcp 20.0.0.1 80"},
	{"queue_may_be_anything", in("drop", "tcp dport 80 queue num 3\n tcp dport { 80, 443 } accept"), "+tcp 20.0.0.1 443 ?tcp 20.0.0.1 80"},
	{"masks_are_unknown", in("drop", "ip daddr & 255.255.255.0 == 20.0.0.0 accept"), "?tcp 20.0.0.1 443"},
	{"missing_chain", in("drop", "jump nonesuch"), "?tcp 20.0.0.1 443"},
	{"loop", "table inet f { chain a { jump a; } chain c { type filter hook forward priority 0; jump a; } }", "?tcp 20.0.0.1 443"},
	{"one_command_each", "flush ruleset\nadd table inet f\nadd chain inet f c { type filter hook forward priority 0; policy drop; }\nadd set inet f s { type ipv4_addr; }\n" +
		"add element inet f s { 20.0.0.1, 20.0.0.2 }\nadd rule inet f c ip daddr @s tcp dport 443 accept\ninsert rule inet f c ip daddr 20.0.0.2 drop\n",
		"+tcp 20.0.0.1 443 -tcp 20.0.0.2 443 -tcp 20.0.0.3 443"},
	{"flush_forgets", in("drop", "") + "flush ruleset\n", "+tcp 20.0.0.1 443"},
	{"delete_rule_is_not_followed", in("drop", "tcp dport 443 accept") + "delete rule inet f fw handle 3\n", "?tcp 20.0.0.1 443"},
	{"half_a_test", "table {chain {ip 0", ""},
	{"half_a_file", "table inet f { chain c { type filter hook forward priority 0; policy drop; ip daddr { 20.0.0.1", "?tcp 20.0.0.1 443"},
	{"output_alone_is_the_hosts_own", "table inet f { chain o { type filter hook output priority 0; policy drop; tcp dport 443 accept; } }", "+tcp 20.0.0.1 443 -tcp 20.0.0.1 80"},
}

func TestForeignRuleSetsMeanWhatTheKernelMakesOfThem(t *testing.T) {
	for _, row := range foreign {
		rules, err := Read("x.nft", []byte(row.conf))
		if err != nil {
			t.Fatal(row.name, err)
		}
		e := rules.Evaluate()
		words := strings.Fields(row.flows)
		for i := 0; i+2 < len(words); i += 3 {
			f := flowOf(words[i][1:], words[i+1], words[i+2])
			want := words[i][:1]
			got := "-"
			if e.Sure.Contains(f) {
				got = "+"
			} else if e.Maybe.Contains(f) {
				got = "?"
			}
			if got != want {
				t.Errorf("%s: %s: %s, want %s\n%s", row.name, f, got, want, row.conf)
			}
			if want == "?" && !pointsAt(rules) {
				t.Errorf("%s: nothing says what is unknown, and in which line", row.name)
			}
		}
	}
}

func pointsAt(rules *ruleset.RuleSet) bool {
	for _, r := range rules.Rules {
		for _, u := range r.Unknown {
			if u.Pos.File != "" && u.Pos.Line > 0 && u.Why != "" {
				return true
			}
		}
	}
	return false
}

func flowOf(proto, dst, port string) flowset.Flow {
	f := flowset.Flow{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr(dst)}
	if f.Dst.Is6() {
		f.Src = netip.MustParseAddr("fd00::1")
	}
	f.Class = map[string]flowset.Class{"tcp": flowset.OtherTCP, "udp": flowset.UDP, "icmp": flowset.ICMP, "sctp": flowset.OtherIP}[proto]
	for _, c := range port {
		f.Port = f.Port*10 + uint16(c-'0')
	}
	return f
}

func TestAFileThatIsTooLongIsRefused(t *testing.T) {
	if _, err := Read("x", make([]byte, MaxSize+1)); err == nil {
		t.Error("was read")
	}
}

func TestJumpsThatMultiplyAreRefused(t *testing.T) {
	var b strings.Builder
	b.WriteString("table inet f {\n")
	for c := 'a'; c < 'o'; c++ {
		b.WriteString("chain " + string(c) + " {\n" + strings.Repeat("jump "+string(c+1)+"\n", 10) + "}\n")
	}
	b.WriteString("chain o { accept; }\nchain z { type filter hook forward priority 0; jump a; }\n}\n")
	if _, err := Read("x", []byte(b.String())); err == nil {
		t.Error("ten to the fourteenth rules were read")
	}
}
