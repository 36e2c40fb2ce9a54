// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package flowlog

import (
	"maps"
	"sync"

	"github.com/sallyport/sallyport/flow"
)

// Kind is what decisions are counted by.
type Kind struct {
	Verdict flow.Verdict
	Reason  flow.Reason
	Rule    flow.RuleID // "" when none came near
	Path    string
}

// counts counts decisions, whether or not their records can be written.
type counts struct {
	mu sync.Mutex
	by map[Kind]uint64
}

// maxKinds bounds how many kinds are told apart; those beyond it are counted
// without their rule.
const maxKinds = 20_000

func (c *counts) add(k Kind) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.by[k]; !known && len(c.by) >= maxKinds {
		k.Rule = ""
	}
	if c.by == nil {
		c.by = make(map[Kind]uint64)
	}
	c.by[k]++
}

// Counts returns how many decisions of each kind there were.
func (l *Log) Counts() map[Kind]uint64 {
	l.counts.mu.Lock()
	defer l.counts.mu.Unlock()
	return maps.Clone(l.counts.by)
}
