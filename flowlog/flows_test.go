// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package flowlog

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

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

// The kernel tells that a flow has ended a moment behind the decision about the next
// one on its ports.
func TestTheEndOfAFlowIsNotTheEndOfTheNextOneOnItsPorts(t *testing.T) {
	f := NewFlows()
	for _, id := range []string{"x-1", "x-2", "x-3"} {
		f.add(tuple(1), Open{ID: id, At: at})
	}
	for _, want := range []string{"x-1", "x-2"} {
		if got, ok := f.end(tuple(1)); !ok || got.ID != want {
			t.Errorf("%+v, %t has ended, want %s", got, ok, want)
		}
		if now, ok := f.Find(tuple(1)); !ok || now.ID != "x-3" {
			t.Errorf("behind the end of %s there is %+v, %t", want, now, ok)
		}
	}
	if got, ok := f.end(tuple(1)); !ok || got.ID != "x-3" || f.Len() != 0 || len(f.older) != 0 {
		t.Errorf("%+v, %t has ended, %d and %d are left", got, ok, f.Len(), len(f.older))
	}
}

// An end that was never told must not hide the end of the flow behind it.
func TestAnEndThatIsNotToldInTimeIsNotWaitedFor(t *testing.T) {
	for about, forget := range map[string]func(*Flows){
		"asked for": func(*Flows) {},
		"expired":   (*Flows).flush,
	} {
		t.Run(about, func(t *testing.T) {
			f := NewFlows()
			f.add(tuple(1), Open{ID: "x-1", At: at})
			f.add(tuple(1), Open{ID: "x-2", At: at})
			f.older[tuple(1)].at = time.Now().Add(-endTime - time.Millisecond)
			forget(f)
			if got, ok := f.end(tuple(1)); !ok || got.ID != "x-2" || len(f.older) != 0 {
				t.Errorf("%+v, %t has ended, want x-2; %d are waited for", got, ok, len(f.older))
			}
		})
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
