// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
)

const metricsAt = "127.0.0.1:9180"

// withMetrics makes a gateway that serves its numbers.
func withMetrics(t *testing.T) *site {
	t.Helper()
	s := newSite(t, example(t, "seed.yaml"), nil)
	s.gateway = s.Firewall(binary, "gateway", "--cluster", s.file, "--metrics", metricsAt)
	s.start()
	return s
}

// get asks the gateway's host for a page.
func (s *site) get(path string) (code, body string) {
	s.t.Helper()
	r, err := s.Gateway.Run(s.t.Context(), lab.Cmd{Argv: []string{"curl", "-sS", "--max-time", "5", "-w", "\n%{http_code}", "http://" + metricsAt + path}})
	if err != nil || r.Code != 0 {
		s.t.Fatalf("curl %s: %v %s", path, err, r.Stderr)
	}
	out := strings.TrimSpace(string(r.Stdout))
	i := strings.LastIndexByte(out, '\n')
	return out[i+1:], out[:max(i, 0)]
}

// TestTheGatewayTellsItsNumbers makes flows pass and fail, and finds them.
func TestTheGatewayTellsItsNumbers(t *testing.T) {
	need(t, "curl")
	s := withMetrics(t)
	s.reach("an allowed name", client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443}, true)
	s.reach("the attacker", client.Target{Kind: client.TCP, Addr: s.Plan.Attacker, Port: 9000}, false)
	s.reach("HTTP", client.Target{Kind: client.HTTP, Name: "security.ubuntu.com", Port: 80}, true)
	s.awaitRecord("the denial", func(r lab.Record) bool { return r.Reason == "unbound-address" })
	code, body := s.get("/metrics")
	if code != "200" {
		t.Fatalf("%s %s", code, body)
	}
	for _, want := range []string{
		`sallyport_decisions_total\{path="hello",reason="rule-matched",rule="base-mcr[^"]*",verdict="allow"\} [1-9]`,
		`sallyport_decisions_total\{path="kernel",reason="unbound-address",rule="",verdict="deny"\} [1-9]`,
		`sallyport_decisions_total\{path="proxy",reason="rule-matched",[^}]*\} [1-9]`,
		`sallyport_bindings [1-9]`, `sallyport_open_flows [0-9]`, `sallyport_held_flows [0-9]`, `sallyport_queue_packets [0-9]`,
		`sallyport_hold_seconds_bucket\{le="0.1"\} [1-9]`, `sallyport_conntrack_entries [1-9]`, `sallyport_conntrack_entries_limit [1-9]`,
		`sallyport_table_packets_total\{counter="denied"\} [1-9]`, `sallyport_last_reload_successful 1`, `sallyport_generation 0`,
		`sallyport_rules\{edition="2020-05-26"\} [1-9]`, `sallyport_scrape_errors 0`, `sallyport_audit 0`, `sallyport_records_dropped_total 0`,
		`process_resident_memory_bytes [1-9]`, `sallyport_queue_dropped_total 0`,
	} {
		if !regexp.MustCompile(want).MatchString(body) {
			t.Errorf("%s is not in\n%s", want, body)
		}
	}
	documented, err := os.ReadFile("../../docs/gateway.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^# HELP (sallyport_\w+)`).FindAllStringSubmatch(body, -1) {
		if !strings.Contains(string(documented), "`"+m[1]+"`") {
			t.Errorf("docs/gateway.md does not say what %s is", m[1])
		}
	}
	if code, body := s.get("/healthz"); code != "200" || strings.TrimSpace(body) != "ok" {
		t.Errorf("healthy: %s %s", code, body)
	}

	// A file that is none shows, and a table that somebody has deleted comes back.
	s.write("nonsense: [")
	s.awaitLog("new rules refused", 1)
	if _, body := s.get("/metrics"); !strings.Contains(body, "sallyport_last_reload_successful 0") || !strings.Contains(body, `sallyport_reloads_total{result="refused"} 1`) {
		t.Errorf("a refused file does not show:\n%s", body)
	}
	if r, err := s.Gateway.Run(t.Context(), lab.Cmd{Argv: []string{"nft", "delete", "table", "inet", "sallyport"}}); err != nil || r.Code != 0 {
		t.Fatalf("%v %s", err, r.Stderr)
	}
	// Until it is loaded again the host forwards everything: that is within a second.
	s.awaitLog("the table was gone from the kernel, and is loaded again", 1)
	if code, body := s.get("/healthz"); code != "200" {
		t.Errorf("with its table back: %s %s", code, body)
	}
	s.reach("the attacker, with the table back", client.Target{Kind: client.TCP, Addr: s.Plan.Attacker, Port: 9000}, false)
	s.reach("an allowed name, with the table back", client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443}, true)
}
