// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
	"github.com/sallyport/sallyport/lab/internet"
)

// TestTheGatewayIsKilledDuringADownload is the promise of the kernel path: a
// proved flow does not notice, a new one by name gets nowhere, and after a
// restart everything goes on without a new question to the resolver.
func TestTheGatewayIsKilledDuringADownload(t *testing.T) {
	need(t, "nft")
	s := withGateway(t, example(t, "seed.yaml"))
	// Names bound before the kill, for clients that ask nobody afterwards.
	bound := make(map[string]client.Answer)
	for _, name := range []string{"mcr.microsoft.com", "packages.microsoft.com", "security.ubuntu.com", "ntp.ubuntu.com"} {
		a, err := s.Ask(t.Context(), client.Question{Name: name})
		if err != nil || len(a.Addrs) == 0 {
			t.Fatalf("ask for %s: %+v, %v", name, a, err)
		}
		bound[name] = a
	}
	before := s.ruleset()

	const n = 4 << 20
	type download struct{ got client.Result }
	done := make(chan download, 1)
	begun := time.Now()
	go func() {
		_, got := s.Reach(t.Context(), client.Target{
			Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443, Path: fmt.Sprintf("/slow/%d", n), Timeout: 30 * time.Second})
		done <- download{got}
	}()
	s.awaitRecord("the download", func(r lab.Record) bool { return r.Name == "mcr.microsoft.com" && r.Verdict == "allow" })
	time.Sleep(200 * time.Millisecond)
	if err := s.gateway.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}

	t.Run("no_payload_of_a_new_flow_by_name_reaches_any_server", func(t *testing.T) {
		for _, row := range []struct {
			kind, name string
			port       uint16
		}{
			{client.HTTPS, "packages.microsoft.com", 443}, {client.HTTP, "security.ubuntu.com", 80}, {client.NTP, "ntp.ubuntu.com", 123},
		} {
			target, got := s.Reach(t.Context(), client.Target{Kind: row.kind, Name: row.name, Addr: bound[row.name].Addrs[0], Port: row.port, Timeout: time.Second})
			if got.OK {
				t.Errorf("%s %s passed without a gateway", row.kind, row.name)
			}
			if at, ok := s.Internet.Arrived(t.Context(), []byte(target.Nonce), 0); ok {
				t.Errorf("payload arrived at %s", at)
			}
		}
	})
	t.Run("a_new_flow_by_address_passes", func(t *testing.T) {
		_, got := s.Reach(t.Context(), client.Target{Kind: client.TCP, Addr: s.cluster.APIServer.Addresses[0], Port: 9000})
		if !got.OK {
			t.Errorf("%+v", got)
		}
	})
	t.Run("what_no_rule_knows_is_still_refused", func(t *testing.T) {
		_, got := s.Reach(t.Context(), client.Target{Kind: client.TCP, Addr: s.Plan.Attacker, Port: 9000, Timeout: time.Second})
		if got.OK || !got.Refused {
			t.Errorf("%+v", got)
		}
	})
	t.Run("after_a_restart_flows_pass_within_3_s_and_nobody_asks_the_resolver_again", func(t *testing.T) {
		restarted := time.Now()
		s.start()
		for _, row := range []struct {
			kind, name string
			port       uint16
		}{
			{client.HTTPS, "packages.microsoft.com", 443}, {client.HTTP, "security.ubuntu.com", 80}, {client.NTP, "ntp.ubuntu.com", 123},
		} {
			if _, got := s.Reach(t.Context(), client.Target{Kind: row.kind, Name: row.name, Addr: bound[row.name].Addrs[0], Port: row.port}); !got.OK {
				t.Errorf("%s %s: %+v", row.kind, row.name, got)
			}
		}
		if took := time.Since(restarted); took > 3*time.Second {
			t.Errorf("it took %s", took)
		}
		if after := s.ruleset(); after != before {
			t.Errorf("the table is another one; before:\n%s\nafter:\n%s", before, after)
		}
	})
	d := <-done
	if !d.got.OK || d.got.SHA256 != internet.Hash(n) {
		t.Errorf("the download: %+v, want hash %s", d.got, internet.Hash(n))
	}
	if d.got.Took < time.Since(begun)/10 {
		t.Errorf("the download was over in %s, before the gateway was killed", d.got.Took)
	}
}

// ruleset returns our table as nft lists it, without what is learned and
// counted.
func (s *site) ruleset() string {
	s.t.Helper()
	r, err := s.Gateway.Run(s.t.Context(), lab.Cmd{Argv: []string{"nft", "-j", "list", "table", "inet", "sallyport"}})
	if err != nil || r.Code != 0 {
		s.t.Fatalf("nft: %v %s", err, r.Stderr)
	}
	var list struct {
		NFTables []map[string]map[string]any `json:"nftables"`
	}
	if err := json.Unmarshal(r.Stdout, &list); err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, item := range list.NFTables {
		for kind, object := range item {
			delete(object, "handle")
			name, _ := object["name"].(string)
			switch {
			case kind == "metainfo", kind == "counter":
				continue
			case kind == "set" && slices.ContainsFunc([]string{"tls", "raw", "proxied", "asking", "connected", "opened"}, func(p string) bool { return strings.HasPrefix(name, p) }):
				delete(object, "elem")
			}
			line, _ := json.Marshal(object)
			out = append(out, kind+" "+string(line))
		}
	}
	return strings.Join(out, "\n")
}

// TestTheGatewayEndsAndTheRulesStay ends it in the ordinary way.
func TestTheGatewayEndsAndTheRulesStay(t *testing.T) {
	s := withGateway(t, example(t, "seed.yaml"))
	a, err := s.Ask(t.Context(), client.Question{Name: "mcr.microsoft.com"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.gateway.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	target, got := s.Reach(t.Context(), client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Addr: a.Addrs[0], Port: 443, Timeout: time.Second})
	if got.OK {
		t.Error("a new flow by name passed without a gateway")
	}
	if at, ok := s.Internet.Arrived(t.Context(), []byte(target.Nonce), 0); ok {
		t.Errorf("payload arrived at %s", at)
	}
}

// TestCloseRecordsCarryBytes downloads something and reads the record of its
// end.
func TestCloseRecordsCarryBytes(t *testing.T) {
	s := withGateway(t, example(t, "seed.yaml"))
	const n = 1 << 20
	if _, got := s.Reach(t.Context(), client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443, Path: fmt.Sprintf("/bytes/%d", n)}); !got.OK {
		t.Fatalf("%+v", got)
	}
	open := s.awaitRecord("the decision", func(r lab.Record) bool { return r.Name == "mcr.microsoft.com" && r.Verdict == "allow" })
	// conntrack keeps an ended connection for a while; make it forget.
	time.Sleep(3 * time.Second)
	if r, err := s.Gateway.Run(t.Context(), lab.Cmd{Argv: []string{"conntrack", "-D", "-p", "tcp", "--dport", "443"}}); err != nil || r.Code != 0 {
		need(t, "conntrack")
		t.Fatalf("conntrack: %v %s", err, r.Stderr)
	}
	end := s.awaitRecord("the close", func(r lab.Record) bool { return r.Schema == "sallyport.close/1" && r.Flow == open.Flow })
	if end.Seconds >= 2 {
		t.Errorf("the record says that it took %v s, with the time for which nothing moved any more", end.Seconds)
	}
	if end.Counted && end.BytesIn < n {
		t.Errorf("%d bytes came in, want at least %d", end.BytesIn, n)
	}
	if accounting, _ := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_acct"); bytes.Equal(bytes.TrimSpace(accounting), []byte("1")) && !end.Counted {
		t.Error("the kernel counts, but the record says that it does not")
	}
	if _, err := os.Stat(filepath.Join(s.gateway.State, "bindings")); err != nil {
		t.Errorf("bindings are not kept: %v", err)
	}
}

// TestAGatewayWithManyBindingsStartsAgain fills the file of bindings as a busy
// week would.
func TestAGatewayWithManyBindingsStartsAgain(t *testing.T) {
	s := newSite(t, example(t, "seed.yaml"), nil)
	var lines bytes.Buffer
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for i := range 20_000 {
		fmt.Fprintf(&lines, `{"name":"n%d.data.mcr.microsoft.com","addr":"20.%d.%d.%d","until":%q}`+"\n", i, 100+i>>16, i>>8&255, i&255, until)
	}
	write(t, filepath.Join(s.gateway.State, "bindings"), lines.Bytes())
	begun := time.Now()
	s.start()
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
	if _, got := s.Reach(t.Context(), client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443}); !got.OK {
		t.Errorf("%+v", got)
	}
}
