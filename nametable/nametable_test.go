// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package nametable

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/dnsname"
)

var start = time.Unix(1_800_000_000, 0)

func addr(i int) netip.Addr { return netip.AddrFrom4([4]byte{20, 0, 0, byte(i)}) }

func name(i int) dnsname.Name { return dnsname.MustParse(fmt.Sprintf("n%d.example", i)) }

type pair struct {
	name dnsname.Name
	addr netip.Addr
}

// The table answers like a plain map of pairs, whatever happens in whatever
// order.
func TestTheTableIsAMapOfPairs(t *testing.T) {
	w := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		table, twin := New(), make(map[pair]time.Time)
		now := start
		for range 300 {
			switch w.IntN(10) {
			case 0:
				now = now.Add(time.Duration(w.IntN(20)) * time.Second)
				var want []Binding
				for p, until := range twin {
					if !now.Before(until) {
						want = append(want, Binding{p.name, p.addr, until})
						delete(twin, p)
					}
				}
				if got := table.Sweep(now); !slices.Equal(ordered(got), ordered(want)) {
					t.Fatalf("swept %v, want %v", got, want)
				}
			default:
				p := pair{name(w.IntN(5)), addr(w.IntN(5))}
				until := now.Add(time.Duration(w.IntN(60)) * time.Second)
				_, known := twin[p]
				if isNew := table.Bind(Binding{p.name, p.addr, until}); isNew == known {
					t.Fatalf("%v is new: %t", p, isNew)
				}
				if until.After(twin[p]) {
					twin[p] = until
				}
			}
			p := pair{name(w.IntN(5)), addr(w.IntN(5))}
			var names []dnsname.Name
			var addrs []netip.Addr
			for q, until := range twin {
				if now.Before(until) && q.addr == p.addr {
					names = append(names, q.name)
				}
				if now.Before(until) && q.name == p.name {
					addrs = append(addrs, q.addr)
				}
			}
			slices.SortFunc(names, dnsname.Name.Compare)
			slices.SortFunc(addrs, netip.Addr.Compare)
			if got := table.Bound([]byte(p.name.String()), p.addr, now); got != now.Before(twin[p]) {
				t.Fatalf("%v bound: %t", p, got)
			}
			if got := table.Names(p.addr, now); !slices.Equal(got, names) {
				t.Fatalf("names of %v: %v, want %v", p.addr, got, names)
			}
			got := table.Addrs(p.name, now)
			slices.SortFunc(got, netip.Addr.Compare)
			if !slices.Equal(got, addrs) {
				t.Fatalf("addresses of %v: %v, want %v", p.name, got, addrs)
			}
			if table.Len() != len(twin) || len(table.All()) != len(twin) {
				t.Fatalf("%d bindings, want %d", table.Len(), len(twin))
			}
		}
	}
}

func ordered(bs []Binding) []Binding {
	slices.SortFunc(bs, func(a, b Binding) int {
		if c := a.Name.Compare(b.Name); c != 0 {
			return c
		}
		return a.Addr.Compare(b.Addr)
	})
	return bs
}

func TestABindingEndsAtItsTimeAndNeverEarlier(t *testing.T) {
	table := New()
	table.Bind(Binding{name(1), addr(1), start.Add(time.Minute)})
	table.Bind(Binding{name(1), addr(1), start.Add(time.Second)}) // a shorter TTL takes nothing away
	n := []byte(name(1).String())
	if !table.Bound(n, addr(1), start.Add(time.Minute-1)) || table.Bound(n, addr(1), start.Add(time.Minute)) {
		t.Error("the end is not exclusive")
	}
	if table.Bound(n, addr(2), start) || table.Bound([]byte("n1.example.x"), addr(1), start) || table.Bound(nil, addr(1), start) {
		t.Error("another pair is bound")
	}
}

func TestEachStopsWhenAsked(t *testing.T) {
	table := New()
	for i := range 5 {
		table.Bind(Binding{name(i), addr(1), start.Add(time.Minute)})
	}
	seen := 0
	table.Each(addr(1), start, func(dnsname.Name) bool { seen++; return seen < 3 })
	if seen != 3 {
		t.Errorf("saw %d", seen)
	}
}

func TestManyAtOnce(t *testing.T) {
	table := New()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				table.Bind(Binding{name(i % 20), addr(g), start.Add(time.Duration(i%7) * time.Second)})
				table.Bound([]byte("n1.example"), addr(i%8), start)
				table.Addrs(name(i%20), start)
				if i%50 == 0 {
					table.Sweep(start.Add(time.Duration(i%5) * time.Second))
					table.All()
				}
			}
		})
	}
	wg.Wait()
}

func TestNoAllocs(t *testing.T) {
	table := New()
	for i := range 50 {
		table.Bind(Binding{name(i), addr(1), start.Add(time.Minute)})
	}
	n := []byte(name(49).String())
	if allocs := testing.AllocsPerRun(100, func() { table.Bound(n, addr(1), start) }); allocs != 0 {
		t.Errorf("Bound allocates %v times", allocs)
	}
}
