// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Package examples holds cluster descriptions to start from; tests run them
// all, and the lab runs one when it is given no other.
package examples

import "embed"

// Files holds the descriptions.
//
//go:embed *.yaml
var Files embed.FS

// Default is the name of the description that the lab runs when it is given
// none.
const Default = "azure.yaml"
