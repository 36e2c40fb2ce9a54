// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/dns"

	"github.com/sallyport/sallyport/dnsname"
)

// PublishesECH asks the upstreams whether an HTTPS record of name, or of what it
// is an alias of, has keys for an encrypted hello (RFC 9848). Clients are never
// told such a record. The name is allowed. Upstreams that all refuse the type, or do
// not know it, have none: nobody can learn keys from them.
func (r *Resolver) PublishesECH(ctx context.Context, name dnsname.Name) (bool, error) {
	release, err := r.slot(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	current := name
	for range maxChain {
		msg, err := r.query(ctx, current, dns.TypeHTTPS)
		if typeRefused(err) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("ask for the HTTPS record of %s: %w", current, err)
		}
		// The owners do not matter: what is not asked for is no reason to trust.
		if slices.ContainsFunc(msg.Answer, hasECH) {
			return true, nil
		}
		_, next := new(answer).follow(msg, current, dns.TypeHTTPS)
		if alias := aliasOf(msg, next); !alias.IsZero() {
			next = alias
		}
		if next == current {
			return false, nil
		}
		current = next
	}
	return false, fmt.Errorf("%s: more than %d aliases in a row", name, maxChain)
}

// typeRefused reports whether every upstream has said that it does not answer
// questions of this type.
func typeRefused(err error) bool {
	if all, ok := err.(interface{ Unwrap() []error }); ok { // joined by query
		return !slices.ContainsFunc(all.Unwrap(), func(err error) bool { return !typeRefused(err) })
	}
	code, ok := errors.AsType[rcodeError](err)
	return ok && (code == dns.RcodeNotImplemented || code == dns.RcodeRefused)
}

func hasECH(rr dns.RR) bool {
	h, ok := rr.(*dns.HTTPS)
	return ok && slices.ContainsFunc(h.Value, func(v dns.SVCBKeyValue) bool { return v.Key() == dns.SVCB_ECHCONFIG })
}

// aliasOf returns where an HTTPS record of name in AliasMode leads (RFC 9460
// section 2.4.2); the zero name when there is none.
func aliasOf(msg *dns.Msg, name dnsname.Name) dnsname.Name {
	for _, rr := range msg.Answer {
		if h, ok := rr.(*dns.HTTPS); ok && h.Priority == 0 && sameName(h.Hdr.Name, name) {
			if target, err := dnsname.Parse(h.Target); err == nil {
				return target
			}
		}
	}
	return dnsname.Name{}
}
