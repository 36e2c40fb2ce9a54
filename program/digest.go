// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package program

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Digest names the rules of p: two programs with one digest decide alike.
func (p *Program) Digest() string {
	h := sha256.New()
	for _, r := range p.Rules {
		fmt.Fprintf(h, "%s|%s|%s|%s|%s|%s|%d|%t\n", r.ID, r.Pattern, r.Prefixes, r.Protocol, r.Ports, r.Sources, r.Until.Unix(), r.Strict)
	}
	for _, x := range p.Published {
		fmt.Fprintf(h, "%s|%s|%s\n", x.ID, x.To, x.From)
	}
	fmt.Fprintf(h, "%+v %s", p.Resolve, p.Visible())
	return hex.EncodeToString(h.Sum(nil))
}
