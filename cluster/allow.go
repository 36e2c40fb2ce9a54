// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/internal/meant"
	"github.com/sallyport/sallyport/netset"
	"github.com/sallyport/sallyport/portset"
)

// maxNamePorts bounds the ports that one rule opens for a name: a gateway learns
// each of them for each address that the name leads to.
const maxNamePorts = 256

func (v *validator) allow() {
	lines := make(map[string]int, len(v.raw.Allow))
	v.c.Allow = slices.Grow(v.c.Allow, len(v.raw.Allow))
	for i := range v.raw.Allow {
		raw := &v.raw.Allow[i]
		if !raw.At.given() {
			continue // not keys and values, which was said
		}
		r, ok := v.allowRule(raw, "allow["+strconv.Itoa(i+1)+"].")
		if !ok {
			continue
		}
		at := raw.At
		if raw.ID.given() {
			at = raw.ID.place
		}
		if other, twice := lines[r.ID]; twice {
			if raw.ID.given() {
				v.add(at, "allow["+strconv.Itoa(i+1)+"].id", "give each rule its own", "%q is already the rule in line %d", r.ID, other)
			} else {
				v.add(at, "allow["+strconv.Itoa(i+1)+"]", "remove one of them", "allows the same as the rule in line %d", other)
			}
			continue
		}
		lines[r.ID] = r.Line
		v.c.Allow = append(v.c.Allow, r)
	}
}

func (v *validator) allowRule(raw *rawAllow, key string) (r AllowRule, ok bool) {
	before := len(v.list)
	r.Line = raw.At.Line
	v.destination(raw, key, &r)
	r.Ports = v.ports(raw, key)
	for _, p := range r.Ports {
		if n := p.Ports.Len(); raw.Name.given() && n > maxNamePorts {
			v.add(raw.At, key+"ports", "name the ports that are meant, or write cidr: in place of name:",
				"opens %d ports of %s, and a rule by name opens at most %d", n, p.Protocol, maxNamePorts)
		}
	}
	r.Sources = v.sources(raw.Sources, key+"sources")
	if r.Strict = raw.Strict.v; r.Strict && (!raw.Name.given() || slices.ContainsFunc(r.Ports, func(p PortSpec) bool { return p.Protocol != flow.ProtoHTTPS })) {
		v.add(raw.Strict.place, key+"strict", "leave it out, or give what it is for a rule of its own",
			"is for https by name: http goes through the proxy in any case, and elsewhere there is no name to look at")
	}
	r.Reason = v.reason(raw.Reason, key+"reason")
	r.Until = v.until(raw.Until, key+"until")
	r.ID = v.ruleID(raw.ID, key+"id")
	if len(v.list) > before || len(r.Ports) == 0 || r.Reason == "" || r.Pattern.IsZero() && len(r.Prefixes) == 0 {
		return AllowRule{}, false
	}
	if r.ID == "" {
		r.ID = r.contentID()
	}
	return r, true
}

func (v *validator) destination(raw *rawAllow, key string, r *AllowRule) {
	switch {
	case raw.Name.given() && raw.CIDR.given():
		v.add(raw.CIDR.place, key+"cidr", "write two rules", "stands beside name, and a rule is about one of both")
	case !raw.Name.given() && !raw.CIDR.given():
		v.add(raw.At, strings.TrimSuffix(key, "."), "write name: or cidr:", "has no destination")
	case raw.Name.given():
		r.Pattern = v.pattern(raw.Name, key+"name")
	default:
		r.Prefixes = v.cidr(raw.CIDR, key+"cidr")
	}
}

func (v *validator) pattern(t text, key string) dnsname.Pattern {
	if t.s == "" {
		return dnsname.Pattern{}
	}
	p, err := dnsname.ParsePattern(t.s)
	if err != nil {
		hint := nameHint(strings.TrimPrefix(t.s, "*."), err)
		if dnsname.IsAddress(err) {
			hint = "write addresses as cidr:"
		} else if strings.Contains(strings.TrimPrefix(t.s, "*."), "*") {
			hint = "" // the error says it
		}
		v.add(t.place, key, hint, "%v", err)
		return dnsname.Pattern{}
	}
	if apex, wild := p.Apex(); wild {
		if _, more := apex.Parent(); !more {
			v.add(t.place, key, "name a zone of one owner, such as *.example."+apex.String(), "%q is every name under %s", t.s, apex)
			return dnsname.Pattern{}
		}
	}
	return p
}

func (v *validator) cidr(list texts, key string) []netip.Prefix {
	var out []netip.Prefix
	for _, t := range list.items {
		p, ok := v.prefix(t, key)
		if !ok {
			continue
		}
		if both := netset.Of(p).Intersect(nowhere); !both.IsEmpty() {
			v.add(t.place, key, "name the addresses that are meant", "prefix %q holds %s, which nothing reaches through a gateway", t.s, both.Prefixes()[0])
			continue
		}
		if other, both := v.clash(p, "network.nodes", "network.pods", "network.services"); other != "" {
			v.add(t.place, key, "use network policies there", "prefix %q holds %s of %s, and traffic inside the cluster is never filtered at this level",
				t.s, both, other)
			continue
		}
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

func (v *validator) ports(raw *rawAllow, key string) []PortSpec {
	sets := map[flow.Protocol]portset.Set{}
	for _, t := range raw.Ports.items {
		proto, ports, ok := v.portSpec(t, key+"ports")
		if !ok {
			continue
		}
		if raw.CIDR.given() && !raw.Name.given() && proto.App != flow.Raw {
			v.add(t.place, key+"ports", "write tcp/"+ports.String(),
				"%s would prove a name, but with cidr only the address is checked", proto)
			continue
		}
		sets[proto] = sets[proto].Union(ports)
	}
	var out []PortSpec
	for _, proto := range []flow.Protocol{flow.ProtoHTTPS, flow.ProtoHTTP, flow.ProtoTCP, flow.ProtoUDP} {
		if s := sets[proto]; !s.IsEmpty() {
			out = append(out, PortSpec{proto, s})
		}
	}
	return out
}

var (
	onlyPorts = regexp.MustCompile(`^[0-9][0-9, -]*$`)
	colonForm = regexp.MustCompile(`^([A-Za-z]+):\s*([0-9][0-9, -]*)$`) // as Azure's pages write it
	turned    = regexp.MustCompile(`^([0-9][0-9, -]*)/([A-Za-z]+)$`)    // as Kubernetes writes it
)

func (v *validator) portSpec(t text, key string) (proto flow.Protocol, ports portset.Set, ok bool) {
	s := strings.TrimSpace(t.s)
	if onlyPorts.MatchString(s) {
		v.add(t.place, key, "write https/"+s+" for TLS, or tcp/"+s+" for anything on TCP", "%q names no protocol", s)
		return proto, ports, false
	}
	if m := colonForm.FindStringSubmatch(s); m != nil {
		v.add(t.place, key, "write "+strings.ToLower(m[1])+"/"+m[2], "%q is not protocol/ports", s)
		return proto, ports, false
	}
	if m := turned.FindStringSubmatch(s); m != nil {
		v.add(t.place, key, "write "+strings.ToLower(m[2])+"/"+m[1], "%q is not protocol/ports", s)
		return proto, ports, false
	}
	word, list, listed := strings.Cut(s, "/")
	proto, err := flow.ParseProtocol(word)
	if err != nil {
		v.add(t.place, key, "write for example https, https/8443, tcp/22 or udp/1000-2000", "%v", err)
		return proto, ports, false
	}
	switch {
	case listed:
	case proto == flow.ProtoHTTPS:
		list = "443"
	case proto == flow.ProtoHTTP:
		list = "80"
	default:
		v.add(t.place, key, "write for example "+proto.String()+"/22", "%q names no port", s)
		return proto, ports, false
	}
	if ports, err = portset.Parse(list); err != nil {
		v.add(t.place, key, "", "%v", err)
		return proto, ports, false
	}
	return proto, ports, true
}

func (v *validator) sources(list texts, key string) []Source {
	var out []Source
	for _, t := range list.items {
		s, ok := v.source(t, key)
		if ok && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// source reads a source, and refuses what a gateway could never see: a rule
// about it would hold nothing, or be thought to hold something.
func (v *validator) source(t text, key string) (s Source, ok bool) {
	n := v.c.Network
	const hidden = "pods reach the gateway with their node's address"
	switch t.s {
	case GroupNodes:
		return Source{Group: GroupNodes}, true
	case GroupPods:
		switch {
		case !v.networkWritten():
			return s, false // said already
		case !v.c.PodsVisible():
			v.add(t.place, key, "write nodes", "pods cannot be told apart: %s", hidden)
			return s, false
		case n.Mode == NodeSubnet:
			v.add(t.place, key, "write nodes, or prefixes", "pods cannot be told apart: mode node-subnet gives them addresses from network.nodes")
			return s, false
		}
		return Source{Group: GroupPods}, true
	}
	p, err := netset.ParsePrefix(t.s)
	if err != nil {
		hint := "write nodes, pods, or a prefix such as 10.240.0.0/24"
		if w := meant.Nearest(t.s, []string{GroupNodes, GroupPods}); w != "" {
			err, hint = nil, "did you mean "+w+"?"
		} else if strings.ContainsAny(t.s, "/:.") {
			hint = ""
		}
		if err != nil {
			v.add(t.place, key, hint, "%v", err)
		} else {
			v.add(t.place, key, hint, "%q is neither a group nor a prefix", t.s)
		}
		return s, false
	}
	if !v.networkWritten() || len(n.Nodes) == 0 {
		return s, false // said already; what is inside is not known
	}
	own, seen := netset.Of(p), netset.Of(n.Nodes...)
	pods := netset.Of(n.Pods...)
	if v.c.PodsVisible() {
		seen = seen.Union(pods)
	}
	switch {
	case own.Overlaps(netset.Of(n.Services...)):
		v.add(t.place, key, "write nodes, or a prefix in network.nodes", "%s has addresses of network.services, which nothing is ever sent from", p)
	case !v.c.PodsVisible() && own.Overlaps(pods):
		v.add(t.place, key, "write nodes, or a prefix in network.nodes", "%s has addresses of network.pods, which the gateway never sees: %s", p, hidden)
	case !own.Overlaps(seen):
		v.add(t.place, key, "write nodes, or a prefix in network.nodes", "%s is outside the cluster", p)
	case !seen.Covers(own):
		v.add(t.place, key, "write a prefix inside", "%s reaches beyond the cluster", p)
	default:
		return Source{Prefix: p}, true
	}
	return s, false
}

// reason reads one line of text: it becomes a comment in the languages of many
// firewalls.
func (v *validator) reason(t text, key string) string {
	s := strings.TrimSpace(t.s)
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }) {
		v.add(t.place, key, "write it in one line", "has a line break or another control character")
		return ""
	}
	return s
}

// until reads the last day of a rule and returns its end.
func (v *validator) until(t text, key string) time.Time {
	day, ok := v.day(t, key)
	if !ok {
		return time.Time{}
	}
	end := day.AddDate(0, 0, 1)
	if end.Year() > 9999 { // which RFC 3339 cannot write
		v.add(t.place, key, "write a day as YYYY-MM-DD", "%q is not a date", t.s)
		return time.Time{}
	}
	return end
}

var idShape = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

func (v *validator) ruleID(t text, key string) string {
	if t.given() && t.s != "" && !idShape.MatchString(t.s) {
		v.add(t.place, key, "write up to 63 lower-case letters, digits, dots, hyphens and underscores", "%q cannot be a rule's name", t.s)
		return ""
	}
	return t.s
}

// contentID names a rule by what it allows. Reason and end date may change
// without the name changing.
func (r AllowRule) contentID() string {
	var parts []string
	if !r.Pattern.IsZero() {
		parts = append(parts, "name "+r.Pattern.String())
	}
	for _, p := range netset.Of(r.Prefixes...).Prefixes() {
		parts = append(parts, "cidr "+p.String())
	}
	for _, p := range r.Ports {
		parts = append(parts, "ports "+p.String())
	}
	var sources []string
	for _, s := range r.Sources {
		sources = append(sources, "source "+s.String())
	}
	slices.Sort(sources)
	sum := sha256.Sum256([]byte(strings.Join(append(parts, sources...), "\n")))
	return "allow-" + hex.EncodeToString(sum[:4])
}
