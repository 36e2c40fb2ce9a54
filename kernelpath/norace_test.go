// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package kernelpath

// countAllocs says that allocations are what they are in the field.
const countAllocs = true
