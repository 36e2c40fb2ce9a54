// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package gateway

import "sync/atomic"

// stats are the gateway's own numbers.
type stats struct {
	reloads, reloadsFailed atomic.Uint64
	reloadOK               atomic.Bool // whether the last one was taken
	flowsCut               atomic.Uint64
}
