// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/flowset"
	"github.com/sallyport/sallyport/nameset"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
	"github.com/sallyport/sallyport/ruleset"
)

// asked is a protocol of an application rule with its port.
type asked struct {
	class flowset.Class
	ports portset.Set
	known bool
}

// application reads a rule by name: the server name of TLS, the Host of HTTP,
// or the name of an SQL server.
func (m *meaning) application() {
	var x extent
	m.sources(&x)
	protocols := m.applicationProtocols()
	if v, ok := m.d.val.get("terminatetls"); ok && v.isScalar() && strings.EqualFold(v.text, "true") {
		m.rule.Inspects = ruleset.Word{Pos: v.pos, Text: v.text}
	}
	box := func(i int, a asked, names nameset.Set) flowset.Box {
		return flowset.Box{Src: x.src[i], Class: a.class, Ports: a.ports, Names: names, Dst: netset.All()}
	}
	boxes := func(i int, names nameset.Set) (out []flowset.Box) {
		for _, a := range protocols {
			if i == maybe || a.known {
				out = append(out, box(i, a, names))
			}
		}
		return out
	}
	for _, e := range m.entries("fqdns") {
		if !e.isScalar() || e.why != "" {
			m.unknown(e.pos, "destination", e.shown(), e.reason())
			m.term(e, e.shown(), nil, boxes(maybe, namesAtMost(e)))
			continue
		}
		glob, err := target(e.text)
		if errors.Is(err, errStars) {
			m.unknown(e.pos, "destination", e.text, err.Error())
			m.term(e, e.text, nil, boxes(maybe, m.r.anyName))
			continue
		}
		if err != nil {
			m.deadTerm(e, clip(e.text)+" can match no host name")
			continue
		}
		names := nameset.Of(glob)
		if names.IsEmpty() {
			m.deadTerm(e, clip(e.text)+" can match no host name")
			continue
		}
		if e.when != "" {
			m.unknown(e.pos, "destination", e.text, e.when)
			m.term(e, e.text, nil, boxes(maybe, names))
			continue
		}
		m.term(e, e.text, boxes(sure, names), boxes(maybe, names))
	}
	// A tag brings protocols of its own, so those of the rule say little.
	all := m.r.anyName
	web := append(boxes(maybe, all), box(maybe, defaultPort("https"), all), box(maybe, defaultPort("http"), all))
	for _, e := range m.entries("fqdntags") {
		if !e.known() {
			m.unknown(e.pos, "destination", e.shown(), "an FQDN tag: "+e.reason())
			m.term(e, e.shown(), nil, web)
			continue
		}
		m.unknown(e.pos, "destination", e.shown(), "FQDN tag "+e.shown()+": its content is Microsoft's and not in the file")
		m.term(e, e.shown(), nil, web)
	}
	for _, e := range m.entries("webcategories") {
		m.unknown(e.pos, "destination", e.shown(), "web category "+e.shown()+": its content is Microsoft's and not in the file")
		m.term(e, e.shown(), nil, web)
	}
	for _, e := range m.entries("urls") {
		m.unknown(e.pos, "destination", e.shown(), "a URL: the path is matched too, which flows do not show")
		m.term(e, e.shown(), nil, web)
	}
	if len(m.rule.Terms) == 0 {
		m.unknown(m.d.val.pos, "destination", "", "the rule names no destination")
		m.term(value{pos: m.d.val.pos}, "", nil, web)
	}
	for _, name := range []string{"destinationaddresses", "destinationipgroups"} {
		for _, e := range m.entries(name) {
			if e.known() && e.text == "*" {
				continue
			}
			m.doubt(e.pos, "destination", e.shown(), "an address in an application rule narrows it in a way that is not read here")
		}
	}
}

// defaultPort is a protocol on the port it has unless another is given.
func defaultPort(typ string) asked {
	switch strings.ToLower(typ) {
	case "https":
		return asked{flowset.TLS, portset.Of(443), true}
	case "http":
		return asked{flowset.HTTP, portset.Of(80), true}
	case "mssql":
		return asked{flowset.OtherTCP, portset.Of(1433), true}
	}
	return asked{}
}

// applicationProtocols reads {protocolType: Https, port: 443}, the same with
// type, "Https=443" and "Https:443".
func (m *meaning) applicationProtocols() []asked {
	var out []asked
	list := m.entries("protocols")
	if v, ok := m.d.val.get("protocols"); ok && v.kind == object && !v.has("type") {
		list = nil
		for _, fl := range v.fields { // a map, as the CAF modules have it
			list = append(list, fl.val)
		}
	}
	for _, e := range list {
		a, why := protocol(e)
		if e.when != "" && why == "" {
			a.known, why = false, e.when
		}
		if why != "" {
			m.unknown(e.pos, "protocols", e.shown(), why)
		}
		out = append(out, a)
	}
	if len(out) == 0 {
		if len(m.entries("fqdntags")) == 0 {
			m.unknown(m.d.val.pos, "protocols", "", "the rule names no protocol")
		}
		out = append(out, asked{class: flowset.TCP, ports: portset.All()})
	}
	return out
}

func protocol(e value) (a asked, why string) {
	anything := asked{class: flowset.TCP, ports: portset.All()}
	typ, port := e, value{kind: null}
	switch {
	case e.kind == object:
		var ok bool
		if typ, ok = e.get("type"); !ok {
			return anything, "no type of protocol is given"
		}
		if p, ok := e.get("port"); ok {
			port = p
		}
	case e.isScalar():
		if i := strings.IndexAny(e.text, "=:"); i >= 0 {
			typ.text, port = e.text[:i], e
			port.text = e.text[i+1:]
		}
	}
	if !typ.isScalar() || typ.why != "" {
		return anything, typ.reason()
	}
	a = defaultPort(strings.TrimSpace(typ.text))
	if !a.known {
		return anything, "protocol " + clip(typ.text) + " is not one of Https, Http, Mssql"
	}
	if port.kind == null || port.kind == text && port.text == "" && port.why == "" {
		return a, ""
	}
	n, err := strconv.ParseUint(strings.TrimSpace(port.text), 10, 16)
	if !port.isScalar() || port.why != "" || err != nil || n == 0 {
		if why = port.reason(); why == "" {
			why = "port " + clip(port.text) + " is not a number"
		}
		return asked{class: a.class, ports: portset.All()}, why
	}
	a.ports = portset.Of(uint16(n))
	return a, ""
}

// maxStars bounds the stars of one target; Azure takes one, at its beginning.
const maxStars = 6

var errStars = errors.New("more stars than are read here")

// target reads a target of an application rule, in which a star stands for any
// characters, dots too: *.x is every name below x and not x, *x ends in x.
func target(s string) (nameset.Glob, error) {
	s = strings.TrimSuffix(strings.TrimSpace(s), ".")
	if strings.Count(s, "*") > maxStars {
		return nameset.Glob{}, errStars
	}
	return nameset.Parse(stars.ReplaceAllString(s, "**"))
}

var (
	stars = regexp.MustCompile(`\*+`)
	holes = regexp.MustCompile(`\$\{[^}]*\}`)
)

// namesAtMost returns the names that a text with holes can stand for: each hole
// may be filled with anything.
func namesAtMost(v value) nameset.Set {
	if !v.isScalar() {
		return nameset.All()
	}
	glob, err := target(holes.ReplaceAllString(v.text, "*"))
	if err != nil {
		return nameset.All()
	}
	return nameset.Of(glob)
}
