// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/cluster"
	"github.com/sallyport/sallyport/compile"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
)

// standInArg makes this test binary a gateway in which something is not as it
// would be: it lacks a rule, or its clock is another one.
const standInArg = "gateway-stand-in"

// standIn is that gateway.
func standIn(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	opt := gateway.Options{Masquerade: true, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	f := flag.NewFlagSet(standInArg, flag.ContinueOnError)
	file := f.String("cluster", "", "")
	records := f.String("records", "", "")
	without := f.String("without", "", "rule to leave out")
	clock := f.String("clock", "", "file with how far the clock is ahead")
	f.StringVar(&opt.Inside, "inside", "", "")
	f.StringVar(&opt.Outside, "outside", "", "")
	f.StringVar(&opt.StateDir, "state", "", "")
	if err := f.Parse(args); err != nil {
		return err
	}
	c, err := cluster.Load(*file)
	if err != nil {
		return err
	}
	p, err := compile.Compile(c, catalog.Default(), nil)
	if err != nil {
		return err
	}
	out, err := os.Create(*records)
	if err != nil {
		return err
	}
	defer out.Close()
	if *clock != "" {
		opt.Now = func() time.Time {
			text, _ := os.ReadFile(*clock)
			ahead, _ := time.ParseDuration(strings.TrimSpace(string(text)))
			return time.Now().Add(ahead)
		}
	}
	opt.Program, opt.APIServer, opt.Records = p.Without(flow.RuleID(*without)), c.APIServer.Addresses, out
	return gateway.Run(ctx, opt, func() { _ = os.WriteFile(filepath.Join(opt.StateDir, "ready"), nil, 0o600) })
}

// withClock makes a lab with a gateway whose clock is ahead by what a file says.
func withClock(t *testing.T, text string) (s *site, clock string) {
	t.Helper()
	s = newSite(t, text, nil)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	clock = filepath.Join(s.Dir, "clock")
	write(t, clock, []byte("0s"))
	s.gateway = s.Firewall(self, standInArg, "--cluster", s.file, "--clock", clock)
	s.start()
	return s, clock
}

// TestAnAllowRuleEndsAtMidnightWhileTheGatewayRuns lets the end of a day pass: a
// rule by name and one by address are withdrawn live, the rest goes on.
func TestAnAllowRuleEndsAtMidnightWhileTheGatewayRuns(t *testing.T) {
	today := time.Now().UTC()
	text := example(t, "seed.yaml") +
		"- {id: by-name, name: reports.example.net, ports: https, reason: test, until: " + today.Format(time.DateOnly) + "}\n" +
		"- {id: by-address, cidr: 20.62.0.1/32, ports: tcp/9000, reason: test, until: " + today.Format(time.DateOnly) + "}\n"
	s, clock := withClock(t, text)
	a, err := s.Ask(t.Context(), client.Question{Name: "reports.example.net"})
	if err != nil || len(a.Addrs) == 0 {
		t.Fatalf("%+v, %v", a, err)
	}
	byName := client.Target{Kind: client.HTTPS, Name: "reports.example.net", Addr: a.Addrs[0], Port: 443, Timeout: 2 * time.Second}
	byAddress := client.Target{Kind: client.TCP, Addr: s.program.Rules[len(s.program.Rules)-1].Prefixes.Prefixes()[0].Addr(), Port: 9000, Timeout: 2 * time.Second}
	for _, target := range []client.Target{byName, byAddress} {
		if _, got := s.Reach(t.Context(), target); !got.OK {
			t.Fatalf("before the end of the day: %+v", got)
		}
	}
	midnight := time.Date(today.Year(), today.Month(), today.Day()+1, 0, 0, 0, 0, time.UTC)
	write(t, clock, []byte((time.Until(midnight) + time.Second).String()))

	if _, got := s.Reach(t.Context(), byName); got.OK || !got.Refused {
		t.Errorf("by name after the end of the day: %+v", got)
	}
	s.awaitRecord("rule-expired", func(r lab.Record) bool { return r.Reason == "rule-expired" && r.Rule == "by-name" })
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if _, got := s.Reach(t.Context(), byAddress); !got.OK && got.Refused {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the rule by address was not withdrawn")
		}
	}
	s.awaitRecord("rule-expired by address", func(r lab.Record) bool { return r.Reason == "rule-expired" && r.Rule == "by-address" })
	if log := mustRead(t, s.gateway.Log); !strings.Contains(log, "rules have expired and are withdrawn") {
		t.Errorf("no warning in the log:\n%s", log)
	}
	if _, got := s.Reach(t.Context(), client.Target{Kind: client.HTTPS, Name: "mcr.microsoft.com", Port: 443}); !got.OK {
		t.Errorf("another rule suffers: %+v", got)
	}
}
