// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ti-mo/conntrack"
	"github.com/ti-mo/netfilter"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/flowlog"
)

// WatchCloses reports the end of every released flow until ctx ends. Whether
// bytes are counted is up to the sysctl nf_conntrack_acct.
//
// More ends at once than the socket holds end its listening, so it is opened
// again: those are without a record, the next ones have theirs.
func WatchCloses(ctx context.Context, m Marks, ended func(flowlog.Closed)) error {
	for {
		err := watchCloses(ctx, m, ended)
		if !errors.Is(err, unix.ENOBUFS) {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func watchCloses(ctx context.Context, m Marks, ended func(flowlog.Closed)) error {
	conn, err := conntrack.Dial(nil)
	if err != nil {
		return fmt.Errorf("open conntrack: %w", err)
	}
	events := make(chan conntrack.Event, 4096)
	// One worker: the library stops on the first error a worker meets.
	failed, err := conn.Listen(events, 1, []netfilter.NetlinkGroup{netfilter.GroupCTDestroy})
	if err != nil {
		_ = conn.Close()
		return fmt.Errorf("listen to conntrack: %w", err)
	}
	defer conn.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("read conntrack events: %w", err)
		case e := <-events:
			if e.Flow != nil && e.Flow.Mark&m.Released() != 0 {
				ended(closed(e.Flow))
			}
		}
	}
}

func closed(f *conntrack.Flow) flowlog.Closed {
	return flowlog.Closed{
		At: time.Now(), Tuple: tupleOf(f),
		Counted:  f.CountersOrig.Packets > 0,
		BytesOut: f.CountersOrig.Bytes, PktsOut: f.CountersOrig.Packets,
		BytesIn: f.CountersReply.Bytes, PktsIn: f.CountersReply.Packets,
	}
}
