// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package flow

import "strconv"

// Verdict is what happens to a flow. The zero Verdict denies.
type Verdict uint8

// Verdicts.
const (
	Deny Verdict = iota
	Allow
)

// String returns "deny" or "allow".
func (v Verdict) String() string {
	if v == Allow {
		return "allow"
	}
	return "deny"
}

// MarshalText writes the verdict as String does.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// RuleID names a rule of a program. It comes from the requirement the rule
// fulfils or from the id its owner gave it, so it survives a recompilation.
type RuleID string

// Decision is the answer about one flow. The zero Decision denies.
type Decision struct {
	Verdict Verdict
	Reason  Reason
	Rule    RuleID // the rule that allows, or that came nearest to allowing; "" when none did
}

// Reason says why a flow was allowed or denied, from a closed list. The zero
// Reason is NotDecided.
type Reason uint8

// Reasons. The comment of each is what is true of a flow that gets it.
const (
	NotDecided Reason = iota

	// Allowed.
	RuleMatched    // a name rule matches and the name is proved
	AddressMatched // a rule about the address matches
	Published      // the port of the gateway is published for the source

	// Denied by the rules.
	NameNotAllowed    // no rule knows the name
	AddressNotAllowed // no name, and no rule knows the address
	PortNotAllowed    // a rule knows the destination, but not this port and transport
	ProtocolMismatch  // a rule knows destination and port, but wants another protocol on it
	SourceNotAllowed  // a rule would match from another source
	RuleExpired       // the rule that would match has reached its end date
	NameUnproved      // the name is allowed, but this flow does not prove it is its own

	// Denied by what was seen on the wire.
	UnboundAddress      // no allowed name leads to this address and port
	NameAddressMismatch // the name in the first bytes is not bound to the flow's address
	NoName              // the first bytes name no server
	AddressAsName       // the first bytes name an address instead of a server
	InvalidName         // the name in the first bytes is not a valid host name
	EncryptedHello      // the ClientHello may hide another server name, and its server knows how (ECH)
	NotTLS              // the first bytes are not a ClientHello
	NotHTTP             // the first bytes are not an HTTP request
	MalformedHello      // the ClientHello breaks its own format, or more of a handshake follows before the server has answered
	HelloTooLong        // the ClientHello passed 16 KiB, 64 segments or 16 records
	HelloTimeout        // the ClientHello was not whole, or not answered, in time
	OverlapMismatch     // segments of the ClientHello overlap with different bytes
	AmbiguousHost       // the request names its host in two ways or none
	MalformedRequest    // the request breaks HTTP in a way that two readers may read differently
	UpgradeRefused      // the request asks to leave HTTP, and no rule says that it may
	SpecialAddress      // the name led to an address it may never lead to
	PrivateAddress      // the name led to a private address, and nothing says that it may
	OtherResolver       // DNS to anything but the gateway
	TypeNotAllowed      // a DNS record type that names are not resolved for
	PingDenied          // an ICMP echo
	ICMPDenied          // any other ICMP that no flow of ours called for
	TransportDenied     // neither TCP, UDP nor ICMP
	OutOfState          // no connection the packet could belong to
	UpstreamFailed      // the name is allowed but could not be resolved or reached
	NotPublished        // no port of the gateway leads there
	AsymmetricRouting   // the answer to a connection that came in around the gateway
	Overload            // the gateway had no room to decide
	numReasons
)

var reasonNames = [numReasons]string{
	NotDecided:          "not-decided",
	RuleMatched:         "rule-matched",
	AddressMatched:      "address-matched",
	Published:           "published",
	NameNotAllowed:      "name-not-allowed",
	AddressNotAllowed:   "address-not-allowed",
	PortNotAllowed:      "port-not-allowed",
	ProtocolMismatch:    "protocol-mismatch",
	SourceNotAllowed:    "source-not-allowed",
	RuleExpired:         "rule-expired",
	NameUnproved:        "name-unproved",
	UnboundAddress:      "unbound-address",
	NameAddressMismatch: "name-address-mismatch",
	NoName:              "no-name",
	AddressAsName:       "address-as-name",
	InvalidName:         "invalid-name",
	EncryptedHello:      "encrypted-hello",
	NotTLS:              "not-tls",
	NotHTTP:             "not-http",
	MalformedHello:      "malformed-hello",
	HelloTooLong:        "hello-too-long",
	HelloTimeout:        "hello-timeout",
	OverlapMismatch:     "overlap-mismatch",
	AmbiguousHost:       "ambiguous-host",
	MalformedRequest:    "malformed-request",
	UpgradeRefused:      "upgrade-refused",
	SpecialAddress:      "special-address",
	PrivateAddress:      "private-address",
	OtherResolver:       "other-resolver",
	TypeNotAllowed:      "type-not-allowed",
	PingDenied:          "ping-denied",
	ICMPDenied:          "icmp-denied",
	TransportDenied:     "transport-denied",
	OutOfState:          "out-of-state",
	UpstreamFailed:      "upstream-failed",
	NotPublished:        "not-published",
	AsymmetricRouting:   "asymmetric-routing",
	Overload:            "overload",
}

var reasonTexts = [numReasons]string{
	NotDecided:          "it was not decided",
	RuleMatched:         "a rule allows it and the name is proved",
	AddressMatched:      "a rule allows this address",
	Published:           "the port is published for this source",
	NameNotAllowed:      "no rule knows this name",
	AddressNotAllowed:   "no rule knows this address",
	PortNotAllowed:      "the destination is allowed, but not on this port",
	ProtocolMismatch:    "the destination and port are allowed, but for another protocol",
	SourceNotAllowed:    "a rule allows it, but not from this source",
	RuleExpired:         "the rule that allowed it has expired",
	NameUnproved:        "the name is allowed, but nothing proves that this flow belongs to it",
	UnboundAddress:      "no allowed name leads to this address and port",
	NameAddressMismatch: "the name is allowed, but it does not lead to this address",
	NoName:              "the ClientHello names no server",
	AddressAsName:       "the client names an address where a host name belongs",
	InvalidName:         "the client names a host that is not a valid host name",
	EncryptedHello:      "the ClientHello may hide another server name from us, and not from its server",
	NotTLS:              "the first bytes are not a TLS ClientHello",
	NotHTTP:             "the first bytes are not an HTTP request",
	MalformedHello:      "the ClientHello is malformed, or more follows it too early",
	HelloTooLong:        "the ClientHello is longer or in more pieces than the gateway holds",
	HelloTimeout:        "the ClientHello was not complete, or not answered, in time",
	OverlapMismatch:     "segments of the ClientHello overlap with different bytes",
	AmbiguousHost:       "the request does not name its host exactly once",
	MalformedRequest:    "the request is malformed",
	UpgradeRefused:      "the request asks to switch protocols, and no rule allows that",
	SpecialAddress:      "the name led to an address that no name may lead to",
	PrivateAddress:      "the name led to a private address that allowPrivate does not list",
	OtherResolver:       "DNS is only answered by the gateway",
	TypeNotAllowed:      "this DNS record type is not answered",
	PingDenied:          "ICMP echo is not forwarded",
	ICMPDenied:          "this ICMP message belongs to no flow",
	TransportDenied:     "only TCP, UDP and ICMP are forwarded",
	OutOfState:          "the packet belongs to no connection",
	UpstreamFailed:      "the name is allowed but could not be reached",
	NotPublished:        "the gateway publishes no port that leads there",
	AsymmetricRouting:   "it answers a connection that did not come in through the gateway",
	Overload:            "the gateway had no room to decide",
}

// Reasons returns every reason, in order, for documentation and metrics.
func Reasons() []Reason {
	rs := make([]Reason, numReasons)
	for i := range rs {
		rs[i] = Reason(i)
	}
	return rs
}

// String returns the reason as records spell it, such as "name-not-allowed".
func (r Reason) String() string {
	if r < numReasons {
		return reasonNames[r]
	}
	return "reason" + strconv.Itoa(int(r))
}

// Text returns the reason as a clause for people.
func (r Reason) Text() string {
	if r < numReasons {
		return reasonTexts[r]
	}
	return r.String()
}

// Explain returns the reason as a clause for people, where p is the proof of the
// flow: a name that only led to the address is not the flow's own by that.
func (d Decision) Explain(p Proof) string {
	if d.Reason == RuleMatched && p == ByDNS {
		return "a rule allows it, and the name leads to this address"
	}
	return d.Reason.Text()
}

// MarshalText writes the reason as String does.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
