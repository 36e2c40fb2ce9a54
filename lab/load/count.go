// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// lastNumber ends a connection with numbers.
const lastNumber = math.MaxUint64

// tick is the time between two numbers.
const tick = time.Millisecond

// count sends numbers over each connection, beside each other, and waits for
// every one of them to come back in its turn.
func count(ctx context.Context, l Load, hello []byte) Result {
	var t tally
	var lost int64
	var longest time.Duration
	begin := time.Now()
	var wg sync.WaitGroup
	for i := range l.Clients {
		wg.Go(func() {
			again, gap, n, err := l.numbers(ctx, i, hello)
			t.bytes.Add(n)
			if err != nil {
				t.failure(err)
			} else {
				t.conns.Add(1)
			}
			t.mu.Lock()
			lost, longest = lost+again, max(longest, gap)
			t.mu.Unlock()
		})
	}
	wg.Wait()
	r := t.result(begin)
	r.Lost, r.Longest = lost, longest
	return r
}

// numbers runs one connection: lost are the packets that one of the ends had to
// send again, longest is the longest time without a number.
func (l Load) numbers(ctx context.Context, i int, hello []byte) (lost int64, longest time.Duration, n int64, err error) {
	c, err := l.dial(i)
	if err != nil {
		return 0, 0, 0, err
	}
	defer c.Close()
	var b [8]byte
	if _, err := c.Write(hello); err != nil {
		return 0, 0, 0, err
	}
	if _, err := io.ReadFull(c, b[:2]); err != nil {
		return 0, 0, 0, err
	}
	if string(b[:2]) != "ok" {
		return 0, 0, 0, errNotOurs
	}
	_ = c.SetDeadline(time.Now().Add(l.Duration + 10*time.Second))
	sent := make(chan error, 1)
	go func() {
		var b [8]byte
		end := time.Now().Add(l.Duration)
		for k := uint64(0); ; k++ {
			last := ctx.Err() != nil || time.Now().After(end)
			if last {
				k = lastNumber
			}
			binary.BigEndian.PutUint64(b[:], k)
			if _, err := c.Write(b[:]); err != nil || last {
				sent <- err
				return
			}
			time.Sleep(tick)
		}
	}()
	before := time.Now()
	for k := uint64(0); ; k++ {
		if _, err = io.ReadFull(c, b[:]); err != nil {
			break
		}
		now := time.Now()
		longest, before = max(longest, now.Sub(before)), now
		n += 8
		if got := binary.BigEndian.Uint64(b[:]); got != k {
			select {
			case err := <-sent: // the answer to the last one
				return int64(got) + sentAgain(c), longest, n, err
			case <-time.After(time.Second):
				return lost, longest, n, fmt.Errorf("number %d came where %d was due", got, k)
			}
		}
	}
	_ = c.Close()
	return lost, longest, n, errors.Join(err, <-sent)
}

// sentAgain returns how many packets of a connection this end has sent again,
// those left out that the other end turned out to have: a timer that runs out on
// a busy machine is no loss (tcp(7), TCP_INFO; RFC 2883).
func sentAgain(c net.Conn) int64 {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0
	}
	var n int64
	_ = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n = max(0, int64(info.Total_retrans)-int64(info.Dsack_dups))
		}
	})
	return n
}
