// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/flow"
)

// portCell is what a cell says of ports.
type portCell struct {
	list  []listed
	rules rules
	code  bool // all of it stands in code
}

// listed is one port of a cell.
type listed struct {
	protocol flow.Protocol // zero when the cell gives the number alone
	port     uint16
	split    bool // read over a thousands separator
}

// explicit reports whether every port has its protocol beside it.
func (p *portCell) explicit() bool {
	for _, l := range p.list {
		if l.protocol == (flow.Protocol{}) {
			return false
		}
	}
	return len(p.list) > 0
}

// parsePorts reads a cell that is a list of ports and nothing else. With loose
// set, words may stand around them: then the catalog has to know the pairs.
func parsePorts(t *text, loose bool) (p portCell, ok bool) {
	if len(t.r) == 0 || len(t.r) > 200 {
		return p, false
	}
	p.code = true
	words, depth := 0, 0
	var pending flow.Protocol
	hasPending, separated, numbers := false, true, 0
	for i := 0; i < len(t.r); {
		r := t.r[i]
		if r != ' ' && r != seam {
			p.code = p.code && t.m[i]&inCode != 0
		}
		if depth > 0 {
			if r == '(' {
				depth++
			} else if r == ')' {
				depth--
			}
			i++
			continue
		}
		switch {
		case r == ' ' || r == seam:
			i++
		case r == quote:
			p.rules |= ruleSeparator
			i++
		case r == '(':
			if numbers == 0 && !hasPending {
				return p, false
			}
			p.rules |= ruleRemark
			depth++
			i++
		case r == ',' || r == ';' || r == lineBreak || r == '|':
			if hasPending {
				return p, false
			}
			if t.m[i]&wasWide != 0 {
				p.rules |= ruleSeparator
			}
			separated = true
			i++
		case r == ':' || r == '/':
			if !hasPending {
				return p, false
			}
			if t.m[i]&wasWide != 0 || r == '/' {
				p.rules |= ruleSeparator
			}
			i++
		case r >= '0' && r <= '9':
			l, next, valid := readPort(t, i)
			if !valid || len(p.list) >= 64 {
				return p, false
			}
			if hasPending && i > 0 && !colonBefore(t, i) {
				p.rules |= ruleSeparator // "TCP 443"
			}
			if !separated {
				if !hasPending { // "5 3" is no two ports
					return p, false
				}
				p.rules |= ruleSeparator
			}
			if l.split {
				p.rules |= ruleThousands
			}
			l.protocol, hasPending, separated = pending, false, false
			pending = flow.Protocol{}
			p.list = append(p.list, l)
			numbers++
			i = next
		default:
			j := i
			for j < len(t.r) && isPortLetter(t.r[j]) {
				j++
			}
			if j == i {
				return p, false
			}
			w := string(t.r[i:j])
			i = j
			if proto, err := flow.ParseProtocol(w); err == nil && !strings.EqualFold(w, "tls") {
				if hasPending {
					return p, false
				}
				pending, hasPending = proto, true
				continue
			}
			if joiners[strings.ToLower(w)] && numbers > 0 && !hasPending {
				separated = true
				continue
			}
			words++
			if !loose || words > 4 || hasPending {
				return p, false
			}
			p.rules |= ruleCatalog
		}
	}
	return p, numbers > 0 && !hasPending && (words == 0 || p.explicit())
}

func isPortLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= 0x80 }

func colonBefore(t *text, i int) bool {
	for i--; i >= 0 && (t.r[i] == ' ' || t.r[i] == seam); i-- {
	}
	return i >= 0 && (t.r[i] == ':' || t.r[i] == '/')
}

// readPort reads a number at i. Three digits behind a dot, a comma or a space
// may be the rest of one number, as in "1.194"; the row decides.
func readPort(t *text, i int) (l listed, next int, ok bool) {
	j := i
	for j < len(t.r) && t.r[j] >= '0' && t.r[j] <= '9' {
		j++
	}
	s := string(t.r[i:j])
	if j+3 < len(t.r) && j-i <= 2 && strings.ContainsRune(".,' ", t.r[j]) || j+3 < len(t.r) && j-i <= 2 && t.r[j] == quote {
		k := j + 1
		for k < len(t.r) && t.r[k] >= '0' && t.r[k] <= '9' {
			k++
		}
		if k-j == 4 && (t.r[j] != ' ' || t.m[j]&wasWide == 0) {
			s += string(t.r[j+1 : k])
			l.split, j = true, k
		}
	}
	if j < len(t.r) && (isPortLetter(t.r[j]) || strings.ContainsRune(".-*", t.r[j])) {
		return l, j, false
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return l, j, false
	}
	l.port = uint16(n)
	return l, j, true
}

// parseProtocol reads a cell that is a protocol and nothing else but a remark
// in parentheses.
func parseProtocol(t *text) (p flow.Protocol, remark, ok bool) {
	if len(t.r) > 80 {
		return p, false, false
	}
	s, _, remark := strings.Cut(t.String(), "(")
	s = strings.Trim(s, `" `)
	if strings.EqualFold(s, "tls") {
		return p, false, false
	}
	p, err := flow.ParseProtocol(s)
	return p, remark, err == nil
}

// pairs gives every port of the cell its protocol: its own, that of the
// protocol column, or for 443 and 80 alone https and http.
func (p *portCell) pairs(column flow.Protocol) (out []pair, ok bool) {
	for _, l := range p.list {
		proto := l.protocol
		if proto == (flow.Protocol{}) {
			proto = column
		}
		if proto == (flow.Protocol{}) {
			switch l.port {
			case 443:
				proto = flow.ProtoHTTPS
			case 80:
				proto = flow.ProtoHTTP
			default:
				return nil, false
			}
		}
		out = append(out, pair{proto, l.port})
	}
	return out, true
}
