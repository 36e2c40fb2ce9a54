// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// rampClients is how many connections are under way at a time while idle ones
// are made.
const rampClients = 48

// standStill makes connections that are answered and then stand still as long as
// the process lives.
func standStill(ctx context.Context, l Load, hello []byte) Result {
	var t tally
	begin := time.Now()
	end := begin.Add(l.Duration)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(rampClients, l.Clients) {
		wg.Go(func() {
			var buf [16]byte
			for {
				i := int(next.Add(1) - 1)
				if i >= l.Clients || ctx.Err() != nil || time.Now().After(end) {
					return
				}
				for tries := 1; ; tries++ {
					err := l.idle(i, hello, buf[:])
					if err == nil {
						t.conns.Add(1)
						t.bytes.Add(2)
						break
					}
					if tries == 3 {
						t.failure(err)
						break
					}
				}
			}
		})
	}
	wg.Wait()
	return t.result(begin)
}

func (l Load) idle(i int, hello, buf []byte) error {
	c, err := l.dial(i)
	if err != nil {
		return err
	}
	n := 0
	if _, err = c.Write(hello); err == nil {
		n, err = c.Read(buf)
	}
	if err == nil && string(buf[:n]) != "ok" {
		err = errNotOurs
	}
	if err != nil {
		_ = c.Close()
		return err
	}
	stand(c)
	return nil
}
