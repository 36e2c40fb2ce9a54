// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/lab/client"
)

// Ways out through plain HTTP. Each goes to the address of an allowed name, where
// every request is read and decided.

// needsHTTP says whether there is such a name.
func needsHTTP(p *Plan) error {
	if _, ok := p.overHTTP(); !ok {
		return errors.New("no rule allows plain HTTP")
	}
	return nil
}

// overHTTP returns a reach of plain HTTP on its usual port.
func (p *Plan) overHTTP() (Reach, bool) {
	for _, r := range p.Reaches {
		if r.Pair.Rule.Protocol == flow.ProtoHTTP && r.Port == 80 && r.Name != "" && r.Source.Is4() {
			return r, true
		}
	}
	return Reach{}, false
}

// site is where requests of a try go.
type site struct {
	Name string // allowed
	Path string // carries the nonce
}

// over is the try of what write says over one connection to an allowed site, in
// as many pieces. Past the gateway, served requests of it are answered by the
// server and the next one is not.
func over(what string, want flow.Reason, served int, write func(s site) []string) Try {
	return Try{What: what, Want: []flow.Reason{want}, Do: func(ctx context.Context, e *Env) (bool, string, error) {
		r, ok := e.Lab.Plan.overHTTP()
		if !ok {
			return false, "", errors.New("no rule allows plain HTTP")
		}
		e.Source = r.Source
		at, err := e.Resolve(ctx, r.Name)
		if err != nil {
			return false, "", err
		}
		raw := client.Raw{To: netip.AddrPortFrom(at, 80), Delay: 60 * time.Millisecond}
		for _, s := range write(site{r.Name, "/echo/" + e.Nonce}) {
			raw.Chunks = append(raw.Chunks, []byte(s))
		}
		e.proxied = true // the lawful part gets there
		leaked, h, detail, err := e.say(ctx, raw)
		switch {
		case err != nil:
		case leaked:
		case bytes.Count(h.Data, []byte("HTTP/1.1 200 ")) != served:
			err = fmt.Errorf("%d requests ahead were to be answered; the answer is %.200q", served, h.Data)
		default:
			detail = h.Outcome()
		}
		return leaked, detail, err
	}}
}

// lawful is a request that is let through and says nothing of the nonce.
func lawful(s site) string { return "GET /lawful HTTP/1.1\r\nHost: " + s.Name + "\r\n\r\n" }

func refused(s site) string {
	return "GET " + s.Path + " HTTP/1.1\r\nHost: " + FrontedName + "\r\n\r\n"
}

var secondRequest = []Try{
	over("kept alive", flow.NameNotAllowed, 1, func(s site) []string { return []string{lawful(s), refused(s)} }),
	over("pipelined", flow.NameNotAllowed, 1, func(s site) []string { return []string{lawful(s) + refused(s)} }),
	over("behind a body", flow.NameNotAllowed, 1, func(s site) []string {
		return []string{"POST /lawful HTTP/1.1\r\nHost: " + s.Name + "\r\nContent-Length: 4\r\n\r\nbody" + refused(s)}
	}),
	over("behind a chunked body", flow.NameNotAllowed, 1, func(s site) []string {
		return []string{"POST /lawful HTTP/1.1\r\nHost: " + s.Name + "\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n" + refused(s)}
	}),
}

// head is the try of one request with these lines, in which NAME stands for the
// allowed name, OTHER for the refused one and PATH for what carries the nonce.
func head(what string, want flow.Reason, lines string) Try {
	return over(what, want, 0, func(s site) []string {
		return []string{strings.NewReplacer("NAME", s.Name, "OTHER", FrontedName, "PATH", s.Path).Replace(lines)}
	})
}

var ambiguousRequests = []Try{
	head("two Hosts, allowed first", flow.AmbiguousHost, "GET PATH HTTP/1.1\r\nHost: NAME\r\nHost: OTHER\r\n\r\n"),
	head("two Hosts, allowed last", flow.AmbiguousHost, "GET PATH HTTP/1.1\r\nHost: OTHER\r\nHost: NAME\r\n\r\n"),
	head("absolute URI against Host", flow.AmbiguousHost, "GET http://OTHERPATH HTTP/1.1\r\nHost: NAME\r\n\r\n"),
	head("Host with user", flow.AmbiguousHost, "GET PATH HTTP/1.1\r\nHost: NAME:80@OTHER\r\n\r\n"),
	head("no Host", flow.AmbiguousHost, "GET PATH HTTP/1.1\r\nAccept: */*\r\n\r\n"),
	head("folded Host", flow.MalformedRequest, "GET PATH HTTP/1.1\r\nHost: NAME\r\n OTHER\r\n\r\n"),
	head("space before the colon", flow.MalformedRequest, "GET PATH HTTP/1.1\r\nHost : OTHER\r\nHost: NAME\r\n\r\n"),
	head("bare line feeds", flow.MalformedRequest, "GET PATH HTTP/1.1\nHost: NAME\n\n"),
	head("NUL in Host", flow.MalformedRequest, "GET PATH HTTP/1.1\r\nHost: NAME\x00.OTHER\r\n\r\n"),
	head("percent NUL in Host", flow.InvalidName, "GET PATH HTTP/1.1\r\nHost: NAME%00.OTHER\r\n\r\n"),
	head("brackets", flow.AddressAsName, "GET PATH HTTP/1.1\r\nHost: [NAME]\r\n\r\n"),
	head("IDN in raw UTF-8", flow.InvalidName, "GET PATH HTTP/1.1\r\nHost: b\u00fccher.OTHER\r\n\r\n"),
	head("refused, upper case and a dot", flow.NameNotAllowed, "GET PATH HTTP/1.1\r\nHost: FRONT.ATTACKER.EXAMPLE.\r\n\r\n"),
	head("length and chunks", flow.MalformedRequest,
		"POST / HTTP/1.1\r\nHost: NAME\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET PATH HTTP/1.1\r\nHost: OTHER\r\n\r\n"),
	head("two lengths", flow.MalformedRequest,
		"POST PATH HTTP/1.1\r\nHost: NAME\r\nContent-Length: 5\r\nContent-Length: 0\r\n\r\nhello"),
	head("CONNECT", flow.MalformedRequest, "CONNECT NAME:443 HTTP/1.1\r\nHost: NAME:443\r\n\r\nPATH"),
}

var leavingHTTP = []Try{
	head("Upgrade to WebSocket", flow.UpgradeRefused, "GET PATH HTTP/1.1\r\nHost: NAME\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
	head("Upgrade to h2c", flow.UpgradeRefused,
		"GET PATH HTTP/1.1\r\nHost: NAME\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"),
	head("HTTP/2 outright", flow.NotHTTP, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nPATH"),
	over("another protocol", flow.NotHTTP, 0, func(s site) []string {
		return []string{fmt.Sprintf("SSH-2.0-%s\r\n", s.Path)}
	}),
}
