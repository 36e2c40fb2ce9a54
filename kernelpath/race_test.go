// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

//go:build race

package kernelpath

// The race detector makes buffers escape that do not escape otherwise.
const countAllocs = false
