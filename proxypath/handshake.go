// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package proxypath

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/sallyport/sallyport/dnsname"
	"github.com/sallyport/sallyport/echprobe"
	"github.com/sallyport/sallyport/flow"
	"github.com/sallyport/sallyport/httphead"
	"github.com/sallyport/sallyport/tlshello"
)

// helloName returns the name in the client's ClientHello. Where there is no valid
// one, reason says why, and seen is what stands there. Whether it may hide another
// one depends on the server: see hides.
func (s *session) helloName(again bool) (name dnsname.Name, seen []byte, reason flow.Reason, detail string) {
	h, reason, detail := s.hello(again)
	switch {
	case reason == flow.AddressAsName || reason == flow.InvalidName:
		return name, h.Name, reason, ""
	case reason != flow.NotDecided:
		return name, nil, reason, detail
	case h.DraftECH:
		return name, nil, flow.EncryptedHello, echprobe.Draft
	case h.ECH && s.p.cfg.ECH == nil:
		return name, nil, flow.EncryptedHello, ""
	}
	s.ech, s.helloLen = h.ECH, h.Len
	name, err := dnsname.Parse(string(h.Name))
	if err != nil {
		return name, h.Name, flow.InvalidName, ""
	}
	return name, nil, flow.NotDecided, ""
}

// hello holds what the client sends until its ClientHello is whole, or cannot
// become one any more. The hello aliases what is held, and its end is in Len. One
// that the server has asked for may be behind other records.
func (s *session) hello(again bool) (h tlshello.Hello, reason flow.Reason, detail string) {
	until := time.Now().Add(s.p.cfg.Limits.Hello)
	scratch, read := make([]byte, tlshello.MaxBytes), tlshello.Read
	if again {
		read = tlshello.ReadNext
	}
	for {
		held := s.client.data()
		if len(held) >= httphead.MaxHead {
			return h, flow.HelloTooLong, ""
		}
		if h, more, reason := read(held, scratch); !more {
			return h, reason, ""
		}
		err := s.client.fill(until, firstBuffer)
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			return h, flow.HelloTimeout, ""
		case len(s.client.data()) == 0 && again:
			return h, flow.MalformedHello, "the connection ended where the server asked for another ClientHello"
		case len(s.client.data()) == 0:
			return h, flow.NotTLS, "the client ended the connection and sent nothing"
		default:
			return h, flow.MalformedHello, "the connection ended within the ClientHello"
		}
	}
}

// A server may ask for another ClientHello, and serve the name in that one (RFC 8446
// section 4.1.4). So nothing of a handshake follows the first one to the server before
// that has answered, and the one that it asks for must name the same host.

// listen passes on what the server says until it is known that it asks for no other
// hello any more, and tells replies what is known, ahead of the client, as long as deaf
// is open.
func (s *session) listen(ctx context.Context, replies chan<- tlshello.Reply, deaf <-chan struct{}) error {
	defer close(replies)
	var known tlshello.Replies
	for {
		if len(s.server.data()) == 0 {
			if err := s.server.await(firstBuffer); err != nil {
				return err
			}
		}
		reply := tlshello.Undecided
		for rest := s.server.data(); len(rest) > 0 && reply != tlshello.Final; {
			if rest, reply = known.Read(rest); reply == tlshello.Undecided {
				break
			}
			select {
			case replies <- reply:
			case <-deaf:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := s.client.write(s.server.data()); err != nil {
			return err
		}
		s.server.take(len(s.server.data()))
		if reply == tlshello.Final {
			return nil
		}
	}
}

// shakeHands sends the server the client's hello, and each other one that it asks
// for, and passes on what is no part of a handshake meanwhile. When it returns nil
// everything may pass.
func (s *session) shakeHands(ctx context.Context, f flow.Flow, replies <-chan tlshello.Reply) error {
	send := func(n int) error {
		if n == 0 {
			return nil
		}
		err := s.server.write(s.client.data()[:n])
		s.client.take(n)
		return err
	}
	if err := send(s.helloLen); err != nil {
		return err
	}
	for left := 0; ; { // left: bytes to the next record
		at, found, reason := tlshello.Next(s.client.data()[min(left, len(s.client.data())):])
		at += left
		n := min(at, len(s.client.data()))
		if err := send(n); err != nil {
			return err
		}
		left = at - n
		reply := tlshello.Undecided
		switch {
		case left > 0:
		case found || reason != flow.NotDecided: // which has to wait
			var ok bool
			select {
			case reply, ok = <-replies:
				if !ok {
					return io.EOF // the server has ended, and will not ask
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		default:
			select {
			case reply = <-replies:
			default:
			}
		}
		switch reply {
		case tlshello.Final:
			return nil
		case tlshello.Retry:
			if err := s.judgeAgain(ctx, f); err != nil {
				return err
			}
			if err := send(s.helloLen); err != nil {
				return err
			}
			continue
		}
		if err := s.client.await(firstBuffer); err != nil {
			return err
		}
	}
}

// errRefused says that the hello which the server asked for was refused.
var errRefused = errors.New("the hello that the server asked for is refused")

// judgeAgain waits for the hello that the server has asked for, and records what was
// decided about it. The error is errRefused where it may not pass.
func (s *session) judgeAgain(ctx context.Context, f flow.Flow) error {
	f, d, seen, detail := s.decideHello(ctx, f, true, "the ClientHello that the server asked for names another host than the first")
	if ctx.Err() != nil {
		return ctx.Err() // was cut
	}
	if detail == "" {
		detail = tlshello.Asked
	}
	s.record(f, d, seen, detail)
	if d.Verdict == flow.Allow {
		return nil
	}
	if s.p.cfg.Audit {
		s.helloLen = len(s.client.data())
		return nil
	}
	s.client.reset()
	s.server.reset()
	return errRefused
}

// decideHello waits for a ClientHello and decides whether it proves the name that f
// has already, as f's proof says. seen is the name in the hello where it is not a valid
// one; other is the detail where it names another host. When ctx ends meanwhile, the
// decision is the zero one.
func (s *session) decideHello(ctx context.Context, f flow.Flow, again bool, other string) (_ flow.Flow, d flow.Decision, seen []byte, detail string) {
	refuse := func(reason flow.Reason) (flow.Flow, flow.Decision, []byte, string) {
		f.Proof = flow.Unproved
		if ctx.Err() != nil {
			return f, flow.Decision{}, nil, ""
		}
		if len(seen) > 0 {
			f.Name = dnsname.Name{}
		}
		return f, flow.Decision{Reason: reason}, seen, detail
	}
	name, seen, reason, detail := s.helloName(again)
	if ctx.Err() != nil || reason != flow.NotDecided {
		return refuse(reason)
	}
	same := name == f.Name
	f.Name = name
	asked := f
	asked.Dst = netip.Addr{} // a rule about the address would not have looked inside
	d = s.p.cfg.Rules().Decide(asked, s.p.cfg.Now())
	switch {
	case !same:
		f.Proof = flow.Unproved
		if d.Verdict == flow.Allow {
			d.Verdict, d.Reason = flow.Deny, flow.NameAddressMismatch
		}
		return f, d, nil, other
	case d.Verdict != flow.Allow:
		return f, d, nil, ""
	}
	hides, why := s.hides(ctx, name)
	if detail = why; hides {
		return refuse(flow.EncryptedHello)
	}
	return f, d, nil, ""
}
