// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/kernelpath"
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

func TestDamagedHostStateIsNotTakenForNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "host.json")
	if err := os.WriteFile(file, []byte("{\"sysctls\": ["), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := kernelpath.Saved(file); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("got %v", err)
	}
}
