// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Stats are the numbers of one queue's thread. They cost it no lock.
type Stats struct {
	held    atomic.Int64                        // flows whose hello is not judged, or on its way
	buckets [len(HoldBuckets) + 1]atomic.Uint64 // of the time from a hello's first segment to its verdict
	nanos   atomic.Int64                        // sum of these times

	crowdedOut atomic.Uint64 // flows that lost their place to another source's
}

// HoldBuckets are the upper bounds of the times for which hellos are held.
var HoldBuckets = [...]time.Duration{
	100 * time.Microsecond, time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, time.Second,
}

func (s *Stats) heard(held time.Duration) {
	held = max(held, 0)
	i := 0
	for i < len(HoldBuckets) && held > HoldBuckets[i] {
		i++
	}
	s.buckets[i].Add(1)
	s.nanos.Add(int64(held))
}

// Numbers are those of all queues together, and of the kernel's side of them.
type Numbers struct {
	Held       int
	CrowdedOut uint64                       // flows that lost their place because one source took too many
	Judged     [len(HoldBuckets) + 1]uint64 // hellos by the time they were held, not summed up
	HoldTime   time.Duration                // of all of them
	Waiting    int                          // packets in the kernel that have no verdict yet
	Dropped    uint64                       // packets that found no room there
	Conntrack  struct{ Count, Max int }
	Counters   map[string]uint64 // packets, by the name of the table's counter
}

// Numbers reads them. What cannot be read is zero, and said.
func (e *Engine) Numbers() (Numbers, error) {
	var n Numbers
	for _, s := range e.stats {
		n.Held += int(s.held.Load())
		n.CrowdedOut += s.crowdedOut.Load()
		n.HoldTime += time.Duration(s.nanos.Load())
		for i := range s.buckets {
			n.Judged[i] += s.buckets[i].Load()
		}
	}
	var errs []error
	errs = append(errs, n.readQueues(e.cfg.FirstQueue, e.cfg.Queues))
	for name, to := range map[string]*int{"count": &n.Conntrack.Count, "max": &n.Conntrack.Max} {
		b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_" + name)
		if err == nil {
			*to, err = strconv.Atoi(strings.TrimSpace(string(b)))
		}
		errs = append(errs, err)
	}
	var err error
	n.Counters, err = readCounters()
	return n, errors.Join(append(errs, err)...)
}

// readQueues reads the kernel's numbers of our queues: a line for each, with its
// number, its process, how many wait, how much is copied, how many were dropped
// for want of room in the queue and in the socket (net/netfilter/nfnetlink_queue.c,
// seq_show).
func (n *Numbers) readQueues(first, count uint16) error {
	b, err := os.ReadFile("/proc/net/netfilter/nfnetlink_queue")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 7 {
			continue
		}
		num := make([]uint64, 7)
		for i := range num {
			num[i], _ = strconv.ParseUint(f[i], 10, 64)
		}
		if num[0] < uint64(first) || num[0] >= uint64(first)+uint64(count) {
			continue
		}
		n.Waiting += int(num[2])
		n.Dropped += num[5] + num[6]
	}
	return nil
}

// readCounters reads the counters of our table.
func readCounters() (map[string]uint64, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	objects, err := conn.GetNamedObjects(&nftables.Table{Family: nftables.TableFamilyINet, Name: TableName})
	if err != nil {
		return nil, fmt.Errorf("read counters of table inet %s: %w", TableName, err)
	}
	out := make(map[string]uint64)
	for _, o := range objects {
		if named, ok := o.(*nftables.NamedObj); ok {
			if c, ok := named.Obj.(*expr.Counter); ok {
				out[named.Name] = c.Packets
			}
		}
	}
	return out, nil
}
