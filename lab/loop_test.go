// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/lab/client"
)

// B34: the proxy dials what a Host leads to. When its owner makes it lead to the
// gateway, the proxy would dial itself, again and again.
func TestTheProxyDoesNotDialTheGateway(t *testing.T) {
	opt := runOptions(t, "../examples/azure-usgov.yaml")
	l, err := lab.New(t.Context(), lab.Options{Cluster: opt.Cluster, Program: opt.Program})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	var site lab.Reach
	var apex string
	for _, r := range l.Plan.Reaches {
		if a, wild := r.Pair.Rule.Pattern.Apex(); wild && r.Pair.Rule.Protocol == flow.ProtoHTTP && r.Port == 80 {
			site, apex = r, a.String()
		}
	}
	if apex == "" {
		t.Fatal("the example has no wildcard over HTTP: name another")
	}
	fw := l.Firewall(append(opt.Gateway, "--cluster", opt.ClusterFile)...)
	if err := fw.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	bound, err := l.Ask(t.Context(), client.Question{Name: site.Name, Source: site.Source})
	if err != nil || len(bound.Addrs) == 0 {
		t.Fatalf("got %+v, %v", bound, err)
	}
	for where, at := range map[string]netip.Addr{"inside": l.Plan.Gateway, "outside": l.Plan.Outside[0]} {
		t.Run(where, func(t *testing.T) {
			began, name := time.Now(), where+client.NewNonce()+"."+apex
			if err := l.Internet.SetRecords(t.Context(), map[string][]string{name: {"A " + at.String()}}); err != nil {
				t.Fatal(err)
			}
			_, got := l.Reach(t.Context(), client.Target{Kind: client.HTTP, Name: name, Addr: bound.Addrs[0], Port: 80, Source: site.Source})
			if got.OK {
				t.Errorf("got %+v", got)
			}
			r, err := fw.Denied(t.Context(), began, flow.SpecialAddress)
			if err != nil || r.Name != name || r.Path != "proxy" {
				t.Errorf("record %+v, %v", r, err)
			}
			all, err := fw.Decisions(began)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, r := range all {
				if strings.Contains(r.Name, name) {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%d records of one request: it went round", n)
			}
		})
	}
}
