// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/flow"
)

// bullet reads the ports that a list item of the required or the optional
// section names, as editions before 2020-07 had them. The destination is the
// API server when the item says so in the page's own word, else any.
func (w *walker) bullet(item string, line int) {
	at := w.path.place()
	if at.none || at.feature != catalog.Base && at.feature != catalog.Optional || len(item) > 2000 || len(w.e.Bullets) >= MaxRows {
		return
	}
	if !strings.Contains(item, "TCP") && !strings.Contains(item, "UDP") && !strings.Contains(item, "ＴＣＰ") {
		return
	}
	shown := flatten(item).String()
	words := wordsOf(shown)
	used := make([]bool, len(words))
	for i, word := range words {
		proto, err := flow.ParseProtocol(word)
		if err != nil || proto.App != flow.Raw {
			continue
		}
		at2 := portNear(words, used, i)
		if at2 < 0 {
			continue
		}
		used[at2] = true
		port, _ := strconv.ParseUint(leadingDigits(words[at2]), 10, 16)
		row := Row{
			Feature: at.feature, Cloud: at.cloud, Required: at.feature != catalog.Optional, Kind: KindAny, Destination: "*",
			Protocol: proto, Port: uint16(port), Line: line, Purpose: cut(shown, 300), Status: Exact,
		}
		for _, between := range words[min(i, at2):max(i, at2)] {
			if low := strings.ToLower(between); low == "ipaddrofyourapiserver" || low == "apiserverpublicip" {
				row.Kind, row.Destination = KindAPIServer, "APIServerPublicIP"
			}
		}
		w.e.Bullets = append(w.e.Bullets, row)
	}
}

// portNear returns the index of the port that belongs to the protocol at i: at
// most two words behind it, or, as in Hungarian, at most two before; -1 for
// none. Another protocol ends the search.
func portNear(words []string, used []bool, i int) int {
	for _, step := range []int{1, -1} {
		for j, n := i+step, 0; j >= 0 && j < len(words) && n < 3; j, n = j+step, n+1 {
			if _, err := flow.ParseProtocol(words[j]); err == nil {
				break
			}
			d := leadingDigits(words[j])
			if d == "" {
				continue
			}
			if v, err := strconv.ParseUint(d, 10, 16); err == nil && v > 0 && !used[j] {
				return j
			}
			break
		}
	}
	return -1
}

// leadingDigits returns the digits at the begin of w when letters of another
// script or nothing follow them.
func leadingDigits(w string) string {
	i := 0
	for i < len(w) && w[i] >= '0' && w[i] <= '9' {
		i++
	}
	if i < len(w) && w[i] < 0x80 {
		return ""
	}
	return w[:i]
}

// wordsOf splits at everything that is neither letter nor digit, and between
// Latin letters and other scripts.
func wordsOf(s string) []string {
	var (
		out   []string
		begin = -1
		ascii bool
	)
	for i, r := range s {
		isWord := unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
		if begin >= 0 && (!isWord || ascii && r >= 0x2e80 && !(r < 0x80) || !ascii && r < 0x80) {
			out = append(out, s[begin:i])
			begin = -1
		}
		if isWord && begin < 0 {
			begin, ascii = i, r < 0x80
		}
	}
	if begin >= 0 {
		out = append(out, s[begin:])
	}
	return out
}
