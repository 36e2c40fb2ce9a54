// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/kernelpath"
	"github.com/sallyport/sallyport/nametable"
	"github.com/sallyport/sallyport/program"
)

func TestMissingKernelFeaturesAreAllNamedWithTheirOptions(t *testing.T) {
	g := &Gateway{log: slog.New(slog.DiscardHandler)}
	err := g.report([]kernelpath.Feature{
		{Name: "nftables in the inet family", Config: "NF_TABLES_INET"},
		{Name: "NFQUEUE target", Config: "NETFILTER_XT_TARGET_NFQUEUE", Err: unix.ENOENT},
		{Name: "transparent proxy", Config: "NFT_TPROXY", Err: unix.EOPNOTSUPP},
	})
	const want = "the kernel lacks NFQUEUE target (NETFILTER_XT_TARGET_NFQUEUE): no such file or directory\n" +
		"the kernel lacks transparent proxy (NFT_TPROXY): operation not supported"
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
	if err := g.report([]kernelpath.Feature{{Name: "x"}}); err != nil {
		t.Errorf("nothing is missing, but: %v", err)
	}
}

func TestTheStateDirectoryBelongsToOneGateway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	first, err := openState(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = openState(dir)
	if err == nil || !strings.Contains(err.Error(), "runs already, as process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("the second got %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := openState(dir)
	if err != nil {
		t.Fatalf("after the first has gone: %v", err)
	}
	_ = second.Close()
}

// A client's hello may be judged at any moment of an exchange, and the API server's
// name has to lead to its address then: nodes that cannot reach it do not start.
func TestAChangeOfTheRulesKeepsTheAPIServersBindings(t *testing.T) {
	addr := netip.MustParseAddr
	rules := func(name string, addrs ...netip.Addr) *inForce {
		return &inForce{Loaded: Loaded{Program: &program.Program{Cluster: program.Cluster{APIName: dnsname.MustParse(name)}}, APIServer: addrs}}
	}
	old := rules("api.example", addr("20.0.0.1"), addr("20.0.0.2"))
	for about, tt := range map[string]struct {
		next *inForce
		name string
		addr netip.Addr
		kept bool
	}{
		"nothing changes":              {old, "api.example", addr("20.0.0.1"), true},
		"another address comes":        {rules("api.example", addr("20.0.0.1"), addr("20.0.0.3")), "api.example", addr("20.0.0.1"), true},
		"the address goes":             {rules("api.example", addr("20.0.0.1")), "api.example", addr("20.0.0.2"), false},
		"the name goes":                {rules("new.example", addr("20.0.0.1")), "api.example", addr("20.0.0.1"), false},
		"an address of the resolver's": {rules("new.example"), "api.example", addr("20.0.0.9"), true},
		"another name at the address":  {rules("new.example"), "a.example", addr("20.0.0.1"), true},
	} {
		if got := tt.next.keeps(nametable.Binding{Name: dnsname.MustParse(tt.name), Addr: tt.addr}, old); got != tt.kept {
			t.Errorf("%s: kept %t", about, got)
		}
	}
}

func TestDamagedHostStateIsNotTakenForNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "host.json")
	if err := os.WriteFile(file, []byte("{\"sysctls\": ["), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := kernelpath.Saved(file); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("got %v", err)
	}
}
