// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package flowlog

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
)

func tuple(port uint16) Tuple {
	return Tuple{flow.TCP, netip.AddrPortFrom(netip.MustParseAddr("fd00::4"), port), netip.MustParseAddrPort("[2600::1]:443")}
}

func openFlows(t *testing.T, path string) *Flows {
	t.Helper()
	f, unreadable, err := OpenFlows(path)
	if err != nil || unreadable > 0 {
		t.Fatalf("%v, %d unreadable", err, unreadable)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestFlowsAreFoundAgainAfterTheProcessIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flows")
	f := openFlows(t, path)
	byName := Open{ID: "x-1", Rule: "allow.0", At: at.UTC(), App: flow.TLS, Name: dnsname.MustParse("a.example"), Proof: flow.BySNI}
	byAddress := Open{ID: "x-2", Rule: "api", At: at.UTC(), Proof: flow.ByAddress}
	f.add(tuple(1), byName)
	f.add(tuple(2), byAddress)
	f.add(tuple(3), byName)
	f.end(tuple(3))
	f.flush() // and the process is killed

	again := openFlows(t, path)
	for port, want := range map[uint16]Open{1: byName, 2: byAddress} {
		if got, ok := again.Find(tuple(port)); !ok || got != want {
			t.Errorf("flow %d: %+v, %t, want %+v", port, got, ok, want)
		}
	}
	if again.Len() != 2 {
		t.Errorf("%d flows", again.Len())
	}
	if err := again.Keep([]Tuple{tuple(2), tuple(9)}); err != nil {
		t.Fatal(err)
	}
	if third := openFlows(t, path); third.Len() != 1 {
		t.Errorf("%d flows after one has ended unheard", third.Len())
	}
}

func TestADamagedFileOfFlowsCostsItsLinesAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flows")
	f := openFlows(t, path)
	f.add(tuple(1), Open{ID: "x-1", At: at.UTC()})
	f.flush()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := string(data) + "+ 6 nonsense\n- 6 a b\n\n" + string(data[:len(data)/2])
	if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
		t.Fatal(err)
	}
	again, unreadable, err := OpenFlows(path)
	if err != nil || unreadable != 4 || again.Len() != 1 {
		t.Errorf("%v, %d lines unreadable, %d flows", err, unreadable, again.Len())
	}
}

func TestTheFileOfFlowsDoesNotGrowForGood(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flows")
	f := openFlows(t, path)
	for range 3 * rewriteAt {
		f.add(tuple(1), Open{ID: "x", At: at})
		f.end(tuple(1))
		f.flush()
	}
	st, err := os.Stat(path)
	if err != nil || st.Size() > 200*rewriteAt || f.Err() != nil {
		t.Errorf("%d bytes for %d flows: %v", st.Size(), f.Len(), err)
	}
}

func FuzzLine(f *testing.F) {
	f.Add(string(appendLine(nil, tuple(7), Open{ID: "x-1", Rule: `a "b`, At: at, Name: dnsname.MustParse("a.example"), App: flow.TLS, Proof: flow.BySNI})))
	f.Add("- 6 1.2.3.4:5 1.2.3.4:443")
	f.Fuzz(func(t *testing.T, s string) {
		tup, o, ended, ok := parseLine(s)
		if !ok || ended {
			return
		}
		line := string(appendLine(nil, tup, o))
		tup2, o2, _, ok2 := parseLine(line[:len(line)-1])
		if ok2 && (tup2 != tup || o2 != o) {
			t.Errorf("%q is read as %+v and written as %q", s, o, line)
		}
	})
}
