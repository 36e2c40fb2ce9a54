// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"fmt"
	"strings"
)

// several judges a piece that holds more than one destination without a
// separator: words or code spans must part them, or the catalog must know all.
func (n *namer) several(p *piece, out []destination, a about) ([]destination, string) {
	parted := true
	for i := 1; i < len(p.tokens); i++ {
		x, y := p.tokens[i-1], p.tokens[i]
		if isFragment(x.s) && isFragment(y.s) && !continues(x, y) && !(x.code && y.code && y.gap == gapSeam) {
			parted = false
		}
	}
	if parted {
		return out, ""
	}
	for i := range out {
		if out[i].kind == KindName && !n.knows(out[i], a) {
			return nil, fmt.Sprintf("%q holds names without a separator that the catalog does not know", p.text())
		}
		out[i].rules |= ruleSeparator
	}
	return out, ""
}

// rescue reads a damaged piece as the only destination of the catalog that it
// can mean.
func (n *namer) rescue(p *piece, a about, why string) ([]destination, string) {
	tokens := p.tokens
	for len(tokens) > 1 && (joiners[strings.ToLower(tokens[0].s)] || tokens[0].s == "-") {
		tokens = tokens[1:]
	}
	for len(tokens) > 1 && joiners[strings.ToLower(tokens[len(tokens)-1].s)] {
		tokens = tokens[:len(tokens)-1]
	}
	s := (&piece{tokens: tokens}).text()
	if len(s) > 300 || n.known.empty() {
		return nil, why
	}
	bare, port, ok := cutPort(strings.ReplaceAll(s, " :", ":"))
	if !ok {
		bare, port = s, 0
	}
	d := destination{kind: KindName, port: port, rules: ruleCatalog}
	candidates := n.known.like(bare)
	if len(candidates) == 0 {
		candidates = n.known.squeezedLike(bare)
	}
	if len(candidates) == 0 {
		candidates = n.known.translated(bare)
	}
	name, count := n.known.one(candidates, portsOf(d, a.ports), a.feature, a.cloud)
	switch {
	case count == 0 || port != 0 && len(a.ports) > 0 && len(portsOf(d, a.ports)) == 0:
		return nil, why
	case count > 1:
		return nil, fmt.Sprintf("%q can mean more than one destination of the catalog", s)
	}
	full, ok := canonical(name)
	if !ok {
		return nil, why
	}
	d.kind, d.name = full.kind, name
	return []destination{d}, ""
}

// fromCatalog makes d the only one of candidates that the catalog knows with
// the row's ports.
func (n *namer) fromCatalog(d destination, candidates []string, a about) ([]destination, bool) {
	name, count := n.known.one(candidates, portsOf(d, a.ports), a.feature, a.cloud)
	if count != 1 {
		return nil, false
	}
	d.name, d.rules = name, d.rules|ruleCatalog
	return []destination{d}, true
}
