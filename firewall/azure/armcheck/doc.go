// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package armcheck holds a test alone: what Sallyport writes as an ARM template
// goes through Microsoft's own types and comes out as it went in.
package armcheck
