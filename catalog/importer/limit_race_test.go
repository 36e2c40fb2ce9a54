// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

//go:build race

package importer

import "time"

// limit is how long a hostile document may take under the race detector.
const limit = 30 * time.Second
