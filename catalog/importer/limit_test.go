// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package importer

import "time"

// limit is how long a hostile document may take.
const limit = 5 * time.Second
