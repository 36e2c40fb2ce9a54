// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"strings"

	"github.com/sallyport/sallyport/flow"
)

// pair is a protocol and a port.
type pair struct {
	protocol flow.Protocol
	port     uint16
}

// index answers what the catalog knows.
type index struct {
	pairs     map[string]map[pair]bool   // destination -> pairs
	features  map[string]map[string]bool // destination -> features
	clouds    map[[2]string]map[string]bool
	skeletons map[string][]string // skeleton -> destinations
	squeezed  map[string][]string // skeleton without its slashes -> destinations
	names     []string            // destinations with a dot
}

func newIndex(known []Known) *index {
	x := &index{
		pairs: make(map[string]map[pair]bool), features: make(map[string]map[string]bool),
		clouds: make(map[[2]string]map[string]bool), skeletons: make(map[string][]string),
		squeezed: make(map[string][]string),
	}
	for _, k := range known {
		d := k.Destination
		if x.pairs[d] == nil {
			x.pairs[d], x.features[d] = make(map[pair]bool), make(map[string]bool)
			labels := skeletonLabels(d)
			sk, sq := strings.Join(labels, "/"), strings.Join(labels, "")
			x.skeletons[sk] = append(x.skeletons[sk], d)
			x.squeezed[sq] = append(x.squeezed[sq], d)
			if strings.Contains(d, ".") {
				x.names = append(x.names, d)
			}
		}
		x.pairs[d][pair{k.Protocol, k.Port}] = true
		x.features[d][k.Feature] = true
		key := [2]string{d, k.Feature}
		if x.clouds[key] == nil {
			x.clouds[key] = make(map[string]bool)
		}
		x.clouds[key][cloudKey(k.Cloud)] = true
	}
	return x
}

// cloudKey makes one of the public cloud and of no cloud, which the page does
// not tell apart either.
func cloudKey(cloud string) string {
	if cloud == "" {
		return "AzureCloud"
	}
	return cloud
}

// empty reports whether the catalog knows nothing.
func (x *index) empty() bool { return len(x.pairs) == 0 }

// knowsAll reports whether destination is known with every one of ports.
func (x *index) knowsAll(destination string, ports []pair) bool {
	for _, p := range ports {
		if !x.pairs[destination][p] {
			return false
		}
	}
	return len(x.pairs[destination]) > 0
}

// one returns the only candidate that is known with every one of ports. Where
// there are more, those of the same feature and cloud count before those of the
// same feature, and these before all.
func (x *index) one(candidates []string, ports []pair, feature, cloud string) (d string, n int) {
	for tier := range 3 {
		d, n = "", 0
		for _, c := range candidates {
			switch {
			case !x.knowsAll(c, ports) || c == d:
				continue
			case tier < 2 && feature != "" && !x.features[c][feature]:
				continue
			case tier == 0 && feature != "" && !x.clouds[[2]string{c, feature}][cloudKey(cloud)]:
				continue
			}
			d, n = c, n+1
		}
		if n > 0 {
			break
		}
	}
	if n != 1 {
		return "", n
	}
	return d, 1
}

// skeleton is what damage leaves of a name: its labels in order, in lower case,
// with "<>" for a placeholder, without stars, dots and spaces.
func skeleton(s string) string { return strings.Join(skeletonLabels(s), "/") }

func skeletonLabels(s string) []string {
	var (
		out  []string
		cur  strings.Builder
		flue = func() {
			if cur.Len() > 0 {
				out = append(out, cur.String())
				cur.Reset()
			}
		}
	)
	runes := []rune(strings.ToLower(s))
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; {
		case r == '<' || r == '>':
			// A placeholder, or what is left of one: up to its other bracket, or
			// to the end of the label.
			j := i + 1
			for j < len(runes) && runes[j] != '>' && runes[j] != '<' && runes[j] != '.' && runes[j] != ' ' {
				j++
			}
			if r == '>' && (j == len(runes) || runes[j] != '<') {
				break // a closing bracket alone
			}
			cur.WriteString("<>")
			if j < len(runes) && (runes[j] == '>' || runes[j] == '<') {
				j++
			}
			i = j - 1
		case r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 0x80:
			cur.WriteRune(r)
		default:
			flue()
		}
	}
	flue()
	return out
}

// like returns the destinations that text can mean when nothing of its labels
// was lost.
func (x *index) like(text string) []string { return x.skeletons[skeleton(text)] }

// squeezedLike returns the destinations that text can mean when it lost dots,
// or gained spaces, within its labels. A text with the labels of a known name
// lost none.
func (x *index) squeezedLike(text string) []string {
	labels := skeletonLabels(text)
	if len(x.skeletons[strings.Join(labels, "/")]) > 0 {
		return nil
	}
	return x.squeezed[strings.Join(labels, "")]
}

// translated returns the destinations that text can mean when one of its
// labels, not in ASCII, is a translation.
func (x *index) translated(text string) []string {
	labels := skeletonLabels(text)
	at := -1
	for i, l := range labels {
		if !isASCII(l) {
			if at >= 0 || !isWord(l) {
				return nil
			}
			at = i
		}
	}
	if at < 0 || len(labels) < 3 {
		return nil
	}
	var out []string
	for sk, destinations := range x.skeletons {
		other := strings.Split(sk, "/")
		same := len(other) == len(labels)
		for i := 0; same && i < len(labels); i++ {
			same = i == at || labels[i] == other[i]
		}
		for _, d := range destinations {
			if same && (d[0] == '*') == (text[0] == '*') {
				out = append(out, d)
			}
		}
	}
	return out
}

// under returns the destinations of which name is the end, or the apex.
func (x *index) under(name string) []string {
	var out []string
	for _, d := range x.names {
		if strings.HasSuffix(d, "."+name) {
			out = append(out, d)
		}
	}
	return out
}

// oneLabelOff returns a destination that differs from name in one label before
// the last two, which is how a translated label looks when it is a plain word.
func (x *index) oneLabelOff(name string) (string, bool) {
	labels := strings.Split(name, ".")
	if len(labels) < 3 {
		return "", false
	}
	for _, d := range x.names {
		if other := strings.Split(d, "."); len(other) == len(labels) {
			diff, last := 0, 0
			for i := range labels {
				if labels[i] != other[i] {
					diff, last = diff+1, i
				}
			}
			if diff == 1 && last < len(labels)-2 && other[last] != "*" {
				return d, true
			}
		}
	}
	return "", false
}

// glued returns a known name that name begins or ends with as two names do that
// lost what stood between them.
func (x *index) glued(name string) (string, bool) {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "*"), ".")
	for _, d := range x.names {
		k := strings.TrimPrefix(strings.TrimPrefix(d, "*"), ".")
		if strings.Contains(k, "<") || len(k) >= len(name) {
			continue
		}
		if strings.HasPrefix(name, k) {
			return d, true
		}
		if head, ok := strings.CutSuffix(name, k); ok && endsInTLD(strings.TrimRight(head, ".")) {
			return d, true
		}
	}
	return "", false
}

func endsInTLD(s string) bool {
	i := strings.LastIndexByte(s, '.')
	return i > 0 && topLevel[s[i+1:]]
}
